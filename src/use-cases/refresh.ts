import {
  BASELINE_SCHEMA,
  type BaselineMeta,
  formatKey,
  type Link,
  MAX_CHAIN,
  type Provenance,
} from '../baseline/port.ts';
import { measureYardstick } from '../changes/yardstick.ts';
import { acceptances, acceptedBy } from '../compare/acceptance.ts';
import { judge } from '../compare/conclusion.ts';
import type { Agreement, Claim, RelationResult } from '../compare/types.ts';
import { keepCopy, type OpenedRecord, writeBaselineMeta } from '../disk/record-folder.ts';
import type { LoadedSuite } from '../disk/suite-file.ts';
import { UserError } from '../errors.ts';
import { openGitHub, openStore } from '../front/wiring.ts';
import type { RefreshSettings, Settings } from '../job/settings.ts';
import { digestJson } from '../record/digest.ts';
import { outcomeDigest, outcomeDigests } from '../record/outcome.ts';
import { compareAsked } from '../report/derive.ts';
import { makeReport } from '../report/make.ts';
import type { BaselineView, Report } from '../report/model.ts';
import { makePlan } from '../run/plan.ts';
import { startRun, type Tools } from '../run/start.ts';
import type { Suite } from '../suite/schema.ts';
import { findingLines } from '../surfaces/terminal.ts';
import { leave } from '../tell/files.ts';
import { digestsOf, type FoundTrusted, findTrusted, knownTokens, type Trusted } from '../trust/baseline.ts';
import type { Permission } from '../trust/events.ts';
import { loadRuled } from '../trust/judge.ts';
import { VERSION } from '../version.ts';

/** Makes a record and, if it agrees with itself, trusts it: with a name, a reason and a run behind it. */
export async function refresh(settings: Settings, request: RefreshSettings, tools: Tools): Promise<Report> {
  const { loaded, permission, rules } = await loadRuled('refresh', settings, tools);
  const plan = makePlan(loaded, 'refresh');
  const store = openStore(loaded, settings, tools);
  if (!request.dryRun) store.assertWritable();

  await using owned = new AsyncDisposableStack();
  const run = owned.use(await startRun(loaded, plan, settings, tools));
  const { hardwareClass } = run;
  const query = { suite: plan.suite.name, hardwareClass };
  const trusted = await tools.console.section('Old baseline', () => findTrusted(store, query, owned));
  const before = trusted.kind === 'found' ? trusted : undefined;

  if (before !== undefined) refuseOlderRun(settings, before.meta.provenance);

  // On the old baseline's tokens: what a check of this commit would compute, so that an acceptance names both.
  const known = before === undefined ? new Map() : await knownTokens(before.side, plan.prompts);
  const lifetimes = owned.use(await run.begin(known));
  await lifetimes.planned();
  if (plan.traceApart) await lifetimes.trace();
  const side = await lifetimes.commit();
  const claims = claimsOf(plan.claims, permission, before);
  const relations = await compareAsked('refresh', { claims }, side, before?.side);
  const reportOf = (baseline: BaselineView) =>
    makeReport({
      ...run.facts,
      ...{ mode: 'refresh', rules, claims, side, before, relations, baseline },
      digests: digestsOf(side, before),
    });
  if (before !== undefined) await keepCopy(before.folder, `${settings.recordPath}.baseline`);

  const decision = decide(side, relations, { loaded, permission, trusted, request });
  // Before anything is stored: what the old baseline knew otherwise.
  for (const line of findingLines(reportOf(decision.view))) tools.console.info(line);
  if (decision.kind === 'keep') return await leave(reportOf(decision.view));

  // A refresh that was cancelled must not replace what is trusted.
  tools.signal.throwIfAborted();
  const outcome = outcomeDigest(side.record);
  const replaced = before?.key ?? null;
  const { run: runId, attempt: runAttempt } = settings.job;
  const key = { ...query, runId, runAttempt, record: outcome };
  if (request.dryRun) return await leave(reportOf({ kind: 'dry-run', key: formatKey(key), replaced }));
  const pullRequest = decision.byMerge ? await pullRequestOf(settings, tools) : null;
  const meta: BaselineMeta = {
    schema: BASELINE_SCHEMA,
    suite: query.suite,
    hardwareClass,
    record: outcome,
    recordFile: side.sha256,
    provenance: provenance(settings, request, side, decision.reason, pullRequest),
    chain: chainOf(before),
    envelope: { lifetimes: plan.lifetimes, digests: outcomeDigests(side.record) },
    yardstick: request.yardstick ? await measureYardstick(loaded, plan, side, settings, tools) : [],
  };
  await writeBaselineMeta(settings.recordPath, meta);
  const stored = await tools.console.section('Store', () =>
    store.save(key, settings.recordPath, before?.key),
  );
  return await leave(
    reportOf({ kind: 'stored', key: stored, store: store.kind, provenance: meta.provenance, replaced }),
  );
}

/** A run that is started again has its old commit: its bits must not come after a newer run's. */
function refuseOlderRun({ job, situation }: Settings, newest: Provenance): void {
  const comparable =
    newest.repository === job.repository && newest.event !== 'cli' && situation.event !== 'cli';
  const [theirs, ours] = [newest.runId, job.run].map((id) => (/^\d+$/.test(id) ? BigInt(id) : 0n)) as [
    bigint,
    bigint,
  ];
  if (!comparable || theirs <= ours) return;
  throw new UserError(
    'refresh-not-allowed',
    `The baseline comes from run ${newest.runId}, which is newer than this run ${job.run}: an older commit's bits would replace a newer one's.`,
    'Start a new run instead of running an old one again.',
  );
}

