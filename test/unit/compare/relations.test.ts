import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compare } from '../../../src/compare/compare.ts';
import { relationNamed, relations } from '../../../src/compare/relations/index.ts';
import type { RelationResult } from '../../../src/compare/types.ts';
import type { LifetimeStart } from '../../../src/record/schema.ts';
import type { Side } from '../../../src/record/side.ts';
import type { Requirement } from '../../../src/suite/schema.ts';
import {
  type Body,
  body,
  type Given,
  modules,
  type SideOptions,
  side,
  withPass,
  withRequest,
  withWitness,
} from '../support/records.ts';

type Prompts = Readonly<Record<string, Body>>;

async function check(
  relation: string,
  run: Side,
  requirement: Requirement = 'identical',
  baseline?: Side,
): Promise<RelationResult> {
  const [found] = await compare(run, baseline, [{ relation, requirement }]);
  assert.ok(found !== undefined);
  return found;
}

/** `prompt kind agreement`, with what leads the reason where pairs of one prompt must be told apart. */
const told = ({ findings }: RelationResult) =>
  findings.map(({ prompt, kind, agreement }) => `${prompt} ${kind} ${agreement}`);

const A = body();
const B = body({ tokens: [20, 21, 22] });
const PROMPTS: Prompts = { a: A, b: B };
const MOVED: Prompts = { a: A, b: body({ tokens: [20, 21, 22], logprobs: [-0.5, -1.5, -2.75] }) };

type Change = NonNullable<SideOptions['change']>;
const made = (passes: Readonly<Record<string, Given>>, change: Change = (r) => r) => side({ passes, change });

/** One run in which a relation holds, one in which it is broken, and runs whose witness proves nothing. */
interface Case {
  readonly relation: string;
  readonly holds: SideOptions;
  readonly evidence: RegExp;
  readonly breaks: SideOptions;
  readonly unproven: readonly (readonly [string, Change, RegExp])[];
}

const blind = (pass: string): Change => withWitness(pass, () => ({ requests: null }));

/** Decoded tokens, and a score whose last positions are theirs. */
const scoreOf = ({ promptTokens, tokens, ...rest }: Body, change: Partial<Body> = {}): Body => {
  const before = promptTokens.length - 1;
  const { k } = rest;
  const shifted = <T extends Uint32Array | Float32Array>(values: T, width: number): number[] => [
    ...new Array<number>(before * width).fill(0),
    ...values,
  ];
  return {
    ...rest,
    promptTokens,
    tokens: Uint32Array.from([...promptTokens.slice(1), ...tokens]),
    logprobs: Float32Array.from(shifted(rest.logprobs, 1)),
    topIds: Uint32Array.from(shifted(rest.topIds, k)),
    topLogprobs: Float32Array.from(shifted(rest.topLogprobs, k)),
    ...change,
  };
};
const SCORED: Prompts = { a: scoreOf(A), b: scoreOf(B) };
const SCORED_MOVED: Prompts = { a: scoreOf(A), b: scoreOf(MOVED['b'] ?? B) };

