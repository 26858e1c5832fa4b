import { type EngineSpec, flag } from './spec.ts';

/** Each default with its reason; names as in docker/harness/deterministic_ml/engines/script/arguments.py. */
export const script: EngineSpec = {
  name: 'script',
  what: 'a function of your own, which is given each prompt and emits named results',
  program: true,
  image: 'pytorch/pytorch',
  args: {
    // Before the import and before each call: a call begins alike, whichever came before it.
    seed: 0,
    // PyTorch then takes algorithms that repeat, and warns where it has none.
    deterministic_algorithms: true,
    // Rounds matrix products to 10 bits on some cards and not on others.
    allow_tf32: false,
  },
  served: undefined,
  unread: () => [],
  // Its memory is its own.
  gpuMemory: { args: {}, unless: [] },
  tracing: {},
  prefixCaching: {},
  environment: {
    PYTHONHASHSEED: '0',
    // cuBLAS reads it when it starts: with it, a product is the same each time.
    CUBLAS_WORKSPACE_CONFIG: ':4096:8',
    TORCHINDUCTOR_DETERMINISTIC: '1',
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
      // Not there without PyTorch.
      isInForce: ({ 'torch.deterministic_algorithms': told }) => flag(told),
    },
  ],
  takes: ['chat'],
  kinds: ['generate'],
  facts: {
    compiled: () => undefined,
    speculation: () => undefined,
  },
  memory: [],
  changes: {
    fp8KvCache: () => 'a script keeps no keys and values',
    chunkedPrefill: 'a script prefills nothing',
    attention: () => 'how a script attends is its own affair',
    threads: {},
    logging: {},
  },
};
