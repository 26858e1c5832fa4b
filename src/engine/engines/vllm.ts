import { type EngineSpec, flag } from './spec.ts';

/** Each default with its reason; names as in vLLM's EngineArgs and vllm/envs.py. */
const BATCH_INVARIANT = 'VLLM_BATCH_INVARIANT';

export const vllm: EngineSpec = {
  name: 'vllm',
  what: 'vLLM through its offline API, on a GPU or a CPU',
  image: 'vllm/vllm-openai',
  args: {
    seed: 0,
    // A model's generation_config.json would change sampling silently.
    generation_config: 'vllm',
    // Compilation and CUDA graphs choose kernels by timing: a fresh container re-rolls them.
    enforce_eager: true,
    // A warm cache skips prefill, so that a repeat would not repeat.
    enable_prefix_caching: false,
    // Overlapping scheduling makes the batch depend on time.
    async_scheduling: false,
    enable_flashinfer_autotune: false,
    // The witnesses are read from the engine's own counters.
    disable_log_stats: false,
  },
  served: {
    programs: ['vllm serve', 'vllm.entrypoints.openai.api_server'],
    args: { disable_log_stats: false },
    environment: { VLLM_ENABLE_V1_MULTIPROCESSING: '0' },
    reasons: {
      disable_log_stats: 'the witnesses are read from the engine’s own counters',
      VLLM_ENABLE_V1_MULTIPROCESSING:
        'the scheduler runs in the harness’s process and is stepped by it: no race decides who is batched with whom',
    },
  },
  unread: ({ generation_config: sampling, chat_template_sha256: template }) => [
    ...(sampling === 'auto' || sampling === undefined
      ? []
      : [
          {
            files: ['generation_config.json'],
            by: sampling === 'vllm' ? '`defaults: deterministic`' : '`generation_config`',
            remedy: '`engine.defaults: as-served` measures it',
          },
        ]),
    ...(template === undefined
      ? []
      : [
          {
            files: ['chat_template.jinja', 'chat_template.json'],
            by: '`--chat-template`',
            remedy: 'without that flag the model’s own is measured',
          },
        ]),
  ],
  // What `auto` is, docker/harness/deterministic_ml/engines/vllm/memory.py counts.
  gpuMemory: [
    {
      // By default it takes what is free, so that a neighbour on the card changes how many blocks there are.
      args: { kv_cache_memory_bytes: 'auto' },
      unless: ['gpu_memory_utilization', 'kv_cache_memory_bytes', 'num_gpu_blocks_override'],
    },
    // Without it a start wants 92 % of the card free, also where the bytes are given: a neighbour ends it.
    { args: { gpu_memory_utilization: 'auto' }, unless: ['gpu_memory_utilization'] },
  ],
  // What is compiled calls no module, and so no hook.
  tracing: { enforce_eager: true },
  environment: {
    PYTHONHASHSEED: '0',
    // The scheduler runs in our process and is stepped by us: no race decides who is batched with whom.
    VLLM_ENABLE_V1_MULTIPROCESSING: '0',
    CUBLAS_WORKSPACE_CONFIG: ':4096:8',
    TORCHINDUCTOR_DETERMINISTIC: '1',
    VLLM_TRITON_FORCE_FIRST_CONFIG: '1',
    // For a suite that turns `enforce_eager` off: both choose kernels by timing.
    VLLM_ENABLE_INDUCTOR_MAX_AUTOTUNE: '0',
    VLLM_ENABLE_INDUCTOR_COORDINATE_DESCENT_TUNING: '0',
    // vllm#51187: FlashInfer's sampler gives other log-probabilities in one lifetime of three.
    VLLM_USE_FLASHINFER_SAMPLER: '0',
  },
  prefixCaching: { enable_prefix_caching: true },
  // All of them in memory at once: else which ones share a step would be a matter of what is loaded.
  adapters: (count) => ({ enable_lora: true, max_loras: count }),
  variables: ['VLLM_'],
  tuning: [
    ...['VLLM_BATCH_INVARIANT', 'VLLM_ATTENTION_BACKEND', 'VLLM_FLOAT32_MATMUL_PRECISION'],
    ...['VLLM_KV_CACHE_LAYOUT', 'VLLM_PP_LAYER_PARTITION', 'VLLM_WORKER_MULTIPROC_METHOD'],
    ...[
      'VLLM_ALLOW_LONG_MAX_MODEL_LEN',
      'VLLM_DISABLED_KERNELS',
      'VLLM_DISABLE_PYNCCL',
      'VLLM_SKIP_P2P_CHECK',
    ],
    ...['VLLM_DISABLE_SHARED_EXPERTS_STREAM', 'VLLM_BLOCKSCALE_FP8_GEMM_FLASHINFER', 'VLLM_LOGGING_LEVEL'],
    ...[
      'VLLM_FLASHINFER_ALLREDUCE_BACKEND',
      'VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE',
      'VLLM_DEEP_GEMM_WARMUP',
    ],
    ...['VLLM_USE_*', 'VLLM_ENABLE_*', 'VLLM_CPU_*', 'VLLM_ROCM_*', 'VLLM_XPU_*', 'VLLM_TRITON_*'],
    ...['VLLM_FLASH_ATTN_*', 'VLLM_FLASHINFER_MOE_*', 'VLLM_MARLIN_*', 'VLLM_HUMMING_*', 'VLLM_MOE_*'],
    ...['VLLM_ALLREDUCE_*', 'VLLM_DEEPEP_*', 'VLLM_MLA_*', 'VLLM_MXFP4_*', 'VLLM_MXFP8_*', 'VLLM_NVFP4_*'],
  ],
  offline: {
    VLLM_NO_USAGE_STATS: '1',
    // Without a network there is only the loopback device to meet on.
    VLLM_HOST_IP: '127.0.0.1',
  },
  caches: { VLLM_CACHE_ROOT: 'vllm', VLLM_CONFIG_ROOT: 'vllm-config' },
  sockets: ['VLLM_RPC_BASE_PATH'],
  batchInvariant: (environment) => environment[BATCH_INVARIANT] === '1',
  foundations: [
    {
      name: `${BATCH_INVARIANT}: "1"`,
      isAsked: (_args, environment) => environment[BATCH_INVARIANT] === '1',
      // Told by its workers, once their kernels have taken the place of PyTorch's.
      isInForce: ({ batch_invariant: told, [`environment.${BATCH_INVARIANT}`]: otherwise }) =>
        otherwise === undefined ? flag(told) : false,
    },
    {
      name: 'enforce_eager: true',
      isAsked: ({ enforce_eager: eager }) => eager === true,
      isInForce: ({ enforce_eager: told }) => flag(told),
    },
  ],
  warm: true,
  takes: ['chat', 'conversation', 'token-ids', 'structured-outputs', 'adapter', 'probes'],
  kinds: ['generate', 'force', 'score', 'trace'],
  facts: {
    compiled: ({ enforce_eager: eager }) =>
      typeof eager === 'boolean'
        ? { is: !eager, by: eager ? 'the engine ran eager' : 'enforce_eager is off' }
        : undefined,
    speculation: ({ speculative_method: method }) =>
      method === undefined || method === null ? undefined : String(method),
  },
  memory: ['max_model_len', 'max_num_seqs', 'kv_cache_memory_bytes', 'gpu_memory_utilization'],
  changes: {
    fp8KvCache: (cpu) => ({ kv_cache_dtype: cpu ? 'fp8_e5m2' : 'fp8' }),
    chunkedPrefill: { enable_chunked_prefill: true, max_num_batched_tokens: 64, max_num_seqs: 16 },
    attention(cpu, { attention_backend: backend }) {
      if (cpu) return 'the engine has one implementation for CPUs';
      const other = String(backend).includes('FLASH_ATTN') ? 'TRITON_ATTN' : 'FLASH_ATTN';
      return { attention_config: { backend: other } };
    },
    // Its CPU backend binds as many threads as there are cores unless told otherwise.
    threads: { VLLM_CPU_OMP_THREADS_BIND: 'nobind' },
    logging: { VLLM_LOGGING_LEVEL: 'DEBUG' },
  },
};
