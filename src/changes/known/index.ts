import type { KnownChange } from '../make.ts';
import { anotherContainer } from './another-container.ts';
import { attention } from './attention.ts';
import { batching } from './batching.ts';
import { chatTemplateSpace } from './chat-template-space.ts';
import { chunkedPrefill } from './chunked-prefill.ts';
import { cpuCapability } from './cpu-capability.ts';
import { cpuQuota } from './cpu-quota.ts';
import { dtype } from './dtype.ts';
import { environmentOrder } from './environment-order.ts';
import { fileTimes } from './file-times.ts';
import { fp8KvCache } from './fp8-kv-cache.ts';
import { fp8Weights } from './fp8-weights.ts';
import { greedySeed } from './greedy-seed.ts';
import { int8Weights } from './int8-weights.ts';
import { logLevel } from './log-level.ts';
import { restart } from './restart.ts';
import { ropeTheta } from './rope-theta.ts';
import { seed } from './seed.ts';
import { temperature } from './temperature.ts';
import { threads } from './threads.ts';
import { tokenizerMerge } from './tokenizer-merge.ts';
import { topP } from './top-p.ts';
import { weightBit } from './weight-bit.ts';

/** Every change that `power` knows. */
export const knownChanges: readonly KnownChange[] = [
  // In the order in which they are made.
  dtype,
  int8Weights,
  fp8Weights,
  weightBit,
  fp8KvCache,
  ropeTheta,
  cpuCapability,
  batching,
  chunkedPrefill,
  chatTemplateSpace,
  tokenizerMerge,
  temperature,
  topP,
  seed,
  attention,
  restart,
  threads,
  cpuQuota,
  anotherContainer,
  logLevel,
  environmentOrder,
  fileTimes,
  greedySeed,
];
