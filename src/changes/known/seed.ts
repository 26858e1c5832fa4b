import { real, SAMPLED, sampled } from '../make.ts';

export const seed = real('seed', 'a sampler that starts from another seed', SAMPLED, false, (subject) =>
  sampled(subject, ({ seed }) => ({ seed: seed + 1 })),
);
