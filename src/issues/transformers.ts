import type { IssueList } from './issue.ts';

const SIXTEEN_BITS = ['bfloat16', 'float16'];

/** Read 2026-11-27. What a thread does not say is left out: versions above all. */
export const transformers: IssueList = {
  engine: 'transformers',
  issues: [
    {
      thread: 'huggingface/transformers#25420',
      see: [
        'huggingface/transformers#36536',
        'huggingface/transformers#31267',
        'huggingface/transformers#26344',
        'huggingface/transformers#27040',
      ],
      what: 'a cache of keys and values changes the logits',
      says: 'A maintainer’s summary: with a cache, and with padding on the left, products have other shapes and round otherwise, hardly in float32 and plainly in 16 bits, in most models. Seen with Llama, GPT-2 and others, in 4.33 and later. Closed.',
      remedy: 'Let `prefill` be measured only, or compute in float32.',
      versions: {},
      dtypes: SIXTEEN_BITS,
      shape: { relations: ['prefill'] },
    },
    {
      thread: 'huggingface/transformers#26869',
      see: ['unslothai/unsloth#9708', 'huggingface/transformers#25420'],
      what: 'logits in 16 bits depend on what else is in the batch',
      says: 'Llama’s logits differed in bfloat16 and float16 once the same input stood in a batch (4.34.0, PyTorch 2.1). The second thread shows it again with 5.16.1 and PyTorch 2.13 on a B200, and agreement in float32. Closed.',
      remedy: 'Let `batch` be measured only, or compute in float32.',
      versions: {},
      dtypes: SIXTEEN_BITS,
      shape: { relations: ['batch', 'order'] },
    },
    {
      thread: 'huggingface/transformers#47651',
      see: ['pytorch/pytorch#191937'],
      what: 'Gemma’s padded batch goes through an attention kernel that gives wrong numbers',
      says: 'Padding on the left changed Gemma 4’s tokens. The second thread follows it to PyTorch’s memory-efficient attention: with a mask, in bfloat16, keys that share memory and a length that leaves 1 when divided by 32, its output is far off. Both closed.',
      remedy: 'Set `attn_implementation: eager`.',
      versions: {},
      device: 'gpu',
      dtypes: ['bfloat16'],
      settings: { attn_implementation: { is: ['sdpa'] }, architecture: { like: 'gemma' } },
      // What rounding makes is a tenth of that.
      shape: { relations: ['batch', 'order'], nats: { atLeast: 0.5 } },
      untold: ['which of PyTorch’s attention kernels ran', 'whether a length leaves 1 when divided by 32'],
    },
    {
      thread: 'pytorch/pytorch#56521',
      see: ['pytorch/pytorch#12217'],
      what: 'index_add adds with atomics unless deterministic algorithms are asked for',
      says: '`index_add` on CUDA adds in whatever order threads arrive; the pull request of 2021 gives it another way under deterministic algorithms, and PyTorch’s notes list more of the kind. Measured here on an H100: ten results in ten runs.',
      remedy: 'Leave `deterministic_algorithms` at `true`.',
      versions: {},
      device: 'gpu',
      settings: { deterministic_algorithms: { is: [false] } },
      shape: { relations: ['rerun', 'restart'] },
      untold: ['whether the model adds by index'],
    },
  ],
};
