import { CONCLUSIONS, type Conclusion } from '../compare/conclusion.ts';
import { counted } from '../counted.ts';
import { markdown } from '../inert.ts';
import type { Across } from '../report/across.ts';
import type { Report } from '../report/schema.ts';
import { acceptWords } from './accept.ts';
import { pageName, promptAnchor } from './anchor.ts';
import { answerOf } from './answer.ts';
import { textHashWords } from './findings.ts';
import { kindWords, textOf } from './groups.ts';
import { issueLine, NO_VERDICT, type ReadIssue } from './issues.ts';
import { commonParts, legTable, mergedLine } from './merged.ts';
import { ownerOf } from './owner.ts';
import { read } from './reading.ts';
import { ICON } from './verdict.ts';
import { agreementIn, baselineWords } from './words.ts';

/** How much of each thing there is room for. */
export interface Room {
  /** Classes of hardware that are told at length, and those that have their row. */
  readonly parts: number;
  readonly classes: number;
  /** Of each class. */
  readonly prompts: number;
  readonly changes: number;
  readonly notices: number;
  readonly issues: number;
  /** Characters of one cell, before they are made inert: which makes some of them a dozen. */
  readonly cell: number;
}

/** From what a reader may want down to what a reader must have: the last one always fits. */
export const LADDER: readonly Room[] = [
  { parts: 8, classes: 40, prompts: 10, changes: 5, notices: 5, issues: 3, cell: 600 },
  { parts: 4, classes: 40, prompts: 5, changes: 5, notices: 3, issues: 2, cell: 250 },
  { parts: 2, classes: 20, prompts: 3, changes: 3, notices: 2, issues: 1, cell: 120 },
  { parts: 1, classes: 10, prompts: 0, changes: 0, notices: 0, issues: 0, cell: 100 },
  { parts: 0, classes: 0, prompts: 0, changes: 0, notices: 0, issues: 0, cell: 100 },
];

/** Where a reader finds the rest, and what was looked at. */
export interface Whence {
  /** Page of the run. */
  readonly url: string;
  /** Commit of the change; empty where nobody knows it. */
  readonly headSha: string;
  /** Whether a stranger's job says so, and nobody here. */
  readonly isUnverified: boolean;
  /** What classes of the suite must be beside each other, where that was asked. */
  readonly across?: Across | undefined;
}

/** Under the verdict of a stranger's job. */
export const UNVERIFIED =
  '_A pull request from a fork: this is what its own job reports, and it is not verified. Run the check on a branch of this repository before you merge._';

/** Nothing to tell: all reproduced, and not by an acceptance, and classes are as near each other as was asked. */
export const isWell = (reports: readonly Report[], across?: Pick<Across, 'verdict'>) =>
  across?.verdict !== 'fail' &&
  reports.every(({ verdict, accepted }) => verdict === 'pass' && accepted === null);

/** The worst verdict; `pass` of nothing. */
export function worstVerdict(
  reports: readonly Report[],
  across?: Pick<Across, 'verdict'>,
): Report['verdict'] {
  const verdicts = new Set(
    [...reports, ...(across === undefined ? [] : [across])].map(({ verdict }) => verdict),
  );
  return verdicts.has('fail') ? 'fail' : verdicts.has('warn') ? 'warn' : 'pass';
}

/** The worst conclusion of what is not well. */
export function worstConclusion(reports: readonly Report[], across?: Across): Conclusion {
  // All that is not well is how far classes are from each other.
  if (isWell(reports) && across?.verdict === 'fail')
    return across.status === 'broken' ? 'relation-broken' : 'unmeasured';
  return (
    CONCLUSIONS.find((one) =>
      reports.some((report) => report.conclusion === one && (!isWell([report]) || isWell(reports))),
    ) ?? 'unmeasured'
  );
}

/**
 * What a run found, for a reader of half a minute: GitHub Markdown in which nothing that came from outside acts.
 *
 * @param reports worst first
 */
