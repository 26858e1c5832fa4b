import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { forkAt, type Names, partingAt, passageAt, walk } from '../../../src/compare/divergence.ts';
import { type Bits, body } from '../support/records.ts';

const BASE = {
  tokens: [5, 6, 7],
  logprobs: [-0.5, -1, -0.25],
  top: [
    [
      [5, -0.5],
      [9, -2],
    ],
    [
      [6, -1],
      [8, -1.5],
    ],
    [
      [7, -0.25],
      [1, -3],
    ],
  ],
} as const satisfies Bits;

const NAMES: Names = { texts: new Map([[6, ' six']]), dtype: 'bfloat16' };
const NOWHERE = {
  logprobStep: null,
  logprobSteps: 0,
  tokenStep: null,
  steps: 3,
  largestNats: 0,
  ties: 0,
  unbounded: 0,
  chosenOtherwise: false,
  strip: '===',
};

const between = (left: Bits, right: Bits) => walk(body(left), body(right));

/** Both sides of the step where the tokens part. */
function fork(left: Bits, right: Bits, names: readonly [Names, Names] = [NAMES, NAMES]) {
  const { tokenStep } = between(left, right);
  assert.ok(tokenStep !== null);
  return forkAt(body(left), body(right), tokenStep, names);
}

describe('divergence', () => {
  test('of equal bits is nowhere', () => {
    assert.deepEqual(between(BASE, BASE), NOWHERE);
  });

  test('of bits alone: the first step, and the largest difference of all', () => {
    const right = { ...BASE, logprobs: [-0.5, -1.125, -0.75] };
    assert.deepEqual(between(BASE, right), {
      ...NOWHERE,
      logprobStep: 1,
      logprobSteps: 2,
      largestNats: 0.5,
      strip: '=~~',
    });
  });

  test('has the largest difference wherever it is, and none of what is NaN or infinite on both sides', () => {
    const right = { ...BASE, logprobs: [-1.5, -1.25, -0.25] };
    assert.equal(between(BASE, right).largestNats, 1);
    for (const value of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      const both = { ...BASE, logprobs: [value, -1, -0.25] };
      assert.deepEqual(between(both, both), NOWHERE);
    }
  });

  test('of tokens comes before where one side ended', () => {
    const longer = { tokens: [5, 8, 7, 1], logprobs: [-0.5, -1, -0.25, -1] };
    assert.equal(between(BASE, longer).tokenStep, 1);
  });

  test('a margin looks at its own step only', () => {
    const left: Bits = { tokens: [5, 6], logprobs: [-1, -1], top: [[[5, -1]], [[8, -1]]] };
    const { marginNats } = fork(left, { ...left, tokens: [8, 6] }).left;
    assert.equal(marginNats, null);
  });

  test('in the top k alone', () => {
    const right = {
      ...BASE,
      top: [
        BASE.top[0],
        [
          [6, -1],
          [8, -1.25],
        ],
        BASE.top[2],
      ] as const,
    };
    assert.deepEqual(between(BASE, right), { ...NOWHERE, logprobStep: 1, logprobSteps: 1, strip: '=~=' });
    const ids = {
      ...BASE,
      top: [
        BASE.top[0],
        BASE.top[1],
        [
          [7, -0.25],
          [2, -3.5],
        ],
      ] as const,
    };
    assert.equal(between(BASE, ids).logprobStep, 2);
  });

  test('another k is none: only the chosen tokens are compared', () => {
    const right = { ...BASE, top: BASE.top.map(([best]) => [best]) };
    assert.equal(between(BASE, right).logprobStep, null);
    assert.equal(between(BASE, { ...right, logprobs: [-0.5, -1, -0.5] }).logprobStep, 2);
  });

  test('of tokens: how far each side preferred its own, and nothing after it counts', () => {
    const right = {
      tokens: [5, 8, 100],
      logprobs: [-0.5, -1.25, -50],
      top: [
        [
          [5, -0.5],
          [9, -2],
        ],
        [
          [8, -1.25],
          [6, -1.375],
        ],
        [
          [100, -50],
          [101, -60],
        ],
      ],
    } as const;
    assert.deepEqual(between(BASE, right), { ...NOWHERE, logprobStep: 1, tokenStep: 1, strip: '=x.' });
    assert.deepEqual(fork(BASE, right), {
      left: {
        token: 6,
        text: ' six',
        marginNats: 0.5,
        marginSteps: 32,
        tie: 'none',
        top: [
          { id: 6, text: ' six', nats: -1 },
          { id: 8, text: null, nats: -1.5 },
        ],
      },
      right: {
        token: 8,
        text: null,
        marginNats: 0.125,
        marginSteps: 8,
        tie: 'none',
        top: [
          { id: 8, text: null, nats: -1.25 },
          { id: 6, text: ' six', nats: -1.375 },
        ],
      },
    });
  });

  const at = (nats: number, other: number): Bits => ({
    tokens: [6],
    logprobs: [nats],
    top: [
      [
        [6, nats],
        [8, other],
      ],
    ],
  });
  const margins: readonly (readonly [string, Bits, object])[] = [
    ['of 0 is an exact tie', at(-1, -1), { marginNats: 0, marginSteps: 0, tie: 'exact' }],
    ['of 4 bfloat16 steps is near', at(-1, -1.0625), { marginNats: 0.0625, marginSteps: 4, tie: 'near' }],
    ['beyond that is none', at(-1, -1.078125), { marginNats: 0.078125, marginSteps: 5, tie: 'none' }],
    [
      'may be negative where it was sampled',
      at(-1.5, -1),
      { marginNats: -0.5, marginSteps: -32, tie: 'none' },
    ],
    [
      'to what sampling rules out is infinite, and no tie',
      at(-1, Number.NEGATIVE_INFINITY),
      { marginNats: null, marginSteps: null, tie: 'none' },
    ],
    ['that is NaN is unknown', at(-1, Number.NaN), { marginNats: null, marginSteps: null, tie: 'unknown' }],
  ];
  for (const [name, left, expected] of margins)
    test(`a margin ${name}`, () => {
      const found = fork(left, { ...left, tokens: [8] }).left;
      const { marginNats, marginSteps, tie } = found;
      assert.deepEqual({ marginNats, marginSteps, tie }, expected);
      assert.ok(found.top.every(({ nats }) => Number.isFinite(nats)));
    });

  test('a margin is told in steps of the side’s own dtype', () => {
    const steps = (dtype: string | null) => {
      const left = at(-1, -1.5);
      return fork(left, { ...left, tokens: [8] }, [{ ...NAMES, dtype }, NAMES]).left.marginSteps;
    };
    assert.deepEqual(['bfloat16', 'float16', 'float32', 'toString', null].map(steps), [
      32,
      256,
      2 ** 21,
      null,
      null,
    ]);
  });

  test('from the very same top k another choice is told from rounding', () => {
    const { top } = BASE;
    assert.equal(between(BASE, { ...BASE, tokens: [5, 8, 7] }).chosenOtherwise, true);
    const moved = [top[0], [top[1][0], [8, -1.25]], top[2]] as Bits['top'];
    assert.equal(
      between(BASE, { ...BASE, tokens: [5, 8, 7], ...(moved && { top: moved }) }).chosenOtherwise,
      false,
    );
    assert.equal(between({ tokens: [1], top: [[]] }, { tokens: [2], top: [[]] }).chosenOtherwise, false);
  });

  test('of tokens beyond the other side’s top k has no margin', () => {
    const { left, right } = fork(BASE, { ...BASE, tokens: [5, 999, 7] });
    assert.deepEqual([left.marginNats, left.marginSteps, left.tie], [null, null, 'unknown']);
    assert.equal(right.marginNats, 0);
  });

  test('bits may part before the tokens do', () => {
    const right = { ...BASE, logprobs: [-0.625, -1, -0.25], tokens: [5, 6, 8] };
    const found = between(BASE, right);
    assert.deepEqual([found.logprobStep, found.tokenStep, found.largestNats], [0, 2, 0.125]);
  });

  test('where one side goes on: the step after the other’s last', () => {
    const short = { tokens: [5, 6], logprobs: [-0.5, -1], top: BASE.top.slice(0, 2) };
    assert.deepEqual(between(short, BASE), { ...NOWHERE, tokenStep: 2, steps: 2, strip: '==x' });
    const { left, right } = fork(short, BASE);
    assert.deepEqual(left, {
      token: null,
      text: null,
      marginNats: null,
      marginSteps: null,
      tie: 'unknown',
      top: [],
    });
    assert.deepEqual([right.token, right.marginNats, right.top.length], [7, null, 2]);
    assert.equal(fork(BASE, short).left.token, 7);
  });

  test('with nothing on one side', () => {
    const none = { tokens: [], logprobs: [], top: [] };
    const found = between(none, BASE);
    assert.deepEqual([found.tokenStep, found.steps, fork(none, BASE).right.token], [0, 0, 5]);
  });

  test('ids beyond any vocabulary and beyond the top k crash nothing', () => {
    const far = { ...BASE, tokens: [5, 4_294_967_295, 7] };
    assert.equal(fork(BASE, far).right.token, 4_294_967_295);
  });

  test('sees the sign of zero and tells NaN from NaN, as bits do', () => {
    const zero = { tokens: [5], logprobs: [0], top: [[[5, 0]]] } as const;
    assert.equal(between(zero, { ...zero, logprobs: [-0] }).logprobStep, 0);
    const nan = { ...zero, logprobs: [Number.NaN] };
    assert.equal(between(nan, nan).logprobStep, null);
    const other = body(nan);
    new Uint32Array(other.logprobs.buffer)[0] = 0xffff0000;
    assert.equal(walk(body(nan), other).logprobStep, 0);
    assert.equal(between(zero, nan).unbounded, 1);
    assert.equal(between(zero, nan).largestNats, 0);
  });
});

