import { equivalent, halfOfCores, withEnvironment } from '../make.ts';

export const threads = equivalent('threads', 'half as many threads', (subject) =>
  withEnvironment(subject, {
    OMP_NUM_THREADS: String(halfOfCores(subject)),
    ...subject.plan.engine.changes.threads,
  }),
);
