import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Gauge } from '../../../src/compare/distance.ts';
import { examine, reader } from '../../../src/compare/examine.ts';
import { traceDifference } from '../../../src/compare/trace.ts';
import type { Pair } from '../../../src/compare/types.ts';
import type { Observation, PassKind } from '../../../src/record/schema.ts';
import type { Side } from '../../../src/record/side.ts';
import { type Bits, type Body, body, modules, side } from '../support/records.ts';

const NEVER = Number.NEGATIVE_INFINITY;

/** A record of one observation, and the observation. */
function only(bits: Bits | Body, kind: PassKind, more: Partial<Observation> = {}) {
  const made = side({
    passes: { [`${kind}-alone`]: { a: 'k' in bits ? bits : body(bits) } },
    change: (r) => ({ ...r, observations: r.observations.map((one) => ({ ...one, ...more })) }),
  });
  const [seen] = made.record.observations;
  assert.ok(seen);
  return { made, seen };
}

type Only = ReturnType<typeof only>;
const judged = (left: Only, right: Only, kind: PassKind, shallow = false) =>
  examine(
    { prompt: 'a', kind, left: left.seen, right: right.seen },
    reader(left.made),
    reader(right.made),
    shallow,
  );
const between = (left: Bits, right: Bits, kind: PassKind = 'generate') =>
  judged(only(left, kind), only(right, kind), kind);

/** One step each: the token, and what is listed last. */
const listed = (...rows: readonly (readonly [last: number, nats: number])[]): Bits => ({
  tokens: rows.map((_, i) => i),
  logprobs: rows.map(() => -0.5),
  top: rows.map(([last, nats], i) => [
    [i, -0.5],
    [last, nats],
  ]),
});

describe('tokens that tie at the k-th place', () => {
  test('are counted as equal positions of a score, and of nothing that was generated', async () => {
    const [left, right] = [listed([5, -9]), listed([6, -9])];
    const score = await between(left, right, 'score');
    assert.deepEqual([score.finding.agreement, score.gauge?.positions], ['identical', 1]);
    const generated = await between(left, right);
    assert.deepEqual(
      [generated.finding.agreement, generated.finding.textIdentical, generated.gauge],
      ['identical', true, null],
    );
  });

  test('make no agreement of NaN', async () => {
    const nan = (last: number): Bits => ({ ...listed([last, -9]), logprobs: [Number.NaN] });
    for (const kind of ['score', 'generate'] as const) {
      const found = await between(nan(5), nan(6), kind);
      assert.deepEqual([found.finding.agreement, found.gauge], ['unmeasured', null]);
    }
  });

  test('hide no difference at another step', async () => {
    const found = await between(listed([5, -9], [5, -9]), listed([6, -9], [5, -8]));
    assert.deepEqual(
      [found.finding.agreement, found.finding.divergence?.logprobStep],
      ['logprobs-differ', 1],
    );
  });
});

test('bodies are opened only where digests do not decide', async () => {
  const [left, right] = [only({}, 'score'), only({ logprobs: [-0.5, -2] }, 'score')];
  assert.equal((await judged(left, right, 'score', true)).finding.agreement, 'logprobs-differ');
  assert.deepEqual([...left.made.opened, ...right.made.opened], []);
});

test('what is not comparable has no size', async () => {
  assert.equal((await between({}, { promptTokens: [7] }, 'score')).gauge, null);
  const [forced, stopped] = [
    only({}, 'force'),
    only({ tokens: [10, 12] }, 'force', { finishReason: 'stop' }),
  ];
  const found = await judged(forced, stopped, 'force');
  assert.deepEqual([found.finding.agreement, found.gauge], ['tokens-differ', null]);
});

