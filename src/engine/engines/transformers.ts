import { PYTORCH, repeatingAlgorithms } from './pytorch.ts';
import type { EngineSpec } from './spec.ts';

/** Each default with its reason; names as in docker/harness/deterministic_ml/engines/transformers/arguments.py. */
export const transformers: EngineSpec = {
  name: 'transformers',
  what: 'plain PyTorch with the models of transformers, on a GPU or a CPU',
  image: 'huggingface/transformers-pytorch-gpu',
  args: PYTORCH.args,
  served: undefined,
  // Its stop tokens are taken from there, and a request's sampling is the suite's.
  unread: () => [],
  // It takes what a request needs, when it needs it.
  gpuMemory: [],
  // Nothing is ever compiled.
  tracing: {},
  prefixCaching: {},
  tasks: { embed: { task: 'embed' }, reward: { task: 'reward' } },
  environment: { ...PYTORCH.environment, TORCHINDUCTOR_DETERMINISTIC: '1' },
  variables: ['TRANSFORMERS_'],
  tuning: ['TRANSFORMERS_VERBOSITY'],
  offline: {},
  caches: {},
  batchInvariant: () => false,
  foundations: [repeatingAlgorithms()],
  takes: ['chat', 'conversation', 'token-ids', 'embed', 'reward', 'probes'],
  kinds: ['generate', 'force', 'score', 'trace'],
  facts: {
    compiled: () => ({ is: false, by: 'the engine compiles nothing' }),
    speculation: () => undefined,
  },
  memory: ['max_batch_size', 'max_model_len'],
  changes: {
    fp8KvCache: () => 'the engine keeps keys and values in the model’s own format',
    chunkedPrefill: { prefill_chunk_size: 64 },
    attention: (_cpu, { attn_implementation: now }) => ({
      attn_implementation: now === 'eager' ? 'sdpa' : 'eager',
    }),
    threads: {},
    logging: { TRANSFORMERS_VERBOSITY: 'debug' },
  },
};
