import { rankOf } from './fields.ts';
import { kindsOf } from './kinds.ts';
import { inseparableOf, nextRuns } from './next-run.ts';
import { smallestSets } from './search.ts';
import { type Column, combined, type Table, tableOf, UNTOLD } from './table.ts';
import type {
  AlmostSet,
  Case,
  Contradiction,
  ExplainingSet,
  Explanation,
  FieldClass,
  FieldFinding,
  Group,
} from './types.ts';
import { untoldPairs } from './violation.ts';

/** Sets that are shown. */
const MAX_SHOWN = 12;
const MAX_ALMOST = 5;
/** Rows times pairs of columns that are looked at for what explains almost all. */
const MAX_ALMOST_WORK = 8_000_000;
const MAX_CONTRADICTIONS = 50;
/** Pairs and fields that are looked at for what only what one does not tell could tell apart. */
const MAX_UNTOLD_WORK = 2_000_000;

/** What explains the groups. @param groups two or more */
export function explanationOf(cases: readonly Case[], groups: readonly Group[]): Explanation {
  const rows = groups.flatMap((group) => group.cases).sort((a, b) => a - b);
  const places = new Map(rows.map((row, at) => [row, at]));
  const numbers = new Int32Array(rows.length);
  for (const [number, group] of groups.entries())
    for (const row of group.cases) numbers[places.get(row) ?? 0] = number;
  const table = tableOf(cases, rows);
  const unique = table.columns.filter(isUnique);
  const usable = table.columns.filter((column) => !isUnique(column));
  // What is another one in every case explains anything: it says nothing, and would hide what does.
  const kinds = kindsOf(table.columns, numbers);
  const searched = smallestSets({ ...kinds, columns: columnsOf(kinds.columns, table, usable) });
  const names = (row: number) => groups[numbers[row] ?? 0]?.name ?? '';
  const clean = { members: kinds.members.flat(), names };
  // No field at all explains what agrees once contradictions are left out: it says nothing of why these are other groups.
  const all = searched.sets
    .filter((found) => found.length > 0)
    .map((found) => found.toSorted((a, b) => rankOfSet(usable, [a]) - rankOfSet(usable, [b]) || a - b))
    .map((choice) => ({ choice, ...fitOf(usable, choice, rows.length, clean.members) }))
    .sort(
      (a, b) =>
        b.repeats - a.repeats ||
        a.choice.length - b.choice.length ||
        rankOfSet(usable, a.choice) - rankOfSet(usable, b.choice),
    );
  const tested = all.filter(({ repeats }) => repeats > 0);
  const shown = tested.slice(0, MAX_SHOWN);
  const sets = shown.map(({ choice, repeats }) => ({
    classes: choice.map((c) => classOf(usable[c])),
    rules: rulesOf(usable, choice, rows, clean),
    repeats,
  }));
  const almost = tested.length > 0 ? [] : almostOf(usable, rows, numbers);
  const untold = untoldPairs(kinds, MAX_CONTRADICTIONS, { left: MAX_UNTOLD_WORK }).map((pair) =>
    pair.flatMap((kind) => kinds.members[kind] ?? []).sort((a, b) => a - b),
  );
  const own: Table = { ...table, columns: usable };
  return {
    sets,
    found: all.length,
    untested: all.length - tested.length,
    search: searched.search,
    almost,
    fields: findingsOf(table, unique, numbers, sets),
    inseparable: inseparableOf(own),
    contradictions: [
      ...contradictionsOf('same', kinds.contradicting, numbers, groups, rows),
      ...contradictionsOf('untold', untold, numbers, groups, rows),
    ],
    next: nextRuns(
      own,
      sets,
      shown.map(({ choice }) => choice),
      rows.map((_, row) => names(row)),
    ),
  };
}

/** Another one in every case, and told by all. */
const isUnique = ({ values, told, codes }: Column) => values === told && told === codes.length;

const classOf = (column: Column | undefined): FieldClass => ({
  fields: column?.fields ?? [],
  values: column?.values ?? 0,
  told: column?.told ?? 0,
});

function columnsOf(all: readonly Int32Array[], { columns }: Table, usable: readonly Column[]): Int32Array[] {
  const wanted = new Set(usable);
  return all.filter((_, at) => wanted.has(columns[at] as Column));
}

/** Rows that had their values from another row before, but for those that contradict one another. */
function fitOf(
  columns: readonly Column[],
  choice: readonly number[],
  rows: number,
  members: readonly number[],
): { repeats: number } {
  const { codes } = combined(
    choice.flatMap((c) => columns[c] ?? []),
    rows,
  );
  const told = members.filter((row) => codes[row] !== UNTOLD);
  return { repeats: told.length - new Set(told.map((row) => codes[row])).size };
}

const rankOfSet = (columns: readonly Column[], choice: readonly number[]) =>
  choice.reduce((sum, c) => sum + rankOfClass(classOf(columns[c])), 0);

const rankOfClass = ({ fields }: Pick<FieldClass, 'fields'>) => Math.min(...fields.map(rankOf));

/** One for each combination of values, the largest first. */
function rulesOf(
  columns: readonly Column[],
  choice: readonly number[],
  rows: readonly number[],
  { members, names }: { readonly members: readonly number[]; readonly names: (row: number) => string },
): ExplainingSet['rules'] {
  const chosen = choice.flatMap((c) => columns[c] ?? []);
  const { codes } = combined(chosen, rows.length);
  const of = Map.groupBy(
    members.toSorted((a, b) => a - b).filter((row) => codes[row] !== UNTOLD),
    (row) => codes[row],
  );
  return [...of.values()]
    .map((own) => {
      const [first = 0] = own;
      return {
        values: chosen.map((column) => column.texts[column.codes[first] ?? 0] ?? []),
        group: names(first),
        cases: own.map((row) => rows[row] ?? 0),
      };
    })
    .sort((a, b) => b.cases.length - a.cases.length || (a.cases[0] ?? 0) - (b.cases[0] ?? 0));
}