describe('what a page shows of a divergence', () => {
  const long = (tokens: readonly number[], nats: readonly number[]): Bits => ({
    tokens,
    logprobs: nats,
    top: tokens.map((id, i) => [[id, nats[i] ?? 0]]),
  });
  const base = long([10, 11, 12], [-1, -1, -1]);

  test('where the tokens part: the passage around it, and both distributions where the bits had parted', async () => {
    const { finding } = await between(base, long([10, 11, 13], [-1, -2, -1]));
    const { parting, passage, profile, strip } = finding.divergence ?? {};
    assert.deepEqual([parting?.token.id, parting?.left.nats, parting?.right.nats], [11, -1, -2]);
    assert.deepEqual(
      passage?.left.map(({ id }) => id),
      [10, 11, 12],
    );
    assert.deepEqual(
      passage?.right.map(({ id }) => id),
      [10, 11, 13],
    );
    assert.deepEqual([profile, strip], [null, '=~x']);
  });

  test('where only bits part: the passage around the first of them', async () => {
    const many = Array.from({ length: 30 }, (_, i) => i);
    const nats = many.map((i) => (i === 20 || i === 25 ? -2 : -1));
    const { finding } = await between(
      long(
        many,
        many.map(() => -1),
      ),
      long(many, nats),
      'score',
    );
    const { parting, passage, profile } = finding.divergence ?? {};
    assert.equal(parting?.token.id, 20);
    assert.equal(passage?.from, 12);
    assert.deepEqual(
      profile,
      many.map((i) => (i === 20 || i === 25 ? 1 : 0)),
    );
  });

  test('where the tokens part although no bit did before: no distribution beside the fork’s', async () => {
    const { finding } = await between(base, long([10, 11, 13], [-1, -1, -1]));
    assert.deepEqual([finding.divergence?.parting, finding.divergence?.passage?.from], [null, 0]);
  });

  test('where one only ended otherwise: nothing', async () => {
    const { finding } = await judged(
      only(base, 'generate'),
      only(base, 'generate', { finishReason: 'stop' }),
      'generate',
    );
    assert.deepEqual([finding.divergence?.parting, finding.divergence?.passage], [null, null]);
  });
});

describe('another token', () => {
  test('that ends it after the same ones is chosen otherwise', async () => {
    const found = await judged(
      only({}, 'generate'),
      only({}, 'generate', { finishReason: 'stop' }),
      'generate',
    );
    assert.deepEqual([found.finding.agreement, found.chosenOtherwise], ['tokens-differ', true]);
    assert.equal(found.finding.reason, 'it ended by `length`, now by `stop`');
  });

  test('that one side has beyond the other’s last is no sign of damage', async () => {
    const { finding, chosenOtherwise } = await between({}, { tokens: [10, 11, 12] });
    assert.deepEqual([finding.divergence?.tokenStep, finding.reason, chosenOtherwise], [2, null, false]);
  });

  test('that ties exactly is told from one that was sampled otherwise', async () => {
    const choose = (token: number, other: number): Bits => ({
      tokens: [token],
      logprobs: [token === 1 ? -1 : other],
      top: [
        [
          [1, -1],
          [2, other],
        ],
      ],
    });
    const found = await between(choose(1, -1), choose(2, -1));
    assert.deepEqual(
      [found.finding.reason, found.chosenOtherwise],
      ['two tokens tie exactly, and the other one was chosen', true],
    );
    assert.match((await between(choose(1, -2), choose(2, -2))).finding.reason ?? '', /^from the very same/);
  });
});

test('what is infinite on one side is counted, of the chosen tokens and of the listed ones', async () => {
  const reason = /^1 log-probabilities are infinite or NaN on one side only$/;
  const chosen = { ...listed([5, -9]), logprobs: [NEVER] };
  assert.match((await between(listed([5, -9]), chosen)).finding.reason ?? '', reason);
  const top = listed([5, NEVER]);
  assert.match((await between(listed([5, -9]), top, 'score')).finding.reason ?? '', reason);
});

