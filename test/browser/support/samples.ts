import type {
  BaselineView,
  Report,
  ReportedDistance,
  ReportedDivergence,
  ReportedFinding,
  ReportedRelation,
  ReportedTrace,
} from '../../../src/report/schema.ts';
import { body, side } from '../../unit/support/records.ts';
import { checkReport, PROVENANCE, relation, reportOf } from '../../unit/support/reports.ts';

/** The same numbers each time: pages are compared byte by byte. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const CLASS = 'nvidia-h100-80gb-hbm3-cc9.0-sm132-x1';
const REPRODUCED_BASE = await checkReport({ capital: body() }, { capital: body() });
const DRIFT_BASE = await checkReport({ capital: body() }, { capital: body({ logprobs: [-0.5, -1.75] }) });
const NO_BASELINE_BASE = await reportOf(side({ passes: { 'generate-1': { capital: body() } } }), undefined);

const YARDSTICK: Report['yardstick'] = [
  { id: 'int8-weights', what: 'int8 weights', rmsNats: 0.05 },
  { id: 'fp8-kv-cache', what: 'fp8 KV cache', rmsNats: 0.02 },
  { id: 'fp16', what: 'float16 in place of bfloat16', rmsNats: 0.0046 },
  { id: 'rope-theta', what: 'rope theta 0.1 % off', rmsNats: 0.0041 },
];

const FOUND = {
  kind: 'found',
  key: `deterministic-ml-v1/smollm2-serving/${CLASS}/4211-1-85b0a817d9120a74`,
  store: 'cache',
  provenance: {
    ...PROVENANCE,
    runId: '4211',
    actor: 'octocat',
    reason: 'vLLM 0.30 with the Hopper attention kernels',
    createdAt: '2026-11-02T09:14:00.000Z',
  },
  replaced: 3,
  proof: 'the cache entry belongs to refs/heads/main',
} as const satisfies BaselineView;

const digest = (letter: string) => letter.repeat(64);

/** What all samples have in common: a small model on one H100. */
function base(from: Report, more: Partial<Report>, context: Partial<Report['context']> = {}): Report {
  return {
    ...from,
    suite: { name: 'smollm2-serving', digest: digest('5'), sampled: ['poem'], leaving: [] },
    hardwareClass: CLASS,
    createdAt: '2026-11-23T10:00:00.000Z',
    outcome: '85b0a817d9120a74eda79b72661aa9b42adf450478289b9844bf8a4b2455193e',
    environment: {
      fingerprint: {
        ...from.environment.fingerprint,
        declared: {
          ...from.environment.fingerprint.declared,
          image: {
            reference: `vllm/vllm-openai@sha256:${digest('c')}`,
            digest: `sha256:${digest('c')}`,
            certainty: 'verified',
          },
          engine: { name: 'vllm', version: '0.31.0' },
          model: {
            label: 'HuggingFaceTB/SmolLM2-135M-Instruct',
            revision: '12fd25f77366fa6b3b4b768ec3050bf629380bac',
            files: [],
          },
        },
      },
      settings: {
        requested: { seed: 0, enforce_eager: true },
        dropped: [],
        effective: { dtype: 'bfloat16' },
      },
    },
    coverage: [
      { what: 'prefill', exercised: true, by: 'score: 4084 positions' },
      { what: 'decode', exercised: true, by: 'generate, force: 384 steps' },
      { what: 'greedy sampling', exercised: true, by: 'generate' },
      { what: 'top_p', exercised: false, by: 'no prompt uses it' },
      { what: 'min_p', exercised: false, by: 'no prompt uses it' },
      { what: 'the prefix cache', exercised: false, by: 'no relation asks for it' },
    ],
    work: { prompts: 6, texts: 2, lifetimes: 3, tokens: 2304, positions: 4084, seconds: 41.3 },
    ...more,
    context: {
      ...from.context,
      runtime: 'Runs in a container of the pinned image, without network.',
      recordPath: '/home/runner/work/_temp/determinism-77-1',
      reportPath: '/home/runner/work/_temp/determinism-77-1.report.json',
      defaults: ['seed', 'enforce_eager'],
      ...context,
    },
  };
}

const FIRST = 'model.layers.15.mlp.down_proj';
const PARTS = [
  '',
  'input_layernorm',
  'self_attn.qkv_proj',
  'self_attn.rotary_emb',
  'self_attn.attn',
  'self_attn.o_proj',
  'self_attn',
  'post_attention_layernorm',
  'mlp.gate_up_proj',
  'mlp.act_fn',
  'mlp.down_proj',
  'mlp',
];

