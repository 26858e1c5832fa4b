import { CONCLUSIONS, type Verdict } from '../compare/conclusion.ts';
import { counted } from '../counted.ts';
import { UserError } from '../errors.ts';
import type { Explained } from '../explain/types.ts';
import { excerpt } from '../inert.ts';
import type { MergeSettings } from '../job/settings.ts';
import type { Reports, Tools } from '../job/tools.ts';
import type { OpenedRecord } from '../record/side.ts';
import type { Across } from '../report/across.ts';
import { contradiction } from '../report/contradiction.ts';
import { reportDigest } from '../report/make.ts';
import type { Merged } from '../report/merged.ts';
import { recordPathOf } from '../report/paths.ts';
import type { Report } from '../report/schema.ts';
import { files as filesOf } from '../tell/files.ts';
import { tell } from '../tell/tell.ts';
import { permitReport } from '../trust/events.ts';
import { worstConclusion, worstVerdict } from '../words/brief.ts';
import { type Bits, groupsApart } from './apart.ts';
import { explainedLegs, type Leg, legName } from './legs.ts';

/** Texts, numbers and the like in one report: what some 3,000 drifted prompts need. */
const MAX_VALUES = 2_000_000;
/** Of a stranger's run: each has a comment of its own. */
const MAX_SUITES = 4;

/**
 * Shows the reports of other jobs as one. They are taken for what a stranger may have written: checked against their
 * schema, their digest, themselves and the run that they must come from, capped, escaped; and they say nothing about
 * whose pull request they belong to.
 *
 * @throws UserError `event-refused`, `reports-missing`, `report-invalid`, `record-invalid`
 */
export async function mergeReports(
  { situation, job, recordPath, reports: path, expected, acrossClasses }: MergeSettings,
  { console, signal, reports: files, records }: Pick<Tools, 'console' | 'signal' | 'reports' | 'records'>,
): Promise<Merged> {
  permitReport(situation);
  const { subject } = situation;
  const run = ownRun();
  return await console.section('Reports', async () => {
    const paths = await files.find(path, expected);
    const read: Report[] = [];
    const places = new Map<Report, string>();
    for (const one of paths) {
      signal.throwIfAborted();
      const report = await whole(one, run, files);
      read.push(report);
      places.set(report, one);
      console.progress(
        'reading',
        `${read.length} of ${counted(paths.length, 'report')}`,
        read.length / paths.length,
      );
    }
    if (new Set(read.map(({ sha256 }) => sha256)).size < read.length)
      throw invalid(path, 'holds the same report twice: one leg must not stand for another');
    if (subject.kind === 'workflow-run' && new Set(read.map(({ suite }) => suite.name)).size > MAX_SUITES)
      throw invalid(path, `holds reports of more than ${MAX_SUITES} suites, and each would have a comment`);
    const reports = read.toSorted(worstFirst);
    const htmlPath = `${recordPath}/report.html`;
    const legs = reports.map((report, index) => ({ report, name: legName(report, index) }));
    const explained = explainedLegs(legs);
    const across =
      acrossClasses === undefined ? undefined : await acrossOf(legs, places, explained, acrossClasses);
    const merged: Merged = {
      ...{ reports, htmlPath, across },
      explained: reports.length > 1 ? explained : undefined,
      conclusion: worstConclusion(reports),
      verdict: worstVerdict(reports, across),
    };
    await tell('merged', merged, filesOf(files));
    return merged;
  });

  /** @throws UserError `record-invalid`, `report-invalid` where a record is not what its report is of */
  async function acrossOf(
    legs: readonly Leg[],
    places: ReadonlyMap<Report, string>,
    explained: Explained,
    required: string,
  ): Promise<Across | undefined> {
    const bits = new Map<string, Bits>();
    for (const { report, name } of legs) {
      signal.throwIfAborted();
      const place = places.get(report) ?? '';
      const folder = recordPathOf(place);
      if ((await records.missing(folder)) !== undefined) continue;
      const { record: own, baselineRecord } = report.digests;
      const side = await recordOf(place, folder, own);
      const copy = `${folder}.baseline`;
      const isThere = baselineRecord !== null && (await records.missing(copy)) === undefined;
      bits.set(name, { side, baseline: isThere ? await recordOf(place, copy, baselineRecord) : undefined });
    }
    return (await groupsApart(explained, (_, name) => bits.get(name), required)).across;
  }

  async function recordOf(place: string, folder: string, digest: string): Promise<OpenedRecord> {
    const side = await records.open(folder);
    if (side.sha256 !== digest) throw invalid(place, 'is of another record than lies beside it');
    return side;
  }

  /** Whose reports these must be; on a terminal, anybody's. */
  function ownRun(): RunOfReports | undefined {
    switch (situation.door) {
      case 'terminal':
        return undefined;
      case 'action':
        return subject.kind === 'workflow-run' ? subject.run : { id: job.run, attempt: job.attempt };
    }
  }
}

interface RunOfReports {
  readonly id: string;
  readonly attempt: string;
}

/**
 * @param run that it must come from; undefined where any will do
 * @param wanted which kind of run, where it must come from one
 * @throws UserError `report-invalid`, also where it is not what was written
 */
export async function whole(
  path: string,
  run: RunOfReports | undefined,
  files: Pick<Reports, 'read'>,
  wanted: Report['context']['mode'] = 'check',
): Promise<Report> {
  const report = await files.read(path, MAX_VALUES);
  if (report.sha256 !== reportDigest(report))
    throw invalid(path, 'was changed after it was written: its digest is another one');
  const contradicted = contradiction(report);
  if (contradicted !== undefined) throw invalid(path, `contradicts itself: ${contradicted}`);
  const { run: own, mode } = report.context;
  if (run !== undefined && (own.id !== run.id || own.attempt !== run.attempt))
    throw invalid(
      path,
      `comes from run ${excerpt(own.id, 40)}, attempt ${excerpt(own.attempt, 40)}, and not from run ${run.id}, attempt ${run.attempt}: what that one measured is not known`,
    );
  if (run !== undefined && mode !== wanted)
    throw invalid(
      path,
      mode === 'refresh'
        ? 'is of a refresh, which holds a change to nothing'
        : 'is of a check, which makes no baseline',
    );
  return report;
}

const invalid = (path: string, why: string) =>
  new UserError(
    'report-invalid',
    `${path} ${why}.`,
    'Run all jobs of the run that measures again (not only the failed ones), and hand over nothing but their reports.',
  );

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
