import { inModel, LONGER, real } from '../make.ts';

export const ropeTheta = real(
  'rope-theta',
  'the base of the rotary embedding +0.1 %',
  LONGER,
  false,
  (subject) => inModel(subject, { kind: 'rope-theta' }),
);
