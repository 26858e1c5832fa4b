import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Outcome, type Search, setName, smallest } from '../../../src/changes/smallest.ts';

type Moves = (made: readonly number[]) => Outcome;

/** What came of it, and what was run for it. */
async function looked(
  count: number,
  moves: Moves,
  { budget = 100, known = new Map<string, Outcome>() } = {},
): Promise<{ readonly search: Search; readonly runs: readonly string[] }> {
  const runs: string[] = [];
  const search = await smallest(
    count,
    budget,
    async (made) => {
      runs.push(setName(made));
      return moves(made);
    },
    known,
  );
  assert.equal(new Set(runs).size, runs.length, 'nothing is run twice');
  return { search, runs };
}

const by =
  (...cause: readonly number[]): Moves =>
  (made) =>
    cause.every((one) => made.includes(one)) ? 'moved' : 'same';

const found = (...changes: readonly number[]): Search => ({ kind: 'found', changes });

/** Each set of so many of the first `count`. */
function* sets(count: number, size: number, from = 0): Generator<readonly number[]> {
  if (size === 0) yield [];
  else
    for (let one = from; one < count; one++)
      for (const rest of sets(count, size - 1, one + 1)) yield [one, ...rest];
}

describe('the smallest set that moves it', () => {
  test('of five: one in at most 6 runs, two that do it only together in at most 8, all told', async () => {
    for (const [size, most] of [
      [1, 6],
      [2, 8],
    ] as const) {
      const needed: number[] = [];
      for (const cause of sets(5, size)) {
        const { search, runs } = await looked(5, by(...cause));
        assert.deepEqual(search, found(...cause));
        needed.push(runs.length);
      }
      assert.equal(Math.max(...needed), most);
    }
  });

  test('of up to seven, whatever set it is: what is told ran just so, and not without any one', async () => {
    for (let count = 1; count <= 7; count++)
      for (let size = 1; size <= count; size++)
        for (const cause of sets(count, size)) {
          const { search, runs } = await looked(count, by(...cause));
          assert.deepEqual(search, found(...cause));
          assert.ok(runs.includes(cause.join('+')));
        }
  });

  test('begins with all and none, and looks at the likeliest before the others', async () => {
    assert.deepEqual((await looked(5, by(0))).runs, ['0+1+2+3+4', '', '0+1+2', '0+1', '0']);
  });

  test('of two causes that each do it, tells the likelier one', async () => {
    const { search } = await looked(5, (made) => (made.includes(3) || made.includes(1) ? 'moved' : 'same'));
    assert.deepEqual(search, found(1));
  });

  test('whatever changes do to each other, tells only what ran so', async () => {
    // Each set moves it or not as a bit of a number says: every other number is as good.
    for (let number = 1; number < 2000; number++) {
      const bits = (BigInt(number) * 0x9e3779b97f4a7c15n) ^ (BigInt(number) << 9n);
      const moves: Moves = (made) => {
        const place = made.reduce((sum, one) => sum + 2 ** one, 0);
        if (place === 0 || place === 31) return place === 0 ? 'same' : 'moved';
        return (bits >> BigInt(place)) & 1n ? 'moved' : 'same';
      };
      const { search, runs } = await looked(5, moves);
      assert.equal(search.kind, 'found');
      if (search.kind !== 'found') return;
      assert.ok(runs.includes(setName(search.changes)) || search.changes.length === 5);
      assert.equal(moves(search.changes), 'moved');
      const made = runs.map((name) => (name === '' ? [] : name.split('+').map(Number)));
      for (const one of search.changes) {
        const without = made.filter((run) => !run.includes(one));
        const others = search.changes.filter((other) => other !== one);
        assert.ok(without.every((run) => moves(run) === 'same'));
        assert.ok(without.some((run) => others.every((other) => run.includes(other))));
      }
    }
  });
});

describe('what is no change’s doing', () => {
  test('moves without any of them: known in two runs', async () => {
    assert.deepEqual(await looked(5, () => 'moved'), {
      search: { kind: 'elsewhere' },
      runs: ['0+1+2+3+4', ''],
    });
  });

  test('does not move at all: known in one', async () => {
    assert.deepEqual(await looked(5, () => 'same'), { search: { kind: 'steady' }, runs: ['0+1+2+3+4'] });
  });

  test('of no change at all, what is known says it', async () => {
    const known = new Map([['', 'moved' as const]]);
    assert.deepEqual(await looked(0, () => 'same', { known }), { search: { kind: 'elsewhere' }, runs: [] });
  });

  test('all of them cannot be told', async () => {
    assert.deepEqual((await looked(3, () => 'unresolved')).search, { kind: 'unresolved' });
  });
});

describe('what is known already', () => {
  test('is not run', async () => {
    const known = new Map([[setName([4, 3, 2, 1, 0]), 'moved' as const]]);
    const { search, runs } = await looked(5, by(4), { known });
    assert.deepEqual([search, runs[0], runs.length], [found(4), '', 4]);
  });
});

describe('a budget', () => {
  test('that is spent leaves what was seen until then', async () => {
    for (const [budget, changes] of [
      [2, [0, 1, 2, 3, 4]],
      [3, [0, 1, 2]],
      [4, [0, 1, 2]],
    ] as const) {
      const { search, runs } = await looked(5, by(2), { budget });
      assert.equal(runs.length, budget);
      assert.deepEqual(
        [search.kind, 'changes' in search && search.changes, 'limit' in search && search.limit],
        ['within', changes, 'budget'],
      );
    }
  });

  test('tells of the cause what was seen to be needed', async () => {
    // 3 is known to be needed when the beginnings up to it have run.
    const { search } = await looked(5, by(0, 3), { budget: 4 });
    assert.deepEqual(search, { kind: 'within', changes: [0, 1, 2, 3], needed: [3], limit: 'budget' });
  });

  test('just large enough changes nothing', async () => {
    for (const cause of sets(5, 2)) {
      const { search, runs } = await looked(5, by(...cause), { budget: 8 });
      assert.deepEqual(search, found(...cause));
      assert.ok(runs.length <= 8);
    }
  });

  test('of nothing tells nothing', async () => {
    assert.deepEqual(await looked(5, by(1), { budget: 0 }), { search: { kind: 'unresolved' }, runs: [] });
  });
});

describe('sets that cannot be told', () => {
  test('are gone around where others tell', async () => {
    const moves: Moves = (made) => (setName(made) === '0+1+2' ? 'unresolved' : by(3)(made));
    assert.deepEqual((await looked(5, moves)).search, found(3));
  });

  test('where nothing between starts, say in which it is and that it is not known nearer', async () => {
    // 1, 2 and 3 only start together.
    const together = (made: readonly number[]) => [1, 2, 3].filter((one) => made.includes(one)).length % 3;
    const moves: Moves = (made) => (together(made) !== 0 ? 'unresolved' : by(2)(made));
    const { search } = await looked(5, moves);
    assert.deepEqual(search, { kind: 'within', changes: [1, 2, 3], needed: [], limit: 'unresolved' });
  });

  test('of which the one without any change is one: a single cause is found all the same', async () => {
    const moves: Moves = (made) => (made.length === 0 ? 'unresolved' : by(1)(made));
    assert.deepEqual((await looked(4, moves)).search, found(1), 'others without it were the same');
  });

  test('and nothing else but all: it is in all of them', async () => {
    const { search } = await looked(3, (made) => (made.length === 3 ? 'moved' : 'unresolved'));
    assert.deepEqual(search, { kind: 'within', changes: [0, 1, 2], needed: [], limit: 'unresolved' });
  });
});