/** 30 layers; from the down projection of layer 15 on everything differs. */
export function trace(layers = 30, from = 15): ReportedTrace {
  const at = PARTS.indexOf('mlp.down_proj');
  const cellsOf = (layer: number) =>
    PARTS.map((part, column) =>
      layer > from || (layer === from && (column >= at || part === '')) ? 'x' : '=',
    ).join('');
  const rows = Array.from({ length: layers }, (_, layer) => ({
    name: `model.layers.${layer}`,
    cells: cellsOf(layer),
  }));
  const alone = (name: string, cell: string) => ({ name, cells: cell.padEnd(PARTS.length) });
  const all = [alone('model.embed_tokens', '='), ...rows, alone('model.norm', 'x'), alone('lm_head', 'x')];
  const cells = all
    .map((row) => row.cells)
    .join('')
    .replaceAll(' ', '');
  return {
    modules: cells.length,
    differing: cells.replaceAll('=', '').length,
    first: FIRST,
    firstIndex: 1 + from * PARTS.length + at - 1,
    onlyLeft: [],
    onlyRight: [],
    map: { parts: PARTS, layers: all, omitted: 0 },
  };
}

export function distance(rmsNats: number, positions = 500): ReportedDistance {
  return {
    positions,
    rmsNats,
    largestNats: rmsNats * 8.4,
    argmaxChanges: 3,
    crossEntropyNats: rmsNats / 40,
    normaliserOnly: false,
  };
}

/** A profile around a level, with the swing that a text makes. */
export function profile(level: number, seed: number, cells = 64, from = 0): number[] {
  const next = random(seed);
  return Array.from({ length: cells }, (_, cell) =>
    cell < from
      ? 0
      : level *
        Math.exp(0.8 * Math.sin(cell / 5 + seed) + 1.1 * (next() - 0.5)) *
        (cell % 17 === 3 ? 2.4 : 1),
  );
}

const WORDS = [
  ' The',
  ' capital',
  ' of',
  ' France',
  ' is',
  ' a',
  ' city',
  ' on',
  ' the',
  ' river',
  ' Seine',
  ',',
  ' and',
  ' it',
  ' has',
  ' been',
  ' since',
  ' 987',
  '.',
  '\n\n',
  ' Paris',
  '’s',
  ' light',
];
const token = (index: number) => {
  const id = index % WORDS.length;
  return { id: 300 + id, text: WORDS[id] ?? null };
};
const passage = (at: number, parts: boolean): ReportedDivergence['passage'] => {
  const from = Math.max(0, at - 8);
  const fork = at - from;
  const left = Array.from({ length: fork + 12 }, (_, i) =>
    i === fork ? { id: 320, text: ' Paris' } : token(from + i),
  );
  const right = left.map((one, i) =>
    !parts || i < fork ? one : i === fork ? { id: 305, text: ' a' } : token(from + i * 3 + 7),
  );
  return { from, left, right };
};

const TOP = [
  { id: 320, text: ' Paris', nats: -0.6875 },
  { id: 305, text: ' a', nats: -0.7111 },
  { id: 308, text: ' the', nats: -4.1202 },
  { id: 319, text: '\n\n', nats: -5.871 },
  { id: 911, text: null, nats: -6.25 },
];
const TOP_NOW = [
  { id: 305, text: ' a', nats: -0.6978 },
  { id: 320, text: ' Paris', nats: -0.7058 },
  { id: 308, text: ' the', nats: -4.1098 },
  { id: 319, text: '\n\n', nats: -5.902 },
  { id: 742, text: '\t', nats: -6.375 },
];

const strip = (bits: number, tokens: number | null) =>
  Array.from({ length: 64 }, (_, i) =>
    tokens !== null && i > tokens ? '.' : i === tokens ? 'x' : i >= bits && (i - bits) % 3 !== 1 ? '~' : '=',
  ).join('');

function base0(prompt: string, kind: ReportedFinding['kind']): ReportedFinding {
  return {
    prompt,
    kind,
    agreement: 'identical',
    holds: true,
    textIdentical: kind === 'generate' ? true : null,
    divergence: null,
    distance: null,
    trace: null,
    modules: null,
    unmeasured: [],
    reason: null,
  };
}

