import { excerpt, markdown } from '../inert.ts';
import type { Report } from '../report/schema.ts';
import { counted } from './figures.ts';
import { read } from './reading.ts';
import { ICON } from './verdict.ts';

/** `Drift: 1 of 3 legs; 2 reproduced`: what several jobs found, the worst first. One alone says its own verdict line. */
export function mergedLine(reports: readonly Report[]): string {
  const [first, ...rest] = reports;
  if (first === undefined) return 'No report';
  if (rest.length === 0) return read(first).line;
  const counts = new Map<string, number>();
  for (const report of reports) {
    const { title } = read(report).words;
    counts.set(title, (counts.get(title) ?? 0) + 1);
  }
  const [[title, count] = ['', 0], ...others] = [...counts];
  const more = others.map(([other, n]) => `; ${n} ${other.toLowerCase()}`).join('');
  return `${title}: ${count} of ${counted(reports.length, 'leg')}${more}`;
}

/** For a terminal or log: one verdict line each, and where the page lies. */
export function mergedLines({
  reports,
  htmlPath,
}: {
  readonly reports: readonly Report[];
  readonly htmlPath: string;
}): string[] {
  const each =
    reports.length === 1 ? [] : reports.map((report) => `${report.suite.name}: ${read(report).line}`);
  return [...each, mergedLine(reports), `Page: ${htmlPath}`].map((line) => excerpt(line, 1900));
}

/**
 * Each class of hardware by itself, as a table of GitHub Markdown; of several suites, each by its name.
 *
 * @param max rows
 */
export function legTable(reports: readonly Report[], max: number): string {
  const shown = reports.slice(0, max);
  const left = reports.length - shown.length;
  if (shown.length === 0) return `${counted(reports.length, 'leg')} left out to fit.`;
  const isOne = new Set(reports.map(({ suite }) => suite.name)).size === 1;
  const row = (suite: string, ...cells: readonly string[]) =>
    `| ${[...(isOne ? [] : [suite]), ...cells].join(' | ')} |`;
  return [
    [
      row('suite', 'hardware class', 'verdict'),
      row('---', '---', '---'),
      ...shown.map((report) =>
        row(
          markdown(report.suite.name, 64),
          `<code>${markdown(report.hardwareClass)}</code>`,
          `${ICON[report.verdict]} ${markdown(read(report).line)}`,
        ),
      ),
    ].join('\n'),
    ...(left === 0 ? [] : [`${counted(left, 'leg')} more left out to fit.`]),
  ].join('\n\n');
}
