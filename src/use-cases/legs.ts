import { explain } from '../explain/explain.ts';
import { factsOf, notesOf, wholeOf } from '../explain/facts.ts';
import type { Case, Explained } from '../explain/types.ts';
import type { Report } from '../report/schema.ts';

/** A leg of a matrix as a case: its report has one digest of all that it computed. */
export function caseOfReport(report: Report, name: string, suiteName = report.suite.name): Case {
  const { suite, outcome, environment } = report;
  return {
    name,
    suite: suiteName,
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

/** A leg of a matrix, and what it is called. */
export interface Leg {
  readonly report: Report;
  readonly name: string;
}

export const legName = ({ hardwareClass }: Report, index: number): string =>
  `leg ${index + 1} on ${hardwareClass}`;

/** Who of several legs agrees with whom, and why. @param legs of one run */
export const explainedLegs = (legs: readonly Leg[]): Explained =>
  explain(legs.map(({ report, name }) => caseOfReport(report, name)));
