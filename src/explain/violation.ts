import type { Kinds } from './kinds.ts';
import { UNTOLD } from './table.ts';

/** Columns as bits of 32-bit words. */
export type Mask = Uint32Array;

export const maskOf = (columns: number): Mask => new Uint32Array(Math.ceil(columns / 32));
export const add = (mask: Mask, column: number) => {
  mask[column >>> 5] = (mask[column >>> 5] ?? 0) | (1 << (column & 31));
};
export const has = (mask: Mask, column: number) => (((mask[column >>> 5] ?? 0) >>> (column & 31)) & 1) === 1;
export const meets = (a: Mask, b: Mask) => {
  for (let i = 0; i < a.length; i++) if (((a[i] ?? 0) & (b[i] ?? 0)) !== 0) return true;
  return false;
};
export const sizeOf = (mask: Mask) => {
  let size = 0;
  for (let word of mask) for (; word !== 0; word &= word - 1) size++;
  return size;
};

/** What work may cost, in rows and masks that are looked at: never in seconds, so that the same data gives the same. */
export interface Budget {
  left: number;
}

/** Columns that keep two kinds apart: both tell them, and otherwise; or one does not tell them. */
function difference({ columns }: Kinds, a: number, b: number): Mask {
  const mask = maskOf(columns.length);
  for (let c = 0; c < columns.length; c++) {
    const [left, right] = [columns[c]?.[a] ?? UNTOLD, columns[c]?.[b] ?? UNTOLD];
    if (left !== right || left === UNTOLD) add(mask, c);
  }
  return mask;
}

/** Of several violations the one that fewest columns can explain is kept. */
const SEVERAL = 4;

/**
 * Two kinds of other groups that tell all of the chosen columns, and tell the same: by what keeps them apart. Undefined where
 * there is no such pair: then the columns explain the groups of all that tell them, and say nothing of the others.
 */
export function violation(kinds: Kinds, chosen: readonly number[], budget: Budget): Mask | undefined {
  let best: Mask | undefined;
  let found = 0;
  for (const [a, b] of clashes(kinds, chosen, budget)) {
    const mask = difference(kinds, a, b);
    budget.left -= kinds.columns.length / 8;
    if (best === undefined || sizeOf(mask) < sizeOf(best)) best = mask;
    found++;
    if (found >= SEVERAL) break;
  }
  return best;
}

/** Pairs of other groups and the same values; the first kind of its values stands for all that agree with it. */
function* clashes(
  { columns, groups }: Kinds,
  chosen: readonly number[],
  budget: Budget,
): Generator<readonly [number, number]> {
  const own = chosen.map((c) => columns[c] ?? new Int32Array());
  const [first, second] = own;
  const seen = new Map<string | number, number>();
  for (let kind = 0; kind < groups.length; kind++) {
    budget.left--;
    if (budget.left < 0) return;
    let key: string | number = '';
    let told = true;
    for (const column of own) if (column[kind] === UNTOLD) told = false;
    if (!told) continue;
    if (own.length === 1) key = first?.[kind] ?? 0;
    // Exact below 2^53: there are never more values than rows.
    else if (own.length === 2) key = (first?.[kind] ?? 0) * 0x100_0000 + (second?.[kind] ?? 0);
    else for (const column of own) key += `${column[kind]} `;
    const before = seen.get(key);
    if (before === undefined) seen.set(key, kind);
    else if (groups[before] !== groups[kind]) yield [before, kind];
  }
}

/** Pairs of other groups of which all that both tell is equal. @param most pairs that are looked for */
export function untoldPairs({ columns, groups }: Kinds, most: number, budget: Budget): [number, number][] {
  const found: [number, number][] = [];
  if (!columns.some((column) => column.includes(UNTOLD))) return found;
  for (let a = 0; a < groups.length; a++)
    for (let b = a + 1; b < groups.length; b++) {
      if (found.length >= most || budget.left < 0) return found;
      if (groups[a] === groups[b]) continue;
      let c = 0;
      for (; c < columns.length; c++) {
        const [left, right] = [columns[c]?.[a] ?? UNTOLD, columns[c]?.[b] ?? UNTOLD];
        if (left !== right && left !== UNTOLD && right !== UNTOLD) break;
      }
      budget.left -= 1 + c / 8;
      if (c === columns.length) found.push([a, b]);
    }
  return found;
}
