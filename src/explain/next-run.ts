import { ownerOf } from './fields.ts';
import type { Column, Table } from './table.ts';
import type { ExplainingSet, Inseparable, NextRun } from './types.ts';

/** Explanations that a run is to tell apart. */
const MAX_SETS = 12;
/** Environments that a run may begin with, and those that it may take something of. */
const MAX_CASES = 60;
/** Runs that are proposed. */
const MAX_RUNS = 3;

/** What a column says of each row, and which group that means. */
interface Oracle {
  readonly set: number;
  readonly columns: readonly number[];
  readonly weight: number;
  readonly groups: ReadonlyMap<string, string>;
}

/**
 * Runs that nobody has done, most telling first: an environment that there is, but for what one owner brings (the GPU,
 * their number, the driver…), which is another one's. Telling is what the explanations say otherwise of.
 *
 * @param choices of each shown set, its columns by their places
 */
export function nextRuns(
  table: Table,
  sets: readonly ExplainingSet[],
  choices: readonly (readonly number[])[],
  groups: readonly string[],
): NextRun[] {
  const oracles = sets.slice(0, MAX_SETS).map((set, at): Oracle => {
    const columns = choices[at] ?? [];
    const told = new Map<string, string>();
    for (let row = 0; row < table.rows.length; row++) {
      const key = keyOf(columns, (c) => table.columns[c]?.codes[row] ?? -1);
      const group = groups[row];
      if (key !== undefined && group !== undefined) told.set(key, group);
    }
    return { set: at, columns, weight: 1 + set.repeats, groups: told };
  });
  if (oracles.length < 2) return [];
  const wanted = [...new Set(oracles.flatMap(({ columns }) => columns))];
  const rows = distinct(table, wanted).slice(0, MAX_CASES);
  const owners = ownersIn(table, wanted);
  const seen = new Set<string>();
  const runs: NextRun[] = [];
  for (const from of rows)
    for (const [owner, columns] of owners)
      for (const of of rows) {
        const code = (c: number) => table.columns[c]?.codes[columns.has(c) ? of : from] ?? -1;
        const key = wanted.map(code).join(' ');
        if (from === of || seen.has(key)) continue;
        seen.add(key);
        const says = oracles.map(({ set, columns: own, groups: told }) => {
          const values = keyOf(own, code);
          return { set, group: values === undefined ? undefined : told.get(values) };
        });
        const gain = gainOf(
          says.map(({ group }) => group),
          oracles.map(({ weight }) => weight),
        );
        if (gain < 0.01) continue;
        runs.push({
          from: table.rows[from] ?? 0,
          of: table.rows[of] ?? 0,
          change: changeOf(table, owner, columns, of, from),
          ...{ says, gain },
        });
      }
  return runs
    .filter(({ change }) => change.length > 0)
    .sort((a, b) => b.gain - a.gain || a.from - b.from || a.of - b.of)
    .slice(0, MAX_RUNS);
}

const keyOf = (columns: readonly number[], code: (column: number) => number): string | undefined => {
  const codes = columns.map(code);
  return codes.includes(-1) ? undefined : codes.join(' ');
};

/** Rows of other values, one of each kind. */
function distinct({ rows, columns }: Table, wanted: readonly number[]): number[] {
  const seen = new Set<string>();
  const found: number[] = [];
  for (let row = 0; row < rows.length && found.length < MAX_CASES; row++) {
    const key = wanted.map((c) => columns[c]?.codes[row]).join(' ');
    if (seen.has(key)) continue;
    seen.add(key);
    found.push(row);
  }
  return found;
}

/** By each owner of something that is wanted, all columns that come with it. */
function ownersIn({ columns }: Table, wanted: readonly number[]): Map<string, Set<number>> {
  const owners = new Map<string, Set<number>>();
  for (const field of wanted.flatMap((c) => columns[c]?.fields ?? [])) owners.set(ownerOf(field), new Set());
  for (const [c, { fields }] of columns.entries())
    for (const field of fields) owners.get(ownerOf(field))?.add(c);
  return owners;
}

function changeOf({ columns }: Table, owner: string, own: ReadonlySet<number>, of: number, from: number) {
  return columns.flatMap(({ fields, codes, texts }, c) =>
    own.has(c) && codes[of] !== codes[from] && (codes[of] ?? -1) >= 0
      ? fields.flatMap((field, at) =>
          ownerOf(field) === owner ? [{ field, value: texts[codes[of] ?? 0]?.[at] ?? '' }] : [],
        )
      : [],
  );
}

/** Entropy of what the explanations say, and of those that say nothing no share. */
function gainOf(says: readonly (string | undefined)[], weights: readonly number[]): number {
  const all = weights.reduce((sum, one) => sum + one, 0);
  const of = new Map<string, number>();
  let speaking = 0;
  for (const [at, group] of says.entries()) {
    if (group === undefined) continue;
    const weight = weights[at] ?? 0;
    speaking += weight;
    of.set(group, (of.get(group) ?? 0) + weight);
  }
  let entropy = 0;
  for (const weight of of.values()) entropy -= (weight / speaking) * Math.log2(weight / speaking);
  return speaking === 0 ? 0 : (entropy * speaking) / all;
}

/** Fields of several owners that always changed together, and a run that changes one owner's alone. */
export function inseparableOf({ columns, rows }: Table): Inseparable[] {
  return columns
    .filter(({ fields }) => fields.length > 1)
    .map((column) => ({ fields: column.fields, apart: apartOf(column, rows) }));
}

function apartOf({ fields, codes, texts }: Column, rows: readonly number[]): Inseparable['apart'] {
  const [first] = fields;
  const other = fields.find((field) => ownerOf(field) !== ownerOf(first ?? ''));
  const from = codes.findIndex((code) => code >= 0);
  const of = codes.findIndex((code) => code >= 0 && code !== codes[from]);
  if (other === undefined || from === -1 || of === -1) return undefined;
  const owner = ownerOf(other);
  return {
    from: rows[from] ?? 0,
    of: rows[of] ?? 0,
    change: fields.flatMap((field, at) =>
      ownerOf(field) === owner ? [{ field, value: texts[codes[of] ?? 0]?.[at] ?? '' }] : [],
    ),
  };
}