describe('tokens that tie at the k-th place', () => {
  const row = (...entries: readonly (readonly [number, number])[]): Bits => ({
    tokens: [1],
    logprobs: [-0.5],
    top: [[[1, -0.5], ...entries]],
  });
  const same: readonly (readonly [string, Bits, Bits])[] = [
    ['another one is listed last', row([2, -2], [3, -3]), row([2, -2], [9, -3])],
    ['two others are listed last', row([2, -3], [3, -3]), row([7, -3], [9, -3])],
    ['one of two is another', row([2, -3], [3, -3]), row([2, -3], [9, -3])],
  ];
  for (const [name, left, right] of same)
    test(`compare as sets: ${name}`, () => {
      const found = between(left, right);
      assert.deepEqual([found.logprobStep, found.logprobSteps, found.ties], [null, 0, 1]);
    });

  const other: readonly (readonly [string, Bits, Bits])[] = [
    ['the last one’s value is another', row([2, -2], [3, -3]), row([2, -2], [9, -3.5])],
    ['the one before is another', row([2, -2], [3, -3]), row([9, -2], [3, -3])],
    ['they swapped places', row([2, -2], [3, -3]), row([3, -2], [2, -3])],
    ['a tie came apart', row([2, -3], [3, -3]), row([9, -3], [3, -4])],
    ['a tie came to be', row([2, -2], [3, -3]), row([2, -3], [3, -3])],
  ];
  for (const [name, left, right] of other)
    test(`are other bits where ${name}`, () => {
      for (const found of [between(left, right), between(right, left)])
        assert.deepEqual([found.logprobStep, found.ties], [0, 0]);
    });
});

