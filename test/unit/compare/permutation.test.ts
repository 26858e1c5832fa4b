import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { permutationTest, type Sampled, type Samples, ways } from '../../../src/compare/permutation.ts';

/** Numbers from 0 to 1, the same each time. */
function drawn(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Samples of three tokens whose nats are these, with noise. */
function samples(count: number, nats: readonly number[], noise: () => number, ids = [7, 8, 9]): Samples {
  const rows = Array.from({ length: count }, () => nats.map((one) => one + noise()));
  return {
    k: nats.length,
    ids: Uint32Array.from(rows.flatMap(() => ids.slice(0, nats.length))),
    nats: Float32Array.from(rows.flat()),
  };
}

const NATS = [-0.5, -1.5, -2.5];
const quiet = () => 0;

/** Two sides of several prompts. */
const sides = (prompts: number, noise: () => number, shift = 0, count = 8): Sampled[] =>
  Array.from({ length: prompts }, () => ({
    left: samples(count, NATS, noise),
    right: samples(
      count,
      NATS.map((one) => one + shift),
      noise,
    ),
  }));

describe('a permutation test', () => {
  test('of the very same samples has no doubt that they are one model’s', () => {
    const { p, nats } = permutationTest(sides(3, quiet), 1);
    assert.deepEqual([p, nats], [1, 0]);
  });

  test('sees the smallest difference of a server that repeats itself', () => {
    const { p, nats, byPrompt } = permutationTest(sides(3, quiet, 2 ** -10), 1);
    assert.equal(p, 0.0001);
    assert.ok(Math.abs(nats - 2 ** -10) < 1e-6, `${nats}`);
    assert.equal(byPrompt.length, 3);
  });

  test('sees through noise what is larger than it, and not what is far smaller', () => {
    const noise = drawn(3);
    const wobble = () => (noise() - 0.5) * 0.1;
    assert.equal(permutationTest(sides(8, wobble, 0.1), 1).p, 0.0001);
    assert.ok(permutationTest(sides(8, wobble, 0.0001), 1).p > 0.01);
  });

  test('tells how far samples lie from their own side’s mean, of the side where they lie further', () => {
    const noise = drawn(3);
    const wobble = () => (noise() - 0.5) * 0.1;
    assert.equal(permutationTest(sides(3, quiet, 1), 1).spread, 0);
    // The mean distance of even noise is a quarter of its width.
    const { spread } = permutationTest(sides(20, wobble, 1), 1);
    assert.ok(Math.abs(spread - 0.025) < 0.003, `${spread}`);
    const [one] = sides(1, quiet);
    const [other] = sides(1, wobble);
    assert.ok(one !== undefined && other !== undefined);
    assert.ok(permutationTest([{ left: one.left, right: other.right }], 1).spread > 0.01);
  });

  test('is wrong as rarely as it says: p of honest samples is spread evenly', () => {
    const noise = drawn(5);
    const wobble = () => (noise() - 0.5) * 0.1;
    const ps = Array.from({ length: 60 }, (_, run) => permutationTest(sides(2, wobble, 0, 4), run).p);
    const below = (limit: number) => ps.filter((p) => p <= limit).length;
    assert.ok(below(0.5) > 15 && below(0.5) < 45, `${below(0.5)} of 60 are at most 0.5`);
    assert.ok(below(0.05) <= 9, `${below(0.05)} of 60 are at most 0.05`);
  });

  test('gives the same for the same seed', () => {
    const noise = drawn(7);
    const all = sides(3, () => noise() * 0.1);
    assert.equal(permutationTest(all, 11).p, permutationTest(all, 11).p);
    assert.notEqual(permutationTest(all, 11).p, permutationTest(all, 12).p);
  });

  test('takes a token that one side has not among its best for no more likely than the last of them', () => {
    const left = samples(8, NATS, quiet);
    const right = samples(8, NATS, quiet, [7, 8, 10]);
    const { nats, p } = permutationTest(
      [
        { left, right },
        { left, right },
      ],
      1,
    );
    // The last of both is -2.5, whichever it is: nothing tells the two apart.
    assert.deepEqual([nats, p], [0, 1]);
  });

  test('compares as many best tokens as both sides have', () => {
    const { nats } = permutationTest(
      [{ left: samples(8, NATS, quiet), right: samples(8, NATS.slice(0, 2), quiet) }],
      1,
    );
    assert.equal(nats, 0);
  });

  test('of too few samples could not be below any small chance', () => {
    assert.equal(ways(sides(1, quiet, 0, 2)), 6);
    assert.equal(ways(sides(2, quiet, 0, 8)), 12_870 ** 2);
  });
});
