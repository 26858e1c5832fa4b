import type { Steps } from '../record/channels.ts';
import { bitsOf } from '../record/words.ts';
import { CELLS, cellEnd } from './divergence.ts';
import type { Distance } from './types.ts';

/**
 * Sums up how far two computations of the same tokens are apart, pair by pair.
 *
 * Per position the ids of both top k are compared. An id that only one side lists had at most the k-th value on the
 * other, which gives a lower bound of its difference: counted as that, or as 0 where it says nothing. The mean is
 * taken over places (positions x k), not over ids, so that an id that drops out of a list cannot make it smaller.
 * -inf on both sides is no difference; infinite or NaN on one side only is `unbounded`, and then there is no
 * distance.
 */
export class Gauge {
  #positions = 0;
  #places = 0;
  #squares = 0;
  #largest = 0;
  #argmaxChanges = 0;
  #crossEntropy = 0;
  #differing = 0;
  #unbounded = 0;
  /** Differences of two entries of one position that were looked at, and whether one of them moved. */
  #gaps = 0;
  #moved = false;

  /** Entries that are a number on one side only. */
  get unbounded(): number {
    return this.#unbounded;
  }

  get positions(): number {
    return this.#positions;
  }

  /** Whether any bit differed. */
  get differs(): boolean {
    return this.#differing > 0;
  }

  /** Null where nothing was compared, or something is infinitely far apart. */
  distance(): Distance | null {
    if (this.#positions === 0 || this.#unbounded > 0) return null;
    return {
      positions: this.#positions,
      rmsNats: Math.sqrt(this.#squares / Math.max(1, this.#places)),
      largestNats: this.#largest,
      argmaxChanges: this.#argmaxChanges,
      crossEntropyNats: this.#crossEntropy / this.#positions,
      normaliserOnly: this.#gaps > 0 && !this.#moved,
    };
  }

  /** Positions whose bits are known to be equal: no body need be opened for them. */
  addEqual(positions: number, k: number): void {
    this.#positions += positions;
    this.#places += positions * Math.max(1, k);
  }

  merge(other: Gauge): void {
    this.#positions += other.#positions;
    this.#places += other.#places;
    this.#squares += other.#squares;
    this.#largest = Math.max(this.#largest, other.#largest);
    this.#argmaxChanges += other.#argmaxChanges;
    this.#crossEntropy += other.#crossEntropy;
    this.#differing += other.#differing;
    this.#unbounded += other.#unbounded;
    this.#gaps += other.#gaps;
    this.#moved ||= other.#moved;
  }

  /**
   * Two bodies with the same tokens.
   *
   * @returns root mean square in nats along the positions, in as many cells as a strip of them has
   */
  add(left: Steps, right: Steps): number[] {
    const k = Math.min(left.k, right.k);
    const positions = Math.min(left.tokens.length, right.tokens.length);
    const cells = Math.min(CELLS, positions);
    this.addEqual(positions, k);
    const profile: number[] = [];
    for (let cell = 0, from = 0; cell < cells; cell++) {
      const to = cellEnd(cell, cells, positions);
      const squares = this.#range(left, right, k, from, to);
      this.#squares += squares;
      // A picture needs no more digits, and a report of a thousand prompts has many of these.
      profile.push(Number(Math.sqrt(squares / ((to - from) * Math.max(1, k))).toPrecision(4)));
      from = to;
    }
    return profile;
  }

  /** Gives the sum of squares. Plain indices and local sums: this runs millions of times. */
  #range(left: Steps, right: Steps, k: number, from: number, to: number): number {
    const leftBits = bitsOf(left.logprobs);
    const rightBits = bitsOf(right.logprobs);
    const { topIds: leftIds, topLogprobs: leftTop } = left;
    const { topIds: rightIds, topLogprobs: rightTop } = right;
    const leftTopBits = bitsOf(leftTop);
    const rightTopBits = bitsOf(rightTop);
    let squares = 0;
    let crossEntropy = 0;
    for (let at = from; at < to; at++) {
      const a = at * left.k;
      const b = at * right.k;
      let sameIds = true;
      let sameBits = leftBits[at] === rightBits[at];
      for (let i = 0; i < k; i++) {
        if (leftIds[a + i] !== rightIds[b + i]) sameIds = false;
        if (leftTopBits[a + i] !== rightTopBits[b + i]) sameBits = false;
      }
      if (sameIds && sameBits) continue;
      this.#differing++;
      const x = left.logprobs[at] ?? 0;
      const y = right.logprobs[at] ?? 0;
      const difference = this.#between(x, y);
      if (Math.abs(x - y) < Number.POSITIVE_INFINITY) crossEntropy += x - y;
      if (k === 0) squares += difference * difference;
      else if (!sameIds) squares += this.#mixed(left, right, a, b, k, x, y);
      else {
        const best = leftTop[a] ?? 0;
        const now = rightTop[b] ?? 0;
        for (let i = 0; i < k; i++) {
          const other = leftTop[a + i] ?? 0;
          const otherNow = rightTop[b + i] ?? 0;
          const nats = this.#between(other, otherNow);
          squares += nats * nats;
          if (!this.#moved) this.#gap(best, now, other, otherNow);
        }
        if (!this.#moved) this.#gap(best, now, x, y);
      }
    }
    this.#crossEntropy += crossEntropy;
    return squares;
  }

  /** The difference of one entry's two values, noted in `largest`; 0 where it is no number. */
  #between(left: number, right: number): number {
    if (left === right) return 0;
    const difference = Math.abs(left - right);
    if (!(difference < Number.POSITIVE_INFINITY)) {
      this.#unbounded++;
      return 0;
    }
    if (difference > this.#largest) this.#largest = difference;
    return difference;
  }

  /** Rows that list other ids, or the same in another order: their sum of squares. */
  #mixed(
    left: Steps,
    right: Steps,
    a: number,
    b: number,
    k: number,
    chosenLeft: number,
    chosenRight: number,
  ): number {
    let squares = 0;
    const { topIds: leftIds, topLogprobs: leftNats } = left;
    const { topIds: rightIds, topLogprobs: rightNats } = right;
    const leftLast = leftNats[a + k - 1] ?? 0;
    const rightLast = rightNats[b + k - 1] ?? 0;
    const reference = indexOf(rightIds, b, k, leftIds[a] ?? 0);
    const best = leftNats[a] ?? 0;
    const now = rightNats[reference] ?? 0;
    let shared = false;
    for (let i = a; i < a + k; i++) {
      const beside = i - a + b;
      const j = rightIds[beside] === leftIds[i] ? beside : indexOf(rightIds, b, k, leftIds[i] ?? 0);
      const x = leftNats[i] ?? 0;
      const y = j < 0 ? rightLast : (rightNats[j] ?? 0);
      if (j >= 0) {
        const difference = this.#between(x, y);
        squares += difference * difference;
        if (reference >= 0 && i > a) this.#gap(best, now, x, y);
        if (x === leftNats[a] && y === rightNats[b]) shared = true;
      } else squares += this.#missing(x, y, leftLast);
    }
    for (let j = b; j < b + k; j++)
      if (indexOf(leftIds, a, k, rightIds[j] ?? 0) < 0)
        squares += this.#missing(rightNats[j] ?? 0, leftLast, rightLast);
    if (reference >= 0) this.#gap(best, now, chosenLeft, chosenRight);
    // The most probable tokens are a set: it is another token only where no token leads on both sides.
    if (!shared) this.#argmaxChanges++;
    return squares;
  }

  /**
   * An id with `nats` here and at most `bound` there, where `last` is this side's k-th value. A shift of all
   * log-probabilities pushes no token out of the list but one that ties at its end. Gives the square of the difference.
   */
  #missing(nats: number, bound: number, last: number): number {
    if (Math.abs(nats - last) > tolerance(nats, last)) this.#moved = true;
    return nats <= bound ? 0 : this.#between(nats, bound) ** 2;
  }

  /** Did the difference of two entries of one position move by more than log-softmax rounds? */
  #gap(bestLeft: number, bestRight: number, left: number, right: number): void {
    // The best token itself, or one that ties with it on both sides, has no gap that could tell.
    if (left === bestLeft && right === bestRight) return;
    const change = Math.abs(bestLeft - left - (bestRight - right));
    // Infinite entries have no gap; what is infinite on one side only is `unbounded` already.
    if (!(change < Number.POSITIVE_INFINITY)) return;
    this.#gaps++;
    // Neither best one is the larger number, but by a gap that tells already.
    if (change > tolerance(left, right)) this.#moved = true;
  }
}