/** Bits that move, and tokens that part where that is given; steps of 512. */
export function moved(
  prompt: string,
  kind: ReportedFinding['kind'],
  { bits, tokens = null, nats, seed }: { bits: number; tokens?: number | null; nats: number; seed: number },
): ReportedFinding {
  const steps = kind === 'score' ? 500 : 512;
  const step = (cell: number) => Math.floor((cell * steps) / 64);
  const known = kind !== 'generate';
  const parts = tokens !== null;
  return {
    ...base0(prompt, kind),
    agreement: parts ? 'tokens-differ' : 'logprobs-differ',
    holds: false,
    textIdentical: kind === 'generate' ? !parts : null,
    divergence: {
      logprobStep: step(bits),
      logprobSteps: step(((tokens ?? 64) - bits) * 0.67),
      tokenStep: parts ? step(tokens) : null,
      steps,
      largestNats: nats * 8.4,
      fork: parts
        ? {
            left: { token: 320, text: ' Paris', marginNats: 0.018, marginSteps: 1.15, tie: 'near', top: TOP },
            right: {
              token: 305,
              text: ' a',
              marginNats: 0.008,
              marginSteps: 0.51,
              tie: 'near',
              top: TOP_NOW,
            },
          }
        : null,
      strip: strip(bits, tokens),
      profile: known ? profile(nats, seed, 64, bits) : null,
      parting: {
        token: { id: 320, text: ' Paris' },
        left: { nats: -0.6875, top: TOP },
        right: { nats: -0.7058, top: TOP_NOW },
      },
      passage: passage(step(tokens ?? bits), parts),
    },
    distance: known ? distance(nats) : null,
  };
}

const RELATIONS_HELD = (findings: readonly ReportedFinding[]): ReportedRelation[] => [
  relation('rerun', 'held', { evidence: 'both passes ran in process 17, caches cleared between', findings }),
  relation('restart', 'held', { evidence: '3 processes: 17, 912, 1803', findings }),
];

const PROMPTS = ['capital', 'sky', 'essay', 'json-tool-call', 'arithmetic', 'translate-to-finnish'];