/** Which pull request the merge brought; null where GitHub does not tell, which is no reason to lose the record. */
async function pullRequestOf(settings: Settings, tools: Tools): Promise<number | null> {
  try {
    return (await openGitHub(settings, tools).pullRequestOf(settings.situation.commit)) ?? null;
  } catch (error) {
    if (!(error instanceof UserError) || error.code === 'cancelled') throw error;
    tools.console.info(`The pull request that brought this stays unnamed: ${error.message}`);
    return null;
  }
}

/**
 * The engine must agree with itself. Whoever gives a reason wants the old baseline replaced, so that it is only looked
 * at; a push and a schedule are held to it.
 */
function claimsOf(
  claims: readonly Claim[],
  { stores }: Permission,
  before: FoundTrusted | undefined,
): readonly Claim[] {
  const own = claims.filter(({ relation }) => relation !== 'baseline');
  const asked = claims.find(({ relation }) => relation === 'baseline');
  switch (stores) {
    case 'reasoned':
      return before === undefined ? own : [...own, { relation: 'baseline', requirement: 'measure' }];
    case 'unchanged':
    case 'accepted':
      return [...own, asked ?? { relation: 'baseline', requirement: 'identical' }];
    case 'nothing':
      return own;
  }
}

type Decision = { readonly view: BaselineView } & (
  | { readonly kind: 'keep' }
  | { readonly kind: 'store'; readonly reason: string; readonly byMerge: boolean }
);

interface Circumstances {
  readonly loaded: LoadedSuite;
  readonly permission: Permission;
  readonly trusted: Trusted;
  readonly request: RefreshSettings;
}

/** Whether the record becomes the baseline, and if not, why not. */
function decide(
  { record }: OpenedRecord,
  relations: readonly RelationResult[],
  { loaded, permission, trusted, request }: Circumstances,
): Decision {
  const before = trusted.kind === 'found' ? trusted : undefined;
  const broken = relations.find(
    ({ relation, status }) => relation !== 'baseline' && (status === 'broken' || status === 'unmeasured'),
  );
  if (broken !== undefined)
    return refused(`\`${broken.relation}\` is ${broken.status}: ${broken.evidence}. The old baseline stays.`);

  const outcomes = {
    hardwareClass: record.hardwareClass,
    run: outcomeDigests(record),
    baseline: before?.meta.envelope.digests ?? [],
  };
  const old = relations.find(({ relation }) => relation === 'baseline');
  // The outcome leaves out what an eager start of a compiled engine traces.
  const sameBits =
    outcomes.run.every((outcome) => outcomes.baseline.includes(outcome)) &&
    old?.findings.every(({ agreement }) => SAME.includes(agreement)) !== false;
  if (before !== undefined && (sameBits || old?.status === 'held')) {
    if (request.storeUnchanged && sameBits && permission.stores !== 'accepted')
      return stored(request.reason || before.meta.provenance.reason, false);
    const { key, meta } = before;
    return {
      kind: 'keep',
      view: { kind: 'unchanged', key, store: loaded.suite.baseline.store, provenance: meta.provenance },
    };
  }
  switch (permission.stores) {
    case 'reasoned':
      return stored(request.reason, false);
    case 'accepted': {
      const accepted = acceptedBy(acceptances(loaded.suite.accept, outcomes), outcomes);
      // An acceptance lets a drift pass and nothing else; a first baseline has nothing to drift from.
      if (accepted !== undefined && (before === undefined || hasDrifted(relations, loaded.suite)))
        return stored(accepted.reason, true);
      break;
    }
    case 'unchanged':
    case 'nothing':
  }
  // Without a baseline nothing drifted: that there is none is what must be told.
  if (trusted.kind === 'absent' || trusted.kind === 'incomparable') return { kind: 'keep', view: trusted };
  if (old?.status === 'unmeasured')
    return refused(
      'what it asks cannot be compared with the old one, which stays. Refresh by hand, with a reason.',
    );
  return refused(
    permission.stores === 'accepted'
      ? 'it differs from the old one, which stays, and the suite accepts no such record.'
      : 'it differs from the old one, which stays: a schedule may only store what did not change.',
  );
}

const SAME: readonly Agreement[] = ['identical', 'added', 'removed', 'unmeasured'];

/** Whether drift is all that keeps this run from being green. */
function hasDrifted(relations: readonly RelationResult[], { policy }: Suite): boolean {
  const { conclusion, verdict } = judge(relations, 'found', policy, true);
  return conclusion === 'drift' && verdict === 'pass';
}

const refused = (reason: string): Decision => ({ kind: 'keep', view: { kind: 'not-stored', reason } });

/** What the findings are shown with before the key is known. */
const stored = (reason: string, byMerge: boolean): Decision => ({
  kind: 'store',
  reason,
  byMerge,
  view: { kind: 'not-asked' },
});

/** What this one replaces, and what that one had replaced. */
function chainOf(before: FoundTrusted | undefined): Link[] {
  if (before === undefined) return [];
  const { key, meta, metaSha256 } = before;
  const link = { baseline: metaSha256, key, record: meta.record, provenance: meta.provenance };
  return [link, ...meta.chain].slice(0, MAX_CHAIN);
}

function provenance(
  { job, situation, workflow, runUrl }: Settings,
  { actor }: RefreshSettings,
  { record }: OpenedRecord,
  reason: string,
  pullRequest: number | null,
): Provenance {
  const { image, model } = record.fingerprint.declared;
  return {
    repository: job.repository,
    commit: situation.commit,
    ref: situation.ref,
    workflow,
    runId: job.run,
    runAttempt: job.attempt,
    runUrl,
    actor,
    event: situation.event,
    reason,
    createdAt: new Date().toISOString(),
    tool: VERSION,
    image: image.reference === 'none' ? '' : image.reference,
    model: digestJson(model.files),
    pullRequest,
  };
}
