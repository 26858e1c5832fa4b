import { real } from '../make.ts';

export const batching = real(
  'batching',
  'requests served together',
  'prompts of several lengths',
  false,
  (subject) => ({
    ...subject,
    plan: {
      ...subject.plan,
      passes: subject.plan.passes.map((pass) =>
        pass.kind === 'trace' ? pass : { ...pass, grouped: 'strangers' },
      ),
    },
  }),
);
