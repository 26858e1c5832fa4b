import assert from 'node:assert/strict';
import type { Report } from '../../../src/report/schema.ts';
import type { Failure, Kind, Results, ShownByKind, TextDocument } from '../../../src/surfaces/surface.ts';
import { HOSTILE } from './hostile.ts';
import { body } from './records.ts';
import { checkReport, finding, relation } from './reports.ts';

/* Reports, and what is written of them for other programs. */

const BEFORE = { capital: body(), sky: body({ tokens: [20, 21, 22] }) };
export const DRIFT = await checkReport(BEFORE, {
  capital: body(),
  sky: body({ tokens: [20, 21, 25], text: 'other' }),
});
export const WELL = await checkReport(BEFORE, BEFORE);
export const WARNED: Report = { ...DRIFT, verdict: 'warn' };
export const ACCEPTED: Report = {
  ...DRIFT,
  ...{ verdict: 'pass', accepted: { record: DRIFT.outcome, reason: 'a new kernel' } },
};
export const UNHEALTHY: Report = { ...DRIFT, conclusion: 'unhealthy-gpu' };
export const UNMEASURED: Report = {
  ...{ ...WELL, conclusion: 'unmeasured', verdict: 'fail' },
  relations: [
    relation('baseline', 'held', { findings: [finding('sky', { agreement: 'identical', holds: true })] }),
    relation('batch', 'unmeasured', { evidence: 'nothing ran beside it', findings: [] }),
    relation('rerun', 'unmeasured', {
      findings: [
        finding('sky', { agreement: 'unmeasured', holds: false, divergence: null, reason: 'no pass' }),
      ],
    }),
  ],
};
export const FAILURE: Failure = {
  error: { code: 'suite-invalid', message: 'It has a problem.', hint: 'Correct it.' },
  places: [{ file: 'a b/suite.yml', line: 3, column: 5, message: 'no such key' }],
  suite: 'a b/suite.yml',
};

/** What a surface writes of a result. */
export async function written<K extends Kind>(
  surface: ShownByKind,
  kind: K,
  value: Results[K],
): Promise<string> {
  const shown = surface[kind] as { document?: (value: Results[K]) => TextDocument } | undefined;
  const made = shown?.document?.(value);
  assert.ok(made !== undefined, `nothing of ${kind}`);
  return made.text();
}
export const merged = (reports: readonly Report[]): Results['merged'] => ({
  ...{ reports, conclusion: 'drift', verdict: 'fail', htmlPath: '/page.html' },
});

export const TEXTS = Object.values({
  ...HOSTILE,
  'no character of XML': 'a\ufffe\uffff\u0000\u000bb',
  long: 'x<'.repeat(99_999),
});
