import { isCpu, LONGER, real, withArgs } from '../make.ts';

export const attention = real('attention', 'another attention implementation', LONGER, true, (subject) => {
  const { attention } = subject.plan.engine.changes;
  return withArgs(subject, attention(isCpu(subject), subject.effective));
});
