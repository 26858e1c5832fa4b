import { isCpu, LONGER, real, withArgs } from '../make.ts';

export const fp8KvCache = real('fp8-kv-cache', 'keys and values kept in fp8', LONGER, true, (subject) =>
  withArgs(subject, subject.plan.engine.changes.fp8KvCache(isCpu(subject))),
);