export function brief(reports: readonly Report[], whence: Whence, room: Room): string {
  const [only, ...others] = reports;
  const parts =
    only !== undefined && others.length === 0
      ? room.parts === 0
        ? []
        : [...body(only, whence, room), placeLine(only, room)]
      : several(reports, whence, room);
  const isCut = room !== LADDER[0];
  return paragraphs([
    `### ${ICON[worstVerdict(reports, whence.across)]} ${markdown(mergedLine(reports))}`,
    whence.isUnverified ? UNVERIFIED : '',
    whence.across === undefined ? '' : `**${markdown(whence.across.line, Math.max(4 * room.cell, 400))}**`,
    ...parts,
    footer(reports, whence, isCut),
  ]);
}

/** Each class of hardware by itself, then the ones that want a reader. */
function several(reports: readonly Report[], whence: Whence, room: Room): readonly string[] {
  const wanting = reports.filter((report) => !isWell([report]));
  const told = wanting.slice(0, room.parts);
  const left = wanting.length - told.length;
  return [
    // Nobody is to copy what a stranger asks to be accepted.
    ...(whence.isUnverified ? [] : commonParts(reports)),
    legTable(reports, room.classes),
    ...told.flatMap((report) => [
      `#### ${ICON[report.verdict]} <code>${markdown(report.hardwareClass)}</code>`,
      ...body(report, whence, room),
    ]),
    left === 0 || told.length === 0 ? '' : `${left} more told in the table only.`,
  ];
}

/** All but the verdict line. */
function body(report: Report, { isUnverified }: Whence, room: Room): readonly string[] {
  const { meaning, next } = read(report).words;
  return [
    markdown(answerOf(report)),
    // What is accepted has its reason in it.
    markdown(meaning, 2500),
    `**Next:** ${next}`,
    // Nobody is to copy what a stranger asks to be accepted.
    isUnverified ? '' : acceptBlock(report),
    issueList(read(report).issues.slice(0, room.issues), room.cell),
    unmeasuredList(report, room),
    promptTable(report, room),
    changeTable(report, room),
    noticeList(report, room),
    baselineLine(report, room),
  ];
}

function acceptBlock(report: Report): string {
  const words = acceptWords(report);
  if (words === undefined) return '';
  const { intro, command, adds, accept, between, refresh } = words;
  return paragraphs([
    markdown(intro),
    ...(accept.length === 0
      ? []
      : [fenced('console', command), markdown(adds), fenced('yaml', accept), markdown(between)]),
    fenced('console', [refresh]),
  ]);
}