const CASES: readonly Case[] = [
  {
    relation: 'rerun',
    holds: { passes: { 'generate-alone': PROMPTS, 'generate-again': PROMPTS } },
    evidence: /^the engine's counters show 1000000 tokens in generate-alone and 1000000 in generate-again/,
    breaks: { passes: { 'generate-alone': PROMPTS, 'generate-again': MOVED } },
    unproven: [
      [
        'the counter shows less than came',
        withWitness('generate-again', () => ({ generatedTokens: 4 })),
        /returned 5 tokens but .* shows 4/,
      ],
      [
        'the repeat is unavailable',
        withPass('generate-again', () => ({ unavailable: 'no' })),
        /generate-again is unavailable: no/,
      ],
      [
        'it ran in another process',
        withWitness('generate-again', () => ({ process: 'other' })),
        /not known to have run in one process/,
      ],
      [
        'it did not start cold',
        withWitness('generate-again', () => ({ cachedTokens: 9 })),
        /took 9 prompt tokens .* did not start cold/,
      ],
    ],
  },
  {
    relation: 'restart',
    holds: {
      lifetimes: {
        'lifetime-1': { 'generate-alone': PROMPTS },
        'lifetime-2': { 'generate-alone': PROMPTS },
      },
    },
    evidence: /^2 engine starts, each in a process of its own$/,
    breaks: {
      lifetimes: { 'lifetime-1': { 'generate-alone': PROMPTS }, 'lifetime-2': { 'generate-alone': MOVED } },
    },
    unproven: [
      [
        'both have the same process',
        withWitness('generate-alone', () => ({ process: '17@12345' }), 'lifetime-2'),
        /both ran in the process 17@12345: the engine was not started anew/,
      ],
      [
        'a process is unknown',
        withWitness('generate-alone', () => ({ process: 'unknown' }), 'lifetime-2'),
        /not known which process/,
      ],
      [
        'the second start only traced',
        (r) => ({ ...r, lifetimes: r.lifetimes.slice(0, 1) }),
        /started once only/,
      ],
      [
        'its second pass is unavailable',
        withPass('generate-alone', () => ({ unavailable: 'broken' }), 'lifetime-2'),
        /unavailable: broken/,
      ],
    ],
  },
  {
    relation: 'batch',
    holds: {
      passes: { 'generate-alone': PROMPTS, 'generate-together': PROMPTS, 'generate-strangers': PROMPTS },
    },
    evidence: /^2 of 2 prompts shared steps with others, up to 3 requests in one/,
    breaks: {
      passes: { 'generate-alone': PROMPTS, 'generate-together': PROMPTS, 'generate-strangers': MOVED },
    },
    unproven: [
      [
        'no prompt shared a step',
        (r) =>
          withRequestsOf('generate-together', { together: 1 })(
            withRequestsOf('generate-strangers', { together: 1 })(r),
          ),
        /it shared no step with another request in generate-together/,
      ],
      [
        'alone was never scheduled',
        withRequestsOf('generate-alone', { together: 0 }),
        /it was not alone in its steps in generate-alone/,
      ],
      ['alone was not alone', withRequestsOf('generate-alone', { together: 2 }), /submitted with 0 others/],
      [
        'nobody watched the scheduler',
        blind('generate-alone'),
        /does not tell what its scheduler did with it in generate-alone/,
      ],
      [
        'there was no pass together',
        (r) => ({
          ...r,
          lifetimes: r.lifetimes.map((l) => ({ ...l, passes: l.passes.slice(0, 1) })),
        }),
        /no lifetime holds a pass alone and one beside others/,
      ],
    ],
  },
  {
    relation: 'order',
    holds: { passes: { 'generate-together': PROMPTS, 'generate-reversed': PROMPTS } },
    evidence: /^the scheduler took 2 of 2 prompts up at another place$/,
    breaks: { passes: { 'generate-together': PROMPTS, 'generate-reversed': MOVED } },
    unproven: [
      [
        'the order was the same',
        (r) =>
          withRequest('generate-reversed', 'a', { order: 0 })(
            withRequest('generate-reversed', 'b', { order: 1 })(r),
          ),
        /in the same order both times/,
      ],
      ['nobody watched the scheduler', blind('generate-reversed'), /does not tell in which order/],
      [
        'more shared a step than were submitted',
        withRequest('generate-reversed', 'a', { together: 5 }),
        /tells of 5 requests in one step with `a`, which was submitted with 1 others/,
      ],
    ],
  },
  {
    relation: 'prefix-cache',
    holds: { passes: { 'generate-alone': PROMPTS, 'generate-warm': PROMPTS } },
    evidence:
      /^2 of 2 prompts took 4 tokens from the prefix cache in generate-warm, and none in generate-alone$/,
    breaks: { passes: { 'generate-alone': PROMPTS, 'generate-warm': MOVED } },
    unproven: [
      [
        'nothing came from the cache',
        withRequestsOf('generate-warm', { cachedTokens: 0 }),
        /perhaps shorter than a block/,
      ],
      [
        'the cold pass was warm',
        withRequestsOf('generate-alone', { cachedTokens: 1 }),
        /took 1 of its tokens .* did not start cold/,
      ],
      [
        'more came from the cache than the prompt has',
        withRequest('generate-warm', 'a', { cachedTokens: 4 }),
        /tells of 4 cached tokens of `a`, which has 3/,
      ],
      ['nobody watched the scheduler', blind('generate-warm'), /does not tell what its scheduler did/],
    ],
  },
  {
    relation: 'prefill',
    holds: { passes: { 'force-alone': PROMPTS, 'score-alone': SCORED } },
    evidence: /^2 of 2 prompts were decoded step by step, and scored without decoding$/,
    breaks: { passes: { 'force-alone': PROMPTS, 'score-alone': SCORED_MOVED } },
    unproven: [
      [
        'it decoded too few steps',
        withRequestsOf('force-alone', { decodeSteps: 0 }),
        /force-alone returned 2 tokens of it in 0 decode steps/,
      ],
      [
        'the score decoded',
        withRequestsOf('score-alone', { decodeSteps: 1 }),
        /score-alone decoded some of it/,
      ],
      [
        'the score prefilled too little',
        withRequestsOf('score-alone', { chunks: [2] }),
        /score-alone prefilled 2 of its 5 tokens/,
      ],
      [
        'the score prefilled one token less',
        withRequestsOf('score-alone', { chunks: [3, 1] }),
        /score-alone prefilled 4 of its 5 tokens/,
      ],
      [
        'the score was cut into more pieces than are told',
        withRequestsOf('score-alone', { chunks: new Array<number>(256).fill(0) }),
        /cut it into more pieces/,
      ],
      ['nobody watched the scheduler', blind('score-alone'), /does not tell what its scheduler did/],
      [
        'the score is unavailable',
        withPass('score-alone', () => ({ unavailable: 'spec decode' })),
        /unavailable: spec decode/,
      ],
    ],
  },
];

