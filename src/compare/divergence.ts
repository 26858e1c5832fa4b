import type { Steps } from '../record/channels.ts';
import { bitsOf } from '../record/words.ts';
import { DTYPE_STEPS } from './dtype.ts';
import type { Candidate, Fork, ForkSide, Parting, Passage, Token } from './types.ts';

/** What a walk over two observations of the same prompt found; `Divergence` without the fork's texts. */
export interface Walk {
  readonly logprobStep: number | null;
  readonly logprobSteps: number;
  readonly tokenStep: number | null;
  readonly steps: number;
  readonly largestNats: number;
  /** Steps whose top k differ in nothing but which of several equally probable tokens got the last places. */
  readonly ties: number;
  /** Steps whose chosen log-probability is a number on one side only. */
  readonly unbounded: number;
  /** As `Divergence` has it. */
  readonly strip: string;
  /** At `tokenStep` both sides had the very same top k: the distribution did not change, the choice did. */
  readonly chosenOtherwise: boolean;
}

/** Longest strip: what a line of a page or of a terminal can show. */
export const CELLS = 64;

/** First step behind a cell of a strip over `steps` steps. */
export const cellEnd = (cell: number, cells: number, steps: number) =>
  Math.floor(((cell + 1) * steps) / cells);

/**
 * Walks two observations of the same prompt step by step; left is the trusted side. Bits are compared as whole
 * numbers, so that NaN and the sign of zero count.
 */
export function walk(left: Steps, right: Steps): Walk {
  const steps = Math.min(left.tokens.length, right.tokens.length);
  const k = left.k === right.k ? left.k : 0;
  const [leftBits, rightBits] = [bitsOf(left.logprobs), bitsOf(right.logprobs)];
  const tops = topsOf(left, right);
  let logprobStep: number | null = null;
  let logprobSteps = 0;
  let tokenStep: number | null = null;
  let largestNats = 0;
  let ties = 0;
  let unbounded = 0;
  let chosenOtherwise = false;
  // One side may simply go on where the other stopped.
  const shown = left.tokens.length === right.tokens.length ? steps : steps + 1;
  const cells = Math.min(CELLS, shown);
  let strip = '';
  let cell: '=' | '~' | 'x' = '=';
  let end = cellEnd(0, cells, shown);
  for (let step = 0; step < steps; step++) {
    if (step === end) {
      strip += cell;
      cell = '=';
      end = cellEnd(strip.length, cells, shown);
    }
    const sameToken = left.tokens[step] === right.tokens[step];
    const row = rowAt(tops, step, k);
    if (!sameToken) {
      tokenStep = step;
      chosenOtherwise = k > 0 && row !== 'differs';
    }
    const sameBits = leftBits[step] === rightBits[step];
    if (!sameToken || !sameBits || row === 'differs') {
      logprobStep ??= step;
      if (sameToken) logprobSteps++;
      cell = sameToken ? '~' : 'x';
    } else if (row === 'tie') ties++;
    if (!sameToken) break;
    if (sameBits) continue;
    const nats = Math.abs((left.logprobs[step] ?? 0) - (right.logprobs[step] ?? 0));
    if (!Number.isFinite(nats)) unbounded++;
    else if (nats > largestNats) largestNats = nats;
  }
  if (tokenStep === null && shown > steps) {
    tokenStep = steps;
    if (steps === end) strip += cell;
    cell = 'x';
  }
  strip = cells === 0 ? '' : `${strip}${cell}`.padEnd(cells, '.');
  return {
    strip,
    logprobStep,
    logprobSteps,
    tokenStep,
    steps,
    largestNats,
    ties,
    unbounded,
    chosenOtherwise,
  };
}

interface Tops {
  readonly leftIds: Uint32Array;
  readonly rightIds: Uint32Array;
  readonly leftBits: Uint32Array;
  readonly rightBits: Uint32Array;
}

const topsOf = (left: Steps, right: Steps): Tops => ({
  leftIds: left.topIds,
  rightIds: right.topIds,
  leftBits: bitsOf(left.topLogprobs),
  rightBits: bitsOf(right.topLogprobs),
});

/**
 * Compares the top k of a step. Log-probabilities of a 16-bit model tie often, and which of the tokens that tie at
 * the k-th place got in is left to the kernel's sort: as sets, such rows are equal (`tie`). All places from the
 * first other id on must then have the k-th value, on both sides.
 */