/** Of our own making, and so fit to be copied; should a report say otherwise, it is not shown. */
const fenced = (language: string, lines: readonly string[]) =>
  lines.every((line) => /^[\w .:"=@+/-]*$/.test(line))
    ? [`\`\`\`${language}`, ...lines, '```'].join('\n')
    : '';

/**
 * Known issues as GitHub Markdown. GitHub notes in a thread whoever links to it: a link by way of its redirector does
 * not, so that no maintainer hears of each run.
 *
 * @param cell most characters of what fits, and of what was not looked at
 */
export function issueList(issues: readonly ReadIssue[], cell: number): string {
  if (issues.length === 0) return '';
  return [
    ...issues.map((issue) => {
      const { name, url, matched, open } = issue;
      const quiet = url.replace('https://github.com/', 'https://redirect.github.com/');
      const thread = link(markdown(name), quiet);
      return `> 🔗 **${markdown(issueLine(issue))}** Thread: ${thread}. Matched: ${markdown(matched, cell)}. Not looked at: ${markdown(open, cell)}.`;
    }),
    `> ${NO_VERDICT}`,
  ].join('\n>\n');
}

function unmeasuredList({ relations, conclusion }: Report, { prompts, cell }: Room): string {
  if (conclusion !== 'unmeasured') return '';
  return relations
    .filter(({ status }) => status === 'unmeasured')
    .slice(0, prompts)
    .map(({ relation, evidence }) => `- ${relation}: ${markdown(evidence, cell)}`)
    .join('\n');
}

function promptTable(report: Report, { prompts, cell }: Room): string {
  const found = read(report).drifted;
  const shown = found.slice(0, prompts);
  const left = found.length - shown.length;
  const rows = shown.flatMap(({ prompt, broken: [first] }) => {
    if (first === undefined) return [];
    const { relation, frame, group } = first;
    const cells = [
      `<code>${markdown(prompt, Math.min(cell, 100))}</code>`,
      relation.relation,
      agreementIn(group.worst),
      textHashWords(textOf(group)),
      markdown(kindWords(group, frame).join('. '), cell),
    ];
    return [`| ${cells.join(' | ')} |`];
  });
  return paragraphs([
    rows.length === 0
      ? ''
      : [
          '| prompt | broke | agreement | hash of the text alone | where |',
          '| --- | --- | --- | --- | --- |',
          ...rows,
        ].join('\n'),
    left === 0 ? '' : `${counted(left, 'prompt')} ${rows.length === 0 ? '' : 'more '}left out here.`,
  ]);
}

/** Where the page has each prompt. Of its own report's page: on that of several, each report has places of its own. */
function placeLine(report: Report, { prompts, cell }: Room): string {
  const [worst] = read(report).drifted;
  if (worst === undefined || prompts === 0) return '';
  const page = markdown(pageName(report.context.htmlPath), cell);
  return `Each prompt has its place on the page <code>${page}</code>: <code>&#35;${markdown(promptAnchor(worst.prompt))}</code> is the worst.`;
}

/** The repository's own changes first: they are what the pull request can explain. */
function changeTable({ changes, digests, conclusion }: Report, room: Room): string {
  if (digests.baselineRecord === null) return '';
  if (changes.length === 0)
    return conclusion === 'drift' ? 'No recorded fact of the environment differs from the baseline’s.' : '';
  const shown = changes.slice(0, room.changes);
  const left = changes.length - shown.length;
  const cell = Math.min(room.cell, 120);
  return paragraphs([
    shown.length === 0
      ? ''
      : [
          '| changed since the baseline | baseline | now |',
          '| --- | --- | --- |',
          ...shown.map(
            ({ half, field, before, after }) =>
              `| <code>${markdown(field, cell)}</code> (${ownerOf({ half, field })}) | ${markdown(before, cell)} | ${markdown(after, cell)} |`,
          ),
        ].join('\n'),
    left === 0 ? '' : `${counted(left, 'changed fact')} ${shown.length === 0 ? '' : 'more '}left out here.`,
  ]);
}

function noticeList({ context: { notices } }: Report, room: Room): string {
  const shown = notices.slice(0, room.notices);
  const left = notices.length - shown.length;
  const lines = shown.map(
    ({ level, title, message }) =>
      `> ${level === 'warning' ? '⚠️' : 'ℹ️'} **${markdown(title, 100)}.** ${markdown(message, room.cell)}`,
  );
  return paragraphs([
    lines.join('\n>\n'),
    left === 0 ? '' : `${counted(left, 'notice')} ${shown.length === 0 ? '' : 'more '}left out here.`,
  ]);
}

function baselineLine({ context: { baseline }, createdAt }: Report, { cell }: Room): string {
  const [first] = baselineWords(baseline, createdAt);
  return first === undefined ? '' : markdown(first, Math.max(cell, 200));
}

function footer(reports: readonly Report[], { url, headSha }: Whence, isCut: boolean): string {
  const suites = [...new Set(reports.map(({ suite }) => suite.name))].slice(0, 3);
  const named = suites.map((suite) => `<code>${markdown(suite, 64)}</code>`).join(', ');
  const commit = /^[0-9a-f]{40}$/.test(headSha) ? ` at <code>${headSha.slice(0, 12)}</code>` : '';
  const rest = isCut ? 'what was left out here' : 'the rest';
  return `<sub>Suite ${named}${commit}. ${link('The run’s page', url)} has ${rest}.</sub>`;
}

/** @param text our own words */
export const link = (text: string, url: string) =>
  /^https?:\/\/[\w.:%/?=&-]{1,500}$/.test(url) ? `[${text}](${url})` : text;

const paragraphs = (parts: readonly string[]) => parts.filter((part) => part !== '').join('\n\n');

/** Those that fit, each shorter than the one before: to try another one of the same length would be for nothing. */
export function shorter(texts: readonly string[], fits: (text: string) => boolean): readonly string[] {
  const kept: string[] = [];
  for (const text of texts)
    if (fits(text) && text.length < (kept.at(-1)?.length ?? Number.POSITIVE_INFINITY)) kept.push(text);
  return kept;
}
