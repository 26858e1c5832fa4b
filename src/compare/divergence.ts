import { type Body, bitsOf } from '../record/body.ts';
import type { Divergence, Fork } from './types.ts';

/** Walks two observations of the same prompt step by step; left is the trusted side. */
export function divergence(left: Body, right: Body): Divergence {
  const steps = Math.min(left.tokens.length, right.tokens.length);
  const comparableTop = left.k === right.k;
  let logprobStep: number | null = null;
  let tokenStep: number | null = null;
  let largestNats = 0;
  for (let step = 0; step < steps; step++) {
    const sameToken = left.tokens[step] === right.tokens[step];
    if (logprobStep === null) {
      const sameBits = sameToken && equal(left.logprobs, right.logprobs, step, 1);
      const sameTop =
        !comparableTop ||
        (equal(left.topIds, right.topIds, step, left.k) &&
          equal(left.topLogprobs, right.topLogprobs, step, left.k));
      if (!sameBits || !sameTop) logprobStep = step;
    }
    if (!sameToken) {
      tokenStep = step;
      break;
    }
    const nats = Math.abs((left.logprobs[step] ?? 0) - (right.logprobs[step] ?? 0));
    if (nats > largestNats) largestNats = nats;
  }
  // One side may simply go on where the other stopped.
  if (tokenStep === null && left.tokens.length !== right.tokens.length) tokenStep = steps;
  return {
    logprobStep,
    tokenStep,
    steps,
    largestNats,
    fork: tokenStep === null ? null : fork(left, right, tokenStep),
  };
}

function fork(left: Body, right: Body, step: number): Fork {
  const leftToken = left.tokens[step] ?? null;
  const rightToken = right.tokens[step] ?? null;
  return {
    leftToken,
    rightToken,
    leftMarginNats: margin(left, step, leftToken, rightToken),
    rightMarginNats: margin(right, step, rightToken, leftToken),
  };
}

/** By how many nats a side preferred its own token to the other's; null where the other is not in its top k. */
function margin(side: Body, step: number, own: number | null, other: number | null): number | null {
  if (own === null || other === null) return null;
  for (let i = step * side.k; i < (step + 1) * side.k; i++)
    if (side.topIds[i] === other) return (side.logprobs[step] ?? 0) - (side.topLogprobs[i] ?? 0);
  return null;
}

function equal(
  a: Uint32Array | Float32Array,
  b: Uint32Array | Float32Array,
  step: number,
  width: number,
): boolean {
  const [left, right] = [bitsOf(a), bitsOf(b)];
  for (let i = step * width; i < (step + 1) * width; i++) if (left[i] !== right[i]) return false;
  return true;
}
