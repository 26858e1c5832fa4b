import { counted, some } from '../counted.ts';
import type { UserError } from '../errors.ts';
import { excerpt } from '../inert.ts';
import type { Bisection } from '../report/answers.ts';
import type { Notice } from '../report/schema.ts';

/** Characters of a value. */
const MAX_VALUE = 60;
const MAX_NAMED = 10;

/** For a terminal: what there was, what was found, and what it rests on. Not yet inert. */
export function bisectLines(found: Bisection, hardwareClass: string): string[] {
  const { changes, fixed } = found;
  return [
    ...(changes.length === 0
      ? []
      : [
          `${counted(changes.length, 'declared change')} that can be put back, the likeliest first:`,
          ...changes.map(
            ({ name, before, after }, at) => `  ${at + 1}. ${name}: ${value(before)} → ${value(after)}`,
          ),
        ]),
    ...fixed.map(({ name, why }) => `  not put back: ${name} (${why})`),
    ...triedLines(found),
    ...sentencesOf(found),
    `${headlineOf(found)} on ${hardwareClass}.`,
  ];
}

/** By the numbers of the list above. */
function triedLines({ tried, changes }: Bisection): string[] {
  const places = new Map(changes.map(({ name }, at) => [name, at + 1]));
  const made = (names: readonly string[]) =>
    names.length === 0
      ? 'with none of them'
      : names.length === changes.length
        ? 'with all of them'
        : `with ${names.map((name) => places.get(name)).join(', ')}`;
  return [
    `${counted(tried.length, 'engine start')} in ${seconds(tried)} s:`,
    ...tried.map(
      ({ changes: names, outcome, seconds: took, why }) =>
        `  ${made(names)}: ${OUTCOMES[outcome]}${why === null ? '' : `, ${value(why)}`} (${took.toFixed(1)} s)`,
    ),
  ];
}

const OUTCOMES: Readonly<Record<Bisection['tried'][number]['outcome'], string>> = {
  moved: 'other bits than the baseline’s',
  same: 'as the baseline',
  unresolved: 'not to be told',
};

/** Before anything is started. */
export const priceWords = (budget: number, seconds: number | null) =>
  `At most ${counted(budget, 'engine start')} (\`--budget\`), each ${seconds === null ? 'of unknown length' : `about ${seconds.toFixed(0)} s by what the baseline’s took: at most about ${((budget * seconds) / 60).toFixed(1)} minutes`}. The first is of the suite as it is.`;

/** Whether what was asked is known. */
export const isAnswered = ({ result, fixed, left }: Bisection) =>
  result === 'found' ||
  result === 'steady' ||
  (result === 'elsewhere' && fixed.length === 0 && isOfRunner(left));

/** Titles of notices that tell of one. */
export const BISECTED = 'Which declared change it was';

/** What a report says of it, where the check looked. Not yet inert. */
export function bisectNotice(found: Bisection): Notice {
  const { tried } = found;
  const cost =
    tried.length === 0
      ? 'No engine start was needed for it.'
      : `${counted(tried.length, 'engine start')} more, ${seconds(tried)} s.`;
  return {
    level: 'notice',
    title: BISECTED,
    message: [`${headlineOf(found)}.`, ...sentencesOf(found), cost].join(' '),
  };
}

/** Where it ended in an error: the check's own result stands. */
export const bisectFailed = ({ code, message }: Pick<UserError, 'code' | 'message'>): Notice => ({
  level: 'warning',
  title: BISECTED,
  message: `Not found: an engine start for it ended in the error ${code}. ${excerpt(message, 500)}`,
});

const seconds = (tried: Bisection['tried']) => tried.reduce((sum, one) => sum + one.seconds, 0).toFixed(0);

function headlineOf(found: Bisection): string {
  const { result, cause, changes } = found;
  switch (result) {
    case 'found':
      return cause.length === 1 ? `Found: ${cause[0]}` : `Found, only together: ${listed(cause)}`;
    case 'within':
      return `Not found nearer than: in ${cause.length === 1 ? 'this one' : `these ${cause.length}`} of ${changes.length}: ${listed(cause)}`;
    case 'elsewhere':
      return isAnswered(found)
        ? 'Found: the runner changed, not what the repository declares'
        : 'None of the changes that can be put back';
    case 'steady':
      return 'Nothing to find: the suite as it is gives the bits of the baseline';
    case 'unresolved':
      return 'Not to be told: the suite as it is could not be compared with the baseline';
  }
}

/** What was seen, and what was not looked at. */
const sentencesOf = (found: Bisection) => evidenceOf(found).filter((sentence) => sentence !== '');

function evidenceOf(found: Bisection): string[] {
  const { result, cause, needed, changes, limit, left } = found;
  switch (result) {
    case 'found':
      return [
        cause.length === 1
          ? `With it alone of ${counted(changes.length, 'declared change')} the bits are other ones, and nothing that ran without it gave other ones.`
          : `With these alone of ${changes.length} declared changes the bits are other ones, and nothing that ran without any one of them gave other ones.`,
        runnerWords(found),
        ONCE,
      ];
    case 'within':
      return [
        cause.length === changes.length ? '' : 'With these alone the bits are other ones.',
        needed.length === 0
          ? `Nearer it is not known: ${LIMITS[limit ?? 'budget']}`
          : `${listed(needed)} ${needed.length === 1 ? 'is' : 'are'} needed: nothing that ran without gave other ones. Of the others that is not known: ${LIMITS[limit ?? 'budget']}`,
        runnerWords(found),
        ONCE,
      ];
    case 'elsewhere':
      return [
        changes.length === 0
          ? 'No declared change is beside the drift that could be put back.'
          : `With ${changes.length === 1 ? 'the one declared change' : `all ${changes.length} declared changes`} put back, the bits on this runner are other ones than the baseline’s too.`,
        leftWords(left),
        changes.length === 0 ? '' : ONCE,
      ];
    case 'steady':
    case 'unresolved':
      return [];
  }
}

const ONCE = 'Each set ran in one engine start: an engine that does not repeat would mislead it.';

/** What the runner gives with all changes put back, where that was looked at: whether it is the runner at all. */
function runnerWords({ tried }: Bisection): string {
  const none = tried.find(({ changes }) => changes.length === 0);
  switch (none?.outcome) {
    case 'same':
      return 'With all of them put back, this runner gives the baseline’s bits: it did not do it.';
    case 'unresolved':
      return `Whether this runner gives the baseline’s bits with all of them put back could not be told: ${excerpt(none.why ?? '', 200)}.`;
    case 'moved':
    case undefined:
      return '';
  }
}

const LIMITS: Readonly<Record<NonNullable<Bisection['limit']>, string>> = {
  budget: 'no more engine starts were allowed.',
  unresolved: 'the engine starts that could tell came to nothing.',
};

const isOfRunner = (left: Bisection['left']) =>
  left !== null && left.length > 0 && left.every(({ half }) => half === 'ambient');

function leftWords(left: Bisection['left']): string {
  if (left === null) return '';
  if (left.length === 0) return 'No recorded fact differs any more: what did it is not recorded.';
  const told = left
    .slice(0, MAX_NAMED)
    .map(({ field, before, after }) => `${field}: ${value(before)} → ${value(after)}`);
  const more = left.length - told.length;
  return `What then still differs: ${told.join('; ')}${more > 0 ? `; and ${more} more` : ''}.`;
}

const listed = (names: readonly string[]) =>
  names.length > MAX_NAMED
    ? some(names, MAX_NAMED)
    : names.length < 2
      ? names.join()
      : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;

const value = (text: string) => excerpt(text, MAX_VALUE);