function withRequestsOf(pass: string, change: Parameters<typeof withRequest>[2]): Change {
  return withWitness(pass, ({ requests }) => ({
    requests: requests?.map((one) => ({ ...one, ...change })) ?? null,
  }));
}

for (const { relation, holds, evidence, breaks, unproven } of CASES)
  describe(relation, () => {
    test('holds where the bits are the same', async () => {
      const found = await check(relation, side(holds));
      assert.deepEqual([found.status, found.requirement], ['held', 'identical'], found.evidence);
      assert.match(found.evidence, evidence);
      assert.ok(
        found.findings.length > 0 && found.findings.every(({ agreement }) => agreement === 'identical'),
      );
    });

    test('is broken where they are not, and only measured where nothing is held to it', async () => {
      const found = await check(relation, side(breaks));
      assert.equal(found.status, 'broken');
      const broken = found.findings.filter((one) => !one.holds);
      assert.deepEqual(
        broken.map(({ prompt, agreement }) => [prompt, agreement]),
        [['b', 'logprobs-differ']],
      );
      assert.equal(broken[0]?.divergence?.largestNats, 0.25);
      assert.equal((await check(relation, side(breaks), 'measure')).status, 'measured');
    });

    for (const [name, change, reason] of unproven)
      test(`is unmeasured, never held, where ${name}`, async () => {
        for (const requirement of ['identical', 'measure'] as const) {
          const found = await check(relation, side({ ...holds, change }), requirement);
          assert.deepEqual([found.status, found.findings], ['unmeasured', []]);
          assert.match(found.evidence, reason);
        }
      });

    test('is unmeasured where its passes are missing', async () => {
      const found = await check(relation, made({ 'trace-alone': { trace: modules({ m: 'x' }) } }));
      assert.equal(found.status, 'unmeasured');
    });

    test('what it showed at the refresh is counted', async () => {
      const broken = { identical: CASES_AT_REFRESH[relation] ?? 1, 'logprobs-differ': 1 };
      assert.deepEqual((await check(relation, side(holds), 'measure', side(breaks))).atRefresh, broken);
      const unmeasured = made({ 'generate-alone': PROMPTS });
      assert.equal((await check(relation, side(holds), 'measure', unmeasured)).atRefresh, null);
      assert.equal((await check(relation, side(holds), 'measure')).atRefresh, null);
    });
  });

/** Of a relation with more than one pair a prompt. */
const CASES_AT_REFRESH: Partial<Record<string, number>> = { batch: 3 };

