import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compare } from '../../../src/compare/compare.ts';
import { judge } from '../../../src/compare/conclusion.ts';
import { falseAlarm } from '../../../src/compare/decision.ts';
import type { RelationResult } from '../../../src/compare/types.ts';
import type { RunRecord } from '../../../src/record/schema.ts';
import type { Side } from '../../../src/record/side.ts';
import type { Requirement } from '../../../src/suite/schema.ts';
import {
  type Bits,
  type Body,
  body,
  type Given,
  modules,
  side,
  withChannel,
  withPass,
  withWitness,
} from '../support/records.ts';

async function against(
  before: Side,
  run: Side,
  requirement: Requirement = 'identical',
): Promise<RelationResult> {
  const [found] = await compare(run, before, [{ relation: 'baseline', requirement }]);
  assert.ok(found !== undefined);
  return found;
}

const told = ({ findings }: RelationResult) =>
  findings.map(({ prompt, kind, agreement }) => `${prompt} ${kind} ${agreement}`);
const concludes = (result: RelationResult) =>
  judge([result], 'found', { 'no-baseline': 'fail', incomparable: 'fail', removed: 'fail' });

/** Each start gives prompt `a` the bits of one mode. */
const mode = (nats: number): Body => body({ logprobs: [-0.5, -nats] });
const starts = (...modes: readonly number[]) =>
  side({
    lifetimes: Object.fromEntries(
      modes.map((nats, i) => [`lifetime-${i + 1}`, { 'generate-alone': { a: mode(nats) } }]),
    ),
  });

const rowsOf = (rows: Readonly<Record<string, string>>) =>
  Object.entries(rows).map(([name, cells]) => ({ name, cells }));