/** Two prompts of other tokens, three of other bits, one that agrees. */
export function driftReport(): Report {
  const findings: ReportedFinding[] = [
    moved('sky', 'generate', { bits: 3, tokens: 17, nats: 0.041, seed: 3 }),
    moved('sky', 'force', { bits: 3, nats: 0.041, seed: 3 }),
    moved('sky', 'score', { bits: 1, nats: 0.047, seed: 4 }),
    moved('essay', 'generate', { bits: 9, tokens: 44, nats: 0.031, seed: 5 }),
    moved('essay', 'force', { bits: 9, nats: 0.031, seed: 5 }),
    moved('essay', 'score', { bits: 5, nats: 0.036, seed: 6 }),
    moved('capital', 'generate', { bits: 1, nats: 0.02, seed: 7 }),
    moved('capital', 'force', { bits: 1, nats: 0.02, seed: 7 }),
    { ...moved('capital', 'score', { bits: 0, nats: 0.022, seed: 8 }), trace: trace(), modules: 391 },
    base0('json-tool-call', 'generate'),
    moved('json-tool-call', 'score', { bits: 40, nats: 0.011, seed: 9 }),
    moved('arithmetic', 'generate', { bits: 30, nats: 0.017, seed: 11 }),
    moved('arithmetic', 'score', { bits: 22, nats: 0.014, seed: 12 }),
    base0('translate-to-finnish', 'generate'),
    base0('translate-to-finnish', 'force'),
    base0('translate-to-finnish', 'score'),
    moved('wikipedia-en', 'score', { bits: 0, nats: 0.038, seed: 14 }),
    moved('code-python', 'score', { bits: 2, nats: 0.029, seed: 15 }),
  ];
  const same = PROMPTS.map((prompt) => base0(prompt, 'generate'));
  return base(
    DRIFT_BASE,
    {
      acceptable: '85b0a817d9120a74eda79b72661aa9b42adf450478289b9844bf8a4b2455193e',
      yardstick: YARDSTICK,
      changes: [
        { half: 'declared', field: 'engine.version', before: '0.30.0', after: '0.31.0' },
        {
          half: 'declared',
          field: 'image.digest',
          before: `sha256:${digest('a')}`,
          after: `sha256:${digest('c')}`,
        },
        { half: 'declared', field: 'libraries.torch', before: '2.12.1', after: '2.13.0' },
        {
          half: 'declared',
          field: 'engine.effective.attention_backend',
          before: 'FLASH_ATTN',
          after: 'FLASHINFER',
        },
        { half: 'ambient', field: 'driver', before: '570.86.15', after: '575.51.03' },
      ],
      acceptances: [
        { record: digest('d'), reason: 'vLLM 0.30 fuses the rotary embedding', state: 'baseline' },
      ],
      relations: [
        ...RELATIONS_HELD(same),
        relation('batch', 'measured', {
          requirement: 'measure',
          evidence: 'at most 6 requests ran together',
          findings: [
            { ...moved('sky', 'generate', { bits: 12, nats: 0.004, seed: 21 }), holds: true },
            ...PROMPTS.filter((one) => one !== 'sky').map((prompt) => base0(prompt, 'generate')),
          ],
          atRefresh: { identical: 5, 'logprobs-differ': 1 },
        }),
        relation('baseline', 'broken', {
          evidence: 'the same inputs, sampling and top k as the baseline’s, for 8 prompts and texts',
          findings,
          size: {
            distance: distance(0.037, 4084),
            floorNats: 0.004,
            floorBy: 'batching' as const,
            batchingNats: 0.004,
            boundNats: 0.006,
          },
          decision: { of: 3, known: 0, distinct: 1, baselineLifetimes: 5, falseAlarm: 0.0132 },
        }),
      ],
    },
    {
      baseline: FOUND,
      rules: {
        kind: 'base',
        ref: 'main',
        sha: 'ab12'.repeat(10),
        path: 'determinism.yml',
        missing: false,
        asks: 3,
        changes: [
          {
            field: 'runtime.image',
            before: `vllm/vllm-openai@sha256:${digest('a')}`,
            after: `vllm/vllm-openai@sha256:${digest('c')}`,
            inForce: true,
          },
          {
            field: 'policy.no-baseline',
            before: 'fail',
            after: 'warn',
            inForce: false,
          },
        ],
      },
      notices: [
        {
          level: 'warning',
          title: 'This change alters what judges it',
          message:
            'Here main judges as it is now, and these differences count only after the merge: policy.no-baseline: fail → warn.',
        },
        {
          level: 'notice',
          title: 'Acceptance has done its work',
          message:
            'The accepted record `dddddddddddddddd…` (“vLLM 0.30 fuses the rotary embedding”) is the baseline by now: the line can go.',
        },
      ],
    },
  );
}

const agreeing = () =>
  PROMPTS.flatMap((prompt) => (['generate', 'force', 'score'] as const).map((kind) => base0(prompt, kind)));

export function reproducedReport(): Report {
  return base(
    REPRODUCED_BASE,
    {
      yardstick: YARDSTICK,
      relations: [
        ...RELATIONS_HELD(agreeing()),
        relation('baseline', 'held', {
          evidence: 'the same inputs as the baseline’s',
          findings: [...agreeing(), base0('trace', 'trace')],
          decision: { of: 1, known: 1, distinct: 1, baselineLifetimes: 5, falseAlarm: null },
        }),
      ],
      work: { prompts: 6, texts: 0, lifetimes: 1, tokens: 768, positions: 3000, seconds: 12.9 },
    },
    { baseline: FOUND },
  );
}

export function unstableReport(): Report {
  return base(
    DRIFT_BASE,
    {
      conclusion: 'unstable',
      acceptable: null,
      relations: [
        relation('rerun', 'broken', {
          evidence: 'both passes ran in process 17',
          findings: [
            moved('essay', 'generate', { bits: 33, tokens: 52, nats: 0.009, seed: 2 }),
            ...PROMPTS.filter((one) => one !== 'essay').map((prompt) => base0(prompt, 'generate')),
          ],
        }),
        relation('baseline', 'unmeasured', {
          evidence: 'an engine that does not repeat has nothing to compare',
          findings: PROMPTS.map((prompt) => ({
            ...base0(prompt, 'generate'),
            agreement: 'unmeasured',
            holds: false,
            textIdentical: null,
            reason: 'the two engine starts gave different bits',
          })),
          decision: { of: 3, known: 1, distinct: 3, baselineLifetimes: 5, falseAlarm: null },
        }),
      ],
    },
    { baseline: FOUND },
  );
}

const NO_BASELINE = relation('baseline', 'unmeasured', { evidence: 'there is no baseline' });

