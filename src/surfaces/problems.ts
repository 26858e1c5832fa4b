import type { Verdict } from '../compare/conclusion.ts';
import { counted } from '../counted.ts';
import { within } from '../inert.ts';
import { digestJson } from '../record/digest.ts';
import type { Across } from '../report/across.ts';
import type { Merged } from '../report/merged.ts';
import type { Report } from '../report/schema.ts';
import { answerOf, promptLine } from '../words/answer.ts';
import { errorLines } from '../words/errors.ts';
import { type Drifted, type ReadGroup, read } from '../words/reading.ts';
import type { Failure } from './surface.ts';

/** What is wrong, where, in the form that formats for code have in common. Texts are inert and capped. */
export interface Problem {
  /** By which it is wrong. */
  readonly rule: Rule;
  readonly level: 'error' | 'warning';
  readonly message: string;
  /** Path in the repository; empty where nobody knows it. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** 64 hex digits: the same problem has the same in every run, wherever its line went. */
  readonly fingerprint: string;
}

export type Rule =
  /** A relation that a prompt broke. */
  | { readonly kind: 'relation'; readonly name: string }
  /** What the whole run comes to. */
  | { readonly kind: 'conclusion'; readonly name: Report['conclusion'] }
  /** What was required of classes of hardware among themselves. */
  | { readonly kind: 'across-classes'; readonly name: Exclude<Across['status'], 'held'> }
  /** By its code. */
  | { readonly kind: 'error'; readonly name: Failure['error']['code'] };

/** GitHub shows 5,000 of an upload, and refuses more than 25,000. */
export const MAX_PROBLEMS = 5000;
/** GitHub cuts what is longer. */
const MAX_MESSAGE = 1000;

/** Whether broken prompts of a report say something of the engine, and how loud. */
export type Loudness = 'error' | 'warning' | 'none';

const LOUDNESS = { fail: 'error', warn: 'warning', pass: 'none' } as const satisfies Record<
  Verdict,
  Loudness
>;

/** What an unhealthy GPU computed tells nothing of the engine. */
export const promptsOf = ({ conclusion, verdict }: Pick<Report, 'conclusion' | 'verdict'>): Loudness =>
  conclusion === 'unhealthy-gpu' ? 'none' : LOUDNESS[verdict];

/**
 * What does not pass in reports: each relation that a prompt broke, worst first, or else what the whole run comes to.
 * Empty where the policy lets all pass; of very many the last one counts the rest.
 *
 * @param reports worst first
 */
export function problemsOf(reports: readonly Report[]): Problem[] {
  const all: Problem[] = [];
  let total = 0;
  for (const report of reports) {
    const level = LOUDNESS[report.verdict];
    if (level === 'none') continue;
    const broken =
      promptsOf(report) === 'none'
        ? []
        : read(report).drifted.flatMap((drifted) => drifted.broken.map((group) => ({ drifted, group })));
    total += Math.max(1, broken.length);
    const room = MAX_PROBLEMS - all.length;
    if (room <= 0) continue;
    if (broken.length === 0) all.push(ofRun(report, level));
    else all.push(...ofPrompts(report, level, broken.slice(0, room)));
  }
  const last = all.at(-1);
  if (total <= all.length || last === undefined) return all;
  const left = total - all.length + 1;
  return [
    ...all.slice(0, -1),
    { ...last, message: `${counted(left, 'more problem')} left out here: the report has all.` },
  ];
}

/** The same of several jobs, and what was required of their classes of hardware among themselves. */
export function problemsOfMerged({ reports, across }: Pick<Merged, 'reports' | 'across'>): Problem[] {
  const all = problemsOf(reports);
  const [first] = reports;
  if (across === undefined || across.status === 'held' || first === undefined) return all;
  const { places } = first.context;
  return [
    {
      rule: { kind: 'across-classes', name: across.status },
      level: 'error',
      message: within(across.line, MAX_MESSAGE),
      file: places.file,
      ...places.relations,
      fingerprint: digestJson(['across-classes', first.suite.name]),
    },
    ...all.slice(0, MAX_PROBLEMS - 1),
  ];
}

/** An error of the user's at its lines, or else at the suite's first. */
export function problemsIn({ error, places, suite }: Failure): Problem[] {
  const rule: Rule = { kind: 'error', name: error.code };
  const said = errorLines(error, MAX_MESSAGE).join(' ');
  const at = places.length > 0 ? places : [{ file: suite, line: 1, column: 1, message: '' }];
  return at.slice(0, MAX_PROBLEMS).map(({ message, ...place }, index) => ({
    ...place,
    rule,
    level: 'error',
    message: within(message === '' ? said : `${message} ${said}`, MAX_MESSAGE),
    fingerprint: digestJson(['error', error.code, place.file.toWellFormed(), index]),
  }));
}

function ofRun(report: Report, level: Problem['level']): Problem {
  const { places } = report.context;
  const { line, words } = read(report);
  return {
    rule: { kind: 'conclusion', name: report.conclusion },
    level,
    message: within(`${line}. ${words.meaning} ${words.next}`, MAX_MESSAGE),
    file: places.file,
    ...places.relations,
    fingerprint: fingerprintOf(report, report.conclusion, ''),
  };
}

interface Broken {
  readonly drifted: Drifted;
  readonly group: ReadGroup;
}

function ofPrompts(report: Report, level: Problem['level'], broken: readonly Broken[]): Problem[] {
  const { places } = report.context;
  const lines = new Map(places.prompts.map(({ id, line, column }) => [id, { line, column }]));
  const said = answerOf(report);
  return broken.map(({ drifted: { prompt }, group }) => {
    const { relation } = group.relation;
    const answer = relation === 'baseline' ? said : '';
    const told = [
      `Prompt ${within(prompt, 100)} on ${report.hardwareClass}: ${lineOf(group)}`,
      ...(answer === '' ? [] : [answer]),
    ];
    return {
      rule: { kind: 'relation', name: relation },
      level,
      message: within(told.map((one) => `${one}.`).join(' '), MAX_MESSAGE),
      file: places.file,
      ...(lines.get(prompt) ?? places.relations),
      fingerprint: fingerprintOf(report, relation, prompt),
    };
  });
}

/** What one relation found of one prompt, in a line. Not yet inert. */
export const lineOf = (group: ReadGroup): string => {
  const { prompt, worst } = group.group;
  return promptLine({ prompt, worst, broken: [group] });
};

/** Texts of a stranger's report may hold half of a character, which has no digest. */
const fingerprintOf = ({ suite, hardwareClass }: Report, rule: string, prompt: string) =>
  digestJson([suite.name, hardwareClass, rule, prompt].map((part) => part.toWellFormed()));