describe('an engine with several honest outcomes', () => {
  test('reproduces any of them', async () => {
    for (const nats of [1, 2, 3]) {
      const run = starts(nats);
      const found = await against(starts(1, 2, 3), run);
      assert.deepEqual([found.status, concludes(found).conclusion], ['held', 'reproduced']);
      assert.deepEqual(run.opened, []);
    }
  });

  const cases: readonly (readonly [string, number[], object, string])[] = [
    [
      'a single unknown start is drift, with nothing to bound its chance',
      [9],
      { of: 1, known: 0, distinct: 1, falseAlarm: null },
      'drift',
    ],
    [
      'three starts with one unknown outcome are drift',
      [9, 9, 9],
      { of: 3, known: 0, distinct: 1, falseAlarm: 0.4 ** 2 * 0.6 ** 3 },
      'drift',
    ],
    [
      'one known start among them: it does not repeat',
      [9, 1, 9],
      { of: 3, known: 1, distinct: 2, falseAlarm: null },
      'unstable',
    ],
    [
      'unknown ones that differ: it repeats nothing',
      [9, 8, 9],
      { of: 3, known: 0, distinct: 2, falseAlarm: null },
      'unstable',
    ],
    [
      'an unknown one that comes later is shown as well',
      [1, 1, 9],
      { of: 3, known: 2, distinct: 2, falseAlarm: null },
      'unstable',
    ],
    [
      'known ones that agree have reproduced it as well',
      [2, 2, 2],
      { of: 3, known: 3, distinct: 1, falseAlarm: null },
      'reproduced',
    ],
    [
      'known ones that differ have reproduced the baseline',
      [1, 2, 3],
      { of: 3, known: 3, distinct: 3, falseAlarm: null },
      'reproduced',
    ],
  ];
  for (const [name, modes, decision, conclusion] of cases)
    test(name, async () => {
      const found = await against(starts(1, 2, 3), starts(...modes));
      assert.deepEqual(found.decision, { ...decision, baselineLifetimes: 3 });
      assert.equal(concludes(found).conclusion, conclusion);
      assert.equal(concludes(found).verdict, conclusion === 'reproduced' ? 'pass' : 'fail');
      assert.equal(found.status, conclusion === 'reproduced' ? 'held' : 'broken');
    });

  test('what is shown is the first start that is not wholly known, beside the baseline’s first', async () => {
    const found = await against(starts(1, 2, 3), starts(2, 9, 8));
    assert.equal(found.findings[0]?.divergence?.largestNats, 8);
  });

  test('each prompt’s outcome may come from another start of the baseline', async () => {
    const both = (a: number, b: number) => ({ 'generate-alone': { a: mode(a), b: mode(b) } });
    const before = side({ lifetimes: { 'lifetime-1': both(1, 1), 'lifetime-2': both(2, 2) } });
    assert.equal((await against(before, side({ lifetimes: { x: both(1, 2) } }))).status, 'held');
  });

  test('a start says nothing of what it did not measure', async () => {
    const bits = { a: mode(1) };
    const before = side({ passes: { 'generate-alone': bits, 'score-alone': bits } });
    const run = side({
      lifetimes: {
        'lifetime-1': { 'generate-alone': { a: mode(9) }, 'score-alone': bits },
        'lifetime-2': { 'score-alone': bits },
      },
    });
    const found = await against(before, run);
    assert.deepEqual(found.decision, {
      of: 1,
      known: 0,
      distinct: 1,
      baselineLifetimes: 1,
      falseAlarm: null,
    });
    assert.equal(concludes(found).conclusion, 'drift');
  });

  test('only tokens make outcomes where only tokens are required', async () => {
    const found = await against(starts(1, 2), starts(9, 8, 7), 'tokens');
    assert.deepEqual([found.status, found.decision?.known], ['held', 3]);
    const other = (...tokens: readonly number[]) =>
      side({
        lifetimes: Object.fromEntries(
          tokens.map((token, i) => [
            `lifetime-${i + 1}`,
            { 'generate-alone': { a: body({ tokens: [10, token], logprobs: [-0.5, -i] }) } },
          ]),
        ),
      });
    const drifted = await against(other(11), other(12, 12, 12), 'tokens');
    assert.deepEqual([drifted.decision?.distinct, concludes(drifted).conclusion], [1, 'drift']);
    // Unknown bits with the tokens of the baseline's second start.
    assert.equal((await against(other(11, 12), other(0, 12, 12), 'tokens')).status, 'broken');
    assert.equal((await against(other(11, 13, 12), other(12), 'tokens')).status, 'held');
    // Where one of the baseline's starts has the very bits, it is the one that is shown.
    assert.deepEqual(told(await against(starts(1, 2), starts(2), 'tokens')), ['a generate identical']);
  });
});

test('the chance of a false alarm is at its largest where the derivation says', () => {
  assert.equal(falseAlarm(1, 3), null);
  for (const starts of [2, 3, 5])
    for (const n of [1, 3, 5, 20]) {
      const chance = (p: number) => p ** (starts - 1) * (1 - p) ** n;
      const grid = Math.max(...Array.from({ length: 10_001 }, (_, i) => chance(i / 10_000)));
      assert.ok(Math.abs((falseAlarm(starts, n) ?? 0) - grid) < 1e-6);
    }
  assert.equal(falseAlarm(3, 3)?.toFixed(4), '0.0346');
  assert.equal(falseAlarm(3, 5)?.toFixed(4), '0.0152');
});

