import { inModel, LONGER, real } from '../make.ts';

export const int8Weights = real('int8-weights', 'weights rounded to int8', LONGER, true, (subject) =>
  inModel(subject, { kind: 'round-weights', format: 'int8' }),
);
