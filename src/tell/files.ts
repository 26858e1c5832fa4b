import { writeReport, writeText } from '../disk/report-file.ts';
import type { Report } from '../report/model.ts';

/** Leaves a report beside its record: as JSON for programs, as a page for people. @throws UserError `disk-full` */
export async function leave(report: Report): Promise<Report> {
  const { reportPath, htmlPath } = report.context;
  await writeReport(reportPath, report);
  await leavePage(htmlPath, [report]);
  return report;
}

/** One page of one or several reports. @throws UserError `disk-full` */
export async function leavePage(path: string, reports: readonly Report[]): Promise<void> {
  // What draws charts is large, and most of what this program does needs none.
  const { htmlReport } = await import('../surfaces/html/page.ts');
  await writeText(path, htmlReport(reports));
}
