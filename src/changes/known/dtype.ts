import { LONGER, real, withArgs } from '../make.ts';

export const dtype = real('dtype', 'another floating-point format', LONGER, true, (subject) => {
  if (subject.plan.engine.probes !== undefined) return 'probes are asked in several formats already';
  const other = subject.effective['dtype'] === 'bfloat16' ? 'float16' : 'bfloat16';
  return withArgs(subject, { dtype: other });
});
