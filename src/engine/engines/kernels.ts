import { type EngineSpec, flag } from './spec.ts';

/** Names as in docker/harness/deterministic_ml/engines/kernels/arguments.py, and in its probes.py. */
export const kernels: EngineSpec = {
  name: 'kernels',
  what: 'single operators of PyTorch without a model, on a GPU or a CPU',
  image: 'pytorch/pytorch',
  args: {
    // Of the inputs, which are the same bits everywhere.
    seed: 0,
    // PyTorch then takes algorithms that repeat, and warns where it has none.
    deterministic_algorithms: true,
    // Rounds matrix products to 10 bits on some cards and not on others.
    allow_tf32: false,
  },
  served: undefined,
  unread: () => [],
  // It takes what a call needs, when it needs it.
  gpuMemory: { args: {}, unless: [] },
  // Nothing is ever compiled.
  tracing: {},
  prefixCaching: {},
  environment: {
    PYTHONHASHSEED: '0',
    // cuBLAS reads it when it starts: with it, a product is the same each time.
    CUBLAS_WORKSPACE_CONFIG: ':4096:8',
  },
  variables: [],
  tuning: [],
  offline: {},
  caches: {},
  batchInvariant: () => false,
  foundations: [
    {
      name: 'deterministic_algorithms: true',
      isAsked: ({ deterministic_algorithms: asked }) => asked === true,
      isInForce: ({ deterministic_algorithms: told }) => flag(told),
    },
  ],
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
