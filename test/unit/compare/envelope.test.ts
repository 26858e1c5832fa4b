import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compare } from '../../../src/compare/compare.ts';
import type { RelationResult } from '../../../src/compare/types.ts';
import type { RunRecord } from '../../../src/record/schema.ts';
import type { Side } from '../../../src/record/side.ts';
import type { Requirement } from '../../../src/suite/schema.ts';
import { type Body, body, type Given, type SideOptions, side, withWitness } from '../support/records.ts';

async function check(
  run: Side,
  baseline: Side | undefined,
  requirement: Requirement = 'within-envelope',
  relation: string = 'baseline',
): Promise<RelationResult> {
  const [found] = await compare(run, baseline, [{ relation, requirement }]);
  assert.ok(found !== undefined);
  return found;
}

/** Every log-probability moved by so many nats: the distance is exactly that. */
function sequence(by = 0, positions = 128): Body {
  const logprobs = Array.from({ length: positions }, (_, i) => -1 - (i % 4) - by);
  return body({
    tokens: logprobs.map((_, i) => i),
    logprobs,
    top: logprobs.map((nats, i) => [[i, nats]]),
    text: '',
  });
}

type Passes = Readonly<Record<string, Given>>;
const scored = (by: number, positions?: number): Passes => ({
  'score-alone': { a: sequence(by, positions) },
});
const lives = (...all: readonly Passes[]): NonNullable<SideOptions['lifetimes']> =>
  Object.fromEntries(all.map((passes, i) => [`lifetime-${i + 1}`, passes]));
/** Its lifetimes are 1/8 nats apart at most: the bound is 3/16. */
const BEFORE = side({ lifetimes: lives(scored(0), scored(0.125), scored(0.0625)) });
const now = (by: number, positions?: number) => side({ passes: scored(by, positions) });

const bodies = ({ opened }: { readonly opened: readonly string[] }) =>
  opened.filter((digest) => digest !== 'vocabulary').length;

