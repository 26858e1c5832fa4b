import type { EngineSpec } from './spec.ts';

/** Each default with its reason; names as in vLLM's EngineArgs and vllm/envs.py. */
export const vllm: EngineSpec = {
  name: 'vllm',
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
};
