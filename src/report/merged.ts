import { counted } from './figures.ts';
import { excerpt, markdown } from './inert.ts';
import type { Report } from './model.ts';
import { verdictLine } from './verdict.ts';
import { conclusionWords } from './words.ts';

/** `Drift: 1 of 3 legs; 2 reproduced`: what several jobs found, the worst first. One alone says its own verdict line. */
export function mergedLine(reports: readonly Report[]): string {
  const [first, ...rest] = reports;
  if (first === undefined) return 'No report';
  if (rest.length === 0) return verdictLine(first);
  const counts = new Map<string, number>();
  for (const report of reports) {
    const { title } = conclusionWords(report);
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
    reports.length === 1 ? [] : reports.map((report) => `${report.suite.name}: ${verdictLine(report)}`);
  return [...each, mergedLine(reports), `Page: ${htmlPath}`].map((line) => excerpt(line, 1900));
}

const ICON = { pass: '✅', warn: '⚠️', fail: '❌' } as const;

/** Each class of hardware by itself, as a table of GitHub Markdown: a leg's own summary tells the rest. */
export function mergedTable(reports: readonly Report[]): string {
  return [
    '| suite | hardware class | verdict | run |',
    '| --- | --- | --- | --- |',
    ...reports.map((report) => {
      const { suite, hardwareClass, verdict, context } = report;
      const cells = [
        markdown(suite.name),
        `<code>${markdown(hardwareClass)}</code>`,
        `${ICON[verdict]} ${markdown(verdictLine(report))}`,
        `${markdown(context.run.id, 40)}`,
      ];
      return `| ${cells.join(' | ')} |`;
    }),
  ].join('\n');
}
