import { PYTORCH, repeatingAlgorithms } from './pytorch.ts';
import type { EngineSpec } from './spec.ts';

/** Names as in docker/harness/deterministic_ml/engines/kernels/arguments.py, and in its probes.py. */
export const kernels: EngineSpec = {
  name: 'kernels',
  what: 'single operators of PyTorch without a model, on a GPU or a CPU',
  image: 'pytorch/pytorch',
  // The seed is that of the inputs, which are the same bits everywhere.
  args: PYTORCH.args,
  served: undefined,
  unread: () => [],
  // It takes what a call needs, when it needs it.
  gpuMemory: [],
  // Nothing is ever compiled.
  tracing: {},
  prefixCaching: {},
  environment: PYTORCH.environment,
  variables: [],
  tuning: [],
  offline: {},
  caches: {},
  batchInvariant: () => false,
  foundations: [repeatingAlgorithms()],
  probes: [
    'matmul',
    'attention',
    'rmsnorm',
    'softmax',
    'reductions',
    'activations',
    'scatter',
    'rope',
    'quantised',
  ],
  takes: [],
  kinds: ['generate'],
  facts: {
    compiled: () => ({ is: false, by: 'the engine compiles nothing' }),
    speculation: () => undefined,
  },
  memory: [],
  changes: {
    fp8KvCache: () => 'the engine keeps nothing',
    chunkedPrefill: 'the engine prefills nothing',
    attention: () => 'the engine asks every back end already',
    threads: {},
    logging: {},
  },
};
