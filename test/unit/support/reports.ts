import { compare } from '../../../src/compare/compare.ts';
import type { Side } from '../../../src/compare/types.ts';
import type { Body } from '../../../src/record/body.ts';
import { type Evidence, makeReport } from '../../../src/report/make.ts';
import type { BaselineView, Report } from '../../../src/report/model.ts';
import { parseSuite } from '../../../src/suite/parse.ts';
import { side } from './records.ts';
import { SAMPLE } from './suites.ts';

export const PROVENANCE = {
  repository: 'acme/models',
  commit: 'c0ffee'.repeat(6),
  ref: 'refs/heads/main',
  workflow: 'refresh',
  runId: '42',
  runAttempt: '1',
  runUrl: 'https://github.com/acme/models/actions/runs/42/attempts/1',
  actor: 'alice',
  event: 'workflow_dispatch',
  reason: 'first baseline',
  createdAt: '2026-11-01T12:34:56.000Z',
  tool: '0.1.0',
} as const;

const FOUND: BaselineView = {
  kind: 'found',
  key: 'deterministic-ml-v1/suite/cpu/42-1-abc',
  store: 'cache',
  provenance: PROVENANCE,
};

/** The report of a check that compared `now` with `before`; both are prompt -> bits. */
export async function checkReport(
  before: Readonly<Record<string, Body>>,
  now: Readonly<Record<string, Body>>,
  change: Partial<Evidence> = {},
): Promise<Report> {
  const trusted = side({ passes: { 'generate-1': before } });
  const run = side({ passes: { 'generate-1': now, 'generate-2': now } });
  return reportOf(run, trusted, change);
}

export async function reportOf(
  run: Side,
  trusted: Side | undefined,
  change: Partial<Evidence> = {},
): Promise<Report> {
  const { suite, places } = parseSuite(SAMPLE, 'determinism.yml');
  return makeReport({
    mode: 'check',
    suite,
    places,
    defaults: ['seed'],
    runtime: 'Runs in a Python of this machine.',
    logPath: '/tmp/record.log',
    recordPath: '/tmp/record',
    record: run.record,
    before: trusted?.record,
    relations: await compare(run, trusted, [
      { relation: 'rerun', requirement: 'identical' },
      { relation: 'baseline', requirement: 'identical' },
    ]),
    baseline: FOUND,
    ...change,
  });
}
