import { equivalent, withEnvironment } from '../make.ts';

export const logLevel = equivalent('log-level', 'an engine that logs everything', (subject) =>
  withEnvironment(subject, subject.plan.engine.changes.logging),
);
