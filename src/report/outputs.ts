import type { Report } from './model.ts';
import { driftedPrompts } from './verdict.ts';

/** The action's outputs, by name as in action.yml. */
export function outputs(report: Report): Readonly<Record<string, string>> {
  const { baseline, recordPath, reportPath } = report.context;
  return {
    conclusion: report.conclusion,
    verdict: report.verdict,
    'drift-count': String(driftedPrompts(report).filter(({ isTrace }) => !isTrace).length),
    'record-path': recordPath,
    'report-path': reportPath,
    'record-digest': report.outcome,
    'baseline-key': baseline.kind === 'found' || baseline.kind === 'stored' ? baseline.key : '',
    'hardware-class': report.hardwareClass,
  };
}
