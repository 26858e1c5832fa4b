import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { casesOf } from '../../../src/explain/case-of-record.ts';
import { explain } from '../../../src/explain/explain.ts';
import type { Side } from '../../../src/record/side.ts';
import { groupsApart } from '../../../src/use-cases/apart.ts';
import { apartWords } from '../../../src/words/explained.ts';
import { body, side } from '../support/records.ts';

const scored = (shift: number, tokens = [1, 2, 3, 4]) =>
  body({ tokens, logprobs: [-1, -1 + shift, -1, -1 + shift], text: '' });

/** A record of a class whose scores are moved by so much, and by rounding alone by so much more. */
function recordOf(hardwareClass: string, shift: number, noise: number | undefined, tokens?: number[]): Side {
  const passes = {
    'score-alone': { text: scored(shift, tokens) },
    ...(noise === undefined ? {} : { 'score-noise': { text: scored(shift + noise, tokens) } }),
  };
  return side({ passes, texts: ['text'], change: (record) => ({ ...record, hardwareClass }) });
}

async function apart(all: Readonly<Record<string, Side>>) {
  const cases = Object.entries(all).flatMap(([name, { record }]) => casesOf(record, name));
  return (await groupsApart(explain(cases), (_, name) => bits(all[name]))).apart;
}

const bits = (one: Side | undefined) => one && { side: one };

/** As many positions as it takes to size a distance. */
const long = (shift: number, positions = 128) =>
  body({
    tokens: Array.from({ length: positions }, (_, at) => at + 1),
    logprobs: Array.from({ length: positions }, (_, at) => (at % 2 === 0 ? -1 : -1 + shift)),
    text: '',
  });

/** @param noise what rounding alone makes of it; undefined where nobody measured that */
function classOf(hardwareClass: string, shift: number, noise?: number, positions?: number): Side {
  const passes = {
    'score-alone': { text: long(shift, positions) },
    ...(noise === undefined ? {} : { 'score-noise': { text: long(shift + noise, positions) } }),
  };
  return side({ passes, texts: ['text'], change: (record) => ({ ...record, hardwareClass }) });
}

async function across(all: Readonly<Record<string, Side>>, baselines: Readonly<Record<string, Side>> = {}) {
  const cases = Object.entries(all).flatMap(([name, { record }]) => casesOf(record, name));
  const found = await groupsApart(
    explain(cases),
    (_, name) => all[name] && { side: all[name], baseline: baselines[name] },
    'within 2x floor',
  );
  assert.ok(found.across);
  return found.across;
}

describe('classes that may be so far apart', () => {
  test('hold within the larger of both floors, break beyond it, and say by how much', async () => {
    const h100 = classOf('gpu-h100', 0, 0.1);
    const near = await across({ h100, a100: classOf('gpu-a100', 0.15, 0.1) });
    assert.deepEqual([near.status, near.verdict], ['held', 'pass']);
    assert.equal(
      near.line,
      'Across classes, within 2x floor: held: gpu-a100 (A) against gpu-h100 (B): 1.5x the floor on 128 scored positions.',
    );
    const far = await across({ h100, a100: classOf('gpu-a100', 0.15, 0.1), l4: classOf('gpu-l4', 0.5, 0.1) });
    assert.deepEqual([far.status, far.verdict], ['broken', 'fail']);
    assert.match(far.line, /broken: gpu-a100 \(A\) against gpu-l4 \(C\): 3\.5x the floor/);
    assert.deepEqual(
      far.pairs.map(({ status }) => status),
      ['held', 'broken'],
    );
    // Rounding makes more of the coarser one.
    assert.equal((await across({ h100, l4: classOf('gpu-l4', 0.5, 0.3) })).status, 'held');
  });

  test('hold where all computed the same', async () => {
    const same = await across({ one: classOf('x', 0), two: classOf('y', 0) });
    assert.equal(same.line, 'Across classes, within 2x floor: held: all computed the same bits.');
  });

  test('are unmeasured, which is no leave to differ, where a floor, positions, tokens or another side lack', async () => {
    const one = classOf('x', 0, 0.1);
    const cases: readonly (readonly [Readonly<Record<string, Side>>, RegExp])[] = [
      [{ one: classOf('x', 0), two: classOf('y', 0.1) }, /neither tells what rounding alone makes/],
      [
        { one: classOf('x', 0, 0.1, 100), two: classOf('y', 0.1, 0.1, 100) },
        /100 scored positions are too few: 128/,
      ],
      [{ one, two: classOf('y', 0.1, 0.1, 130) }, /nothing was scored on the same tokens/],
      [{ one }, /there is one alone/],
      [{ one, two: classOf('y', Number.NaN) }, /two holds NaN/],
    ];
    for (const [sides, says] of cases) {
      const { status, verdict, line } = await across(sides);
      assert.deepEqual([status, verdict], ['unmeasured', 'fail'], line);
      assert.match(line, says);
    }
    assert.equal((await across({ one, two: classOf('y', Number.NEGATIVE_INFINITY) })).status, 'broken');
  });

  test('take the floor from the baseline that a check was held to', async () => {
    const [h100, a100] = [classOf('gpu-h100', 0), classOf('gpu-a100', 0.15)];
    const held = await across({ h100, a100 }, { a100: classOf('gpu-a100', 0.15, 0.1) });
    assert.deepEqual([held.status, held.pairs[0]?.floors?.toFixed(2)], ['held', '1.50']);
  });
});

describe('groups that computed other bits', () => {
  test('are told apart in multiples of what rounding alone makes of each', async () => {
    const [only, ...rest] = await apart({
      one: recordOf('gpu-h100', 0, 0.1),
      two: recordOf('gpu-h100', 0, 0.1),
      three: recordOf('gpu-a100', 0.2, 0.4),
    });
    assert.deepEqual(rest, []);
    assert.deepEqual(
      only?.sides.map(({ group, record, hardwareClass }) => [group, record, hardwareClass]),
      [
        ['A', 'one', 'gpu-h100'],
        ['B', 'three', 'gpu-a100'],
      ],
    );
    const ratios = only?.sides.map(({ floorNats }) => only.distance.rmsNats / (floorNats ?? 0));
    assert.deepEqual(
      ratios?.map((ratio) => Number(ratio.toFixed(4))),
      [2, 0.5],
    );
    assert.match(
      apartWords(only),
      /^suite: gpu-h100 \(A, one\) against gpu-a100 \(B, three\): 0\.\d+ nats, 2x the floor of A, 0\.5x the floor of B; no argmax change in 4 positions of the same tokens\.$/,
    );
  });

  test('have no multiple where rounding was not measured, and no distance on other tokens', async () => {
    const [only] = await apart({ one: recordOf('x', 0, undefined), two: recordOf('y', 0.2, 0.4) });
    assert.match(only === undefined ? '' : apartWords(only), /no floor of A is known, 0\.5x the floor of B/);
    // Of a group the one that knows.
    const [other] = await apart({
      ...{ one: recordOf('x', 0, undefined), base: recordOf('x', 0, 0.1) },
      two: recordOf('y', 0.2, 0.4),
    });
    assert.match(other === undefined ? '' : apartWords(other), /x \(A, base\).* 2x the floor of A/);
    assert.deepEqual(
      await apart({ one: recordOf('x', 0, 0.1), two: recordOf('y', 0.2, 0.1, [1, 9, 3, 4]) }),
      [],
    );
    assert.deepEqual(await apart({ one: recordOf('x', 0, 0.1), two: recordOf('y', 0, 0.1) }), []);
  });
});
