import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { relations } from '../../../src/compare/relations/index.ts';
import type { Finding, RelationResult } from '../../../src/compare/types.ts';
import { engines } from '../../../src/engine/engines/index.ts';
import { issueOf, lists, shortName, urlOf } from '../../../src/issues/index.ts';
import { type Evidence, likenesses } from '../../../src/issues/match.ts';
import { body, FINGERPRINT, result, side, withPass, withWitness } from '../support/records.ts';
import { finding, partingOf } from '../support/reports.ts';

/** A run as an issue depends on it; what is left out is as on an H100 with vLLM, where one relation broke. */
interface Ran {
  readonly broke?: string;
  readonly status?: RelationResult['status'];
  readonly finding?: Partial<Finding>;
  readonly engine?: string;
  readonly version?: string;
  readonly torch?: string;
  /** Null: no GPU. */
  readonly capability?: string | null;
  readonly effective?: Readonly<Record<string, string | number | boolean | null>>;
  readonly requested?: Readonly<Record<string, string | number | boolean>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Tokens of the prompts that ran in one step. */
  readonly tokens?: readonly number[];
  /** Facts that changed since the baseline. */
  readonly changed?: readonly string[];
  /** The first module that differs; null: modules were compared and agree. */
  readonly module?: string | null;
}

function evidence(ran: Ran): Evidence {
  const { broke = 'batch', status = 'broken', engine = 'vllm', version = '0.31.0', torch = '2.13.0' } = ran;
  const { capability = '9.0', effective = {}, requested = {}, environment = {}, tokens = [3, 3] } = ran;
  const prompts = Object.fromEntries(
    tokens.map((count, at) => [`p${at}`, body({ promptTokens: Array.from({ length: count }, () => 1) })]),
  );
  const gpu = { name: 'NVIDIA Test', uuidHash: 'a', smCount: 132, memoryBytes: 1 };
  const { record } = side({
    passes: { 'generate-alone': prompts, 'generate-again': prompts, 'generate-together': prompts },
    fingerprint: {
      declared: {
        ...FINGERPRINT.declared,
        engine: { name: engine, version },
        libraries: { torch },
        environment,
      },
      ambient: {
        ...FINGERPRINT.ambient,
        gpus: capability === null ? [] : [{ ...gpu, computeCapability: capability }],
      },
    },
    change: (whole) => ({
      ...whole,
      lifetimes: whole.lifetimes.map((one) => ({
        ...one,
        settings: { requested, dropped: [], effective: { dtype: 'bfloat16', ...effective } },
      })),
    }),
  });
  const traced =
    ran.module === undefined
      ? {}
      : {
          modules: 9,
          trace:
            ran.module === null
              ? null
              : {
                  ...{
                    modules: 9,
                    differing: 2,
                    first: ran.module,
                    firstIndex: 4,
                    onlyLeft: [],
                    onlyRight: [],
                  },
                  map: { parts: [''], layers: [], omitted: 0 },
                },
        };
  return {
    record,
    relations: [result(broke, status, { findings: [finding('p0', { ...traced, ...ran.finding })] })],
    changes: (ran.changed ?? []).map((field) => ({ half: 'declared', field, before: '1', after: '2' })),
  };
}

const BI = { VLLM_BATCH_INVARIANT: '1' };
const BITS = { agreement: 'logprobs-differ' } as const;
const largest = (largestNats: number) => ({ divergence: partingOf(largestNats) });

