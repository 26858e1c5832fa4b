import type { BaselineMeta, Proof } from '../baseline/port.ts';
import type { Claim, RelationResult } from '../compare/types.ts';
import type { AskedVariant } from '../compare/variants.ts';
import { digestJson } from '../record/digest.ts';
import type { Side } from '../record/side.ts';
import type { SuitePlaces } from '../suite/parse.ts';
import type { Suite } from '../suite/schema.ts';
import { depthOf } from '../suite/task.ts';
import { derive } from './derive.ts';
import { type LostBaseline, notices, type ReplacedByChange, type Standing } from './notices.ts';
import { reportPathOf } from './paths.ts';
import { plain } from './plain.ts';
import {
  type BaselineView,
  type Context,
  type Digests,
  type Notice,
  type Places,
  REPORT_SCHEMA,
  type Report,
  type Rules,
  type RunView,
} from './schema.ts';

/** Everything that a report is made of. */
export interface Evidence {
  readonly mode: Context['mode'];
  readonly run: RunView;
  readonly suite: Pick<Suite, 'policy' | 'task' | 'depth' | 'accept' | 'baseline'>;
  readonly rules: Rules;
  readonly places: SuitePlaces;
  readonly claims: readonly Claim[];
  /** Engine arguments that are deterministic defaults of ours. */
  readonly defaults: readonly string[];
  /** Variables that the engine was given: its deterministic defaults and the suite's own. */
  readonly environment: Readonly<Record<string, string>>;
  readonly runtime: string;
  /** Why nothing keeps the engine from what the job knows; undefined where something does. */
  readonly exposed: string | undefined;
  readonly logPath: string;
  readonly recordPath: string;
  readonly side: Pick<Side, 'record'>;
  /** The baseline, when there is one. */
  readonly before:
    | { readonly side: Pick<Side, 'record'>; readonly meta: BaselineMeta; readonly proof: Proof }
    | undefined;
  /** As `notices.ts` has it. */
  readonly replacedByChange?: ReplacedByChange | undefined;
  readonly lostBaseline?: LostBaseline | undefined;
  readonly standing?: Standing | undefined;
  /** As the suite has them; their results are among the relations, after all others. */
  readonly variants?: readonly AskedVariant[] | undefined;
  /** As `compareAsked` gives them. */
  readonly relations: readonly RelationResult[];
  readonly baseline: BaselineView;
  readonly digests: Digests;
  /** What was found beside the comparison: stands before all other notices. */
  readonly found?: readonly Notice[];
}

/** Where a record's report lies as a page. */
export const htmlPathOf = (recordPath: string) => `${recordPath}.report.html`;

/** Where the record of a variant lies. */
export const variantFolder = (recordPath: string, name: string) => `${recordPath}.variants/${name}`;

export function makeReport(evidence: Evidence): Report {
  const { mode, run, suite, places, claims, defaults, runtime, exposed, logPath, recordPath } = evidence;
  const { side, before, relations, baseline, digests, rules, replacedByChange, lostBaseline } = evidence;
  // What a run may cost judges nothing that it showed.
  const { 'budget-minutes': _, bisect: __, ...policy } = suite.policy;
  const { variants = [] } = evidence;
  const asked = {
    ...{ claims, policy, depth: depthOf(suite), accept: suite.accept },
    ...(variants.length === 0 ? {} : { variants }),
  };
  const derived = derive({
    mode,
    asked,
    baseline: baseline.kind,
    record: side.record,
    before: before === undefined ? undefined : { record: before.side.record, meta: before.meta },
    relations,
  });
  const context: Context = {
    mode,
    run,
    places: plainPlaces(places),
    defaults,
    runtime,
    logPath,
    recordPath,
    reportPath: reportPathOf(recordPath),
    htmlPath: htmlPathOf(recordPath),
    baseline,
    rules,
    notices: [
      ...(evidence.found ?? []),
      ...notices({
        now: side.record.createdAt,
        baseline,
        proof: before?.proof,
        replacedByChange,
        lostBaseline,
        standing: evidence.standing,
        record: side.record,
        before: before?.side.record,
        warnAfterDays: suite.baseline['warn-after-days'],
        rules,
        acceptances: derived.acceptances,
        health: derived.health,
        probes: derived.probes,
        relations,
        exposed,
        defaults,
        environment: evidence.environment,
        replaced: before?.meta.chain.map(({ record }) => record) ?? [],
      }),
    ],
  };
  // Nothing in it is undefined or not finite any more, so that the file holds what the digest is of.
  const rest = plain({ schema: REPORT_SCHEMA, context, asked, digests, ...derived }) as Omit<
    Report,
    'sha256'
  >;
  return { ...rest, sha256: reportDigest(rest) };
}

/** SHA-256 of the canonical JSON of a report without its own digest. */
export function reportDigest(report: Omit<Report, 'sha256'> & Partial<Pick<Report, 'sha256'>>): string {
  const { sha256: _, ...rest } = report;
  return digestJson(rest);
}

const plainPlaces = ({ prompts, ...rest }: SuitePlaces): Places => ({
  ...rest,
  prompts: [...prompts].map(([id, position]) => ({ id, ...position })),
});