describe('within the envelope', () => {
  test('what moved no further than 1.5 x the baseline’s own lifetimes holds', async () => {
    const found = await check(now(0.1875), BEFORE);
    assert.equal(found.status, 'held');
    assert.deepEqual(
      found.findings.map(({ agreement, holds }) => [agreement, holds]),
      [['logprobs-differ', true]],
    );
    assert.match(found.evidence, /scored: 0\.188 of at most 0\.188 nats/);
    assert.equal(found.size?.boundNats, 0.1875);
  });

  test('what moved further is broken', async () => {
    const found = await check(now(0.25), BEFORE);
    assert.deepEqual([found.status, found.findings[0]?.holds], ['broken', false]);
    assert.match(found.evidence, /scored: 0\.25 of at most 0\.188 nats/);
  });

  test('under another requirement the envelope does not matter', async () => {
    assert.equal((await check(now(0.01), BEFORE, 'identical')).status, 'broken');
    assert.equal((await check(now(9), BEFORE, 'tokens')).status, 'held');
    assert.equal((await check(now(9), BEFORE, 'measure')).status, 'measured');
  });

  test('what agrees needs no envelope, and opens no body', async () => {
    const before = side({ lifetimes: lives(scored(0)) });
    const found = await check(now(0), before);
    assert.deepEqual([found.status, found.size, before.opened], ['held', null, []]);
  });

  test('lifetimes that all agree allow nothing', async () => {
    const before = side({ lifetimes: lives(scored(0), scored(0), scored(0)) });
    const found = await check(now(0.0001), before);
    assert.deepEqual([found.status, found.size?.boundNats], ['broken', 0]);
  });

  const refused: readonly (readonly [string, Side, Side, RegExp])[] = [
    [
      'the baseline has two lifetimes',
      now(0.01),
      side({ lifetimes: lives(scored(0), scored(0.125)) }),
      /fewer than 3 lifetimes/,
    ],
    [
      'too few positions were scored',
      now(0.01, 127),
      side({ lifetimes: lives(scored(0, 127), scored(0.125, 127), scored(0.0625, 127)) }),
      /127 scored positions are too few/,
    ],
    [
      'nothing was scored',
      side({ passes: { 'generate-alone': { a: sequence(0.01) } } }),
      side({
        lifetimes: lives(...[0, 0.125, 0.0625].map((by) => ({ 'generate-alone': { a: sequence(by) } }))),
      }),
      /no sequence was scored/,
    ],
    [
      'what was decoded differs, and nothing was forced',
      side({ passes: { ...scored(0.01), 'generate-alone': { a: sequence(0.01) } } }),
      side({
        lifetimes: lives(
          ...[0, 0.125, 0.0625].map((by) => ({ ...scored(by), 'generate-alone': { a: sequence(0) } })),
        ),
      }),
      /no sequence was forced/,
    ],
  ];
  for (const [name, run, before, reason] of refused)
    test(`is unmeasured where ${name}`, async () => {
      const found = await check(run, before);
      assert.deepEqual([found.status, found.findings[0]?.holds], ['unmeasured', false]);
      assert.match(found.evidence, reason);
    });

  test('an infinite difference is beyond any bound', async () => {
    const one = sequence(0);
    const logprobs = one.logprobs.slice();
    logprobs[3] = Number.NEGATIVE_INFINITY;
    const found = await check(side({ passes: { 'score-alone': { a: { ...one, logprobs } } } }), BEFORE);
    assert.deepEqual([found.status, found.size, found.findings[0]?.distance], ['broken', null, null]);
    assert.match(found.evidence, /infinitely far apart/);
    assert.match(found.findings[0]?.reason ?? '', /1 log-probabilities are infinite or NaN on one side/);
  });

  test('NaN where there was a number is beyond any bound too', async () => {
    const one = sequence(0);
    const logprobs = one.logprobs.slice();
    logprobs[3] = Number.NaN;
    const found = await check(side({ passes: { 'score-alone': { a: { ...one, logprobs } } } }), BEFORE);
    assert.equal(found.status, 'broken');
    assert.match(found.findings[0]?.reason ?? '', /^1 log-probabilities are NaN: the model is broken/);
  });

  test('other inputs hold under no envelope', async () => {
    const other = { ...sequence(0), promptTokens: Uint32Array.from([9, 9, 9]) };
    const found = await check(side({ passes: { 'score-alone': { a: other } } }), BEFORE);
    assert.deepEqual([found.status, found.findings[0]?.agreement], ['broken', 'inputs-differ']);
  });

  describe('for what was decoded', () => {
    const passes = (by: number, generated: Body): Passes => ({
      'score-alone': { a: sequence(by) },
      'force-alone': { a: sequence(by) },
      'generate-alone': { a: generated },
    });
    const before = side({
      lifetimes: lives(...[0, 0.125, 0.0625].map((by) => passes(by, sequence(0)))),
    });
    const forked = (last: number): Body => {
      const one = sequence(0);
      const tokens = one.tokens.slice();
      tokens[127] = 7777;
      const topLogprobs = one.topLogprobs.slice();
      topLogprobs[127] = last;
      return { ...one, tokens, topLogprobs };
    };

    test('tokens that part hold where forced tokens are within their bound', async () => {
      const found = await check(side({ passes: passes(0.0625 / 2, forked(-3.5)) }), before);
      assert.deepEqual(
        found.findings.map(({ kind, agreement, holds }) => [kind, agreement, holds]),
        [
          ['generate', 'tokens-differ', true],
          ['force', 'logprobs-differ', true],
          ['score', 'logprobs-differ', true],
        ],
      );
      assert.match(found.evidence, /scored: 0\.0313 of .*, forced: 0\.0313 of/);
      assert.equal(found.status, 'held');
    });

    test('another choice from the very same log-probabilities is not rounding', async () => {
      const found = await check(side({ passes: passes(0.0625 / 2, forked(-4)) }), before);
      assert.deepEqual([found.status, found.findings[0]?.holds], ['broken', false]);
      // Nor is it where nothing sizes the rest.
      const { 'force-alone': _, ...rest } = passes(0, forked(-4));
      assert.equal((await check(side({ passes: rest }), before)).status, 'broken');
    });

    test('forced tokens beyond their bound break what scores do not see', async () => {
      const decoded = { ...passes(0, sequence(0)), 'force-alone': { a: sequence(0.5) } };
      const found = await check(side({ passes: decoded }), before);
      assert.equal(found.status, 'broken');
      assert.match(found.evidence, /forced: 0\.5 of at most 0\.188/);
      assert.equal(found.size, null);
    });

    test('and modules that differ hold as log-probabilities do', async () => {
      const trace = (sha256: string) => ({
        'trace-alone': { trace: [{ name: 'm', sha256: sha256.repeat(64), nans: 0 }] },
      });
      const traced = side({
        lifetimes: lives(...[0, 0.125, 0.0625].map((by) => ({ ...scored(by), ...trace('a') }))),
      });
      const found = await check(side({ passes: { ...scored(0.0625 / 2), ...trace('b') } }), traced);
      assert.deepEqual(
        found.findings.map(({ agreement, holds }) => [agreement, holds]),
        [
          ['logprobs-differ', true],
          ['modules-differ', true],
        ],
      );
      assert.equal(
        (await check(side({ passes: { ...scored(0.5), ...trace('b') } }), traced)).status,
        'broken',
      );
    });
  });

  test('other relations use the baseline’s bound, and are unmeasured without one', async () => {
    const run = side({ lifetimes: lives(scored(0), scored(0.0625)) });
    const repeated = (before: Side | undefined) => check(run, before, 'within-envelope', 'restart');
    assert.equal((await repeated(BEFORE)).status, 'held');
    assert.deepEqual(
      [(await repeated(undefined)).status, (await repeated(undefined)).evidence],
      ['unmeasured', '2 engine starts, each in a process of its own; without a baseline there is no bound'],
    );
  });
});

