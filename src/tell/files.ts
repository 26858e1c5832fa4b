import type { Reports } from '../job/tools.ts';
import type { Report } from '../report/model.ts';

/** Leaves a report beside its record: as JSON for programs, as a page for people. @throws UserError `disk-full` */
export async function leave(report: Report, reports: Pick<Reports, 'write'>): Promise<Report> {
  const { reportPath, htmlPath } = report.context;
  // Without indentation: what many prompts need must fit what a reader takes.
  await reports.write(reportPath, `${JSON.stringify(report)}\n`);
  await leavePage(htmlPath, [report], reports);
  return report;
}

/** One page of one or several reports. @throws UserError `disk-full` */
export async function leavePage(
  path: string,
  shown: readonly Report[],
  reports: Pick<Reports, 'write'>,
): Promise<void> {
  // What draws charts is large, and most of what this program does needs none.
  const { htmlReport } = await import('../surfaces/html/page.ts');
  await reports.write(path, htmlReport(shown));
}