describe('what relations ask for', () => {
  test('each is registered under its own name', () => {
    for (const relation of relations) assert.equal(relationNamed(relation.name), relation);
    assert.throws(() => relationNamed('none'), /no relation is called none/);
  });

  test('by default', () => {
    const requirements = (invariant: boolean) =>
      Object.fromEntries(relations.map(({ name, requires }) => [name, requires(invariant)]));
    const always = {
      rerun: 'identical',
      restart: 'identical',
      baseline: 'identical',
      'same-model': 'identical',
    } as const;
    const shape = (value: Requirement) => ({
      batch: value,
      order: value,
      'prefix-cache': value,
      prefill: value,
    });
    assert.deepEqual(requirements(false), { ...always, ...shape('measure') });
    assert.deepEqual(requirements(true), { ...always, ...shape('identical') });
  });

  test('of passes', () => {
    const needs = (depth: 'full' | 'score') =>
      Object.fromEntries(
        relations.map(({ name, needs: of }) => [
          name,
          of(depth).map(({ kind, arrangement }) => `${kind}-${arrangement}`),
        ]),
      );
    assert.deepEqual(needs('full'), {
      rerun: ['generate-alone', 'generate-again'],
      restart: ['generate-alone', 'score-alone'],
      batch: ['generate-alone', 'generate-together', 'generate-strangers'],
      order: ['generate-together', 'generate-reversed'],
      'prefix-cache': ['generate-alone', 'generate-warm'],
      prefill: ['generate-alone', 'force-alone', 'score-alone'],
      baseline: ['generate-alone', 'force-alone', 'score-alone'],
      'same-model': ['generate-samples'],
    });
    assert.deepEqual(needs('score'), {
      rerun: ['score-alone', 'score-again'],
      restart: ['score-alone'],
      batch: ['score-alone', 'score-together', 'score-strangers'],
      order: ['score-together', 'score-reversed'],
      'prefix-cache': [],
      prefill: [],
      baseline: ['score-alone'],
      // A suite of this depth cannot name it.
      'same-model': ['generate-samples'],
    });
  });

  test('of engine starts', () => {
    assert.deepEqual(
      relations.map(({ lifetimes }) => lifetimes),
      [1, 2, 1, 1, 1, 1, 1, 1],
    );
  });
});

describe('rerun', () => {
  test('of scores, where nothing is generated', async () => {
    const found = await check('rerun', made({ 'score-alone': SCORED, 'score-again': SCORED }));
    assert.equal(found.status, 'held');
    assert.match(found.evidence, /prompt tokens in score-alone/);
    const less = made(
      { 'score-alone': SCORED, 'score-again': SCORED },
      withWitness('score-again', () => ({ promptTokens: 1 })),
    );
    assert.match((await check('rerun', less)).evidence, /returned 9 tokens but .* shows 1/);
    const silent = made(
      { 'score-alone': SCORED, 'score-again': SCORED },
      withWitness('score-again', () => ({ promptTokens: null })),
    );
    assert.match((await check('rerun', silent)).evidence, /does not tell how many tokens it processed/);
  });

  test('of probes, which give no tokens: their calls are counted', async () => {
    const probes = { matmul: modules({ 'float32 1x2x3': '1' }) };
    const twice = (steps: number | null, again = probes) =>
      made({ 'generate-alone': probes, 'generate-again': again }, (record) =>
        ['generate-alone', 'generate-again'].reduce(
          (changed, pass) => withWitness(pass, () => ({ generatedTokens: null, steps }))(changed),
          record,
        ),
      );
    const found = await check('rerun', twice(78));
    assert.equal(found.status, 'held');
    assert.match(found.evidence, /show 78 calls in generate-alone and 78 in generate-again/);
    const other = await check('rerun', twice(78, { matmul: modules({ 'float32 1x2x3': '2' }) }));
    assert.deepEqual([other.status, told(other)], ['broken', ['matmul generate modules-differ']]);
    const silent = await check('rerun', twice(null));
    assert.equal(silent.status, 'unmeasured');
    assert.match(silent.evidence, /does not tell how many calls it made in generate-alone/);
  });

  test('of every lifetime that repeats; one that broke counts beside one that proves nothing', async () => {
    const twice = { 'generate-alone': PROMPTS, 'generate-again': PROMPTS };
    const run = side({
      lifetimes: { 'lifetime-1': twice, 'lifetime-2': { ...twice, 'generate-again': MOVED } },
      change: withWitness('generate-again', () => ({ process: 'unknown' })),
    });
    const found = await check('rerun', run);
    assert.equal(found.status, 'broken');
    assert.deepEqual(
      found.findings.map(({ prompt, agreement, reason }) => [prompt, agreement, reason?.split(';')[0]]),
      [
        ['a', 'unmeasured', 'lifetime-1'],
        ['b', 'unmeasured', 'lifetime-1'],
        ['a', 'identical', 'lifetime-2'],
        ['b', 'logprobs-differ', 'lifetime-2'],
      ],
    );
  });
});

