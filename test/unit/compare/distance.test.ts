import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Gauge } from '../../../src/compare/distance.ts';
import { type Bits, type Body, body, random } from '../support/records.ts';

function gauge(left: Bits | Body, right: Bits | Body): Gauge {
  const made = new Gauge();
  const bits = (one: Bits | Body) => ('k' in one ? one : body(one));
  made.add(bits(left), bits(right));
  return made;
}

const between = (left: Bits | Body, right: Bits | Body) => {
  const found = gauge(left, right).distance();
  assert.ok(found !== null);
  return found;
};

type Row = readonly (readonly [number, number])[];
/** Positions that list these rows, where the first of each is the known token. */
const rows = (...top: readonly Row[]): Bits => ({
  tokens: top.map((row) => row[0]?.[0] ?? 0),
  logprobs: top.map((row) => row[0]?.[1] ?? 0),
  top,
});
const A: Row = [
  [1, -0.5],
  [2, -2],
];

describe('the distance of two scores', () => {
  test('of equal bits is 0', () => {
    assert.deepEqual(between(rows(A), rows(A)), {
      positions: 1,
      rmsNats: 0,
      largestNats: 0,
      argmaxChanges: 0,
      crossEntropyNats: 0,
      normaliserOnly: false,
    });
    assert.equal(gauge(rows(A), rows(A)).differs, false);
  });

  test('is the rms over all places', () => {
    const B: Row = [
      [1, -0.5 - 3],
      [2, -2 - 4],
    ];
    const found = between(rows(A, A), rows(A, B));
    assert.equal(found.rmsNats, Math.sqrt((9 + 16) / 4));
    assert.equal(found.largestNats, 4);
    assert.equal(found.positions, 2);
    // Of the known token, over all positions: the right side finds it less likely.
    assert.equal(found.crossEntropyNats, 1.5);
    assert.equal(between(rows(A, B), rows(A, A)).crossEntropyNats, -1.5);
  });

  test('has a profile along the positions', () => {
    const B: Row = [
      [1, -0.5 - 3],
      [2, -2 - 4],
    ];
    const profile = new Gauge().add(body(rows(A, B, A)), body(rows(A, A, A)));
    assert.deepEqual(profile, [0, Number(Math.sqrt(25 / 2).toPrecision(4)), 0]);
    const long = (...at: readonly number[]) =>
      body(rows(...Array.from({ length: 640 }, (_, i) => (at.includes(i) ? B : A))));
    const coarse = new Gauge().add(long(), long(639));
    assert.equal(coarse.length, 64);
    assert.deepEqual(coarse.slice(62), [0, Number(Math.sqrt(25 / 20).toPrecision(4))]);
    assert.deepEqual(new Gauge().add(body(rows()), body(rows())), []);
  });

  test('pooled is that of one long sequence, and equal positions count', () => {
    const B: Row = [
      [1, -1],
      [2, -2.5],
    ];
    const pool = gauge(rows(A), rows(B));
    pool.merge(gauge(rows(B), rows(A)));
    pool.addEqual(2, 2);
    assert.deepEqual(pool.distance(), between(rows(A, B, A, A), rows(B, A, A, A)));
    assert.equal(new Gauge().distance(), null);
  });

  test('of an id that one side does not list is at least that to its last', () => {
    const left: Row = [
      [1, -0.5],
      [2, -1],
    ];
    const right: Row = [
      [1, -0.5],
      [3, -4],
    ];
    // 2 fell to -4 or below; what 3 was before may be anything up to -1.
    assert.deepEqual(
      [between(rows(left), rows(right)).largestNats, between(rows(left), rows(right)).rmsNats],
      [3, Math.sqrt(9 / 2)],
    );
    assert.equal(between(rows(right), rows(left)).rmsNats, Math.sqrt(9 / 2));
  });

  test('compares what both kept, where one kept more', () => {
    const long: Row = [...A, [3, -7]];
    assert.equal(between(rows(long), rows(A)).rmsNats, 0);
    const moved: Row = [
      [1, -0.5],
      [2, -2.5],
    ];
    assert.equal(between(rows(long), rows(moved)).rmsNats, Math.sqrt(0.25 / 2));
    assert.equal(between({ ...rows(A), top: [[]] }, { tokens: [1], logprobs: [-1], top: [[]] }).rmsNats, 0.5);
  });

  test('of an id that left the middle of a list is at least that to the other list’s last', () => {
    const left: Row = [
      [1, -0.5],
      [2, -1],
      [4, -3],
    ];
    const right: Row = [
      [1, -0.5],
      [4, -3],
      [3, -5],
    ];
    assert.deepEqual(
      [between(rows(left), rows(right)).largestNats, between(rows(left), rows(right)).rmsNats],
      [4, Math.sqrt(16 / 3)],
    );
  });

  test('looks up an id in its own row only', () => {
    const swapped: Row = [
      [2, -0.5],
      [1, -2],
    ];
    const B: Row = [
      [1, -7],
      [2, -8],
    ];
    const found = between(rows(A, A, A, B), rows(A, swapped, A, B));
    assert.deepEqual([found.largestNats, found.rmsNats], [1.5, Math.sqrt((2 * 1.5 ** 2) / 8)]);
    // 2 is gone from its row, and begins the next one.
    const gone: Row = [
      [1, -0.5],
      [3, -4],
    ];
    const next: Row = [
      [2, -0.25],
      [9, -6],
    ];
    assert.equal(between(rows(A, next), rows(gone, next)).largestNats, 2);
  });

  test('has the largest difference wherever it is, pooled as well', () => {
    const by = (nats: number): Row => A.map(([id, x]) => [id, x - nats]);
    assert.equal(between(rows(A, A), rows(by(3), by(1))).largestNats, 3);
    for (const [first, second] of [
      [1, 3],
      [3, 1],
    ] as const) {
      const pool = gauge(rows(A), rows(by(first)));
      pool.merge(gauge(rows(A), rows(by(second))));
      assert.equal(pool.distance()?.largestNats, 3);
    }
  });

  test('goes as far as both sides do', () => {
    const found = gauge(rows(A, A), rows(A));
    assert.deepEqual([found.positions, found.differs], [1, false]);
    assert.deepEqual([gauge(rows(A), rows(A, A)).positions, gauge(rows(A), rows(A, A)).differs], [1, false]);
  });

  describe('most probable tokens', () => {
    const changes = (left: Row, right: Row) => between(rows(left), rows(right)).argmaxChanges;
    const swapped: Row = [
      [2, -0.5],
      [1, -2],
    ];
    const tie: Row = [
      [1, -1],
      [2, -1],
    ];
    test('that are others count', () => assert.equal(changes(A, swapped), 1));
    test('that are others are added up', () => {
      const pool = gauge(rows(A), rows(swapped));
      pool.merge(gauge(rows(A), rows(swapped)));
      assert.equal(pool.distance()?.argmaxChanges, 2);
    });
    test('that tie are a set', () => {
      assert.equal(changes(A, tie), 0);
      assert.equal(changes(swapped, tie), 0);
      assert.equal(changes(tie, swapped), 0);
    });
    test('that are on one side only count', () => {
      assert.equal(
        changes(A, [
          [7, -0.25],
          [8, -3],
        ]),
        1,
      );
    });
  });

  describe('infinite log-probabilities', () => {
    const never = Number.NEGATIVE_INFINITY;
    const ruledOut: Row = [
      [1, -0.5],
      [2, never],
    ];
    const moved: Row = [
      [1, -0.75],
      [2, never],
    ];
    test('on both sides are no difference', () => {
      assert.equal(between(rows(ruledOut), rows(moved)).largestNats, 0.25);
    });
    test('on one side have no distance', () => {
      const found = gauge(rows(A), rows(ruledOut));
      assert.deepEqual([found.distance(), found.unbounded, found.differs], [null, 1, true]);
    });
    test('of the known token on both sides do not count', () => {
      const beyond = (row: Row): Bits => ({ tokens: [9], logprobs: [never], top: [row] });
      const found = between(beyond(A), beyond([A[0] ?? [1, -0.5], [2, -2.5]]));
      assert.deepEqual([found.crossEntropyNats, found.largestNats], [0, 0.5]);
    });
    test('tell nothing of the normaliser', () => {
      assert.equal(between(rows(ruledOut), rows(moved)).normaliserOnly, false);
    });
    test('that are NaN in a list and not in the other have no distance', () => {
      const nan: Row = [
        [1, -0.5],
        [3, Number.NaN],
      ];
      const found = gauge(rows(A), rows(nan));
      assert.deepEqual([found.distance(), found.unbounded > 0], [null, true]);
    });
    test('neither has NaN', () => {
      assert.equal(
        gauge(
          rows(A),
          rows([
            [1, -0.5],
            [2, Number.NaN],
          ]),
        ).distance(),
        null,
      );
      assert.equal(gauge(rows(A), { ...rows(A), logprobs: [Number.NaN] }).distance(), null);
    });
    test('beyond the end of the other list count as well', () => {
      const other: Row = [
        [1, -0.5],
        [3, never],
      ];
      assert.equal(gauge(rows(A), rows(other)).unbounded, 1);
    });
  });
});

