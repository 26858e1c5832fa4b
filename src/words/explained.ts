import { counted, some } from '../counted.ts';
import { rankOf } from '../explain/fields.ts';
import type {
  AlmostSet,
  Contradiction,
  Explained,
  ExplainingSet,
  Explanation,
  Family,
  FieldClass,
  FieldFinding,
  Grouping,
  Inseparable,
  NextRun,
  Rule,
  View,
} from '../explain/types.ts';
import type { Absent, Apart } from '../report/explained.ts';
import { nats, times } from './figures.ts';

/** Names that one line tells, and fields of one class. */
const MAX_NAMES = 6;
const MAX_FIELDS = 2;
/** Of each kind in a terminal; the page and JSON have more. */
const MAX_LINES = 12;

/** All of it in words, for a terminal. */
export function explainedLines({ families }: Explained): string[] {
  return families.flatMap((family) => [
    ...headOf(family),
    ...family.groupings.flatMap((grouping, index) => groupingLines(family, grouping, index === 0)),
    '',
  ]);
}

/** `H100 (A) against A100 (B): 1.1x the floor of A, 1.3x that of B; no argmax change in 96 positions of the same tokens`. */
export function apartWords({ suite, sides, distance }: Apart): string {
  const named = sides.map(({ hardwareClass, group, record }) => `${hardwareClass} (${group}, ${record})`);
  const { rmsNats, argmaxChanges, positions } = distance;
  const floors = sides.map(({ group, floorNats }) =>
    floorNats === null || floorNats === 0
      ? `no floor of ${group} is known`
      : `${times(rmsNats / floorNats)} the floor of ${group}`,
  );
  const argmax = argmaxChanges === 0 ? 'no argmax change' : counted(argmaxChanges, 'argmax change');
  return `${suite}: ${named.join(' against ')}: ${nats(rmsNats)}, ${floors.join(', ')}; ${argmax} in ${counted(positions, 'position')} of the same tokens.`;
}

/** A launcher of a fleet that gave nothing. */
export const absentWords = ({ name, code, reason, isOptional }: Absent): string =>
  `${name} gave nothing${isOptional ? ', which it may' : ''}: ${code}: ${reason}`;

/** The same of the legs of a matrix, in a line or two for each suite. */
export function legLines({ families }: Explained): string[] {
  return families.flatMap((family) => {
    const [whole] = family.groupings;
    if (whole === undefined || family.cases.length < 2) return [];
    const { groups, explanation } = whole;
    const [best] = explanation?.sets ?? [];
    return [
      `${family.suite}: of ${counted(family.cases.length, 'leg')} ${groups.length === 1 ? 'all computed the same bits' : groups.map(({ name, cases }) => `${name} is ${namesOf(family, cases)}`).join('; ')}.`,
      ...(explanation === undefined
        ? []
        : [
            best === undefined
              ? noneWords(explanation)
              : `Explained by ${setName(best)}: ${fitWords(best, family)}.`,
          ]),
    ];
  });
}

function headOf(family: Family): string[] {
  const { suite, cases, prompts, channels, notes } = family;
  return [
    `${suite}: ${counted(cases.length, 'record')}, ${counted(prompts.length, 'prompt')}, compared by ${list(channels)}`,
    ...notes.map(({ note, cases: of }) => `  Of ${counted(of, 'record')} ${note}.`),
  ];
}

function groupingLines(family: Family, grouping: Grouping, isFirst: boolean): string[] {
  const { groups, unmeasured, explanation } = grouping;
  return [
    `  ${viewsWords(grouping)}: ${groupsWords(grouping)}`,
    ...(isFirst || groups.length > 1
      ? someLines(groups.map((group) => `    ${group.name}  ${namesOf(family, group.cases)}`))
      : []),
    ...(unmeasured.length > 0
      ? [`    unmeasured: ${namesOf(family, unmeasured)} did not give all of it`]
      : []),
    ...(explanation === undefined
      ? []
      : explanationLines(family, explanation)
          // Of parts of the whole what explains them, and the rest on the page.
          .slice(0, isFirst ? undefined : 1)
          .map((line) => `    ${line}`)),
  ];
}