describe('restart', () => {
  const trace = { trace: modules({ embed: 'e', head: 'h' }) };
  const other = { trace: modules({ embed: 'e', head: 'x' }) };

  test('compares all kinds, and each start with the first', async () => {
    const first = { 'generate-alone': PROMPTS, 'score-alone': SCORED, 'trace-alone': trace };
    const run = side({
      lifetimes: {
        'lifetime-1': first,
        'lifetime-2': first,
        'lifetime-3': { ...first, 'score-alone': SCORED_MOVED, 'trace-alone': other },
      },
    });
    const found = await check('restart', run);
    assert.equal(found.findings.length, 10);
    assert.deepEqual(
      found.findings
        .filter(({ holds }) => !holds)
        .map(({ prompt, kind, agreement, reason }) => [prompt, kind, agreement, reason]),
      [
        ['b', 'score', 'logprobs-differ', 'lifetime-1 and lifetime-3'],
        ['trace', 'trace', 'modules-differ', 'lifetime-1 and lifetime-3'],
      ],
    );
    assert.equal(found.size?.distance.positions, 18);
  });

  test('forks of one process are not started anew: one start must be of another', async () => {
    const first = { 'generate-alone': PROMPTS, 'score-alone': SCORED };
    const started = (...starts: readonly LifetimeStart[]) =>
      side({
        lifetimes: { 'lifetime-1': first, 'lifetime-2': first, 'lifetime-3': first },
        change: (record) => ({
          ...record,
          lifetimes: record.lifetimes.map((held, at) => {
            const start = starts[at];
            return start === undefined ? held : { ...held, start };
          }),
        }),
      });
    const [cold, warm] = [
      { how: 'cold', process: 1 },
      { how: 'warm', process: 2 },
    ] as const;
    const alike = await check('restart', started(warm, warm, warm));
    assert.equal(alike.status, 'unmeasured');
    assert.match(alike.evidence, /all engine starts are forks of one process/);
    const apart = await check('restart', started(cold, warm, warm));
    assert.deepEqual(
      [apart.status, apart.evidence],
      [
        'held',
        '3 engine starts, each in a process of its own, 2 of which are forks of one that had imported the engine',
      ],
    );
    // Two processes that each imported it for themselves.
    assert.equal((await check('restart', started(warm, { how: 'warm', process: 3 }))).status, 'held');
    // Records of before there were forks.
    assert.equal(
      (await check('restart', started())).evidence,
      '3 engine starts, each in a process of its own',
    );
  });

  test('a start that only traces takes part with its trace alone', async () => {
    const run = side({
      lifetimes: {
        'lifetime-1': { 'generate-alone': PROMPTS },
        trace: { 'trace-alone': trace },
      },
    });
    assert.match((await check('restart', run)).evidence, /started once only/);
  });

  test('what another start was not asked is not missed, what it lacks is', async () => {
    const lifetimes = {
      'lifetime-1': { 'generate-alone': PROMPTS, 'score-alone': SCORED },
      'lifetime-2': { 'score-alone': SCORED },
    };
    assert.equal((await check('restart', side({ lifetimes }))).status, 'held');
    const without = await check(
      'restart',
      side({
        lifetimes,
        change: (r) => ({
          ...r,
          observations: r.observations.filter((o) => o.lifetime === 'lifetime-1' || o.prompt === 'a'),
        }),
      }),
    );
    assert.deepEqual(
      [without.status, told(without)],
      ['unmeasured', ['a score identical', 'b score unmeasured']],
    );
  });

  test('two starts that were asked otherwise are not compared', async () => {
    const run = side({
      lifetimes: { 'lifetime-1': { 'force-alone': PROMPTS }, 'lifetime-2': { 'force-alone': MOVED } },
      change: (r) => ({
        ...r,
        observations: r.observations.map((o) =>
          o.lifetime === 'lifetime-2' && o.prompt === 'b' ? { ...o, input: 'f'.repeat(64) } : o,
        ),
      }),
    });
    assert.deepEqual(told(await check('restart', run)), ['a force identical', 'b force unmeasured']);
  });
});

