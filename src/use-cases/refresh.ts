import { formatKey, type Yardstick } from '../baseline/port.ts';
import { measureYardstick } from '../changes/yardstick.ts';
import type { Asks, RefreshSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import { outcomeDigest, outcomeDigests } from '../record/outcome.ts';
import { nansIn } from '../record/select.ts';
import { compareAsked } from '../report/derive.ts';
import { makeReport } from '../report/make.ts';
import type { BaselineView, Report } from '../report/schema.ts';
import { files } from '../tell/files.ts';
import { logOf } from '../tell/log.ts';
import { tell } from '../tell/tell.ts';
import { digestsOf } from '../trust/baseline.ts';
import { mayKeepCaches } from '../trust/events.ts';
import { refuseDoubt } from '../trust/health.ts';
import { decide, heldTo, refuseOlderRun } from '../trust/promotion.ts';
import { metaOf } from '../trust/provenance.ts';
import { beforeMerge, confirmed, confirmedNotice, pullRequestOf, withinStarts } from './before-merge.ts';
import { begin, prepare } from './begin.ts';

/** Makes a record and, if it agrees with itself, trusts it: with a name, a reason and a run behind it. */
export async function refresh(settings: RefreshSettings & Asks<'store'>, tools: Tools): Promise<Report> {
  const { console, signal, records, reports } = tools;
  const prepared = await prepare('refresh', settings, tools);
  const { loaded, permission, rules, plan, store } = prepared;
  if (!settings.dryRun) store.assertWritable();

  // On the old baseline's tokens: what a check of this commit would compute, so that an acceptance names both.
  await using begun = await begin(prepared, settings, tools);
  const { run, query, trusted, newest, before, lifetimes } = begun;
  if (before !== undefined) refuseOlderRun(settings, before.meta.provenance);
  // Before the model is loaded, and once more of what came up meanwhile.
  refuseDoubt(lifetimes.health, ['warning']);
  const earlier = await beforeMerge(prepared, begun, settings, tools);
  await lifetimes.planned(earlier.starts);
  const vouching = confirmed(earlier, lifetimes.side(), plan, tools);
  if (vouching.length === 0) await lifetimes.rest();
  if (plan.traceApart) await lifetimes.trace();
  refuseDoubt(lifetimes.health, ['warning']);
  const side = await lifetimes.commit();
  const all = heldTo(plan.claims, permission, before);
  const claims = vouching.length === 0 ? all : withinStarts(all, earlier.starts);
  const relations = await compareAsked('refresh', { claims }, side, before?.side);
  const reportOf = (baseline: BaselineView) =>
    makeReport({
      ...run.facts,
      ...{ mode: 'refresh', rules, claims, side, before, relations, baseline },
      digests: digestsOf(side, before),
      found: vouching.length === 0 ? [] : [confirmedNotice(vouching, earlier, prepared)],
    });
  if (before !== undefined) await records.keepCopy(before.folder, `${settings.recordPath}.baseline`);

  const decision = decide({
    hardwareClass: run.hardwareClass,
    health: lifetimes.health,
    outcomes: outcomeDigests(side.record),
    relations,
    trusted,
    isRemote: plan.endpoint !== undefined,
    nans: nansIn(side.record),
    stores: permission.stores,
    suite: loaded.suite,
    store: store.kind,
    request: settings,
  });
  // Before anything is stored: what the old baseline knew otherwise.
  const found = reportOf(decision.view);
  await tell('found', found, logOf(console));
  if (decision.kind === 'keep') {
    // The same bits: what was compiled is what the baseline stands on.
    if (decision.view.kind === 'unchanged' && !settings.dryRun) await keepCaches();
    return await told(found);
  }

  // A refresh that was cancelled must not replace what is trusted.
  signal.throwIfAborted();
  const { run: runId, attempt: runAttempt } = settings.job;
  const key = { ...query, runId, runAttempt, record: outcomeDigest(side.record) };
  const replaced = before?.key ?? null;
  if (settings.dryRun) return await told(reportOf({ kind: 'dry-run', key: formatKey(key), replaced }));
  // Before the baseline: kept caches that it does not know are told, a baseline without them only measures anew.
  await keepCaches();
  const meta = metaOf(settings, {
    side,
    before,
    reason: decision.reason,
    pullRequest: decision.byMerge ? await pullRequestOf(settings, tools) : null,
    yardstick: settings.yardstick ? await yardstick() : [],
    beforeMerge: vouching.map(({ run: earlierRun }) => earlierRun),
    now: new Date(),
  });
  await records.addMeta(settings.recordPath, meta);
  const stored = await console.section('Store', () => store.save(key, settings.recordPath, newest));
  return await told(
    reportOf({
      ...{ kind: 'stored', key: stored, store: store.kind, inCheckout: store.inCheckout },
      ...{ provenance: meta.provenance, replaced },
    }),
  );

  async function yardstick(): Promise<Yardstick[]> {
    // Known changes are runs of their own: GPUs that this one still had, they would wait for in vain.
    await run[Symbol.asyncDispose]();
    return await measureYardstick(loaded, plan, side, settings, tools);
  }

  async function keepCaches(): Promise<void> {
    if (mayKeepCaches(settings.situation)) await lifetimes.keepCaches();
    else if (plan.caches !== 'fresh')
      console.info(
        'What was compiled is not kept: later runs load it as code, and this is not the default branch.',
      );
  }

  async function told(report: Report): Promise<Report> {
    await tell('report', report, files(reports));
    return report;
  }
}
