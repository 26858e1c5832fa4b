import { markdown } from '../inert.ts';
import type { Merged } from '../report/merged.ts';
import { legTable, mergedLine, mergedLines } from '../words/merged.ts';
import { read } from '../words/reading.ts';
import { ICON } from '../words/verdict.ts';
import type { Surface } from './surface.ts';

/** What several jobs found: one table, and a line for each. */
export const merged: Surface = {
  name: 'merged',
  merged: {
    log: ({ reports }) => reports.map((report) => read(report).line),
    terminal: mergedLines,
    json: (merged) => merged,
    summary: mergedSummary,
  },
};

/** No more can be read at once. */
const MAX_LEGS = 256;

function mergedSummary({ reports, verdict, htmlPath }: Merged): string {
  const head = `## ${ICON[verdict]} ${markdown(mergedLine(reports))}`;
  const page = `All of them on one page: <code>${markdown(htmlPath.slice(htmlPath.search(/[^/\\]*$/)), 255)}</code>.`;
  return `${[head, page, legTable(reports, MAX_LEGS)].join('\n\n')}\n`;
}
