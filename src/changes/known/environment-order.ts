import { equivalent } from '../make.ts';

export const environmentOrder = equivalent(
  'environment-order',
  'the same environment in another order',
  (subject) => ({
    ...subject,
    plan: {
      ...subject.plan,
      environment: Object.fromEntries(Object.entries(subject.plan.environment).reverse()),
    },
  }),
);