describe('the strip along the steps', () => {
  const long = (
    steps: number,
    other: Readonly<Record<number, number>> = {},
    tokens = new Map<number, number>(),
  ) => ({
    tokens: Array.from({ length: steps }, (_, step) => tokens.get(step) ?? 5),
    logprobs: Array.from({ length: steps }, (_, step) => other[step] ?? -1),
    top: [],
  });

  test('has a cell for each step of a short text', () => {
    assert.equal(between(long(5), long(5, { 1: -2 })).strip, '=~===');
    assert.equal(between(long(5), long(5, { 1: -2 }, new Map([[3, 9]]))).strip, '=~=x.');
    assert.equal(between(long(0), long(0)).strip, '');
  });

  test('tells of a long one the worst of each cell, and all cells are as long', () => {
    const { strip } = between(long(128), long(128, { 7: -2, 127: -2 }));
    assert.equal(strip, `===~${'='.repeat(59)}~`);
    assert.equal(
      between(long(1000), long(1000, {}, new Map([[500, 9]]))).strip,
      `${'='.repeat(32)}x${'.'.repeat(31)}`,
    );
  });

  test('shows where one side goes on', () => {
    assert.equal(between(long(64), long(200)).strip, `${'='.repeat(63)}x`);
    assert.equal(between(long(0), long(3)).strip, 'x');
  });
});

describe('where the bits part', () => {
  const names: Names = { texts: new Map([[8, ' eight']]), dtype: null };
  test('both distributions stand beside one another', () => {
    const right = { ...BASE, logprobs: [-0.5, -1.25, -0.25] };
    assert.deepEqual(partingAt(body(BASE), body(right), 1, [NAMES, names]), {
      token: { id: 6, text: ' six' },
      left: {
        nats: -1,
        top: [
          { id: 6, text: ' six', nats: -1 },
          { id: 8, text: null, nats: -1.5 },
        ],
      },
      right: {
        nats: -1.25,
        top: [
          { id: 6, text: null, nats: -1 },
          { id: 8, text: ' eight', nats: -1.5 },
        ],
      },
    });
  });

  test('with other tokens at once there is no such step', () => {
    const right = { ...BASE, tokens: [5, 9, 7] };
    assert.equal(partingAt(body(BASE), body(right), 1, [NAMES, NAMES]), null);
    assert.equal(partingAt(body(BASE), body(BASE), 3, [NAMES, NAMES]), null, 'nor beyond the end');
  });

  test('the passage holds both sides’ tokens around it', () => {
    const tokens = (other: number) => Array.from({ length: 40 }, (_, i) => (i === 20 ? other : i));
    const [left, right] = [tokens(6), tokens(8)].map((ids) =>
      body({ tokens: ids, logprobs: ids.map(() => -1), top: [] }),
    );
    assert.ok(left !== undefined && right !== undefined);
    const passage = passageAt(left, right, 20, [NAMES, names]);
    assert.deepEqual([passage.from, passage.left.length, passage.right.length], [12, 20, 20]);
    assert.deepEqual(
      [passage.left[8], passage.right[8]],
      [
        { id: 6, text: ' six' },
        { id: 8, text: ' eight' },
      ],
    );
    assert.equal(passageAt(left, right, 39, [NAMES, names]).left.length, 9);
  });
});
