import assert from 'node:assert/strict';
import { readReport } from '../../../src/disk/report-file.ts';
import type { Report, ReportedFinding, ReportedRelation } from '../../../src/report/schema.ts';
import type { Outcome } from './spawn.ts';

/** The report that a step left and named in its outputs, whose verdict is that of the step. */
export async function reportOf({ outputs, log, exitCode }: Outcome): Promise<Report> {
  assert.ok(outputs['report-path'], log);
  const report = await readReport(outputs['report-path']);
  assert.equal(report.conclusion, outputs['conclusion']);
  assert.equal(report.verdict, outputs['verdict']);
  assert.equal(exitCode, report.verdict === 'fail' ? 1 : 0);
  return report;
}

export function relationOf({ relations }: Report, name: string): ReportedRelation {
  const found = relations.find(({ relation }) => relation === name);
  assert.ok(found, `the report tells of \`${name}\``);
  return found;
}

/** What a relation found, by kind of pass and prompt: `score/capital` -> the finding. */
export function findingsOf(report: Report, name: string): ReadonlyMap<string, ReportedFinding> {
  return new Map(relationOf(report, name).findings.map((one) => [`${one.kind}/${one.prompt}`, one]));
}
