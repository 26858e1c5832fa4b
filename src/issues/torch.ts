import type { IssueList } from './issue.ts';

/** Of PyTorch and CUDA: whatever engine stands on them. Read 2026-11-27. */
export const torch: IssueList = {
  engine: null,
  issues: [
    {
      thread: 'pytorch/pytorch#45422',
      see: ['pytorch/pytorch#51276', 'pytorch/pytorch#136338'],
      what: 'a matrix product on a CPU depends on the size of the batch',
      says: 'The same rows in batches of another size give other last bits on a CPU, in float32 and float64 (1.6.0 to 2.4.1): the libraries below choose another way to add. Closed.',
      remedy: 'Let `batch` and `prefill` be measured only.',
      versions: {},
      device: 'cpu',
      shape: { relations: ['batch', 'order', 'prefill'] },
    },
    {
      thread: 'pytorch/pytorch#124025',
      see: ['pytorch/pytorch#116501', 'pytorch/pytorch#60234'],
      what: 'a row alone and the same row in a batch get other bits on a GPU',
      says: 'A layer’s output differed between one sample and a batch, on an A10G more than on a CPU, and grew over layers. Maintainers elsewhere: batching is no matter of determinism, and no bits are promised. Open.',
      remedy:
        'Ask the engine for batch invariance where it has it, or let `batch` and `prefill` be measured only.',
      versions: {},
      device: 'gpu',
      batchInvariant: false,
      dtypes: ['float32'],
      shape: { relations: ['batch', 'order', 'prefill'] },
    },
    {
      thread: 'pytorch/pytorch#53635',
      see: ['pytorch/pytorch#67384', 'pytorch/pytorch#84334'],
      what: 'TF32 rounds float32 products to 10 bits',
      says: 'Products of float32 matrices came out rounded on cards from Ampere on, and not on older ones: TF32, which PyTorch had on before 1.12 and which a variable can turn on below it. Measured here on an H100: every prompt drifts, by about twice what rounding makes.',
      remedy: 'Leave the variable out, or refresh.',
      versions: {},
      device: 'gpu',
      capability: { from: '8.0' },
      dtypes: ['float32'],
      shape: {
        relations: ['baseline'],
        changed: ['NVIDIA_TF32_OVERRIDE', 'TORCH_ALLOW_TF32_CUBLAS_OVERRIDE', 'allow_tf32'],
      },
    },
    {
      thread: 'pytorch/pytorch#99949',
      see: ['pytorch/pytorch#174711', 'pytorch/pytorch#99851'],
      what: 'Inductor chooses kernels by timing',
      says: 'Compiled code is tuned by measuring, and what is fastest may be another kernel in the next process, which rounds otherwise. Deterministic algorithms turn the tuning off; since 2023 several settings do so in part. Open.',
      remedy:
        'Keep the compilation’s caches between starts (`engine: { caches: kept }`), or set `TORCHINDUCTOR_DETERMINISTIC=1`.',
      versions: {},
      device: 'gpu',
      compiled: true,
      environment: { TORCHINDUCTOR_DETERMINISTIC: { isNot: ['1'] } },
      // Modules are traced in an engine that is not compiled.
      shape: { relations: ['restart', 'baseline'], module: null },
      untold: ['which kernels were chosen'],
    },
    {
      thread: 'pytorch/pytorch#189121',
      see: ['pytorch/pytorch#181789'],
      what: 'Inductor times some reductions anew in each process, caches or not',
      says: 'A reduction with one configuration may get a second one of half the block when registers are short; the two are timed in every process and the winner is never stored, so that near ties flip bits between starts. Met in production, where compiled code served a model. Closed.',
      remedy: 'Run eager, or take a PyTorch with the repair.',
      versions: {},
      device: 'gpu',
      compiled: true,
      shape: { relations: ['restart'], module: null },
      untold: ['which kernels were chosen'],
    },
  ],
};
