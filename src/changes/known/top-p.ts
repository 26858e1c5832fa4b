import { real, SAMPLED, sampled } from '../make.ts';

export const topP = real('top-p', 'a sampler that cuts at another top_p', SAMPLED, false, (subject) =>
  sampled(subject, ({ top_p }) => ({ top_p: top_p * 0.7 })),
);
