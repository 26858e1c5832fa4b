import { inModel, LONGER, real } from '../make.ts';

export const fp8Weights = real('fp8-weights', 'weights rounded to fp8', LONGER, true, (subject) =>
  inModel(subject, { kind: 'round-weights', format: 'fp8' }),
);
