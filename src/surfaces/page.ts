import type { Merged } from '../report/merged.ts';
import type { Report } from '../report/schema.ts';
import type { Surface, TextFile } from './surface.ts';

/** Reports as a page for people: each run's beside its record, and that of several jobs. */
export const page: Surface = {
  name: 'page',
  report: { file: (report) => pageOf(report.context.htmlPath, [report]) },
  merged: { file: ({ htmlPath, reports, ...of }) => pageOf(htmlPath, reports, of) },
};

async function pageOf(
  path: string,
  reports: readonly Report[],
  of?: Pick<Merged, 'explained' | 'across'>,
): Promise<TextFile> {
  // Most of what this program does needs no page, and a page without a difference no charts: what draws them is large.
  const { hasChart } = await import('./html/distance.ts');
  const { htmlReport } = await (reports.some(hasChart)
    ? import('./html/drawn.ts')
    : import('./html/page.ts'));
  return { path, text: htmlReport(reports, of) };
}
