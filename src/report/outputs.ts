import type { Report } from './model.ts';
import { drifted } from './verdict.ts';

/** The action's outputs, by name as in action.yml. */
export function outputs(report: Report): Readonly<Record<string, string>> {
  const { baseline } = report;
  return {
    conclusion: report.conclusion,
    verdict: report.verdict,
    'drift-count': String(new Set(drifted(report).map(({ prompt }) => prompt)).size),
    'record-path': report.recordPath,
    'record-digest': report.outcome,
    'baseline-key': baseline.kind === 'found' || baseline.kind === 'stored' ? baseline.key : '',
    'hardware-class': report.hardwareClass,
  };
}