describe('a tail', () => {
  const DECODED = body(listed([5, -9], [6, -9]));
  const scoreOf = (one: Body): Body => {
    const { k, promptTokens } = one;
    const before = promptTokens.length - 1;
    return {
      ...one,
      tokens: Uint32Array.from([...promptTokens.slice(1), ...one.tokens]),
      logprobs: Float32Array.from([...new Array<number>(before).fill(-1), ...one.logprobs]),
      topIds: Uint32Array.from([...new Array<number>(before * k).fill(0), ...one.topIds]),
      topLogprobs: Float32Array.from([...new Array<number>(before * k).fill(-1), ...one.topLogprobs]),
    };
  };
  const tail = (decoded: Body, scored: Body) => {
    const [left, right] = [only(decoded, 'force'), only(scored, 'score')];
    const pair: Pair = { prompt: 'a', kind: 'force', left: left.seen, rightTail: right.seen };
    return examine(pair, reader(left.made), reader(right.made));
  };

  test('that agrees has nothing to tell', async () => {
    const { finding } = await tail(DECODED, scoreOf(DECODED));
    assert.deepEqual([finding.agreement, finding.reason], ['identical', null]);
  });

  test('of a prompt of a single token begins at once; of none there is none', async () => {
    const single = { ...DECODED, promptTokens: Uint32Array.from([1]) };
    const found = await tail(single, scoreOf(single));
    assert.deepEqual([found.finding.agreement, found.gauge?.positions], ['identical', 2]);
    const none = { ...DECODED, promptTokens: Uint32Array.from([]) };
    assert.equal((await tail(none, DECODED)).finding.reason, 'the prompt has no token');
  });

  const deep = (nats: number) =>
    body({
      ...listed([5, -9], [6, -9]),
      top: [5, 6].map((last, i) => [
        [i, -0.5],
        [last, -9],
        [7, nats],
      ]),
    });

  test('that kept another k is compared, and sized, as far as both go', async () => {
    const found = await tail(DECODED, scoreOf(deep(-10)));
    assert.equal(found.finding.agreement, 'identical');
    const pool = new Gauge();
    pool.add(body(listed([5, -9])), body({ ...listed([5, -5]) }));
    pool.merge(found.gauge ?? new Gauge());
    assert.equal(pool.distance()?.rmsNats, Math.sqrt(16 / 6));
  });

  test('that is NaN beyond what the other side kept agrees with nothing; infinite is no NaN', async () => {
    const found = await tail(DECODED, scoreOf(deep(Number.NaN)));
    assert.equal(found.finding.agreement, 'unmeasured');
    assert.match(found.finding.reason ?? '', /^2 log-probabilities are NaN/);
    const ruledOut = body(listed([5, NEVER], [6, NEVER]));
    assert.equal((await tail(ruledOut, scoreOf(ruledOut))).finding.agreement, 'identical');
  });

  test('has no fork', async () => {
    const moved = scoreOf(body({ ...listed([5, -9], [6, -9]), logprobs: [-0.5, -0.75] }));
    const { finding } = await tail(DECODED, moved);
    assert.deepEqual(
      [finding.agreement, finding.divergence?.logprobStep, finding.divergence?.fork],
      ['logprobs-differ', 1, null],
    );
  });
});