/**
 * By how much a gap may move while the logits stay as they are.
 *
 * Log-softmax is (x - max) - log(sum) in float32, whatever dtype the logits have. Another kernel that sums in another
 * order gives another log(sum), which is the same number for every token of the position and so falls out of a gap.
 * What is left is rounding: half an ulp each for x - max and for the result, on either side, and half an ulp twice for
 * the best token: 3 ulps at the larger magnitude. |x| * 2^-23 is between one and two ulps of x, so that three of them
 * are enough and at most six: 3e-6 nats at -8.
 *
 * That tells both kinds of dtype apart. Logits of a 16-bit model cannot move by less than a step of their grid, 2^-8
 * for a bfloat16 logit as small as 1/2: a thousand times more. Half a step of the grid, the other candidate, would call
 * a one-step change of a small logit none. For float32 the margin is narrow: avx2 for avx512 moves log(sum) alone, by
 * 6e-6 nats (measured), and kernels that sum a product in another order move logits by 1e-5. But `every` gap must
 * stay: that 1e-5 of rms leaves thousands of gaps all below 3e-6 does not happen.
 */
function tolerance(a: number, b: number): number {
  return 3 * 2 ** -23 * Math.max(Math.abs(a), Math.abs(b));
}

/** Index of an id in a row of k that begins at `from`; -1 where it is not there. */
function indexOf(ids: Uint32Array, from: number, k: number, id: number): number {
  for (let i = from; i < from + k; i++) if (ids[i] === id) return i;
  return -1;
}