describe('batch', () => {
  const passes = { 'generate-alone': PROMPTS, 'generate-together': MOVED, 'generate-strangers': PROMPTS };

  test('tells which neighbours a prompt had', async () => {
    const found = await check('batch', made(passes), 'measure');
    assert.deepEqual(
      found.findings.map(({ prompt, agreement, reason }) => [prompt, agreement, reason]),
      [
        ['a', 'identical', 'together'],
        ['a', 'identical', 'strangers'],
        ['b', 'logprobs-differ', 'together'],
        ['b', 'identical', 'strangers'],
      ],
    );
  });

  test('one arrangement that put a prompt beside others is enough', async () => {
    const found = await check('batch', made(passes, withRequest('generate-together', 'a', { together: 1 })));
    assert.deepEqual(told(found), [
      'a generate identical',
      'b generate logprobs-differ',
      'b generate identical',
    ]);
  });

  test('a prompt that never shared a step is unmeasured, which sinks what is held to it', async () => {
    const lonely: Change = (r) =>
      withRequest('generate-together', 'a', { together: 1 })(
        withRequest('generate-strangers', 'a', { together: 1 })(r),
      );
    const run = made({ ...passes, 'generate-together': PROMPTS }, lonely);
    assert.deepEqual(told(await check('batch', run)).slice(0, 1), ['a generate unmeasured']);
    assert.equal((await check('batch', run)).status, 'unmeasured');
    assert.equal((await check('batch', run, 'measure')).status, 'measured');
  });

  test('compares scores where nothing is generated, but not those that measured the floor', async () => {
    const scores = { 'score-alone': SCORED, 'score-together': SCORED_MOVED, 'score-strangers': SCORED };
    assert.equal((await check('batch', made(scores))).status, 'broken');
    const floor = { 'generate-alone': PROMPTS, 'score-alone': SCORED, 'score-strangers': SCORED };
    assert.equal((await check('batch', made(floor))).status, 'unmeasured');
  });
});

test('what only ties at the k-th place is identical at the refresh too', async () => {
  const listed = (last: number) =>
    body({
      tokens: [10],
      logprobs: [-0.5],
      top: [
        [
          [10, -0.5],
          [last, -9],
        ],
      ],
    });
  const run = made({ 'generate-alone': { a: listed(1) }, 'generate-again': { a: listed(2) } });
  const found = await check('rerun', run, 'identical', run);
  assert.deepEqual([found.status, found.atRefresh], ['held', { identical: 1 }]);
});

test('order: a single prompt has none', async () => {
  const one = { a: A };
  const found = await check('order', made({ 'generate-together': one, 'generate-reversed': one }));
  assert.deepEqual([found.status, found.evidence], ['unmeasured', 'a single prompt has no order']);
});

test('prefix-cache: a prompt shorter than a block is unmeasured beside the others', async () => {
  const run = made(
    { 'generate-alone': PROMPTS, 'generate-warm': PROMPTS },
    withRequest('generate-warm', 'a', { cachedTokens: 0 }),
  );
  const found = await check('prefix-cache', run, 'measure');
  assert.deepEqual(
    [found.status, told(found)],
    ['measured', ['a generate unmeasured', 'b generate identical']],
  );
  assert.match(found.findings[0]?.reason ?? '', /perhaps shorter than a block/);
  assert.equal((await check('prefix-cache', run)).status, 'unmeasured');
});