export function noBaselineReport(): Report {
  return base(
    NO_BASELINE_BASE,
    { relations: [...RELATIONS_HELD(agreeing()), NO_BASELINE] },
    {
      baseline: { kind: 'absent', explanation: ['The cache holds no entry of smollm2-serving.'] },
    },
  );
}

export function incomparableReport(): Report {
  return base(
    NO_BASELINE_BASE,
    {
      ...{ conclusion: 'incomparable', verdict: 'warn' },
      asked: {
        ...NO_BASELINE_BASE.asked,
        policy: { ...NO_BASELINE_BASE.asked.policy, incomparable: 'warn' },
      },
      relations: [...RELATIONS_HELD(agreeing()), NO_BASELINE],
    },
    {
      baseline: {
        kind: 'incomparable',
        otherClasses: ['nvidia-sm80-108sm-1gpu', 'nvidia-sm89-142sm-1gpu'],
        explanation: ['Other classes have baselines: nvidia-sm80-108sm-1gpu, nvidia-sm89-142sm-1gpu.'],
      },
    },
  );
}

export function unmeasuredReport(): Report {
  return base(
    REPRODUCED_BASE,
    {
      conclusion: 'unmeasured',
      verdict: 'fail',
      relations: [
        ...RELATIONS_HELD(agreeing()),
        relation('prefix-cache', 'unmeasured', {
          requirement: 'identical',
          evidence: 'no request found cached tokens',
          findings: PROMPTS.map((prompt) => ({
            ...base0(prompt, 'generate'),
            agreement: 'unmeasured',
            holds: false,
            textIdentical: null,
            reason: 'none of its 3 tokens came from the cache',
          })),
        }),
        relation('baseline', 'held', {
          evidence: 'the same inputs as the baseline’s',
          findings: [
            ...agreeing(),
            { ...base0('brand-new', 'generate'), agreement: 'added', textIdentical: null },
            { ...base0('long-gone', 'generate'), agreement: 'removed', textIdentical: null },
          ],
        }),
      ],
    },
    { baseline: FOUND },
  );
}

export function refreshReport(): Report {
  return base(
    REPRODUCED_BASE,
    { relations: RELATIONS_HELD(agreeing()), changes: [] },
    {
      mode: 'refresh',
      baseline: {
        kind: 'stored',
        inCheckout: false,
        key: FOUND.key,
        store: 'cache',
        provenance: FOUND.provenance,
        replaced: `deterministic-ml-v1/smollm2-serving/${CLASS}/3902-1-aa10a817d9120a74`,
      },
    },
  );
}

export function acceptedReport(): Report {
  const drift = driftReport();
  return {
    ...drift,
    verdict: 'pass',
    acceptable: null,
    accepted: { record: drift.outcome, reason: 'vLLM 0.31 fuses the rotary embedding' },
    acceptances: [
      { record: drift.outcome, reason: 'vLLM 0.31 fuses the rotary embedding', state: 'matched' },
    ],
  };
}

/** A matrix: three kinds of hardware. */
export const legs = (): readonly Report[] => [
  driftReport(),
  { ...reproducedReport(), hardwareClass: 'nvidia-sm80-108sm-1gpu' },
  { ...noBaselineReport(), hardwareClass: 'cpu-genuineintel-x86-64-v4-amx' },
];

/** Every prompt of a large suite has drifted, 512 tokens each: in decode, by force and in score. */
export function largeReport(prompts = 1000): Report {
  const drift = driftReport();
  const findings = Array.from({ length: prompts }, (_, i) => {
    const prompt = `prompt-${String(i).padStart(4, '0')}`;
    const bits = i % 29;
    return [
      moved(prompt, 'generate', { bits, tokens: i % 3 === 0 ? bits + 20 : null, nats: 0.03, seed: i }),
      moved(prompt, 'force', { bits, nats: 0.02 + (i % 50) / 1000, seed: i }),
      moved(prompt, 'score', { bits, nats: 0.02 + (i % 50) / 1000, seed: i + 1 }),
    ];
  }).flat();
  return {
    ...drift,
    work: { prompts, texts: 0, lifetimes: 3, tokens: prompts * 512, positions: prompts * 500, seconds: 812 },
    relations: drift.relations.flatMap((one) =>
      one.relation === 'baseline'
        ? [{ ...one, findings: [...findings, ...one.findings.filter(({ kind }) => kind === 'trace')] }]
        : [],
    ),
  };
}
