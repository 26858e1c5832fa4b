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

/** Of each lifetime, what it gave: `known` or the index of a new outcome. */
async function outcomes(before: readonly Given[string][], now: readonly Given[string][]) {
  const [left, right] = [all(...before), all(...now)];
  const item: Item = { key: 'kind/a', before: left.seen, now: right.seen };
  const lifetimes = [...right.seen.map(({ lifetime }) => lifetime), 'elsewhere'];
  const found = await census(lifetimes, [item], right.made, left.made, 'identical');
  return found.lifetimes.map(({ outcomes: of }) => of.get('kind/a'));
}

describe('outcomes of lifetimes', () => {
  const mlp = (value: string) => modules({ mlp: value });

  test('of traces are told apart by what the modules computed', async () => {
    assert.deepEqual(await outcomes([mlp('x'), mlp('y')], [mlp('y'), mlp('z'), mlp('z')]), [
      { index: 1, known: true },
      { index: 2, known: false },
      { index: 2, known: false },
    ]);
  });

  test('of traces of other tokens are others', async () => {
    const { made, seen } = all(mlp('x'));
    const [one] = seen;
    assert.ok(one);
    const other = withChannel(one, 'prompt-tokens', { sha256: 'f'.repeat(64) });
    const item: Item = { key: 'a', before: [one], now: [other] };
    const found = await census(['0'], [item], made, made, 'identical');
    assert.equal(found.lifetimes[0]?.outcomes.get('a')?.known, false);
  });

  test('of a trace and of anything else are never the same', async () => {
    const known = async (before: Given[string], now: Given[string]) =>
      (await outcomes([before], [now]))[0]?.known;
    assert.deepEqual([await known(mlp('x'), body()), await known(body(), mlp('x'))], [false, false]);
  });

  test('are those of lifetimes that gave any', async () =>
    assert.equal((await outcomes([body()], [body()])).length, 1));
});

describe('what lifetimes decide', () => {
  type Given = Readonly<Record<string, readonly [index: number, known: boolean]>>;
  const decided = (...lifetimes: readonly Given[]) => {
    const { of, known, distinct, falseAlarm } = decide(
      {
        lifetimes: lifetimes.map((given, i) => ({
          lifetime: `${i}`,
          outcomes: new Map(Object.entries(given).map(([key, [index, is]]) => [key, { index, known: is }])),
        })),
      },
      3,
    );
    return [of, known, distinct, falseAlarm !== null];
  };

  test('is what all of them measured', () => {
    const [a, b] = [
      [3, false],
      [0, true],
    ] as const;
    assert.deepEqual(decided({ a, b }, { a }), [2, 0, 1, true]);
    assert.deepEqual(decided({ a }, { a, b }), [2, 0, 1, true]);
  });

  test('has no chance of a false alarm where nothing is unknown', () => {
    const known = [0, true] as const;
    assert.deepEqual(decided({ a: known }, { a: known }, { a: known }), [3, 3, 1, false]);
  });

  test('is nothing where each doubts what the other did not measure', () => {
    assert.deepEqual(decided({ a: [3, false] }, { b: [3, false] }), [0, 0, 0, false]);
  });
});