describe('kinds of passes', () => {
  const A = body();
  const trace = { text: modules({ embed: 'e', mlp: 'm', head: 'h' }) };
  const FULL: Readonly<Record<string, Given>> = {
    'generate-alone': { a: A },
    'force-alone': { a: A },
    'score-alone': { a: A, text: A },
    'trace-alone': trace,
  };
  const full = (passes: Readonly<Record<string, Given>> = FULL, change = (r: RunRecord) => r) =>
    side({ passes, texts: ['text'], change });
  const ALL = [
    'a generate identical',
    'a force identical',
    'a score identical',
    'text score identical',
    'text trace identical',
  ];

  test('are all compared, and none opens a body where all agree', async () => {
    const [before, run] = [full(), full()];
    const found = await against(before, run);
    assert.deepEqual([found.status, told(found)], ['held', ALL]);
    assert.deepEqual([...before.opened, ...run.opened], []);
    assert.equal(found.evidence, '2 of 2 prompts and texts ask what the baseline asked');
    assert.deepEqual(
      found.findings.map(({ textIdentical }) => textIdentical),
      [true, null, null, null, null],
    );
  });

  test('that this run did not ask for are not missed', async () => {
    const found = await against(full(), full({ 'score-alone': { a: A, text: A } }));
    assert.deepEqual([found.status, told(found)], ['held', ['a score identical', 'text score identical']]);
  });

  test('that it asked for and lacks are unmeasured', async () => {
    const { 'force-alone': _, ...rest } = FULL;
    const without = full({ ...rest, 'force-alone': {} }, (r) =>
      withPass('force-alone', () => ({ groups: [['a']], unavailable: 'speculative decoding' }))(r),
    );
    const found = await against(full(), without);
    assert.equal(found.status, 'unmeasured');
    const finding = found.findings.find(({ kind }) => kind === 'force');
    assert.deepEqual(
      [finding?.agreement, finding?.reason],
      ['unmeasured', 'force-alone is unavailable: speculative decoding'],
    );
    const silent = full(FULL, (r) => ({
      ...r,
      observations: r.observations.filter(({ pass }) => pass !== 'force-alone'),
    }));
    assert.match((await against(full(), silent)).findings[1]?.reason ?? '', /force pass has no observation/);
    // The engine of the baseline could not do it either.
    assert.equal((await against(without, full())).status, 'held');
  });

  test('that the baseline was never asked for hold nothing', async () => {
    const found = await against(full({ 'score-alone': { a: A, text: A } }), full());
    assert.deepEqual(told(found).slice(0, 2), ['a generate unmeasured', 'a score identical']);
    assert.match(found.findings[0]?.reason ?? '', /made without a generate pass of it: refresh it/);
    const { 'force-alone': _force, 'trace-alone': _trace, ...core } = FULL;
    assert.equal((await against(full(core), full())).status, 'held');
  });

  test('whose witness contradicts itself prove nothing', async () => {
    const forged = full(
      FULL,
      withWitness('score-alone', () => ({ promptTokens: 1 })),
    );
    const found = await against(full(), forged);
    assert.deepEqual([found.status, told(found)[2]], ['unmeasured', 'a score unmeasured']);
    assert.match(found.findings[2]?.reason ?? '', /counter shows 1/);
  });

  test('a trace tells the first module that computes something else', async () => {
    const now = full({ ...FULL, 'trace-alone': { text: modules({ embed: 'e', mlp: 'x', head: 'y' }) } });
    const found = await against(full(), now);
    assert.equal(found.status, 'broken');
    const finding = found.findings.at(-1);
    assert.equal(finding?.agreement, 'modules-differ');
    assert.deepEqual(finding?.trace, {
      modules: 3,
      differing: 2,
      first: 'mlp',
      firstIndex: 1,
      onlyLeft: [],
      onlyRight: [],
      map: { parts: [''], layers: rowsOf({ embed: '=', mlp: 'x', head: 'x' }), omitted: 0 },
    });
    assert.equal(concludes(found).conclusion, 'drift');
    const lenient = await against(full(), now, 'tokens');
    assert.deepEqual([lenient.status, lenient.decision?.known], ['held', 1]);
  });

  test('a trace of any of the baseline’s starts is known', async () => {
    const { 'trace-alone': _, ...rest } = FULL;
    const traced = (mlp: string) => ({ ...rest, 'trace-alone': { text: modules({ mlp }) } });
    const before = side({
      lifetimes: { 'lifetime-1': traced('x'), 'lifetime-2': traced('y') },
      texts: ['text'],
    });
    assert.equal((await against(before, full(traced('y')))).status, 'held');
  });

  test('a model with other modules has no first one', async () => {
    const now = full({ ...FULL, 'trace-alone': { text: modules({ embed: 'x', mlp2: 'm', head: 'h' }) } });
    const finding = (await against(full(), now)).findings.at(-1);
    assert.equal(finding?.agreement, 'modules-differ');
    assert.equal(finding?.reason, 'the two have other modules');
    assert.deepEqual(finding?.trace, {
      modules: 2,
      differing: 1,
      first: null,
      firstIndex: null,
      onlyLeft: ['mlp'],
      onlyRight: ['mlp2'],
      map: { parts: [''], layers: rowsOf({ embed: 'x', mlp: '-', head: '=', mlp2: '+' }), omitted: 0 },
    });
  });

  test('modules that run more than once are compared call by call; another order is told', async () => {
    const [e] = modules({ embed: 'e' });
    const [h, i] = modules({ head: 'h', other: 'i' });
    assert.ok(e && h && i);
    const calls = (...all: readonly (typeof e)[]) => full({ ...FULL, 'trace-alone': { text: all } });
    const second = (await against(calls(e, h, h), calls(e, h, { ...h, sha256: i.sha256 }))).findings.at(-1);
    assert.deepEqual([second?.trace?.first, second?.trace?.firstIndex], ['head', 2]);
    const order = (await against(calls(e, h, i), calls(h, e, i))).findings.at(-1);
    assert.deepEqual([order?.agreement, order?.trace?.differing], ['modules-differ', 0]);
    assert.match(order?.reason ?? '', /another order/);
  });

  test('modules that give NaN agree with nothing', async () => {
    const broken = full({ ...FULL, 'trace-alone': { text: modules({ embed: 'e' }, 4) } });
    const found = (await against(broken, broken)).findings.at(-1);
    assert.equal(found?.agreement, 'unmeasured');
    assert.match(found?.reason ?? '', /4 values that modules gave are NaN/);
    const differing = (await against(full(), broken)).findings.at(-1);
    assert.equal(differing?.agreement, 'modules-differ');
    assert.match(differing?.reason ?? '', /NaN/);
  });

  test('a start that only traces takes no part in what is decided', async () => {
    const { 'trace-alone': _, ...passes } = FULL;
    const apart = (modulesNow: Given) =>
      side({ lifetimes: { 'lifetime-1': passes, trace: { 'trace-alone': modulesNow } }, texts: ['text'] });
    const found = await against(apart(trace), apart({ text: modules({ embed: 'x' }) }));
    assert.deepEqual(found.decision, {
      of: 1,
      known: 1,
      distinct: 1,
      baselineLifetimes: 1,
      falseAlarm: null,
    });
    assert.deepEqual([found.status, concludes(found).conclusion], ['broken', 'drift']);
    assert.deepEqual(told(await against(apart(trace), apart(trace))).at(-1), 'text trace identical');
  });

  test('a trace alone reproduces nothing', async () => {
    const now = full(FULL, (r) => ({
      ...r,
      suite: { ...r.suite, prompts: [], texts: [] },
      observations: r.observations.map((o) => ({ ...o, input: 'f'.repeat(64) })),
    }));
    assert.equal((await against(full(), now)).status, 'unmeasured');
  });

  test('a new question is added once for all kinds, and what still asks the same is compared', async () => {
    const now = full(FULL, (r) => ({
      ...r,
      suite: { ...r.suite, prompts: r.suite.prompts.map((p) => ({ ...p, input: 'f'.repeat(64) })) },
      observations: r.observations.map((o) =>
        o.prompt === 'a' && o.pass !== 'score-alone' ? { ...o, input: 'f'.repeat(64) } : o,
      ),
    }));
    assert.deepEqual(told(await against(full(), now)), [
      'a score identical',
      'a generate added',
      'text score identical',
      'text trace identical',
    ]);
  });

  test('the same question whose score was asked otherwise is unmeasured', async () => {
    const now = full(FULL, (r) => ({
      ...r,
      observations: r.observations.map((o) =>
        o.pass === 'score-alone' && o.prompt === 'a' ? { ...o, input: 'f'.repeat(64) } : o,
      ),
    }));
    const found = await against(full(), now);
    assert.deepEqual([found.status, told(found)[2]], ['unmeasured', 'a score unmeasured']);
    assert.match(found.findings[2]?.reason ?? '', /asked otherwise than at the refresh/);
  });

  test('a trace that was asked otherwise is not compared', async () => {
    const now = full(FULL, (r) => ({
      ...r,
      observations: r.observations.map((o) =>
        o.pass === 'trace-alone' ? { ...o, input: 'f'.repeat(64) } : o,
      ),
    }));
    assert.deepEqual(told(await against(full(), now)), ALL.slice(0, -1));
  });

  test('a prompt or text that is gone is removed once', async () => {
    const found = await against(
      full(),
      side({ passes: { ...FULL, 'score-alone': { a: A }, 'trace-alone': {} } }),
    );
    assert.deepEqual(told(found).at(-1), 'text score removed');
    assert.equal(found.status, 'held');
  });

  test('other tokens that were given are no agreement', async () => {
    const now = full({ ...FULL, 'score-alone': { a: body({ tokens: [10, 12] }), text: A } });
    const found = await against(full(), now);
    assert.deepEqual([found.status, told(found)[2]], ['unmeasured', 'a score unmeasured']);
    assert.equal(found.findings[2]?.reason, 'the two were given other tokens');
  });

  test('a forced sequence is compared beyond where its tokens would have parted', async () => {
    const now = full({ ...FULL, 'force-alone': { a: body({ logprobs: [-0.75, -1.75] }) } });
    const finding = (await against(full(), now)).findings[1];
    assert.deepEqual(
      [
        finding?.kind,
        finding?.divergence?.logprobSteps,
        finding?.divergence?.fork,
        finding?.distance?.positions,
      ],
      ['force', 2, null, 2],
    );
  });
});

