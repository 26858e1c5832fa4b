import { equivalent, withSampling } from '../make.ts';

export const greedySeed = equivalent('greedy-seed', 'another seed where nothing is sampled', (subject) =>
  withSampling(
    subject,
    ({ temperature }) => temperature === 0,
    ({ seed }) => ({ seed: seed + 1 }),
    'the suite decodes nothing greedily',
  ),
);
