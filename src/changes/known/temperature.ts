import { real, SAMPLED, sampled } from '../make.ts';

export const temperature = real(
  'temperature',
  'a sampler that reads temperature +0.1',
  SAMPLED,
  false,
  (subject) => sampled(subject, ({ temperature }) => ({ temperature: temperature + 0.1 })),
);
