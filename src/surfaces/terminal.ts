import { excerpt, within } from '../inert.ts';
import type { Report } from '../report/schema.ts';
import { acceptLines } from '../words/accept.ts';
import { answerOf } from '../words/answer.ts';
import { costLine } from '../words/cost.ts';
import { textHashWords } from '../words/findings.ts';
import { type Group, isDifferent, isIdentical, kindWords, textOf } from '../words/groups.ts';
import { issueLines } from '../words/issues.ts';
import { type ReadRelation, read } from '../words/reading.ts';
import { STRIP_LEGEND, tellingStrip, textStrip } from '../words/strip.ts';
import { agreementIn, baselineWords, coverageWords, relationLines } from '../words/words.ts';
import type { Surface } from './surface.ts';

export const terminal: Surface = {
  name: 'terminal',
  report: { log: terminalLines, terminal: terminalLines },
  found: { log: findingLines },
};

/** Every prompt of a small suite; of a large one those that are not identical. */
const MAX_LISTED = 20;
/** Of a line; the caller has a cap of its own for what it writes. */
const MAX_LINE = 1900;
const MAX_NAME = 64;
/** Prompts of a relation whose strip is shown: of thousands nobody compares them by eye. */
const MAX_STRIPS = 20;
/** Whole, and with its indent and the longest kind of pass no wider than 80 columns, where a terminal would wrap it. */
const MAX_STRIP = 64;

/** The report as lines of a terminal or log. Of a refresh, what was found is told before anything is stored. */
export function terminalLines(report: Report): string[] {
  return report.context.mode === 'refresh'
    ? closingLines(report)
    : [...findingLines(report), ...closingLines(report)];
}

/** What was compared and how it compares. */
export function findingLines(report: Report): string[] {
  const { exercised, not } = coverageWords(report.coverage);
  // Not by spreading: a large suite has more prompts than a call may have arguments.
  const { relations } = read(report);
  const width = relations
    .flatMap(({ groups }) => groups)
    .reduce((widest, group) => Math.max(widest, nameOf(group).length), 6);
  const parts = relations.map((relation) => relationPart(relation, report, width));
  return [
    ...parts.flatMap(({ lines }) => lines),
    ...(parts.some(({ hasStrips }) => hasStrips) ? [`Strips along the steps: ${STRIP_LEGEND}`] : []),
    ...report.changes
      .slice(0, 12)
      .map(({ half, field, before, after }) => `  changed (${half}): ${field}: ${before} → ${after}`),
    ...(report.changes.length > 12
      ? [`  … and ${report.changes.length - 12} more changed facts, all in the record`]
      : []),
    ...(exercised.length === 0 ? [] : [`Exercised: ${exercised.join(', ')}`]),
    ...(not.length === 0 ? [] : [`Not exercised: ${not.join(', ')}`]),
  ].map(inert);
}

/** Which baseline, what it comes to, and what to do. */
function closingLines(report: Report): string[] {
  const { meaning, next } = read(report).words;
  const { baseline, notices } = report.context;
  return [
    ...suiteChangeLines(report.context.rules),
    ...baselineWords(baseline, report.createdAt),
    ...notices.map(({ level, title, message }) => `${level}: ${title}. ${message}`),
    read(report).line,
    ...[answerOf(report)].filter((line) => line !== ''),
    `${meaning} ${next}`,
    ...issueLines(read(report).issues),
    ...acceptLines(report),
    ...[costLine(report.work)].filter((line) => line !== ''),
    `Page: ${report.context.htmlPath}`,
  ].map(inert);
}

const inert = (line: string) => within(line, MAX_LINE);

/** How the change's own suite differs from the one that judges. */
function suiteChangeLines(rules: Report['context']['rules']): string[] {
  if (rules.kind === 'checkout') return [];
  return rules.changes
    .slice(0, MAX_LISTED)
    .map(
      ({ field, before, after, inForce }) =>
        `  changed (suite${inForce ? '' : ', not in force here'}): ${field}: ${before} → ${after}`,
    );
}

function relationPart(
  { relation, groups, frame }: ReadRelation,
  report: Report,
  width: number,
): { readonly lines: readonly string[]; readonly hasStrips: boolean } {
  const { status, evidence } = relation;
  const listed = groups.length <= MAX_LISTED ? groups : groups.filter((group) => !isIdentical(group));
  const left = groups.length - listed.length;
  const indent = ' '.repeat(width + 4);
  const strips = new Map(listed.slice(0, MAX_STRIPS).map((group) => [group, stripLines(group)]));
  const lines = [
    `${relation.relation}: ${status}; ${evidence}`,
    ...listed.flatMap((group) => {
      const text = textOf(group);
      const hash =
        text === null || !group.findings.some(isDifferent)
          ? ''
          : `  [hash of the text: ${textHashWords(text)}]`;
      const words = kindWords(group, frame);
      const [only] = words;
      const where = words.length === 1 && only !== undefined ? `; ${only}` : '';
      return [
        `  ${nameOf(group).padEnd(width)}  ${agreementIn(group.worst)}${where}${hash}`,
        ...(words.length > 1 ? words.map((line) => `${indent}${line}`) : []),
        ...(strips.get(group) ?? []),
      ];
    }),
    ...(left > 0 ? [`  … and ${left} prompts with identical bits`] : []),
    ...relationLines(relation, report).map((line) => `  ${line}`),
  ];
  return { lines, hasStrips: [...strips.values()].some((shown) => shown.length > 0) };
}

/** All strips begin in one column, so that those of two prompts can be compared. */
function stripLines({ findings }: Group): string[] {
  const telling = tellingStrip(findings);
  return telling === undefined
    ? []
    : [`    ${telling.kind.padEnd(8)}  ${textStrip(telling.divergence, MAX_STRIP)}`];
}

const nameOf = ({ prompt }: Group) => excerpt(prompt, MAX_NAME);
