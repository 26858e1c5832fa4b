import { UserError } from '../errors.ts';
import type { AcceptSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import { digestJson } from '../record/digest.ts';
import type { Answer } from '../report/answer.ts';
import type { AcceptAnswer } from '../report/answers.ts';
import { contradiction } from '../report/contradiction.ts';
import { reportDigest } from '../report/make.ts';
import { recordPathOf } from '../report/paths.ts';
import type { Report } from '../report/schema.ts';
import { makePlan } from '../run/plan.ts';
import { addAcceptance } from '../suite/accept.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import { parseSuite } from '../suite/parse.ts';
import type { Acceptance, Suite } from '../suite/schema.ts';
import { refusalOf } from '../words/accept.ts';
import { verify } from './verify.ts';

type Asked = Pick<Tools, 'open' | 'reports' | 'records' | 'suiteSchema'>;

/**
 * Writes the line that accepts a report's drift into the suite of the checkout, and nothing that the report does not allow.
 *
 * @throws UserError `report-unverified`, `acceptance-refused`, `suite-changed`, and what reading either throws
 */
export async function accept(settings: AcceptSettings, tools: Asked): Promise<Answer> {
  const report = await tools.reports.read(settings.reportPath);
  const derived = await believed(settings.reportPath, report, tools);
  const refusal = refusalOf(report);
  if (refusal !== undefined) throw refused(refusal.message, refusal.remedy);
  const { acceptable, hardwareClass, context } = report;
  if (acceptable === null) throw new Error('a drift that nothing refuses has a record');

  const path = settings.suite ?? context.places.file;
  const loaded = await tools.open.suite(path);
  const { suite, places } = loaded;
  const entry: Acceptance = {
    record: acceptable,
    'hardware-class': hardwareClass,
    reason: settings.reason.trim(),
  };
  if (isAccepted(report, suite))
    throw refused(
      `${places.file} accepts this record already.`,
      'Commit the suite; the check of that commit passes as `drift (accepted)`.',
    );
  const compared = demandUnchanged(report, loaded);

  const file = await tools.open.suiteText(path);
  const edited = addAcceptance(file.text, entry);
  const after = parseSuite(edited.source, places.file, tools.suiteSchema).suite;
  // Whatever the file looks like: one entry more, and nothing else.
  if (digestJson({ suite: after }) !== digestJson({ suite: { ...suite, accept: [...suite.accept, entry] } }))
    throw new Error('the edited suite is another one');
  await file.write(edited.source);

  const value: AcceptAnswer = {
    schema: 'deterministic-ml/accept/v1',
    ...{ file: places.file, line: edited.line, suite: suite.name },
    ...{ record: acceptable, hardwareClass, reason: entry.reason, derived, compared },
  };
  return {
    verdict: 'pass',
    value,
    lines: [
      `  record: ${acceptable}`,
      `  hardware-class: ${hardwareClass}`,
      `  reason: ${entry.reason}`,
      ...(derived
        ? ['The report was derived anew from its record and baseline.']
        : ['The report was taken at its word: its record does not lie beside it.']),
      ...(compared ? [] : ['Whether the suite is still the one that was measured cannot be told here.']),
      `Accepted in ${places.file}, line ${edited.line}. Commit it: the check of that commit passes as \`drift (accepted)\`, for exactly this record.`,
    ],
  };
}

/** Whether a suite accepts what a report would have it accept. */
export const isAccepted = (
  { acceptable, hardwareClass }: Pick<Report, 'acceptable' | 'hardwareClass'>,
  suite: Pick<Suite, 'accept'>,
): boolean =>
  suite.accept.some(
    (one) => one.record === acceptable && (one['hardware-class'] ?? hardwareClass) === hardwareClass,
  );

/** @returns whether it was derived anew; else it is only known not to contradict itself */
async function believed(reportPath: string, report: Report, tools: Asked): Promise<boolean> {
  const untrue = (what: string) =>
    new UserError(
      'report-unverified',
      `${reportPath} ${what}.`,
      'Take the report as the run left it; `deterministic-ml verify` tells all of it.',
    );
  if (report.sha256 !== reportDigest(report)) throw untrue('was changed: its digest is another one');
  const lie = contradiction(report);
  if (lie !== undefined) throw untrue(`contradicts itself: ${lie}`);
  const folder = recordPathOf(reportPath);
  if (folder === reportPath || (await tools.records.missing(folder)) !== undefined) {
    if (report.context.run.fork === true)
      throw new UserError(
        'report-unverified',
        'The report comes from the check of a fork’s pull request, and its record does not lie beside it: a stranger may have written it.',
        'Bring the record’s folder and its baseline (`<record>.baseline`) beside it, so that it is derived anew; or bring the change into a branch of this repository and accept what its check reports.',
      );
    return false;
  }
  const { agrees, disagreements } = await verify({ reportPath }, tools);
  const [first] = disagreements;
  if (!agrees)
    throw untrue(
      `does not follow from its record: ${first === undefined ? 'something differs' : `\`${first.path}\` is ${first.derived}, and it says ${first.reported}`}`,
    );
  return true;
}

/**
 * The record of a suite that asks something else is another one: the line would let nothing pass.
 *
 * @returns false where it cannot be told: the base branch judged by keys that the report does not hold
 */
function demandUnchanged(report: Report, loaded: LoadedSuite): boolean {
  const { asked, context, suite: measured } = report;
  const { rules } = context;
  const judged =
    rules.kind === 'base' &&
    (rules.missing || rules.changes.some(({ field, inForce }) => !inForce && field.startsWith('baseline')));
  if (judged) return false;
  const { suite, places } = loaded;
  // As it was measured: acceptances came since, and on a pull request its base branch's keys judged.
  const as: Suite = {
    ...suite,
    accept: [...asked.accept],
    ...(rules.kind === 'checkout'
      ? {}
      : {
          name: measured.name,
          depth: asked.depth,
          policy: { ...suite.policy, ...asked.policy },
          relations: asked.claims.map(({ relation, requirement }) => ({
            name: relation,
            require: requirement,
          })),
        }),
  };
  if (makePlan({ ...loaded, suite: as }, 'check').suite.digest === measured.digest) return true;
  throw new UserError(
    'suite-changed',
    `${places.file} is another suite than the one that was measured (${measured.name}, ${measured.digest.slice(0, 16)}…): what it gives has another record.`,
    'Check out the commit that was checked, or let the check run again and accept what it reports.',
  );
}

const refused = (message: string, remedy: string) =>
  new UserError('acceptance-refused', message, `${remedy} docs/baselines.md has both ways.`);
