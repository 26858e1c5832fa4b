import { PYTORCH, repeatingAlgorithms } from './pytorch.ts';
import type { EngineSpec } from './spec.ts';

/** Each default with its reason; names as in docker/harness/deterministic_ml/engines/script/arguments.py. */
export const script: EngineSpec = {
  name: 'script',
  what: 'a function of your own, which is given each prompt and emits named results',
  program: true,
  image: 'pytorch/pytorch',
  // Seeded before the import and before each call: a call begins alike, whichever came before it.
  args: PYTORCH.args,
  served: undefined,
  unread: () => [],
  // Its memory is its own.
  gpuMemory: [],
  tracing: {},
  prefixCaching: {},
  environment: { ...PYTORCH.environment, TORCHINDUCTOR_DETERMINISTIC: '1' },
  variables: [],
  tuning: [],
  offline: {},
  caches: {},
  batchInvariant: () => false,
  // Not there without PyTorch.
  foundations: [repeatingAlgorithms('torch.deterministic_algorithms')],
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
