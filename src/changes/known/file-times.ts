import { equivalent, inModel } from '../make.ts';

export const fileTimes = equivalent('file-times', 'model files with other times', (subject) =>
  inModel(subject, { kind: 'file-times' }),
);
