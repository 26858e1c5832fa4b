import { type BaselineState, judge } from '../compare/conclusion.ts';
import type { RelationResult } from '../compare/types.ts';
import { diffEnvironments, type Environment } from '../fingerprint/diff.ts';
import { outcomeDigest } from '../record/outcome.ts';
import type { RunRecord } from '../record/schema.ts';
import type { SuitePlaces } from '../suite/parse.ts';
import type { Suite } from '../suite/schema.ts';
import { type BaselineView, REPORT_SCHEMA, type Report } from './model.ts';

/** Everything that a report is made of. */
export interface Evidence {
  readonly mode: Report['mode'];
  readonly suite: Suite;
  readonly places: SuitePlaces;
  /** Engine arguments that are deterministic defaults of ours. */
  readonly defaults: readonly string[];
  readonly runtime: string;
  readonly logPath: string;
  readonly recordPath: string;
  readonly record: RunRecord;
  /** The baseline's record, when there is one. */
  readonly before: RunRecord | undefined;
  readonly relations: readonly RelationResult[];
  readonly baseline: BaselineView;
}

export function makeReport(evidence: Evidence): Report {
  const { mode, suite, places, defaults, runtime, logPath, recordPath, record, before, relations, baseline } =
    evidence;
  // A refresh is judged by its agreement with itself: the old baseline is shown, and is about to be replaced.
  const judged = mode === 'check' ? relations : relations.filter(({ relation }) => relation !== 'baseline');
  const passes = record.lifetimes.flatMap((lifetime) => lifetime.passes);
  return {
    schema: REPORT_SCHEMA,
    mode,
    ...judge(judged, stateOf(baseline), suite.policy),
    suite: suite.name,
    places,
    hardwareClass: record.hardwareClass,
    outcome: outcomeDigest(record),
    recordPath,
    logPath,
    runtime,
    environment: environmentOf(record),
    defaults,
    relations,
    baseline,
    changes: before === undefined ? [] : diffEnvironments(environmentOf(before), environmentOf(record)),
    work: {
      prompts: record.suite.prompts.length,
      tokens: record.observations.reduce((sum, { tokens }) => sum + tokens.count, 0),
      seconds: passes.reduce((sum, { seconds }) => sum + seconds, 0),
    },
  };
}

/** The first lifetime's settings stand for the record: all lifetimes of a run ask for the same. */
function environmentOf({ fingerprint, lifetimes }: RunRecord): Environment {
  const settings = lifetimes[0]?.settings ?? { requested: {}, dropped: [], effective: {} };
  return { fingerprint, settings };
}

function stateOf({ kind }: BaselineView): BaselineState {
  switch (kind) {
    case 'found':
    case 'incomparable':
    case 'absent':
      return kind;
    case 'not-asked':
    case 'stored':
    case 'not-stored':
      return 'not-asked';
  }
}
