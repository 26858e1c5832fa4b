import { outputs } from './outputs.ts';
import type { Surface } from './surface.ts';

/** A report for programs: a file beside its record, which `verify` reads again, and what a terminal is asked for. */
export const reportJson: Surface = {
  name: 'report as JSON',
  report: {
    // Without indentation: what many prompts need must fit what a reader takes.
    file: (report) => ({ path: report.context.reportPath, text: `${JSON.stringify(report)}\n` }),
    json: (report) => ({
      schema: 'deterministic-ml/check/v1',
      outputs: outputs(report),
      report,
    }),
  },
};
