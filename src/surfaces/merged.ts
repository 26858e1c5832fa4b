import { excerpt, markdown } from '../inert.ts';
import type { Merged } from '../report/merged.ts';
import { legLines } from '../words/explained.ts';
import { commonLines, commonParts, legTable, mergedLine, mergedLines } from '../words/merged.ts';
import { read } from '../words/reading.ts';
import { ICON } from '../words/verdict.ts';
import type { Surface } from './surface.ts';

/** What several jobs found: one table, and a line for each. */
export const merged: Surface = {
  name: 'merged',
  merged: {
    log: (merged) => [
      ...merged.reports.map((report) => read(report).line),
      ...legs(merged),
      ...commonLines(merged.reports).map((line) => excerpt(line, MAX_LINE)),
    ],
    terminal: (merged) => [...legs(merged), ...mergedLines(merged)],
    json: (merged) => ({ schema: 'deterministic-ml/reports/v1', ...merged }),
    summary: mergedSummary,
  },
};

const MAX_LINE = 1000;

/** Who agrees with whom, where there are several. */
const legs = ({ explained, across }: Merged): string[] =>
  [
    ...(explained === undefined ? [] : legLines(explained)),
    ...(across === undefined ? [] : [across.line]),
  ].map((line) => excerpt(line, MAX_LINE));

/** No more can be read at once. */
const MAX_LEGS = 256;

function mergedSummary({ reports, verdict, htmlPath, explained, across }: Merged): string {
  const head = `## ${ICON[verdict]} ${markdown(mergedLine(reports))}`;
  const page = `All of them on one page: <code>${markdown(htmlPath.slice(htmlPath.search(/[^/\\]*$/)), 255)}</code>.`;
  const why = [
    ...(explained === undefined ? [] : legLines(explained)),
    ...(across === undefined ? [] : [`${ICON[across.verdict]} ${across.line}`]),
  ].map((line) => markdown(line, MAX_LINE));
  const parts = [...commonParts(reports), page, legTable(reports, MAX_LEGS)];
  return `${[head, ...parts, ...(why.length === 0 ? [] : [why.join('<br>')])].join('\n\n')}\n`;
}