describe('modules', () => {
  const names = (from: number, to: number) =>
    Object.fromEntries(Array.from({ length: to - from }, (_, i) => [`m${from + i}`, 'x']));
  const traced = (computed: Readonly<Record<string, string>>): Side =>
    side({ passes: { 'trace-alone': { t: modules(computed) } } });
  const reason = async (left: Side, right: Side) => {
    const [one, other] = [left.record.observations[0], right.record.observations[0]];
    assert.ok(one && other);
    const pair: Pair = { prompt: 't', kind: 'trace', left: one, right: other };
    return (await examine(pair, reader(left), reader(right))).finding.reason;
  };

  test('that one side only has are others, on whichever side', async () => {
    const [more, less] = [traced({ e: '1', m: '2' }), traced({ e: '1' })];
    assert.equal(await reason(more, less), 'the two have other modules');
    assert.equal(await reason(less, more), 'the two have other modules');
  });

  test('that one side only has leave no first one', () => {
    const [more, less] = [modules({ e: '1', m: '2' }), modules({ e: 'x' })];
    for (const found of [traceDifference(more, less), traceDifference(less, more)])
      assert.deepEqual([found.differing, found.first, found.firstIndex], [1, null, null]);
  });

  test('that one side only has are named up to the twentieth', () => {
    const found = traceDifference(modules(names(0, 21)), modules(names(50, 75)));
    assert.deepEqual([found.onlyLeft.length, found.onlyRight.length], [20, 20]);
    assert.deepEqual([found.onlyLeft[0], found.onlyLeft[19]], ['m0', 'm19']);
  });

  test('that ran more than once are told apart call by call', () => {
    const calls = (...values: readonly string[]) => values.flatMap((value) => modules({ mlp: value }));
    const found = traceDifference(calls('a', 'b', 'c'), calls('x', 'b'));
    assert.deepEqual([found.modules, found.differing, found.onlyLeft], [2, 1, ['mlp (call 3)']]);
  });

  test('of several ranks name those that differ: what is summed over them blames none of them', () => {
    const of = (values: readonly (readonly [up: string, down: string])[]) =>
      modules(
        Object.fromEntries(
          ['up', 'down'].flatMap((module, at) =>
            values.map((value, rank) => [`rank ${rank}: l.0.${module}`, value[at] ?? ''] as const),
          ),
        ),
      );
    const before = of([
      ['a', 's'],
      ['b', 's'],
      ['c', 's'],
    ]);
    const firstOf = (...now: Parameters<typeof of>[0][number][]) => traceDifference(before, of(now)).first;
    assert.equal(firstOf(['a', 's'], ['x', 't'], ['c', 't']), 'rank 1: l.0.up');
    assert.equal(firstOf(['a', 't'], ['b', 't'], ['c', 't']), 'all 3 ranks: l.0.down');
    assert.equal(firstOf(['a', 's'], ['x', 't'], ['y', 't']), 'ranks 1, 2: l.0.up');
    assert.equal(firstOf(['a', 's'], ['b', 's'], ['c', 's']), null);
  });

  test('are a map of layers and what is in them', () => {
    const layer = (index: number, mlp: string) => ({
      [`model.layers.${index}.attn`]: 'a',
      [`model.layers.${index}.mlp.experts.0.up`]: mlp,
      [`model.layers.${index}`]: mlp,
    });
    const left = modules({ 'model.embed': 'e', ...layer(0, 'm'), ...layer(1, 'm'), head: 'h' });
    const right = modules({ 'model.embed': 'e', ...layer(0, 'm'), ...layer(1, 'n'), norm: 'h' });
    assert.deepEqual(traceDifference(left, right).map, {
      parts: ['', 'attn', 'mlp.experts.0.up'],
      layers: [
        { name: 'model.embed', cells: '=  ' },
        { name: 'model.layers.0', cells: '===' },
        { name: 'model.layers.1', cells: 'x=x' },
        { name: 'head', cells: '-  ' },
        { name: 'norm', cells: '+  ' },
      ],
      omitted: 0,
    });
  });

  test('beyond what a page can show are counted, not drawn', () => {
    const many = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`l.${i}.part${i}`, 'x']));
    const { map } = traceDifference(modules(many), modules(many));
    assert.deepEqual([map.layers.length, map.parts.length, map.omitted], [255, 256, 1745]);
    for (const [layers, omitted] of [
      [1024, 0],
      [1025, 2],
    ] as const) {
      const names = Array.from({ length: layers }, (_, i) => [`l.${i}.a`, `l.${i}.b`]).flat();
      const deep = modules(Object.fromEntries(names.map((name) => [name, 'x'])));
      const { map } = traceDifference(deep, deep);
      assert.deepEqual([map.layers.length, map.parts, map.omitted], [1024, ['', 'a', 'b'], omitted]);
    }
  });

  test('are of a layer only where a whole part of the name is its number', () => {
    const { map } = traceDifference(
      modules({ 'block.0x.mlp': 'x', 'block.x0.mlp': 'x', 'h.2b': 'x', 'h.3': 'x' }),
      [],
    );
    assert.deepEqual(
      map.layers.map(({ name }) => name),
      ['block.0x.mlp', 'block.x0.mlp', 'h.2b', 'h.3'],
    );
  });
});
