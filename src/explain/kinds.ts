import type { Column } from './table.ts';

/** Rows of equal values, told or not, as one. Those that computed otherwise all the same are contradictions. */
export interface Kinds {
  /** Places in the table's rows. */
  readonly members: readonly (readonly number[])[];
  /** Of each column, of each kind. */
  readonly columns: readonly Int32Array[];
  /** Group of each kind. */
  readonly groups: Int32Array;
  /** Kinds, by their members, of which not all computed the same: no field explains them, and none has to. */
  readonly contradicting: readonly (readonly number[])[];
}

/** @param groups of each row */
export function kindsOf(columns: readonly Column[], groups: Int32Array): Kinds {
  const rows = groups.length;
  let ids = new Int32Array(rows);
  for (const { codes, values } of columns) {
    const seen = new Map<number, number>();
    const next = new Int32Array(rows);
    for (let i = 0; i < rows; i++) {
      const key = (ids[i] ?? 0) * (values + 1) + (codes[i] ?? 0) + 1;
      let id = seen.get(key);
      if (id === undefined) {
        id = seen.size;
        seen.set(key, id);
      }
      next[i] = id;
    }
    ids = next;
    // No further column can part them.
    if (seen.size === rows) break;
  }
  const all: number[][] = [];
  for (let i = 0; i < rows; i++) {
    const own = all[ids[i] ?? 0];
    if (own === undefined) all[ids[i] ?? 0] = [i];
    else own.push(i);
  }
  const agrees = (members: readonly number[]) =>
    members.every((row) => groups[row] === groups[members[0] ?? 0]);
  const members = shuffled(all.filter(agrees));
  const firsts = members.map(([first = 0]) => first);
  return {
    members,
    columns: columns.map(({ codes }) => Int32Array.from(firsts, (row) => codes[row] ?? -1)),
    groups: Int32Array.from(firsts, (row) => groups[row] ?? -1),
    contradicting: all.filter((one) => !agrees(one)),
  };
}

/** In an order that has nothing to do with theirs, the same each time: what differs is then met early. */
function shuffled<T>(all: readonly T[]): T[] {
  const mixed = [...all];
  let state = 0x9e37_79b9;
  for (let i = mixed.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const j = state % (i + 1);
    const [a, b] = [mixed[i], mixed[j]];
    if (a === undefined || b === undefined) continue;
    mixed[i] = b;
    mixed[j] = a;
  }
  return mixed;
}