function rowAt({ leftIds, rightIds, leftBits, rightBits }: Tops, step: number, k: number) {
  const end = (step + 1) * k;
  let i = step * k;
  while (i < end && leftIds[i] === rightIds[i] && leftBits[i] === rightBits[i]) i++;
  if (i === end) return 'same';
  // Both lists fall, so that the values between are the k-th value too.
  const last = leftBits[end - 1];
  return leftBits[i] === last && rightBits[i] === last && rightBits[end - 1] === last ? 'tie' : 'differs';
}

/** What is known of a side beyond its bits. */
export interface Names {
  /** Text of a token id; undefined where it is not known. */
  readonly texts: ReadonlyMap<number, string>;
  /** Distance of two neighbouring logits between 2 and 4; null for an unknown dtype. */
  readonly dtype: string | null;
}

/** Both sides of the step at which the tokens part. */
export function forkAt(left: Steps, right: Steps, step: number, names: readonly [Names, Names]): Fork {
  const leftToken = left.tokens[step] ?? null;
  const rightToken = right.tokens[step] ?? null;
  return {
    left: forkSide(left, step, leftToken, rightToken, names[0]),
    right: forkSide(right, step, rightToken, leftToken, names[1]),
  };
}

/** Four bfloat16 steps between 2 and 4: closer than that, rounding alone turns one token into the other. */
const NEAR_NATS = 4 * DTYPE_STEPS.bfloat16;

function forkSide(
  side: Steps,
  step: number,
  own: number | null,
  other: number | null,
  { texts, dtype }: Names,
): ForkSide {
  const margin = marginAt(side, step, other);
  // An infinite margin is one to a token that sampling rules out; JSON has no number for it.
  const marginNats = margin === null || !Number.isFinite(margin) ? null : margin;
  const size = dtype === null ? undefined : stepOf(dtype);
  return {
    token: own,
    text: own === null ? null : (texts.get(own) ?? null),
    marginNats,
    marginSteps: marginNats === null || size === undefined ? null : marginNats / size,
    tie: margin === Number.POSITIVE_INFINITY ? 'none' : tieOf(marginNats),
    top: topAt(side, step, texts),
  };
}

function topAt(side: Steps, step: number, texts: Names['texts']): Candidate[] {
  const top: Candidate[] = [];
  for (let i = step * side.k; i < (step + 1) * side.k; i++) {
    const [id, nats] = [side.topIds[i], side.topLogprobs[i]];
    if (id !== undefined && nats !== undefined && Number.isFinite(nats))
      top.push({ id, text: texts.get(id) ?? null, nats });
  }
  return top;
}

/** Both sides of a step at which they took the same token. */
export function partingAt(
  left: Steps,
  right: Steps,
  step: number,
  names: readonly [Names, Names],
): Parting | null {
  const id = left.tokens[step];
  if (id === undefined || id !== right.tokens[step]) return null;
  const sideOf = (side: Steps, { texts }: Names) => ({
    nats: side.logprobs[step] ?? Number.NaN,
    top: topAt(side, step, texts),
  });
  return {
    token: { id, text: textOf(id, names) },
    left: sideOf(left, names[0]),
    right: sideOf(right, names[1]),
  };
}

/** Tokens before and from the step on which a reader looks. */
const BEFORE = 8;
const FROM = 12;

/** The tokens of both sides around a step. */
export function passageAt(left: Steps, right: Steps, step: number, names: readonly [Names, Names]): Passage {
  const from = Math.max(0, step - BEFORE);
  const tokens = (side: Steps): Token[] =>
    [...side.tokens.subarray(from, step + FROM)].map((id) => ({ id, text: textOf(id, names) }));
  return { from, left: tokens(left), right: tokens(right) };
}

/** Either side's vocabulary holds the tokens that occur in it; what an id means is the same on both. */
const textOf = (id: number, [left, right]: readonly [Names, Names]) =>
  left.texts.get(id) ?? right.texts.get(id) ?? null;

function stepOf(dtype: string): number | undefined {
  return Object.hasOwn(DTYPE_STEPS, dtype) ? DTYPE_STEPS[dtype as keyof typeof DTYPE_STEPS] : undefined;
}

function tieOf(marginNats: number | null): ForkSide['tie'] {
  if (marginNats === null) return 'unknown';
  if (marginNats === 0) return 'exact';
  return Math.abs(marginNats) <= NEAR_NATS ? 'near' : 'none';
}

/**
 * By how many nats a side preferred its own token to the other's; null where the other is not in its top k, or either
 * had ended.
 */
function marginAt(side: Steps, step: number, other: number | null): number | null {
  for (let i = step * side.k; i < (step + 1) * side.k; i++)
    if (side.topIds[i] === other)
      return (side.logprobs[step] ?? Number.NaN) - (side.topLogprobs[i] ?? Number.NaN);
  return null;
}
