/** What a suite may set in an engine's environment. `names` end in `*` where they are beginnings of names. */
export interface Tuning {
  readonly names: readonly string[];
  /** What they tune, for the docs. */
  readonly what: string;
}

/**
 * Variables of the libraries that every engine computes with. A list of what may, since nobody knows all that may not:
 * OPENSSL_CONF and GCONV_PATH load code, NCCL_CONF_FILE names what does. None of these names a file, a plugin or a cache.
 */
export const TUNING: readonly Tuning[] = [
  {
    names: ['ATEN_CPU_CAPABILITY', 'ONEDNN_MAX_CPU_ISA', 'ONEDNN_DEFAULT_FPMATH_MODE', 'DNNL_MAX_CPU_ISA'],
    what: 'which instructions of a CPU are used',
  },
  {
    names: ['CUBLAS_WORKSPACE_CONFIG', 'CUBLASLT_WORKSPACE_SIZE', 'NVIDIA_TF32_OVERRIDE'],
    what: 'which kernels cuBLAS may choose',
  },
  {
    names: ['CUDA_DEVICE_MAX_CONNECTIONS', 'CUDA_LAUNCH_BLOCKING', 'CUDA_MODULE_LOADING'],
    what: 'how work is queued on a GPU',
  },
  {
    names: [
      ...['NCCL_ALGO', 'NCCL_PROTO', 'NCCL_NTHREADS', 'NCCL_BUFFSIZE', 'NCCL_LAUNCH_MODE', 'NCCL_DEBUG'],
      ...['NCCL_MIN_*', 'NCCL_MAX_*', 'NCCL_P2P_*', 'NCCL_SHM_*', 'NCCL_NVLS_*', 'NCCL_CUMEM_*'],
    ],
    what: 'how GPUs add up what each of them has',
  },
  {
    names: [
      ...['OMP_NUM_THREADS', 'OMP_DYNAMIC', 'OMP_PLACES', 'OMP_PROC_BIND', 'OMP_SCHEDULE'],
      ...['OMP_THREAD_LIMIT', 'OMP_WAIT_POLICY', 'GOMP_CPU_AFFINITY'],
      ...['KMP_AFFINITY', 'KMP_BLOCKTIME', 'KMP_DETERMINISTIC_REDUCTION', 'KMP_HW_SUBSET'],
      ...['MKL_NUM_THREADS', 'MKL_DYNAMIC', 'MKL_CBWR', 'MKL_ENABLE_INSTRUCTIONS', 'OPENBLAS_NUM_THREADS'],
    ],
    what: 'threads of a CPU, and in which order they add',
  },
  {
    names: [
      ...['PYTORCH_ALLOC_CONF', 'PYTORCH_CUDA_ALLOC_CONF', 'PYTORCH_NO_CUDA_MEMORY_CACHING'],
      ...[
        'TORCH_ALLOW_TF32_CUBLAS_OVERRIDE',
        'TORCH_BLAS_PREFER_*',
        'TORCH_CUDNN_*',
        'TORCH_LINALG_PREFER_*',
      ],
    ],
    what: 'memory and numbers of PyTorch',
  },
  {
    names: [
      ...['TORCHDYNAMO_DISABLE', 'TORCH_COMPILE_DISABLE', 'TORCHINDUCTOR_DETERMINISTIC'],
      ...['TORCHINDUCTOR_BATCH_INVARIANT', 'TORCHINDUCTOR_COMPILE_THREADS', 'TORCHINDUCTOR_FREEZING'],
      ...['TORCHINDUCTOR_MAX_AUTOTUNE*', 'TORCHINDUCTOR_COORDINATE_DESCENT_*', 'TORCHINDUCTOR_EMULATE_*'],
      ...['TORCHINDUCTOR_USE_FAST_MATH', 'TORCHINDUCTOR_CUDAGRAPHS', 'TORCHINDUCTOR_ONLINE_SOFTMAX'],
      ...['TORCHINDUCTOR_PERSISTENT_REDUCTIONS', 'TORCHINDUCTOR_COOPERATIVE_REDUCTIONS'],
      ...['TORCHINDUCTOR_SPLIT_REDUCTIONS', 'TRITON_F32_DEFAULT', 'TRITON_DEFAULT_FP_FUSION'],
    ],
    what: 'what is compiled, and how',
  },
];