describe('the size of a difference', () => {
  test('is pooled over all scores, those that agree included', async () => {
    const passes = (by: number): Passes => ({
      'score-alone': { a: sequence(0), b: sequence(by), c: sequence(0) },
    });
    const before = side({ passes: passes(0) });
    const found = await check(side({ passes: passes(0.5) }), before, 'measure');
    assert.equal(found.size?.distance.positions, 3 * 128);
    assert.equal(found.size?.distance.rmsNats, Math.sqrt(0.25 / 3));
    assert.equal(found.size?.distance.crossEntropyNats, 0.5 / 3);
    assert.deepEqual(
      found.findings.map(({ distance }) => distance?.rmsNats ?? null),
      [null, 0.5, null],
    );
    assert.equal(bodies(before), 1);
    assert.equal(found.size?.boundNats, null);
  });

  const strangers = (by: number): Passes => ({ ...scored(0), 'score-strangers': { a: sequence(by) } });
  test('is told beside the floor: the baseline’s texts alone and beside strangers', async () => {
    const found = await check(now(1), side({ passes: strangers(0.25) }), 'measure');
    assert.equal(found.size?.floorNats, 0.25);
    const same = await check(now(1), side({ passes: strangers(0) }), 'measure');
    assert.equal(same.size?.floorNats, 0);
  });

  test('is told by what rounding once more makes, where that was measured; batching stands beside it', async () => {
    const noisy = (by: number, batching: Passes): Passes => ({
      ...batching,
      'score-noise': { a: sequence(by) },
    });
    const sizeOf = async (passes: Passes) => {
      const { size } = await check(now(1), side({ passes }), 'measure');
      return [size?.floorNats, size?.floorBy, size?.batchingNats];
    };
    assert.deepEqual(await sizeOf(noisy(0.5, strangers(0.25))), [0.5, 'noise', 0.25]);
    assert.deepEqual(await sizeOf(noisy(0.5, strangers(0))), [0.5, 'noise', 0]);
    assert.deepEqual(await sizeOf(noisy(0.5, scored(0))), [0.5, 'noise', null]);
    // Noise that moved nothing was none.
    assert.deepEqual(await sizeOf(noisy(0, strangers(0.25))), [0.25, 'batching', 0.25]);
  });

  test('is told by an eager start beside a compiled engine, which counts as no start of the baseline', async () => {
    const eager: Passes = {
      'trace-alone': { a: [{ name: 'm', sha256: 'a'.repeat(64), nans: 0 }] },
      'score-again': { a: sequence(8) },
      'score-noise': { a: sequence(8.5) },
    };
    const three = [0, 0.25, 0.5].map((by): Passes => scored(by));
    const before = side({ lifetimes: lives(...three, eager) });
    const { size, decision } = await check(now(2), before, 'measure');
    assert.deepEqual([size?.floorNats, size?.floorBy, size?.boundNats], [0.5, 'noise', 0.75]);
    assert.equal(decision?.baselineLifetimes, 3);
  });

  test('has no floor where the strangers shared no step, or were not there', async () => {
    const lonely = side({
      passes: strangers(0.25),
      change: withWitness('score-strangers', ({ requests }) => ({
        requests: requests?.map((one) => ({ ...one, together: 1 })) ?? null,
      })),
    });
    assert.equal((await check(now(1), lonely, 'measure')).size?.floorNats, null);
    const crowded = side({
      passes: strangers(0.25),
      change: withWitness('score-alone', ({ requests }) => ({
        requests: requests?.map((one) => ({ ...one, together: 2 })) ?? null,
      })),
    });
    assert.equal((await check(now(1), crowded, 'measure')).size?.floorNats, null);
    const blind = side({
      passes: strangers(0.25),
      change: withWitness('score-strangers', () => ({ requests: null })),
    });
    assert.equal((await check(now(1), blind, 'measure')).size?.floorNats, null);
    assert.equal((await check(now(1), side({ passes: scored(0) }), 'measure')).size?.floorNats, null);
  });

  test('has no floor of what was not scored both ways', async () => {
    const floor = async (options: SideOptions) =>
      (await check(now(1), side(options), 'measure')).size?.floorNats ?? null;
    const blindAlone = withWitness('score-alone', () => ({ requests: null }));
    assert.equal(await floor({ passes: strangers(0.25), change: blindAlone }), null);
    for (const name of ['score-alone', 'score-strangers'])
      assert.equal(
        await floor({ passes: strangers(0.25), change: withWitness(name, () => ({ requests: [] })) }),
        null,
      );
    const more = {
      'score-alone': { a: sequence(0), b: sequence(0) },
      'score-strangers': { a: sequence(0.25) },
    };
    assert.equal(await floor({ passes: more }), 0.25);
    const lost = (r: RunRecord): RunRecord => ({
      ...r,
      observations: r.observations.filter((one) => one.pass !== 'score-strangers' || one.prompt !== 'b'),
    });
    const both = { ...more, 'score-strangers': { a: sequence(0.25), b: sequence(9) } };
    assert.equal(await floor({ passes: both, change: lost }), 0.25);
    const alone = { 'score-strangers': { a: sequence(0.25) } };
    assert.equal(await floor({ lifetimes: lives(alone, strangers(0.5)) }), 0.5);
  });

  describe('has a bound', () => {
    const bound = async (...all: readonly Passes[]) =>
      (await check(now(1), side({ lifetimes: lives(...all) }), 'measure')).size?.boundNats;
    const three = [scored(0), scored(0.125), scored(0.0625)] as const;

    test('from the lifetimes that scored', async () => {
      assert.equal(await bound(...three, { 'generate-alone': { a: sequence(0) } }), 0.1875);
      const extra = { 'score-alone': { a: sequence(0.0625), b: sequence(5) } };
      assert.equal(await bound(scored(0), scored(0.125), extra), 0.1875);
      assert.equal(await bound(extra, scored(0), scored(0.125)), 0.1875);
    });

    test('from what they were asked alike', async () => {
      const far = (change: Partial<Body>): Passes => ({
        'score-alone': { a: sequence(0.0625), b: { ...sequence(5), ...change } },
      });
      const both = (by: number): Passes => ({ 'score-alone': { a: sequence(by), b: sequence(0) } });
      const tokens = sequence().tokens.map((token) => token + 1);
      const promptTokens = Uint32Array.from([9]);
      // `b` agrees where it was asked alike.
      const alike = 1.5 * Math.sqrt(0.125 ** 2 / 2);
      assert.equal(await bound(both(0), both(0.125), far({ tokens })), alike);
      assert.equal(await bound(both(0), both(0.125), far({ promptTokens })), alike);
    });

    test('unless some of them are infinitely far apart', async () => {
      const logprobs = sequence().logprobs.slice();
      logprobs[3] = Number.NEGATIVE_INFINITY;
      assert.equal(
        await bound(scored(0), scored(0.125), { 'score-alone': { a: { ...sequence(), logprobs } } }),
        null,
      );
    });

    test('never from this run', async () => {
      const run = side({ lifetimes: lives(...three) });
      assert.equal((await check(run, undefined, 'measure', 'restart')).size?.boundNats, null);
    });

    test('that is read once for all relations', async () => {
      const before = side({ lifetimes: lives(...three) });
      const run = side({ lifetimes: lives(scored(1), scored(2)) });
      const claims = (['baseline', 'restart'] as const).map((relation) => ({
        relation,
        requirement: 'measure' as const,
      }));
      const found = await compare(run, before, claims);
      assert.deepEqual(
        found.map(({ size }) => size?.boundNats),
        [0.1875, 0.1875],
      );
      // Three pairs of lifetimes, and the one that the run is held against.
      assert.equal(bodies(before), 7);
    });
  });

  test('takes the floor from the run itself where there is no baseline', async () => {
    const run = side({ lifetimes: lives(strangers(0.25), scored(0.5)) });
    const found = await check(run, undefined, 'measure', 'restart');
    assert.deepEqual([found.size?.floorNats, found.size?.boundNats], [0.25, null]);
  });

  test('opens equal bodies of the baseline’s lifetimes never', async () => {
    const before = side({ lifetimes: lives(scored(0), scored(0), scored(0)) });
    await check(now(1), before, 'measure');
    assert.equal(bodies(before), 1);
  });
});