describe('tokens that tie at the k-th place', () => {
  const listed = (last: number, logprob = -9): Bits => ({
    tokens: [10],
    logprobs: [-0.5],
    top: [
      [
        [10, -0.5],
        [last, logprob],
      ],
    ],
  });
  const one = (bits: Bits) => side({ passes: { 'generate-alone': { a: body(bits) } } });
  const many = (...all: readonly Bits[]) =>
    side({
      lifetimes: Object.fromEntries(
        all.map((bits, i) => [`lifetime-${i + 1}`, { 'generate-alone': { a: body(bits) } }]),
      ),
    });

  test('are no difference, and that is told', async () => {
    const found = await against(one(listed(5)), one(listed(6)));
    assert.deepEqual([found.status, told(found)], ['held', ['a generate identical']]);
    assert.match(found.findings[0]?.reason ?? '', /at 1 steps another of several equally probable tokens/);
    assert.equal(found.findings[0]?.divergence, null);
    assert.deepEqual(found.decision?.known, 1);
  });

  test('are none with any of the baseline’s starts', async () => {
    const found = await against(many(listed(5, -8), listed(5)), one(listed(6)));
    assert.deepEqual([found.status, found.decision?.known], ['held', 1]);
  });

  test('are a difference where one of them ended otherwise', async () => {
    const stopped = side({
      passes: { 'generate-alone': { a: body(listed(6)) } },
      change: (r) => ({
        ...r,
        observations: r.observations.map((o) => ({ ...o, finishReason: 'stop' as const })),
      }),
    });
    for (const last of [5, 6]) {
      const found = await against(one(listed(last)), stopped);
      assert.deepEqual([told(found), found.decision?.known], [['a generate tokens-differ'], 0]);
    }
  });

  test('and another value is one', async () => {
    assert.equal((await against(one(listed(5)), one(listed(6, -8)))).status, 'broken');
    assert.equal((await against(one({ ...listed(5), logprobs: [-1] }), one(listed(6)))).status, 'broken');
  });

  test('a record whose digests differ and whose bits do not is damaged, not identical', async () => {
    const lies = side({
      passes: { 'generate-alone': { a: body() } },
      change: (r) => ({
        ...r,
        observations: r.observations.map((o) => withChannel(o, 'top-k', { sha256: 'f'.repeat(64) })),
      }),
    });
    const found = await against(one({}), lies);
    assert.equal(found.status, 'broken');
    assert.match(found.findings[0]?.reason ?? '', /the record is damaged/);
    assert.equal(found.decision?.known, 0);
  });
});

