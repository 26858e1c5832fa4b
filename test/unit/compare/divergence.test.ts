import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { divergence } from '../../../src/compare/divergence.ts';
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

const between = (left: Bits, right: Bits) => divergence(body(left), body(right));

describe('divergence', () => {
  test('of equal bits is nowhere', () => {
    assert.deepEqual(between(BASE, BASE), {
      logprobStep: null,
      tokenStep: null,
      steps: 3,
      largestNats: 0,
      fork: null,
    });
  });

  test('of bits alone: the first step, and the largest difference of all', () => {
    const right = { ...BASE, logprobs: [-0.5, -1.125, -0.75] };
    assert.deepEqual(between(BASE, right), {
      logprobStep: 1,
      tokenStep: null,
      steps: 3,
      largestNats: 0.5,
      fork: null,
    });
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
    assert.deepEqual(between(BASE, right), {
      logprobStep: 1,
      tokenStep: null,
      steps: 3,
      largestNats: 0,
      fork: null,
    });
    const ids = {
      ...BASE,
      top: [
        BASE.top[0],
        BASE.top[1],
        [
          [7, -0.25],
          [2, -3],
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
    assert.deepEqual(between(BASE, right), {
      logprobStep: 1,
      tokenStep: 1,
      steps: 3,
      largestNats: 0,
      fork: { leftToken: 6, rightToken: 8, leftMarginNats: 0.5, rightMarginNats: 0.125 },
    });
  });

  test('of tokens at an exact tie has a margin of 0', () => {
    const tie = {
      tokens: [6],
      logprobs: [-1],
      top: [
        [
          [6, -1],
          [8, -1],
        ],
      ],
    } as const;
    const { fork } = between(tie, { ...tie, tokens: [8] });
    assert.deepEqual(fork, { leftToken: 6, rightToken: 8, leftMarginNats: 0, rightMarginNats: 0 });
  });

  test('of tokens beyond the other side’s top k has no margin', () => {
    const { fork } = between(BASE, { ...BASE, tokens: [5, 999, 7] });
    assert.equal(fork?.leftMarginNats, null);
    assert.equal(fork?.rightMarginNats, 0);
  });

  test('bits may part before the tokens do', () => {
    const right = { ...BASE, logprobs: [-0.625, -1, -0.25], tokens: [5, 6, 8] };
    const found = between(BASE, right);
    assert.deepEqual([found.logprobStep, found.tokenStep, found.largestNats], [0, 2, 0.125]);
  });

  test('where one side goes on: the step after the other’s last', () => {
    const short = { tokens: [5, 6], logprobs: [-0.5, -1], top: BASE.top.slice(0, 2) };
    assert.deepEqual(between(short, BASE), {
      logprobStep: null,
      tokenStep: 2,
      steps: 2,
      largestNats: 0,
      fork: { leftToken: null, rightToken: 7, leftMarginNats: null, rightMarginNats: null },
    });
    assert.equal(between(BASE, short).fork?.leftToken, 7);
  });

  test('with nothing on one side', () => {
    const found = between({ tokens: [], logprobs: [], top: [] }, BASE);
    assert.deepEqual([found.tokenStep, found.steps, found.fork?.rightToken], [0, 0, 7 - 2]);
  });

  test('sees the sign of zero and tells NaN from NaN, as bits do', () => {
    const zero = { tokens: [5], logprobs: [0], top: [[[5, 0]]] } as const;
    assert.equal(between(zero, { ...zero, logprobs: [-0] }).logprobStep, 0);
    const nan = { ...zero, logprobs: [Number.NaN] };
    assert.equal(between(nan, nan).logprobStep, null);
    const other = body(nan);
    new Uint32Array(other.logprobs.buffer)[0] = 0xffff0000;
    assert.equal(divergence(body(nan), other).logprobStep, 0);
  });
});