/** Synthetic models: logits, and log-softmax in float32 as engines do it. */
describe('only the normaliser changed', () => {
  const f = Math.fround;
  const next = random(7);
  const normal = () => {
    const [u, v] = [(next(1e6) + 1) / 1_000_001, next(1e6) / 1e6];
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
  };
  const VOCABULARY = 400;
  const bfloat16 = (x: number) => {
    const step = 2 ** (Math.floor(Math.log2(Math.max(Math.abs(x), 2 ** -20))) - 7);
    return Math.round(x / step) * step;
  };
  const logits = (round: (x: number) => number, positions = 60) =>
    Array.from({ length: positions }, () =>
      Array.from({ length: VOCABULARY }, () => round(normal() * 4 + 2)),
    );
  /** (x - max) - log(sum), with an error in the sum as another order of summation makes it. */
  const softmax = (row: readonly number[], error: number) => {
    const max = Math.max(...row);
    const sum = row.reduce((total, x) => total + Math.exp(x - max), 0);
    const log = f(Math.log(sum) + error);
    return row.map((x) => f(f(x - max) - log));
  };
  const scored = (all: readonly (readonly number[])[], error: () => number): Body =>
    body(
      rows(
        ...all.map((row) =>
          softmax(row, error())
            .map((nats, id) => [id, nats] as const)
            .sort((a, b) => b[1] - a[1] || a[0] - b[0])
            .slice(0, 5),
        ),
      ),
    );
  const exactly = () => 0;
  /** As measured between avx512 and avx2: 6e-6 nats. */
  const elsewhere = () => 6e-6 * normal();

  for (const [dtype, round] of [
    ['bfloat16', bfloat16],
    ['float32', f],
  ] as const)
    test(`${dtype}: another log-softmax of the same logits`, () => {
      const model = logits(round);
      const found = between(scored(model, exactly), scored(model, elsewhere));
      assert.ok(found.rmsNats > 3e-6 && found.rmsNats < 1e-5, String(found.rmsNats));
      assert.equal(found.normaliserOnly, true);
      assert.equal(found.argmaxChanges, 0);
    });

  test('float32: another order of summing the logits is told from it, though no larger', () => {
    const model = logits(f);
    const other = model.map((row) => row.map((x) => f(x + 1e-5 * normal())));
    const found = between(scored(model, exactly), scored(other, exactly));
    assert.ok(found.rmsNats > 5e-6 && found.rmsNats < 2e-5, String(found.rmsNats));
    assert.equal(found.normaliserOnly, false);
  });

  test('bfloat16: a single logit that moved by one step of its grid is not it', () => {
    const model = logits(bfloat16);
    const other = model.map((row, i) => {
      if (i > 0) return row;
      const best = row.indexOf(Math.max(...row));
      return row.map((x, id) => (id === best ? x + 2 ** -7 : x));
    });
    assert.equal(between(scored(model, exactly), scored(other, elsewhere)).normaliserOnly, false);
  });

  test('a shift by any amount is it, also where the lists end in a tie', () => {
    const shift = (top: Row, nats: number): Row => top.map(([id, x]) => [id, x - nats]);
    const left: Row = [
      [1, -0.5],
      [2, -4],
    ];
    const tied: Row = [
      [1, -0.5],
      [9, -4],
    ];
    assert.equal(between(rows(left), rows(shift(left, 0.25))).normaliserOnly, true);
    assert.equal(between(rows(left), rows(shift(tied, 0.25))).normaliserOnly, false);
    const three: Row = [...left, [3, -4]];
    const others: Row = [...left, [9, -4]];
    assert.equal(between(rows(three), rows(shift(others, 0.25))).normaliserOnly, true);
    assert.equal(
      between(rows(three), rows([[7, -0.75], ...shift(left, 0.25).slice(0, 2)])).normaliserOnly,
      false,
    );
  });

  test('a gap that moves by more than rounding is another logit, in whatever list or beyond it', () => {
    const left: Row = [
      [1, -0.5],
      [2, -1],
    ];
    const gap = (nats: number): Row => [
      [1, -0.75],
      [2, -1.25 - nats],
    ];
    assert.equal(between(rows(left), rows(gap(2 ** -22))).normaliserOnly, true);
    assert.equal(between(rows(left), rows(gap(2 ** -20))).normaliserOnly, false);
    const swap: Row = [
      [1, -0.75],
      [9, -1.25],
    ];
    const beyond = (row: Row, nats: number): Bits => ({ tokens: [7], logprobs: [nats], top: [row] });
    assert.equal(between(beyond(left, -6), beyond(gap(0), -6.25)).normaliserOnly, true);
    assert.equal(between(beyond(left, -6), beyond(gap(0), -6.5)).normaliserOnly, false);
    assert.equal(between(beyond(left, -6), beyond(swap, -6.25)).normaliserOnly, true);
    assert.equal(between(beyond(left, -6), beyond(swap, -6.5)).normaliserOnly, false);
    const pool = gauge(rows(left), rows(gap(1)));
    pool.merge(gauge(rows(left), rows(gap(0))));
    assert.equal(pool.distance()?.normaliserOnly, false);
  });

  const shifted = (row: Row, nats = 0.25): Row => row.map(([id, x]) => [id, x - nats]);
  const TIE: Row = [
    [1, -0.5],
    [2, -0.5],
  ];

  test('a tie that comes apart is another logit, on whichever side', () => {
    const apart: Row = [
      [1, -0.5],
      [2, -1],
    ];
    const told = (left: Row, right: Row) =>
      between(rows(A, left), rows(shifted(A), shifted(right))).normaliserOnly;
    assert.deepEqual([told(TIE, TIE), told(TIE, apart), told(apart, TIE)], [true, false, false]);
  });

  test('a best token that only tied may be pushed out by a shift', () => {
    const other: Row = [
      [3, -0.5],
      [2, -0.5],
    ];
    assert.equal(between(rows(A, TIE), rows(shifted(A), shifted(other))).normaliserOnly, true);
    // Nothing but ties has no gap that could tell, and the equal row beside it is not looked at.
    const others: Row = [
      [3, -0.5],
      [4, -0.5],
    ];
    assert.equal(between(rows(A, TIE), rows(A, others)).normaliserOnly, false);
  });

  test('a gap may move by three steps of float32 at the larger magnitude, and no more', () => {
    const gap = (best: number, other: number): Row => [
      [1, best],
      [2, other],
    ];
    const ulp = 2 ** -24;
    const told = (right: Row) => between(rows(gap(-0.5, -1)), rows(right)).normaliserOnly;
    assert.equal(told(gap(-0.5, -1 + 6 * ulp)), true);
    assert.equal(told(gap(-0.5, -1 + 7 * ulp)), false);
    assert.equal(told(gap(-1.5, -2 - 8 * ulp)), true);
  });

  test('nobody can say with a single token listed', () => {
    const left = body(rows([[1, -0.5]]));
    const right = body(rows([[1, -0.75]]));
    assert.equal(between(left, right).normaliserOnly, false);
  });
});
