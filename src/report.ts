import { join } from 'node:path';
import { CONCLUSIONS, type Conclusion, type Verdict } from './compare/conclusion.ts';
import { readReport } from './disk/report-file.ts';
import { findReports } from './disk/report-folder.ts';
import { UserError } from './errors.ts';
import { leavePage } from './leave.ts';
import { permitReport } from './permit.ts';
import { worstConclusion, worstVerdict } from './report/brief.ts';
import { counted } from './report/figures.ts';
import { reportDigest } from './report/make.ts';
import type { Report } from './report/model.ts';
import type { Tools } from './run.ts';
import type { MergeSettings, Settings } from './settings.ts';

/** What the legs of a matrix found, each on its own hardware. */
export interface Merged {
  /** Worst first; never empty. */
  readonly reports: readonly Report[];
  readonly conclusion: Conclusion;
  readonly verdict: Verdict;
  /** All of them on one page. */
  readonly htmlPath: string;
}

/**
 * Shows the reports of other jobs as one. They are taken for what a stranger may have written: checked against their
 * schema and digest, capped, escaped; and they say nothing about whose pull request they belong to.
 *
 * @throws UserError `event-refused`, `reports-missing`, `report-invalid`
 */
export async function mergeReports(
  settings: Pick<Settings, 'situation' | 'recordPath'>,
  { reports: path, expected }: MergeSettings,
  { console }: Pick<Tools, 'console'>,
): Promise<Merged> {
  permitReport(settings.situation);
  return await console.section('Reports', async () => {
    const paths = await findReports(path, expected);
    const read: Report[] = [];
    for (const one of paths) {
      read.push(await whole(one));
      console.progress(
        'reading',
        `${read.length} of ${counted(paths.length, 'report')}`,
        read.length / paths.length,
      );
    }
    const reports = read.toSorted(worstFirst);
    const htmlPath = join(settings.recordPath, 'report.html');
    await leavePage(htmlPath, reports);
    return { reports, htmlPath, conclusion: worstConclusion(reports), verdict: worstVerdict(reports) };
  });
}

/** @throws UserError `report-invalid`, also where it is not what was written */
async function whole(path: string): Promise<Report> {
  const report = await readReport(path);
  if (report.sha256 === reportDigest(report)) return report;
  throw new UserError(
    'report-invalid',
    `${path} was changed after it was written: its digest is another one.`,
    'Run the job that wrote it again.',
  );
}

const VERDICTS: readonly Verdict[] = ['fail', 'warn', 'pass'];

const worstFirst = (a: Report, b: Report) =>
  VERDICTS.indexOf(a.verdict) - VERDICTS.indexOf(b.verdict) ||
  CONCLUSIONS.indexOf(a.conclusion) - CONCLUSIONS.indexOf(b.conclusion) ||
  // Whatever else is equal: the same page from the same reports.
  compared(
    `${a.suite.name} ${a.hardwareClass} ${a.createdAt}`,
    `${b.suite.name} ${b.hardwareClass} ${b.createdAt}`,
  );

const compared = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
