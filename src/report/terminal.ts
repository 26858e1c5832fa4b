import type { Finding } from '../compare/types.ts';
import { visible } from './inert.ts';
import type { Report } from './model.ts';
import { verdictLine } from './verdict.ts';
import { agreementWords, baselineWords, conclusionWords, findingWords, textHashWords } from './words.ts';

/** The report as lines of a terminal or log. Long text is left to the caller's line cap. */
export function terminalLines(report: Report): string[] {
  const { meaning, next } = conclusionWords(report.conclusion, report.mode);
  const width = Math.max(
    6,
    ...report.relations.flatMap(({ findings }) => findings.map(({ prompt }) => prompt.length)),
  );
  return [
    ...report.relations.flatMap(({ relation, status, evidence, findings }) => [
      `${relation}: ${status}; ${visible(evidence)}`,
      ...listed(findings).map((finding) => {
        const where = findingWords(finding);
        const text =
          finding.agreement === 'identical' ? '' : `  [hash of the text: ${textHashWords(finding)}]`;
        return `  ${visible(finding.prompt).padEnd(width)}  ${agreementWords(finding.agreement)}${where === '' ? '' : `: ${visible(where)}`}${text}`;
      }),
      ...(listed(findings).length < findings.length
        ? [`  … and ${findings.length - listed(findings).length} prompts with identical bits`]
        : []),
    ]),
    ...report.changes
      .slice(0, 12)
      .map(
        ({ half, field, before, after }) =>
          `  changed (${half}): ${visible(field)}: ${visible(before)} → ${visible(after)}`,
      ),
    ...(report.changes.length > 12
      ? [`  … and ${report.changes.length - 12} more changed facts, all in the record`]
      : []),
    ...baselineWords(report.baseline).map(visible),
    verdictLine(report),
    `${meaning} ${next}`,
  ];
}

/** Every prompt of a small suite; of a large one those that are not identical. */
function listed(findings: readonly Finding[]): readonly Finding[] {
  return findings.length <= MAX_LISTED
    ? findings
    : findings.filter(({ agreement }) => agreement !== 'identical');
}

const MAX_LISTED = 20;