/** One or two columns that leave fewest exceptions, and have been repeated. */
function almostOf(columns: readonly Column[], rows: readonly number[], numbers: Int32Array): AlmostSet[] {
  const singles = columns.map((_, c) => [c]);
  const pairs = columns.flatMap((_, a) => columns.slice(a + 1).map((__, b) => [a, a + 1 + b]));
  const room = Math.floor(MAX_ALMOST_WORK / Math.max(1, rows.length));
  return (
    [...singles, ...pairs]
      .slice(0, room)
      .map((choice) => {
        const { codes, count } = combined(
          choice.flatMap((c) => columns[c] ?? []),
          rows.length,
        );
        const most = new Map<number, Map<number, number>>();
        let told = 0;
        for (let i = 0; i < rows.length; i++) {
          const [code, group] = [codes[i] ?? UNTOLD, numbers[i] ?? 0];
          if (code === UNTOLD) continue;
          told++;
          const own = most.get(code) ?? new Map<number, number>();
          most.set(code, own);
          own.set(group, (own.get(group) ?? 0) + 1);
        }
        let agree = 0;
        for (const own of most.values()) agree += Math.max(...own.values());
        return { choice, codes, most, wrong: told - agree, repeats: told - count, told };
      })
      // Most repeats that came as said, over those that did not: a list of names has neither.
      .sort(
        (a, b) => b.repeats - 2 * b.wrong - (a.repeats - 2 * a.wrong) || a.choice.length - b.choice.length,
      )
      .filter(({ repeats, wrong, told }) => repeats > 2 * wrong && told === rows.length)
      .slice(0, MAX_ALMOST)
      .map(({ choice, codes, most, repeats }) => ({
        classes: choice.map((c) => classOf(columns[c])),
        repeats,
        exceptions: rows.filter((_, at) => {
          const own = most.get(codes[at] ?? UNTOLD);
          const usual = [...(own ?? [])].toSorted((a, b) => b[1] - a[1])[0]?.[0];
          return usual !== numbers[at];
        }),
      }))
  );
}

function findingsOf(
  table: Table,
  unique: readonly Column[],
  numbers: Int32Array,
  sets: readonly ExplainingSet[],
): FieldFinding[] {
  // Those that were repeated most: a set that was tested less may hold anything that a fleet varied little.
  const most = sets.filter(({ repeats }) => repeats === sets[0]?.repeats);
  const parts = new Set(most.flatMap(({ classes }) => classes.flatMap(({ fields }) => fields)));
  const ruleOf = new Int32Array(table.rows.length).fill(UNTOLD);
  const places = new Map(table.rows.map((row, at) => [row, at]));
  for (const [rule, { cases }] of (sets[0]?.rules ?? []).entries())
    for (const row of cases) ruleOf[places.get(row) ?? 0] = rule;
  const varying = table.columns.map((column): FieldFinding => {
    const against = againstOf(column, table.rows, numbers);
    const varied = variedOn(column, ruleOf);
    return {
      ...classOf(column),
      state: unique.includes(column)
        ? 'unique'
        : against === undefined
          ? 'explains'
          : column.fields.some((field) => parts.has(field))
            ? 'part'
            : 'not',
      against:
        against === undefined
          ? undefined
          : { values: column.texts[against.code] ?? [], cases: against.cases },
      varied: varied > 1 ? varied : 0,
    };
  });
  const constant = table.constant.map(
    ({ field, told }): FieldFinding => ({
      ...{ fields: [field], values: 1, told, state: 'constant', against: undefined, varied: 0 },
    }),
  );
  return [...varying, ...constant].sort(
    (a, b) => rankOfClass(a) - rankOfClass(b) || compared(a.fields[0] ?? '', b.fields[0] ?? ''),
  );
}

/** Most values that a column took on one rule. */
function variedOn({ codes, values }: Column, ruleOf: Int32Array): number {
  const seen = new Set<number>();
  const counts = new Map<number, number>();
  for (let i = 0; i < codes.length; i++) {
    const [code, rule] = [codes[i] ?? UNTOLD, ruleOf[i] ?? UNTOLD];
    if (code === UNTOLD || rule === UNTOLD) continue;
    const key = rule * values + code;
    if (seen.has(key)) continue;
    seen.add(key);
    counts.set(rule, (counts.get(rule) ?? 0) + 1);
  }
  let most = 0;
  for (const count of counts.values()) if (count > most) most = count;
  return most;
}

const compared = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function againstOf({ codes }: Column, rows: readonly number[], numbers: Int32Array) {
  const first = new Map<number, number>();
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] ?? UNTOLD;
    if (code === UNTOLD) continue;
    const before = first.get(code);
    if (before === undefined) first.set(code, i);
    else if (numbers[before] !== numbers[i])
      return { code, cases: [rows[before] ?? 0, rows[i] ?? 0] as const };
  }
  return undefined;
}

function contradictionsOf(
  kind: Contradiction['kind'],
  contradicting: readonly (readonly number[])[],
  numbers: Int32Array,
  groups: readonly Group[],
  rows: readonly number[],
): Contradiction[] {
  const sorted = contradicting.toSorted((a, b) => (a[0] ?? 0) - (b[0] ?? 0) || (a[1] ?? 0) - (b[1] ?? 0));
  return sorted.slice(0, MAX_CONTRADICTIONS).map((members) => ({
    kind,
    cases: members.map((row) => rows[row] ?? 0),
    groups: [...new Set(members.map((row) => groups[numbers[row] ?? 0]?.name ?? ''))].sort(),
  }));
}