test('a fork names both tokens, and reads the vocabulary once a side', async () => {
  const before = side({ passes: { 'generate-alone': { a: body(), b: body() } }, dtype: 'torch.float16' });
  const moved = body({ tokens: [10, 12], logprobs: [-0.5, -1.25] });
  const run = side({ passes: { 'generate-alone': { a: moved, b: moved } }, dtype: 'half' });
  const { findings } = await against(before, run);
  assert.equal(findings[0]?.divergence?.fork?.left.text, '<11>');
  assert.equal(findings[0]?.divergence?.fork?.right.text, '<12>');
  assert.equal(run.opened.filter((one) => one === 'vocabulary').length, 1);
  assert.equal(before.opened.filter((one) => one === 'vocabulary').length, 1);
});

test('the margin is told in the steps of each side’s own dtype', async () => {
  const choose = (token: number) =>
    body({
      tokens: [token],
      logprobs: [token === 1 ? -1 : -1.5],
      top: [
        [
          [1, -1],
          [2, -1.5],
        ],
      ],
    });
  const one = (token: number, dtype: string) =>
    side({ passes: { 'generate-alone': { a: choose(token) } }, dtype });
  const { findings } = await against(one(1, 'torch.float16'), one(2, 'float'));
  const { left, right } = findings[0]?.divergence?.fork ?? {};
  assert.deepEqual([left?.marginSteps, right?.marginSteps], [256, -(2 ** 21)]);
  assert.match(findings[0]?.reason ?? '', /very same log-probabilities another token was chosen/);
});

