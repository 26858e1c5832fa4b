import { recut } from '../make.ts';

export const batching = recut(
  'batching',
  'requests served together',
  'prompts of several lengths',
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