/** Of each known issue a run that looks like it, and changes of it of which each takes that away. */
const CASES: Readonly<Record<string, readonly [alike: Ran, ...misses: Ran[]]>> = {
  'vllm-project/vllm#48271': [
    { environment: BI, tokens: [200, 56] },
    { tokens: [200, 55] },
    { environment: {} },
    { capability: null },
    { broke: 'rerun' },
  ],
  'vllm-project/vllm#51187': [
    {
      broke: 'batch',
      environment: BI,
      finding: { ...BITS, ...largest(0.047) },
      tokens: Array.from({ length: 44 }, () => 3),
    },
    { tokens: Array.from({ length: 39 }, () => 3) },
    { environment: { ...BI, VLLM_USE_FLASHINFER_SAMPLER: '0' } },
    { finding: { agreement: 'tokens-differ', ...largest(0.047) } },
    { finding: { ...BITS, ...largest(2) } },
  ],
  'vllm-project/vllm#51290': [
    { broke: 'rerun', environment: BI, effective: { tensor_parallel_size: 8, enforce_eager: false } },
    { effective: { tensor_parallel_size: 1, enforce_eager: false } },
    { effective: { tensor_parallel_size: 8, enforce_eager: true } },
    { capability: '8.0' },
  ],
  'vllm-project/vllm#45683': [
    { environment: BI, effective: { data_parallel_size: 4 } },
    { effective: { data_parallel_size: 2 } },
  ],
  'vllm-project/vllm#35404': [
    { environment: BI, effective: { architecture: 'GptOssModel' } },
    { effective: { architecture: 'LlamaModel' } },
  ],
  'vllm-project/vllm#37718': [
    { environment: BI, effective: { quantization: 'fp8' } },
    { effective: { quantization: null } },
  ],
  'vllm-project/vllm#38670': [
    { environment: BI, effective: { quantization: 'awq_marlin' } },
    { effective: { quantization: 'gptq_marlin' } },
    { environment: {} },
  ],
  'pytorch/pytorch#181248': [
    { environment: BI, torch: '2.12.0+cu130', capability: '10.0' },
    { torch: '2.11.0+cu130' },
    { capability: '9.0' },
  ],
  'pytorch/pytorch#170490': [
    { environment: BI, torch: '2.10.0', effective: { attention_backend: 'TRITON_MLA' } },
    { effective: { attention_backend: 'FLASH_ATTN' } },
    { torch: '2.9.1' },
  ],
  'vllm-project/vllm#54945': [
    {
      broke: 'restart',
      effective: { quantization: 'modelopt_fp4', moe_backend: 'auto' },
      module: 'model.layers.0.mlp.experts',
    },
    { module: 'model.layers.0.self_attn.attn' },
    { environment: { VLLM_FLASHINFER_MOE_FUSED_FINALIZE: '0' } },
    { effective: { quantization: 'modelopt_fp4', moe_backend: 'marlin' } },
  ],
  'vllm-project/vllm#31279': [
    { broke: 'rerun', environment: { VLLM_USE_FLASHINFER_MOE_FP16: '1' } },
    { environment: {} },
  ],
  'vllm-project/vllm#52525': [
    {
      broke: 'restart',
      effective: { quantization: 'compressed-tensors', moe_backend: 'auto' },
      module: 'model.layers.3.mlp.experts',
    },
    { module: 'model.layers.3.mlp.gate' },
    { effective: { quantization: null, moe_backend: 'auto' } },
    { effective: { quantization: 'compressed-tensors', moe_backend: 'triton' } },
  ],
  'vllm-project/vllm#56887': [
    { broke: 'rerun', effective: { quantization: 'moe_wna16' } },
    { effective: { quantization: 'awq' } },
  ],
  'vllm-project/vllm#27076': [
    { broke: 'rerun', effective: { quantization: 'awq_marlin' } },
    { broke: 'prefill' },
    { effective: { quantization: 'awq' } },
  ],
  'vllm-project/vllm#40896': [{ broke: 'prefix-cache' }, { environment: BI }, { broke: 'batch' }],
  'vllm-project/vllm#5543': [
    { broke: 'prefix-cache', effective: { attention_backend: 'FLASH_ATTN' } },
    { finding: BITS },
    { effective: { attention_backend: 'TRITON_ATTN' } },
    { effective: { attention_backend: 'FLASH_ATTN', dtype: 'float32' } },
  ],
  'vllm-project/vllm#42019': [
    { broke: 'baseline', effective: { enable_prefix_caching: true }, finding: { ...BITS, kind: 'score' } },
    { finding: { ...BITS, kind: 'generate' } },
    { effective: { enable_prefix_caching: false } },
  ],
  'Dao-AILab/flash-attention#1897': [
    { effective: { attention_backend: 'FLASH_ATTN_VLLM_V1' } },
    { environment: BI },
    { effective: { attention_backend: 'FLASHINFER' } },
  ],
  'vllm-project/vllm#9567': [
    { effective: { dtype: 'torch.float16' } },
    { environment: BI },
    { effective: { dtype: 'float32' } },
    { status: 'measured' },
  ],
  'vllm-project/vllm#5952': [
    { broke: 'baseline', changed: ['engine.effective.max_num_batched_tokens'] },
    { changed: ['engine.effective.max_num_seqs'] },
  ],
  'vllm-project/vllm#55238': [
    { broke: 'baseline', capability: '10.3', changed: ['engine.effective.cudagraph_mode'] },
    { capability: '12.0' },
    { module: 'model.layers.0' },
    { finding: { ...BITS, kind: 'score' } },
  ],
  'vllm-project/vllm#41758': [
    {
      broke: 'baseline',
      effective: { speculative_method: 'ngram' },
      changed: ['engine.effective.speculative_method'],
    },
    { effective: { speculative_method: 'eagle' } },
    { effective: { speculative_method: null } },
    { changed: [] },
  ],
  'vllm-project/vllm#47680': [
    {
      broke: 'baseline',
      effective: { logprobs_mode: 'raw_logits' },
      changed: ['engine.version'],
      finding: { ...BITS, kind: 'score' },
    },
    { effective: { logprobs_mode: 'raw_logprobs' } },
    { finding: { ...BITS, kind: 'generate' } },
  ],
  'vllm-project/vllm#52998': [
    {
      broke: 'baseline',
      effective: { tensor_parallel_size: 2 },
      changed: ['engine.version'],
      module: 'rank 1: model.layers.0.self_attn.o_proj',
    },
    { module: 'model.layers.0.self_attn.qkv_proj' },
    { environment: { VLLM_ALLREDUCE_USE_FLASHINFER: '0' } },
    { environment: BI },
    { module: null },
  ],
  'vllm-project/vllm#2679': [
    { broke: 'baseline', changed: ['engine.requested.tensor_parallel_size'] },
    { changed: ['engine.requested.pipeline_parallel_size'] },
  ],
  'vllm-project/vllm#18352': [
    { broke: 'baseline', changed: ['engine.name', 'engine.version'] },
    { changed: ['engine.version'] },
  ],
  'huggingface/transformers#25420': [
    { broke: 'prefill', engine: 'transformers', version: '5.17.0' },
    { effective: { dtype: 'float32' } },
    { engine: 'vllm' },
  ],
  'huggingface/transformers#26869': [
    { engine: 'transformers', version: '5.17.0' },
    { effective: { dtype: 'float32' } },
    { broke: 'prefill' },
  ],
  'huggingface/transformers#47651': [
    {
      engine: 'transformers',
      version: '5.17.0',
      effective: { attn_implementation: 'sdpa', architecture: 'Gemma4ForCausalLM' },
      finding: largest(4),
    },
    { effective: { attn_implementation: 'eager', architecture: 'Gemma4ForCausalLM' } },
    { effective: { attn_implementation: 'sdpa', architecture: 'LlamaForCausalLM' } },
    { finding: largest(0.04) },
    { capability: null },
  ],
  'pytorch/pytorch#56521': [
    {
      broke: 'rerun',
      engine: 'transformers',
      version: '5.17.0',
      requested: { deterministic_algorithms: false },
    },
    { requested: { deterministic_algorithms: true } },
    { capability: null },
  ],
  'pytorch/pytorch#45422': [
    { capability: null, effective: { dtype: 'float32' } },
    { capability: '9.0' },
    { broke: 'rerun' },
  ],
  'pytorch/pytorch#124025': [
    { engine: 'transformers', effective: { dtype: 'float32' } },
    { effective: { dtype: 'bfloat16' } },
    { engine: 'vllm', environment: BI },
  ],
  'pytorch/pytorch#53635': [
    {
      broke: 'baseline',
      effective: { dtype: 'float32' },
      changed: ['environment.NVIDIA_TF32_OVERRIDE'],
      environment: { NVIDIA_TF32_OVERRIDE: '1' },
    },
    { capability: '7.5' },
    { effective: { dtype: 'bfloat16' } },
    { changed: ['environment.NVIDIA_OTHER'] },
  ],
  'pytorch/pytorch#99949': [
    { broke: 'restart', effective: { enforce_eager: false }, module: null },
    { effective: { enforce_eager: true } },
    { broke: 'rerun' },
    { environment: { TORCHINDUCTOR_DETERMINISTIC: '1' } },
    { module: 'model.layers.15.mlp.down_proj' },
  ],
  'pytorch/pytorch#189121': [
    { broke: 'restart', effective: { enforce_eager: false } },
    { effective: { enforce_eager: true } },
    { broke: 'baseline' },
    { module: 'model.layers.15.mlp.down_proj' },
  ],
};