describe('prefill', () => {
  test('takes what was generated where nothing could be forced', async () => {
    const passes = { 'generate-alone': PROMPTS, 'force-alone': {}, 'score-alone': SCORED };
    const run = made(
      passes,
      withPass('force-alone', () => ({ unavailable: 'speculative decoding', groups: [['a']] })),
    );
    const found = await check('prefill', run);
    assert.deepEqual([found.status, told(found)], ['held', ['a generate identical', 'b generate identical']]);
  });

  test('other tokens than were scored are unmeasured', async () => {
    const passes = { 'generate-alone': { ...PROMPTS, a: body({ tokens: [10, 99] }) }, 'score-alone': SCORED };
    const found = await check('prefill', made(passes));
    assert.deepEqual(told(found), ['a generate unmeasured', 'b generate identical']);
    assert.match(found.findings[0]?.reason ?? '', /not those that were scored/);
    // The same tokens after another prompt are others too.
    const elsewhere = { ...A, promptTokens: Uint32Array.from([1, 7, 3]) };
    const run = made({ 'force-alone': { a: A }, 'score-alone': { a: scoreOf(elsewhere) } });
    assert.deepEqual(told(await check('prefill', run)), ['a force unmeasured']);
  });

  test('a single token was never decoded', async () => {
    const one = body({ tokens: [10] });
    const run = made({ 'force-alone': { a: one }, 'score-alone': { a: scoreOf(one) } });
    assert.match((await check('prefill', run)).evidence, /fewer than two tokens were decoded/);
  });

  const cutAt = (positions: number): Body => {
    const { k, tokens, logprobs, topIds, topLogprobs, ...rest } = scoreOf(A);
    return {
      ...rest,
      k,
      tokens: tokens.slice(0, positions),
      logprobs: logprobs.slice(0, positions),
      topIds: topIds.slice(0, positions * k),
      topLogprobs: topLogprobs.slice(0, positions * k),
    };
  };
  test('a score that was cut is compared as far as it goes', async () => {
    const found = await check('prefill', made({ 'force-alone': { a: A }, 'score-alone': { a: cutAt(3) } }));
    assert.deepEqual(told(found), ['a force identical']);
    assert.match(found.findings[0]?.reason ?? '', /1 decoded tokens lie beyond/);
    const gone = await check('prefill', made({ 'force-alone': { a: A }, 'score-alone': { a: cutAt(2) } }));
    assert.deepEqual([gone.status, told(gone)], ['unmeasured', ['a force unmeasured']]);
  });

  test('has a distance of its own', async () => {
    const run = made({ 'force-alone': PROMPTS, 'score-alone': SCORED_MOVED });
    const [, finding] = (await check('prefill', run, 'measure')).findings;
    assert.equal(finding?.distance?.positions, 3);
    assert.equal(finding?.distance?.largestNats, 0.25);
  });

  test('NaN on both sides is no agreement', async () => {
    const nan = body({ logprobs: [-0.5, Number.NaN] });
    const found = await check(
      'prefill',
      made({ 'force-alone': { a: nan }, 'score-alone': { a: scoreOf(nan) } }),
    );
    assert.deepEqual(told(found), ['a force unmeasured']);
    assert.match(found.findings[0]?.reason ?? '', /2 log-probabilities are NaN/);
  });
});

describe('what a witness does not tell', () => {
  const again = { 'generate-alone': PROMPTS, 'generate-again': PROMPTS };
  for (const name of Object.keys(again))
    test(`rerun: what ${name} took from the prefix cache`, async () => {
      const silent = withWitness(name, () => ({ cachedTokens: null }));
      assert.match((await check('rerun', made(again, silent))).evidence, /does not tell what it took/);
    });

  test('rerun: how many tokens were generated', async () => {
    const silent = withWitness('generate-again', () => ({ generatedTokens: null }));
    assert.match((await check('rerun', made(again, silent))).evidence, /how many tokens it generated in/);
  });

  test('restart: in which process the first start ran', async () => {
    const lifetimes = {
      'lifetime-1': { 'generate-alone': PROMPTS },
      'lifetime-2': { 'generate-alone': PROMPTS },
    };
    const change = withWitness('generate-alone', () => ({ process: 'unknown' }), 'lifetime-1');
    assert.match((await check('restart', side({ lifetimes, change }))).evidence, /not known which process/);
  });

  test('order: in which order the first pass was taken up', async () => {
    const both = { 'generate-together': PROMPTS, 'generate-reversed': PROMPTS };
    assert.match((await check('order', made(both, blind('generate-together')))).evidence, /in which order/);
    const { 'generate-together': _, ...one } = both;
    assert.match((await check('order', made(one))).evidence, /no lifetime holds its prompts in two orders/);
    const { 'generate-reversed': __, ...other } = both;
    assert.match((await check('order', made(other))).evidence, /no lifetime holds its prompts in two orders/);
  });
});

