import { explanationOf } from './explanation.ts';
import { agreementOf, answersOf, groupsOf, type Numbered, numbered } from './grouping.ts';
import type { Case, Explained, Family, Grouping } from './types.ts';

/** Groupings of a suite that are explained, and such that are only told. */
const MAX_EXPLAINED = 8;
const MAX_GROUPINGS = 200;

/** Who agrees with whom, and what explains it: the same cases give the same, in whatever order they come. */
export function explain(cases: readonly Case[]): Explained {
  const suites = [...Map.groupBy(cases, ({ suite }) => suite)].sort(([a], [b]) => compared(a, b));
  return {
    families: suites.map(([suite, own]) =>
      familyOf(
        suite,
        own.toSorted((a, b) => compared(a.name, b.name)),
      ),
    ),
  };
}

const compared = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function familyOf(suite: string, cases: readonly Case[]): Family {
  const answers = answersOf(cases);
  const all = distinct(numbered(cases, answers));
  let explained = 0;
  return {
    suite,
    cases: shortened(cases.map(({ name }) => name)).map((name) => ({ name })),
    notes: [
      ...Map.groupBy(
        cases.flatMap(({ notes = [] }) => notes),
        (note) => note,
      ),
    ].map(([note, all]) => ({
      note,
      cases: all.length,
    })),
    prompts: answers.prompts,
    channels: answers.channels,
    groupings: all.slice(0, MAX_GROUPINGS).map(([first, ...more]): Grouping => {
      const groups = groupsOf(first.numbers);
      const isExplained = groups.length > 1 && explained < MAX_EXPLAINED;
      if (isExplained) explained++;
      return {
        views: [first.view, ...more.map(({ view }) => view)],
        groups,
        unmeasured: cases.flatMap((_, at) => (first.numbers[at] === -1 ? [at] : [])),
        explanation: isExplained ? explanationOf(cases, groups) : undefined,
      };
    }),
    agreement: agreementOf(cases),
  };
}

/** Paths without the folders that all have in common. */
function shortened(names: readonly string[]): string[] {
  const [first, ...rest] = names.map((name) => name.split('/'));
  if (first === undefined || rest.length === 0) return [...names];
  let common = 0;
  while (
    common < first.length - 1 &&
    rest.every((parts) => parts[common] === first[common] && parts.length > common + 1)
  )
    common++;
  return names.map((name) => name.split('/').slice(common).join('/'));
}

/** Views that group alike, as one. */
function distinct(all: readonly Numbered[]): (readonly [Numbered, ...Numbered[]])[] {
  // Numbers are given by first appearance: groupings that are alike have equal ones.
  const by = new Map<string, [Numbered, ...Numbered[]]>();
  for (const one of all) {
    const key = one.numbers.join(' ');
    const own = by.get(key);
    if (own === undefined) by.set(key, [one]);
    else own.push(one);
  }
  return [...by.values()];
}
