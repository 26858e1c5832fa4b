import { frameOf, textHashWords } from './findings.ts';
import { type Group, groupsOf, isDifferent, isIdentical, kindWords, textOf } from './groups.ts';
import { cap, visible } from './inert.ts';
import type { Report } from './model.ts';
import type { ReportedRelation } from './schema.ts';
import { verdictLine } from './verdict.ts';
import { agreementWords, baselineWords, conclusionWords, coverageWords, relationLines } from './words.ts';

/** Every prompt of a small suite; of a large one those that are not identical. */
const MAX_LISTED = 20;
/** Of a line; the caller has a cap of its own for what it writes. */
const MAX_LINE = 1900;
const MAX_NAME = 64;

/** The report as lines of a terminal or log. */
export function terminalLines(report: Report): string[] {
  const { meaning, next } = conclusionWords(report);
  const { exercised, not } = coverageWords(report.coverage);
  // Not by spreading: a large suite has more prompts than a call may have arguments.
  const width = report.relations
    .flatMap(({ findings }) => groupsOf(findings))
    .reduce((widest, group) => Math.max(widest, nameOf(group).length), 6);
  return [
    ...report.relations.flatMap((relation) => relationPart(relation, report, width)),
    ...report.changes
      .slice(0, 12)
      .map(({ half, field, before, after }) => `  changed (${half}): ${field}: ${before} → ${after}`),
    ...(report.changes.length > 12
      ? [`  … and ${report.changes.length - 12} more changed facts, all in the record`]
      : []),
    ...(exercised.length === 0 ? [] : [`Exercised: ${exercised.join(', ')}`]),
    ...(not.length === 0 ? [] : [`Not exercised: ${not.join(', ')}`]),
    ...baselineWords(report.context.baseline),
    verdictLine(report),
    `${meaning} ${next}`,
  ].map((line) => cap(visible(line), MAX_LINE));
}

function relationPart(relation: ReportedRelation, report: Report, width: number): string[] {
  const { status, evidence, findings } = relation;
  const frame = frameOf(relation.relation, report);
  const groups = groupsOf(findings);
  const listed = groups.length <= MAX_LISTED ? groups : groups.filter((group) => !isIdentical(group));
  const left = groups.length - listed.length;
  const indent = ' '.repeat(width + 4);
  return [
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
        `  ${nameOf(group).padEnd(width)}  ${agreementWords(group.worst.agreement)}${where}${hash}`,
        ...(words.length > 1 ? words.map((line) => `${indent}${line}`) : []),
      ];
    }),
    ...(left > 0 ? [`  … and ${left} prompts with identical bits`] : []),
    ...relationLines(relation, report).map((line) => `  ${line}`),
  ];
}

const nameOf = ({ prompt, isTrace }: Group) => (isTrace ? 'traced modules' : cap(visible(prompt), MAX_NAME));
