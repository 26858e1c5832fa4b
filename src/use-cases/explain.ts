import { counted } from '../counted.ts';
import { UserError } from '../errors.ts';
import { casesOf } from '../explain/case-of-record.ts';
import { explain } from '../explain/explain.ts';
import type { Case } from '../explain/types.ts';
import { excerpt } from '../inert.ts';
import type { ExplainSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { Side } from '../record/side.ts';
import type { Explanations } from '../report/explained.ts';
import { recordPathOf } from '../report/paths.ts';
import { files as filesOf } from '../tell/files.ts';
import { tell } from '../tell/tell.ts';
import { groupsApart } from './apart.ts';
import { caseOfReport } from './legs.ts';

/** Of each the message; a folder that is damaged is so a thousand times. */
const MAX_TOLD = 20;

/**
 * Says which records computed the same, and which fields of their environments explain it. Starts no engine. A report whose
 * record is not there counts by the digest of what it computed.
 *
 * @throws UserError `records-missing`, `record-invalid` with all that cannot be read, `report-invalid`
 */
export async function explainRecords(
  { paths, recordPath, acrossClasses }: ExplainSettings,
  {
    console,
    signal,
    records,
    reports,
    many,
  }: Pick<Tools, 'console' | 'signal' | 'records' | 'reports' | 'many'>,
): Promise<Explanations> {
  const cases: Case[] = [];
  const sides = new Map<string, Side>();
  const broken: string[] = [];
  await console.section('Records', async () => {
    const found = await many.records(await Promise.all(paths.map(recordNamed)));
    for (const [index, { folder, name }] of found.entries()) {
      signal.throwIfAborted();
      try {
        const side = await records.open(folder);
        for (const one of casesOf(side.record, name)) {
          cases.push(one);
          sides.set(JSON.stringify([one.suite, one.name]), side);
        }
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        broken.push(error.message);
      }
      console.progress('reading', `${index + 1} of ${counted(found.length, 'record')}`, index / found.length);
    }
    for (const path of paths)
      for (const one of await reports.find(path, 0))
        if ((await records.missing(recordPathOf(one))) !== undefined) cases.push(await leg(one));
  });
  /** Of a report, the record that lies beside it. */
  async function recordNamed(path: string): Promise<string> {
    const folder = recordPathOf(path);
    return folder !== path && (await records.missing(folder)) === undefined ? folder : path;
  }
  /** Kept apart from records, which tell more than one digest. */
  async function leg(path: string): Promise<Case> {
    const report = await reports.read(path);
    return caseOfReport(report, path, `${report.suite.name} (by the digests that reports tell)`);
  }

  if (broken.length > 0)
    throw new UserError(
      'record-invalid',
      `${counted(broken.length, 'record')} cannot be read, and nothing is explained without them:\n${broken
        .slice(0, MAX_TOLD)
        .map((one) => `  ${excerpt(one, 500)}`)
        .join('\n')}${broken.length > MAX_TOLD ? `\n  … and ${broken.length - MAX_TOLD} more` : ''}`,
      'Make them again, or take them out of the folder.',
    );
  if (cases.length === 0)
    throw new UserError(
      'records-missing',
      `No record that computed anything lies in ${paths.map((path) => excerpt(path, 300)).join(', ')}.`,
      'Name folders that hold records, at any depth. `deterministic-ml import` makes records of other programs’ results.',
    );
  const found = explain(cases);
  const bitsOf = (suite: string, name: string) => {
    const side = sides.get(JSON.stringify([suite, name]));
    return side && { side };
  };
  const distances = await console.section('Distances', () => groupsApart(found, bitsOf, acrossClasses));
  const explained = { explained: found, ...distances, htmlPath: `${recordPath}/explanation.html` };
  await tell('explained', explained, filesOf(reports));
  return explained;
}