test('a channel that one of the two records lacks is told by its name, and the rest is compared', async () => {
  const traced = side({
    passes: { 'score-alone': { a: { ...body(), modules: modules({ mlp: 'x' }) }, b: body() } },
  });
  const plain = side({ passes: { 'score-alone': { a: body(), b: body() } } });
  for (const [before, now] of [
    [traced, plain],
    [plain, traced],
  ] as const) {
    const found = await against(before, now);
    assert.equal(found.status, 'held');
    assert.match(found.evidence, /; not compared, .*: `modules` in 1 of 2 observations$/);
  }
  assert.doesNotMatch((await against(traced, traced)).evidence, /not compared/);
});

describe('a trace', () => {
  const passes = { 'score-alone': { a: body() } };
  const traced = (mlp: string) => ({ ...passes, 'trace-alone': { text: modules({ mlp }) } });

  test('takes part in what a start’s outcome is, but where tokens are all that is asked for', async () => {
    const before = side({ passes: traced('x') });
    const run = side({ lifetimes: { 'lifetime-1': traced('y'), 'lifetime-2': traced('z') } });
    assert.deepEqual((await against(before, run)).decision?.distinct, 2);
    assert.deepEqual((await against(before, run, 'tokens')).decision?.distinct, 1);
  });

  test('that this run was asked for and lacks is unmeasured', async () => {
    const run = side({
      passes: traced('x'),
      change: (r) => ({ ...r, observations: r.observations.filter(({ pass }) => pass !== 'trace-alone') }),
    });
    const found = await against(side({ passes: traced('x') }), run);
    assert.deepEqual([found.status, told(found).at(-1)], ['unmeasured', 'text trace unmeasured']);
  });
});

test('where nothing could be compared, the first reason why is told', async () => {
  const run = side({
    passes: { 'score-alone': { a: body() } },
    change: withPass('score-alone', () => ({ unavailable: 'no' })),
  });
  const found = await against(side({ passes: { 'score-alone': { a: body() } } }), run);
  assert.deepEqual([found.status, found.evidence], ['unmeasured', 'score-alone is unavailable: no']);
});
