import { factsOf, notesOf, wholeOf } from '../explain/facts.ts';
import type { Case } from '../explain/types.ts';
import type { Report } from '../report/schema.ts';

/** A leg of a matrix as a case: its report has one digest of all that it computed. */
export function caseOfReport(report: Report, name: string): Case {
  const { suite, outcome, environment } = report;
  return {
    name,
    suite: `${suite.name} (by the digests that reports tell)`,
    facts: factsOf(environment.fingerprint, environment.settings, undefined),
    whole: wholeOf('engine', undefined),
    notes: notesOf(environment.fingerprint),
    // What was asked is the suite: another one has another digest.
    answers: new Map([
      [
        `run ${suite.digest}`,
        { prompt: 'the whole run', kind: 'run', channels: new Map([['outcome', outcome]]) },
      ],
    ]),
  };
}
