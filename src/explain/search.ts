import type { Kinds } from './kinds.ts';
import type { Search } from './types.ts';
import { add, type Budget, has, type Mask, maskOf, meets, sizeOf, violation } from './violation.ts';

/** Smallest sets of columns that are looked for; more cannot be read. */
const MAX_SETS = 2000;
/** Rows and masks looked at: some 0.3 s. */
const MAX_WORK = 1_000_000;
/** Columns of a set. */
const MAX_DEPTH = 12;

export interface Found {
  /** Each by places of columns. */
  readonly sets: readonly (readonly number[])[];
  readonly search: Search;
}

/**
 * Smallest sets of columns of which equal values always came with the same group: no column of them can be left out. Exact:
 * every two kinds of other groups are a constraint (one of the columns that keep them apart must be in the set), and what
 * satisfies those that are known is held against the data, which gives the next one.
 */
export function smallestSets(kinds: Kinds, work = MAX_WORK): Found {
  const hunt = new Hunt(kinds, { left: work });
  for (let depth = 1; depth <= MAX_DEPTH; depth++) {
    const { cut } = hunt.upTo(depth);
    if (hunt.isOver) return { sets: hunt.sets, search: { kind: 'bounded', fields: depth - 1 } };
    if (!cut) return { sets: hunt.sets, search: { kind: 'exact' } };
  }
  return { sets: hunt.sets, search: { kind: 'bounded', fields: MAX_DEPTH } };
}

class Hunt {
  readonly #kinds: Kinds;
  readonly #budget: Budget;
  /** Smallest first. */
  readonly #constraints: { readonly mask: Mask; readonly size: number }[] = [];
  readonly #found = new Map<string, readonly number[]>();
  /** Sets that explain, but with more than they need. */
  readonly #larger = new Set<string>();
  #cut = false;

  constructor(kinds: Kinds, budget: Budget) {
    this.#kinds = kinds;
    this.#budget = budget;
  }

  get sets(): readonly (readonly number[])[] {
    return [...this.#found.values()];
  }

  get isOver(): boolean {
    return this.#budget.left < 0 || this.#found.size >= MAX_SETS;
  }

  /** Finds every set of up to so many columns. `cut`: there may be larger ones. */
  upTo(depth: number): { readonly cut: boolean } {
    this.#cut = false;
    const { length } = this.#kinds.columns;
    this.#descend([], maskOf(length), maskOf(length), depth);
    return { cut: this.#cut };
  }

  /**
   * @param chosen the set until now
   * @param without columns that no set below has: those with them were looked at before
   */
  #descend(chosen: readonly number[], chosenMask: Mask, without: Mask, depth: number): void {
    if (this.isOver) return;
    const open = this.#uncovered(chosenMask) ?? this.#try(chosen);
    if (open === undefined) return;
    if (chosen.length === depth) {
      this.#cut = true;
      return;
    }
    const excluded = Uint32Array.from(without);
    for (let column = 0; column < this.#kinds.columns.length; column++) {
      if (!has(open, column) || has(excluded, column)) continue;
      const next = Uint32Array.from(chosenMask);
      add(next, column);
      this.#descend([...chosen, column], next, excluded, depth);
      add(excluded, column);
    }
  }

  #uncovered(chosen: Mask): Mask | undefined {
    for (const { mask } of this.#constraints) {
      this.#budget.left--;
      if (!meets(mask, chosen)) return mask;
    }
    return undefined;
  }

  /** Holds a set against the data: what it does not explain is a new constraint. */
  #try(chosen: readonly number[]): Mask | undefined {
    const key = [...chosen].sort((a, b) => a - b).join(' ');
    if (this.#found.has(key) || this.#larger.has(key)) return undefined;
    const open = violation(this.#kinds, chosen, this.#budget);
    if (open !== undefined) return this.#learn(open);
    if (this.isOver) return undefined;
    for (const column of chosen) {
      const rest = chosen.filter((one) => one !== column);
      const mask = maskOf(this.#kinds.columns.length);
      for (const one of rest) add(mask, one);
      if (this.#uncovered(mask) !== undefined) continue;
      const needed = violation(this.#kinds, rest, this.#budget);
      if (this.#budget.left < 0) return undefined;
      if (needed === undefined) {
        this.#larger.add(key);
        return undefined;
      }
      this.#learn(needed);
    }
    this.#found.set(key, chosen);
    return undefined;
  }

  #learn(mask: Mask): Mask {
    const size = sizeOf(mask);
    const at = this.#constraints.findIndex((one) => one.size > size);
    this.#constraints.splice(at === -1 ? this.#constraints.length : at, 0, { mask, size });
    return mask;
  }
}
