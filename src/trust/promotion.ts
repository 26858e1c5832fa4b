import type { BaselineStore, Provenance } from '../baseline/port.ts';
import { acceptances, acceptedBy } from '../compare/acceptance.ts';
import { comparesWithBaseline, judge } from '../compare/conclusion.ts';
import type { Agreement, Claim, RelationResult } from '../compare/types.ts';
import { UserError } from '../errors.ts';
import type { HealthView } from '../health/schema.ts';
import type { RefreshSettings, RunSettings } from '../job/settings.ts';
import type { BaselineView } from '../report/schema.ts';
import type { Suite } from '../suite/schema.ts';
import type { FoundTrusted, Trusted } from './baseline.ts';
import type { Permission } from './events.ts';

/*
 * Whether a refresh's record becomes the baseline. Pure: what was measured, who asked and what was there before decide.
 */

/** A run that is started again has its old commit: its bits must not come after a newer run's. */
export function refuseOlderRun({ job, situation }: RunSettings, newest: Provenance): void {
  // A terminal's runs are numbered by the clock, and have no page.
  if (situation.door === 'terminal' || newest.runUrl === '' || newest.repository !== job.repository) return;
  if (numberOf(newest.runId) <= numberOf(job.run)) return;
  throw new UserError(
    'refresh-not-allowed',
    `The baseline comes from run ${newest.runId}, which is newer than this run ${job.run}: an older commit's bits would replace a newer one's.`,
    'Start a new run instead of running an old one again.',
  );
}

const numberOf = (run: string) => (/^\d+$/.test(run) ? BigInt(run) : 0n);

/**
 * The engine must agree with itself. Whoever gives a reason wants the old baseline replaced, so that it is only looked
 * at; a push and a schedule are held to it.
 */
export function heldTo(
  claims: readonly Claim[],
  { stores }: Pick<Permission, 'stores'>,
  before: FoundTrusted | undefined,
): readonly Claim[] {
  const own = claims.filter(({ relation }) => !comparesWithBaseline(relation));
  const asked = claims.filter(({ relation }) => comparesWithBaseline(relation));
  const old: readonly Claim[] =
    asked.length > 0 ? asked : [{ relation: 'baseline', requirement: 'identical' }];
  switch (stores) {
    case 'reasoned':
      return before === undefined
        ? own
        : [...own, ...old.map(({ relation }): Claim => ({ relation, requirement: 'measure' }))];
    case 'unchanged':
    case 'accepted':
      return [...own, ...old];
    case 'nothing':
      return own;
  }
}

/** `view` is what the report shows of the baseline, until a record that is stored has its key. */
export type Promotion = { readonly view: BaselineView } & (
  | { readonly kind: 'keep' }
  /** `byMerge`: the reason is one that the suite gives, so that a merged pull request brought it. */
  | { readonly kind: 'store'; readonly reason: string; readonly byMerge: boolean }
);

/** What decides. */
export interface Candidate {
  readonly hardwareClass: string;
  /** Of the GPUs that it was computed on; undefined where nobody looked. */
  readonly health: Pick<HealthView, 'state'> | undefined;
  /** Of each of the new record's lifetimes (see `outcomeDigests`). */
  readonly outcomes: readonly string[];
  /** Under the claims that `heldTo` gives. */
  readonly relations: readonly RelationResult[];
  readonly trusted: Trusted;
  /** Of somebody else's server: what it does not tell keeps no baseline from being made, as far as it could be witnessed. */
  readonly isRemote: boolean;
  /** NaNs in what was generated: there no relation may have looked at them. */
  readonly nans: number;
  readonly stores: Permission['stores'];
  readonly suite: Pick<Suite, 'accept' | 'policy'>;
  readonly store: BaselineStore['kind'];
  readonly request: Pick<RefreshSettings, 'reason' | 'storeUnchanged'>;
}

/** Whether the record becomes the baseline, and if not, why not. */
export function decide(candidate: Candidate): Promotion {
  const { relations, trusted, stores, suite, store, request } = candidate;
  const before = trusted.kind === 'found' ? trusted : undefined;
  if (candidate.health?.state === 'unhealthy')
    return refused('a GPU is unhealthy, and what it computes does not count. The old baseline stays.');
  const broken = relations.find(
    ({ relation, status }) =>
      !comparesWithBaseline(relation) &&
      (status === 'broken' || (status === 'unmeasured' && !candidate.isRemote)),
  );
  if (broken !== undefined)
    return refused(`\`${broken.relation}\` is ${broken.status}: ${broken.evidence}. The old baseline stays.`);

  if (candidate.isRemote && candidate.nans > 0)
    return refused(
      `${candidate.nans} log-probabilities are NaN: the model is broken. The old baseline stays.`,
    );
  const outcomes = {
    hardwareClass: candidate.hardwareClass,
    run: candidate.outcomes,
    baseline: before?.meta.envelope.digests ?? [],
  };
  const old = relations.filter(({ relation }) => comparesWithBaseline(relation));
  // The outcome leaves out what an eager start of a compiled engine traces.
  const sameBits =
    outcomes.run.every((outcome) => outcomes.baseline.includes(outcome)) &&
    old.every(({ findings }) => findings.every(({ agreement }) => SAME.includes(agreement)));
  if (
    before !== undefined &&
    (sameBits || (old.length > 0 && old.every(({ status }) => status === 'held')))
  ) {
    const { key, meta } = before;
    if (request.storeUnchanged && sameBits && stores !== 'accepted')
      return stored(request.reason || meta.provenance.reason, false);
    return { kind: 'keep', view: { kind: 'unchanged', key, store, provenance: meta.provenance } };
  }
  switch (stores) {
    case 'reasoned':
      return stored(request.reason, false);
    case 'accepted': {
      const accepted = acceptedBy(acceptances(suite.accept, outcomes), outcomes);
      // An acceptance lets a drift pass and nothing else; a first baseline has nothing to drift from.
      if (accepted !== undefined && (before === undefined || hasDrifted(relations, suite.policy)))
        return stored(accepted.reason, true);
      break;
    }
    case 'unchanged':
    case 'nothing':
  }
  // Without a baseline nothing drifted: that there is none is what must be told.
  if (trusted.kind === 'absent' || trusted.kind === 'incomparable') return { kind: 'keep', view: trusted };
  if (old.some(({ status }) => status === 'unmeasured'))
    return refused(
      'what it asks cannot be compared with the old one, which stays. Refresh by hand, with a reason.',
    );
  return refused(
    stores === 'accepted'
      ? 'it differs from the old one, which stays, and the suite accepts no such record.'
      : 'it differs from the old one, which stays: a schedule may only store what did not change.',
  );
}

const SAME: readonly Agreement[] = ['identical', 'indistinct', 'added', 'removed', 'unmeasured'];

/** Whether drift is all that keeps this run from being green. */
function hasDrifted(relations: readonly RelationResult[], policy: Suite['policy']): boolean {
  const { conclusion, verdict } = judge(relations, 'found', policy, true);
  return conclusion === 'drift' && verdict === 'pass';
}

const refused = (reason: string): Promotion => ({ kind: 'keep', view: { kind: 'not-stored', reason } });

/** What the findings are shown with before the key is known. */
const stored = (reason: string, byMerge: boolean): Promotion => ({
  kind: 'store',
  reason,
  byMerge,
  view: { kind: 'not-asked' },
});