const all = lists.flatMap(({ issues }) => issues);
/** By a list of the one issue alone: however many others fit better. */
const alike = (thread: string, ran: Ran) => {
  const [list] = lists.filter(({ issues }) => issues.some((one) => one.thread === thread));
  const issues = all.filter((one) => one.thread === thread);
  return list === undefined ? undefined : likenesses(evidence(ran), [{ ...list, issues }])[0];
};

describe('a run looks like', () => {
  for (const [thread, [ran, ...misses]] of Object.entries(CASES)) {
    test(`${shortName(thread)}: ${issueOf(thread)?.what}`, () =>
      assert.deepEqual(alike(thread, ran)?.relations, [ran.broke ?? 'batch']));
    for (const miss of misses)
      test(`and not with ${JSON.stringify(miss).slice(0, 120)}`, () =>
        assert.equal(alike(thread, { ...ran, ...miss }), undefined));
  }
});

describe('the list', () => {
  test('has a case for each issue, a near miss with it, and no thread twice', () => {
    assert.deepEqual(all.map(({ thread }) => thread).sort(), Object.keys(CASES).sort());
    assert.ok(all.length >= 20);
    for (const cases of Object.values(CASES)) assert.ok(cases.length > 1);
  });

  test('names engines, relations and modules that there can be', () => {
    for (const { engine } of lists) assert.ok(engine === null || engines.some(({ name }) => name === engine));
    for (const { shape, see = [], thread } of all) {
      assert.ok(shape.relations.length > 0, thread);
      for (const name of shape.relations)
        assert.ok(
          relations.some((one) => one.name === name),
          name,
        );
      for (const one of [thread, ...see]) assert.match(one, /^[\w.-]+\/[\w.-]+#\d+$/);
      if (shape.module !== undefined && shape.module !== null) new RegExp(shape.module);
    }
  });

  test('tells each in words that stand in a sentence', () => {
    for (const { what, says, remedy } of all) {
      assert.match(what, /^\S.*[^.\s]$/);
      assert.match(says, /^\S.*\.$/);
      assert.match(remedy, /^[A-Z].*\.$/);
    }
  });

  test('leads to the threads', () => {
    assert.equal(urlOf('vllm-project/vllm#48271'), 'https://github.com/vllm-project/vllm/issues/48271');
    assert.equal(shortName('vllm-project/vllm#48271'), 'vllm#48271');
  });
});

describe('a step', () => {
  /** The most tokens of a step that are told, where each of these prompts ran beside the others or was put in alone. */
  const told = (tokens: readonly number[], maxRunning: number, groups?: string[][]) => {
    const ran = evidence({ environment: BI, tokens });
    const watched = withWitness('generate-together', () => ({ maxRunning }))(ran.record);
    const record = withPass('generate-together', (pass) => ({ groups: groups ?? pass.groups }))(watched);
    return likenesses({ ...ran, record })
      .find(({ thread }) => thread === 'vllm-project/vllm#48271')
      ?.matched.at(-1);
  };

  test('holds as many requests as ever ran at once, in the order in which they were taken up', () => {
    assert.equal(told([200, 10, 50, 199], 2), undefined);
    assert.equal(told([200, 10, 50, 206], 2), 'up to 256 tokens in a step (it takes 256)');
    assert.equal(told([200, 10, 50, 206], 4), 'up to 466 tokens in a step (it takes 256)');
  });

  test('holds no requests that were put in apart', () => {
    assert.equal(told([200, 100], 2, [['p0'], ['p1']]), undefined);
    assert.equal(told([300, 100], 2, [['p0'], ['p1']]), 'up to 300 tokens in a step (it takes 256)');
  });
});

describe('of a likeness is told', () => {
  const told = (thread: string, ran: Ran) => {
    const found = alike(thread, ran);
    assert.ok(found);
    return found;
  };

  test('what fits, by the values that were found', () => {
    const { matched } = told('vllm-project/vllm#52998', {
      broke: 'baseline',
      effective: { tensor_parallel_size: 2 },
      changed: ['engine.version'],
      module: 'model.layers.0.mlp.down_proj',
    });
    assert.deepEqual(matched, [
      '`baseline` broke',
      'vllm 0.31.0',
      'a GPU (NVIDIA Test)',
      'no batch invariance was asked for',
      '`tensor_parallel_size` is 2',
      '`VLLM_ALLREDUCE_USE_FLASHINFER` is not set',
      '`engine.version` changed from 1 to 2',
      '`model.layers.0.mlp.down_proj` is the first module that differs',
    ]);
  });

  test('whether a setting is in force or was only asked for', () => {
    const { matched } = told('pytorch/pytorch#56521', {
      broke: 'rerun',
      engine: 'transformers',
      requested: { deterministic_algorithms: false },
    });
    assert.ok(matched.includes('`deterministic_algorithms` is false (asked for)'), matched.join('; '));
  });

  test('what is in force, where something else was asked for', () => {
    const ran = { broke: 'rerun', engine: 'transformers', requested: { deterministic_algorithms: false } };
    assert.equal(
      alike('pytorch/pytorch#56521', { ...ran, effective: { deterministic_algorithms: true } }),
      undefined,
    );
  });

  test('what the engine, the thread and the record do not tell', () => {
    const { open } = told('vllm-project/vllm#51290', {
      broke: 'rerun',
      environment: BI,
      capability: 'unknown',
    });
    assert.deepEqual(open, [
      'compute capability: whether unknown is one from 9.0 cannot be told',
      'whether the engine is compiled: it does not tell',
      '`tensor_parallel_size`: the engine does not tell it',
      'the version: the thread names neither the first that has it nor the first without it',
      'whether the fusion was on',
    ]);
  });

  test('that a thread about PyTorch names no version without it', () => {
    const { open } = told('pytorch/pytorch#181248', { environment: BI, torch: '2.13.0', capability: '10.0' });
    assert.ok(open.includes('the version of torch: the thread names none without it'), open.join('; '));
  });

  test('that nobody watched the scheduler, or compared modules', () => {
    const ran = evidence({ environment: BI });
    const unwatched = ['generate-alone', 'generate-together'].reduce(
      (record, pass) => withWitness(pass, () => ({ requests: null, maxRunning: null }))(record),
      ran.record,
    );
    const found = likenesses({ ...ran, record: unwatched });
    const known = found.find(({ thread }) => thread === 'vllm-project/vllm#48271');
    assert.ok(known?.open.includes('how many tokens a step held: the scheduler was not watched'));
    assert.ok(
      told('vllm-project/vllm#31279', CASES['vllm-project/vllm#31279']?.[0] ?? {}).open.includes(
        'which module differs first: these comparisons do not tell',
      ),
    );
  });

  test('no more of a stranger’s text than fits', () => {
    const { matched } = told('vllm-project/vllm#35404', {
      environment: BI,
      version: '9'.repeat(500),
      effective: { architecture: `GptOss${'\u202e'.repeat(4000)}` },
    });
    assert.ok(matched.every((phrase) => phrase.length < 300 && !phrase.includes('\u202e')));
  });

  test('the one with most in common first, and five at most', () => {
    const found = likenesses(
      evidence({
        environment: BI,
        tokens: [300],
        effective: { quantization: 'fp8', architecture: 'GptOss' },
      }),
    );
    assert.ok(found.length > 2 && found.length <= 5);
    assert.deepEqual(
      found.map(({ matched }) => matched.length),
      found.map(({ matched }) => matched.length).toSorted((a, b) => b - a),
    );
  });
});

test('nothing is looked for where nothing broke, or was only measured or not at all', () => {
  for (const ran of [
    { status: 'held', finding: { agreement: 'identical', holds: true } },
    { status: 'measured', finding: { holds: true } },
    { status: 'unmeasured', finding: { agreement: 'unmeasured' } },
    // Of several findings, one that says nothing.
    { status: 'broken', finding: { agreement: 'unmeasured' } },
  ] as const)
    assert.deepEqual(likenesses(evidence(ran)), []);
});
