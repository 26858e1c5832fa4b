import { LONGER, real, withArgs } from '../make.ts';

export const dtype = real('dtype', 'another floating-point format', LONGER, true, (subject) => {
  const other = subject.effective['dtype'] === 'bfloat16' ? 'float16' : 'bfloat16';
  return withArgs(subject, { dtype: other });
});
