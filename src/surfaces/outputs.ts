import type { BaselineView, Report } from '../report/schema.ts';
import { read } from '../words/reading.ts';
import type { Surface } from './surface.ts';

export const stepOutputs: Surface = {
  name: 'outputs',
  report: { outputs },
  merged: {
    outputs: ({ conclusion, verdict, htmlPath }) => ({ conclusion, verdict, 'html-path': htmlPath }),
  },
};

/** The action's outputs, by name as in action.yml. */
export function outputs(report: Report): Readonly<Record<string, string>> {
  const { baseline, recordPath, reportPath, htmlPath } = report.context;
  return {
    conclusion: report.conclusion,
    verdict: report.verdict,
    'drift-count': String(read(report).drifted.length),
    'record-path': recordPath,
    'report-path': reportPath,
    'html-path': htmlPath,
    'record-digest': report.outcome,
    'baseline-key': keyOf(baseline),
    accepted: String(report.accepted !== null),
    'hardware-class': report.hardwareClass,
  };
}

function keyOf(baseline: BaselineView): string {
  switch (baseline.kind) {
    case 'found':
    case 'stored':
    case 'unchanged':
      return baseline.key;
    case 'dry-run':
    case 'not-stored':
    case 'incomparable':
    case 'absent':
    case 'not-asked':
      return '';
  }
}
