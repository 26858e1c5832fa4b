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
  return await groupsApart(explain(cases), (_, name) => all[name]);
}

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