describe('what a pass lacks is unmeasured beside the others', () => {
  const without =
    (pass: string, prompt: string): Change =>
    (r) => ({
      ...r,
      observations: r.observations.filter((one) => one.pass !== pass || one.prompt !== prompt),
    });
  const cases: readonly (readonly [string, Readonly<Record<string, Prompts>>, string])[] = [
    ['batch', { 'generate-alone': PROMPTS, 'generate-together': PROMPTS }, 'generate-together'],
    ['prefix-cache', { 'generate-alone': PROMPTS, 'generate-warm': PROMPTS }, 'generate-warm'],
    ['prefill', { 'force-alone': PROMPTS, 'score-alone': SCORED }, 'score-alone'],
  ];
  for (const [relation, passes, pass] of cases)
    test(relation, async () => {
      const found = await check(relation, made(passes, without(pass, 'a')));
      assert.equal(found.status, 'unmeasured');
      assert.deepEqual(
        found.findings.map(({ prompt, agreement }) => `${prompt} ${agreement}`),
        ['a unmeasured', 'b identical'],
      );
      assert.match(found.findings[0]?.reason ?? '', new RegExp(`${pass} has no observation of it`));
    });

  test('restart: a trace', async () => {
    const trace = { trace: modules({ m: 'x' }) };
    const passes = { 'generate-alone': PROMPTS, 'trace-alone': trace };
    const run = side({
      lifetimes: { 'lifetime-1': passes, 'lifetime-2': passes },
      change: (r) => ({
        ...r,
        observations: r.observations.filter(
          ({ lifetime, pass }) => lifetime === 'lifetime-1' || pass !== 'trace-alone',
        ),
      }),
    });
    const found = await check('restart', run);
    assert.deepEqual([found.status, told(found).at(-1)], ['unmeasured', 'trace trace unmeasured']);
    assert.match(found.findings.at(-1)?.reason ?? '', /trace-alone has no observation of it/);
    const one = side({
      lifetimes: { 'lifetime-1': passes, 'lifetime-2': passes },
      change: withWitness('trace-alone', () => ({ process: 'unknown' }), 'lifetime-2'),
    });
    assert.equal(told(await check('restart', one)).at(-1), 'trace trace unmeasured');
  });
});

test('prefill: an unavailable force gives no tokens, whatever the record holds of it', async () => {
  const passes = { 'force-alone': PROMPTS, 'score-alone': SCORED };
  const gone = withPass('force-alone', () => ({ unavailable: 'speculative decoding' }));
  const found = await check('prefill', made(passes, gone));
  assert.deepEqual(
    [found.status, found.evidence],
    ['unmeasured', 'force-alone is unavailable: speculative decoding'],
  );
});

test('a score may take its own tokens from the cache, and no more than it has', async () => {
  const passes = { 'score-alone': { a: SCORED['a'] ?? A }, 'score-again': { a: SCORED['a'] ?? A } };
  const cached = (cachedTokens: number) => withRequest('score-again', 'a', { cachedTokens });
  assert.equal((await check('rerun', made(passes, cached(7)))).status, 'held');
  assert.match(
    (await check('rerun', made(passes, cached(8)))).evidence,
    /8 cached tokens of `a`, which has 7/,
  );
});

test('rerun: a counter that shows just what came proves it, and a single lifetime needs no name', async () => {
  const passes = { 'generate-alone': PROMPTS, 'generate-again': PROMPTS };
  const exact = withWitness('generate-again', () => ({ generatedTokens: 5 }));
  const found = await check('rerun', made(passes, exact));
  assert.equal(found.status, 'held');
  assert.ok(found.findings.every(({ reason }) => reason === null));
});

test('a run that started once or was asked otherwise each time is told apart', async () => {
  const run = side({
    lifetimes: { 'lifetime-1': { 'generate-alone': PROMPTS }, 'lifetime-2': { 'score-alone': SCORED } },
  });
  assert.equal((await check('restart', run)).evidence, 'no two engine starts were asked the same');
});