/** `All prompts`, `text`, `Prompt sky and 3 others`. */
export function viewsWords({ views }: Grouping): string {
  const [first] = views;
  const rest = views.length - 1;
  return `${first === undefined ? '' : viewWords(first)}${rest === 0 ? '' : ` (and alike: ${shortened(views.slice(1).map(viewWords))})`}`;
}

export function viewWords({ prompt, channel }: View): string {
  if (prompt !== undefined) return `prompt ${prompt}`;
  return channel === undefined ? 'all prompts' : `${channel} of all prompts`;
}

/** `all agree`, `6 groups of equal bits`. */
export function groupsWords({ groups }: Pick<Grouping, 'groups'>): string {
  const [only] = groups;
  if (only === undefined) return 'nothing that could be compared';
  if (groups.length > 1) return `${groups.length} groups of equal bits`;
  return only.cases.length === 1 ? 'one record, which nothing can be compared with' : 'all agree';
}

export function explanationLines(family: Family, explanation: Explanation): string[] {
  const { sets, contradictions, next, inseparable } = explanation;
  const [best, ...others] = sets;
  return [
    ...(best === undefined
      ? [noneWords(explanation)]
      : [
          `Explained by ${setName(best)}: ${fitWords(best, family)}.`,
          ...someLines(best.rules.map((rule) => `  ${ruleWords(best, rule)}`)),
        ]),
    ...(others.length === 0
      ? []
      : [
          'These fit as well, as far as they were tested:',
          ...someLines(others.map((set) => `  ${setName(set)}: ${fitWords(set, family)}`)),
        ]),
    ...explanation.almost.map((set) => `${setName(set)} explains all but ${almostWords(set, family)}.`),
    ...untestedWords(explanation),
    searchWords(explanation),
    ...fieldLines(family, explanation),
    ...someLines(inseparable.map((one) => inseparableWords(one, family))),
    ...someLines(contradictions.map((one) => contradictionWords(one, family))),
    ...next.slice(0, 1).map((run) => `Next most telling run: ${runWords(run, family, explanation)}`),
  ];
}

export function noneWords({ found, contradictions }: Explanation): string {
  if (found > 0)
    return 'No set of fields explains it that was ever repeated: each fits only as a list of names does.';
  return contradictions.length > 0
    ? 'No set of fields explains it: see the contradictions.'
    : 'No set of fields that was looked at explains it.';
}

/** `SM count and GPU count`. */
export const setName = ({ classes }: Pick<ExplainingSet | AlmostSet, 'classes'>): string =>
  list(classes.map(className));

/** The field that says most, and how many it cannot be told from. */
export function className({ fields }: Pick<FieldClass, 'fields'>): string {
  const sorted = fields.toSorted((a, b) => rankOf(a) - rankOf(b));
  const shown = sorted.slice(0, MAX_FIELDS).join(' / ');
  return sorted.length > MAX_FIELDS ? `${shown} / ${sorted.length - MAX_FIELDS} more` : shown;
}

/** `6 combinations of values for 11 records: 5 repeat one that was there, and agree`. */
export function fitWords({ rules, repeats }: ExplainingSet, { cases }: Family): string {
  const told = rules.reduce((sum, rule) => sum + rule.cases.length, 0);
  const silent = cases.length > told ? `; it says nothing of ${cases.length - told}` : '';
  return `${counted(rules.length, 'combination')} of values in ${counted(told, 'record')}, and ${repeats === 1 ? 'the one' : `each of the ${repeats}`} that repeated one agrees${silent}`;
}

/** `SM count 108, GPU count 1: A (4 records)`. */
export function ruleWords({ classes }: ExplainingSet, { values, group, cases }: Rule): string {
  const told = classes.map(({ fields }, at) => {
    const best = firstOf(fields);
    return `${best} ${values[at]?.[fields.indexOf(best)] ?? ''}`;
  });
  return `${told.join(', ')}: ${group} (${counted(cases.length, 'record')})`;
}

export const almostWords = ({ exceptions, repeats }: AlmostSet, family: Family) =>
  `${counted(exceptions.length, 'record')} (${namesOf(family, exceptions)}; ${repeats} repeats)`;

function untestedWords({ untested }: Explanation): string[] {
  return untested === 0
    ? []
    : [
        `${counted(untested, 'set')} more fit only because no two records share ${untested === 1 ? 'its' : 'their'} values: nothing was ever held against ${untested === 1 ? 'it' : 'them'}.`,
      ];
}

