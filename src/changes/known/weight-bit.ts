import { inModel, real } from '../make.ts';

export const weightBit = real(
  'weight-bit',
  'the lowest bit of one weight',
  'depth `full` in an eager engine: it traces',
  false,
  (s) => inModel(s, { kind: 'weight-bit' }),
);
