import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { census, decide, type Item } from '../../../src/compare/decision.ts';
import { body, type Given, modules, side, withChannel } from '../support/records.ts';

/** One observation or trace of each of these, in lifetimes of their own. */
function all(...given: readonly Given[string][]) {
  const name = (one: Given[string]) => (Array.isArray(one) ? 'trace-alone' : 'generate-alone');
  const made = side({
    lifetimes: Object.fromEntries(given.map((one, i) => [`${i}`, { [name(one)]: { a: one } }])),
  });
  const { observations } = made.record;
  const seen = given.map((_, i) => observations.find((one) => one.lifetime === `${i}`));
  return { made, seen: seen.filter((one) => one !== undefined) };
}

/** Of each lifetime, the number of what it gave. */
async function outcomes(before: readonly Given[string][], now: readonly Given[string][]) {
  const [left, right] = [all(...before), all(...now)];
  const item: Item = { before: left.seen, now: right.seen };
  const lifetimes = [...right.seen.map(({ lifetime }) => lifetime), 'elsewhere'];
  const found = await census(lifetimes, [item], right.made, left.made, 'identical');
  return found.lifetimes.map(({ outcomes: [of] }) => of);
}

describe('outcomes of lifetimes', () => {
  const mlp = (value: string) => modules({ mlp: value });

  test('of traces are told apart by what the modules computed', async () => {
    const now = [mlp('y'), mlp('z'), mlp('z'), mlp('a')];
    assert.deepEqual(await outcomes([mlp('x'), mlp('y')], now), [1, -1, -1, -2]);
  });

  test('of traces of other tokens are others', async () => {
    const { made, seen } = all(mlp('x'));
    const [one] = seen;
    assert.ok(one);
    const other = withChannel(one, 'prompt-tokens', { sha256: 'f'.repeat(64) });
    const item: Item = { before: [one], now: [other] };
    const found = await census(['0'], [item], made, made, 'identical');
    assert.deepEqual(found.lifetimes[0]?.outcomes, [-1]);
  });

  test('of a trace and of anything else are never the same', async () => {
    assert.deepEqual(await outcomes([mlp('x')], [body()]), [-1]);
    assert.deepEqual(await outcomes([body()], [mlp('x')]), [-1]);
  });

  test('are those of lifetimes that gave any', async () =>
    assert.equal((await outcomes([body()], [body()])).length, 1));
});

describe('what lifetimes decide', () => {
  const decided = (...lifetimes: readonly (readonly (number | undefined)[])[]) => {
    const named = lifetimes.map((outcomes, at) => ({ lifetime: `${at}`, outcomes }));
    const { of, known, distinct, falseAlarm } = decide({ lifetimes: named }, 3);
    return [of, known, distinct, falseAlarm !== null];
  };

  test('is what all of them measured', () => {
    assert.deepEqual(decided([-1, 0], [-1, undefined]), [2, 0, 1, true]);
    assert.deepEqual(decided([-1, undefined], [-1, 0]), [2, 0, 1, true]);
  });

  test('is several outcomes where something differs that all of them measured', () => {
    assert.deepEqual(decided([-1, 0], [-1, 1]), [2, 0, 2, false]);
    assert.deepEqual(decided([-1], [-2], [0]), [3, 1, 3, false]);
    assert.deepEqual(decided([-1], [0], [-1]), [3, 1, 2, false]);
  });

  test('has no chance of a false alarm where nothing is unknown', () => {
    assert.deepEqual(decided([0], [0], [0]), [3, 3, 1, false]);
  });

  test('is nothing where each doubts what the other did not measure', () => {
    assert.deepEqual(decided([-1, undefined], [undefined, -1]), [0, 0, 0, false]);
  });
});