export function searchWords({ search, found }: Explanation): string {
  switch (search.kind) {
    case 'exact':
      return `Every smallest set was looked for: there ${found === 1 ? 'is one' : `are ${found}`}.`;
    case 'bounded':
      return `Every smallest set of up to ${counted(search.fields, 'field')} was looked for, and not all larger ones: there may be more.`;
  }
}

/** What was varied and is not needed; what was never varied; what is another one everywhere. */
function fieldLines(family: Family, { fields, sets }: Explanation): string[] {
  const of = (state: FieldFinding['state']) => fields.filter((field) => field.state === state);
  const [best] = sets;
  return [
    ...someLines(of('not').map((field) => `Does not explain it: ${againstWords(field, family, best)}`)),
    ...named('Never varied, so that nothing is known of', of('constant')),
    ...named('Another value in every record, so that nothing is known of', of('unique')),
  ];
}

export function againstWords(
  { fields, against, varied }: FieldFinding,
  family: Family,
  best: ExplainingSet | undefined,
): string {
  const first = firstOf(fields);
  const value = against?.values[fields.indexOf(first)] ?? '';
  const own = against === undefined ? '' : ` (${value} in ${namesOf(family, against.cases)}, of other bits)`;
  const same =
    varied > 1 && best !== undefined
      ? `; ${varied} values of it on equal ${setName(best)} gave the same bits`
      : '';
  return `${className({ fields })}${own}${same}`;
}

/** The field of a class that is named first. */
export const firstOf = (fields: readonly string[]): string =>
  fields.reduce((a, b) => (rankOf(b) < rankOf(a) ? b : a), fields[0] ?? '');

const named = (what: string, fields: readonly FieldFinding[]) =>
  fields.length === 0 ? [] : [`${what}: ${shortened(fields.map(className), 12)}`];

export function inseparableWords({ fields, apart }: Inseparable, family: Family): string {
  const how =
    apart === undefined
      ? ''
      : `; to tell them apart, run ${nameOf(family, apart.from)} with ${changeWords(apart.change)} of ${nameOf(family, apart.of)}`;
  return `Always changed together here: ${shortened(fields.toSorted((a, b) => rankOf(a) - rankOf(b)))}${how}`;
}

export function contradictionWords({ cases, groups, kind }: Contradiction, family: Family): string {
  const who = `${namesOf(family, cases)} (${list(groups)})`;
  switch (kind) {
    case 'same':
      return `Contradiction: ${who} tell the same of every field and gave other bits: noise, or a field that nobody told`;
    case 'untold':
      return `Not told apart: ${who} gave other bits, and every field that both tell is equal`;
  }
}

/** `2x_a100 with GPU count 1 as in 1x_h100: SM count says A, GPU name says D`. */
export function runWords({ from, change, of, says }: NextRun, family: Family, { sets }: Explanation): string {
  const told = [...Map.groupBy(says, ({ group }) => group)].flatMap(([group, all]) => {
    const names = all.flatMap(({ set }) => (sets[set] === undefined ? [] : [setName(sets[set])]));
    return group === undefined ? [] : [`group ${group} if it is ${shortened(names, 2)}`];
  });
  return `${nameOf(family, from)} with ${changeWords(change)} as in ${nameOf(family, of)}: ${told.join(', ')}`;
}

export function changeWords(change: NextRun['change']): string {
  // What says most of what is to be taken: a card is known by its name.
  const name = change.find(({ field }) => field === 'GPU name');
  const shown = name === undefined ? change.slice(0, MAX_FIELDS) : [name];
  return list(shown.map(({ field, value }) => `${field} ${value}`));
}

export const nameOf = ({ cases }: Family, at: number): string => cases[at]?.name ?? '';

export const namesOf = (family: Family, cases: readonly number[]): string =>
  shortened(cases.map((at) => nameOf(family, at)));

const shortened = (names: readonly string[], max = MAX_NAMES): string =>
  names.length <= max ? list(names) : some(names, max);

function list(names: readonly string[]): string {
  if (names.length < 2) return names[0] ?? 'nothing';
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

const someLines = (lines: readonly string[]): string[] =>
  lines.length <= MAX_LINES
    ? [...lines]
    : [...lines.slice(0, MAX_LINES), `  … and ${lines.length - MAX_LINES} more`];
