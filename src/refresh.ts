import { BASELINE_SCHEMA, type BaselineMeta, type Provenance } from './baseline/store.ts';
import { mayRefresh } from './baseline/trust.ts';
import type { Claim } from './compare/types.ts';
import { keepCopy, writeBaselineMeta } from './disk/record-folder.ts';
import { writeReport } from './disk/report-file.ts';
import { loadSuite } from './disk/suite-file.ts';
import { makePlan } from './plan.ts';
import { outcomeDigest, outcomeDigests } from './record/outcome.ts';
import { compareAsked } from './report/derive.ts';
import { type Evidence, makeReport } from './report/make.ts';
import type { Report } from './report/model.ts';
import { startRun, type Tools } from './run.ts';
import type { RefreshSettings, Settings } from './settings.ts';
import { findTrusted } from './trusted.ts';
import { VERSION } from './version.ts';
import { openStore } from './wiring.ts';
import { measureYardstick } from './yardstick.ts';

/** Makes a record and, if it agrees with itself, trusts it: with a name, a reason and a run behind it. */
export async function refresh(settings: Settings, request: RefreshSettings, tools: Tools): Promise<Report> {
  const loaded = await loadSuite(settings.suite, settings.workspace);
  const plan = makePlan(loaded, 'refresh');
  const store = openStore(loaded, settings, tools);
  mayRefresh(request, store.kind);

  await using owned = new AsyncDisposableStack();
  const run = owned.use(await startRun(loaded, plan, settings, tools));
  const { hardwareClass } = run;
  const query = { suite: plan.suite.name, hardwareClass };
  const trusted = await tools.console.section('Old baseline', () => findTrusted(store, query, owned));
  const before = trusted.kind === 'found' ? trusted : undefined;

  const lifetimes = owned.use(await run.begin(new Map()));
  await lifetimes.planned();
  if (plan.traceApart) await lifetimes.trace();
  const side = await lifetimes.commit();
  const { record } = side;
  // The old baseline is only looked at, to show what changes; the engine must agree with itself.
  const claims = plan.claims.filter(({ relation }) => relation !== 'baseline');
  const asked = { claims: before === undefined ? claims : [...claims, LOOK] };
  const relations = await compareAsked('refresh', asked, side, before?.side);
  const base = {
    ...run.facts,
    ...asked,
    mode: 'refresh',
    side,
    before,
    relations,
    digests: {
      record: side.sha256,
      baselineRecord: before?.side.sha256 ?? null,
      baselineMeta: before?.metaSha256 ?? null,
    },
  } as const;

  if (before !== undefined) await keepCopy(before.folder, `${settings.recordPath}.baseline`);
  const own = relations.filter(({ relation }) => relation !== 'baseline');
  const broken = own.find(({ status }) => status === 'broken' || status === 'unmeasured');
  if (broken !== undefined)
    return await told({
      ...base,
      baseline: {
        kind: 'not-stored',
        reason: `\`${broken.relation}\` is ${broken.status}: ${broken.evidence}. The old baseline stays.`,
      },
    });

  // A refresh that was cancelled must not replace what is trusted.
  tools.signal.throwIfAborted();
  const outcome = outcomeDigest(record);
  const meta: BaselineMeta = {
    schema: BASELINE_SCHEMA,
    suite: query.suite,
    hardwareClass,
    record: outcome,
    provenance: provenance(settings, request),
    envelope: { lifetimes: plan.lifetimes, digests: outcomeDigests(record) },
    yardstick: request.yardstick ? await measureYardstick(loaded, plan, side, settings, tools) : [],
  };
  await writeBaselineMeta(settings.recordPath, meta);
  const key = await tools.console.section('Store', () =>
    store.save(
      { ...query, runId: settings.job.run, runAttempt: settings.job.attempt, record: outcome },
      settings.recordPath,
    ),
  );
  const replaced = before?.key ?? null;
  return await told({
    ...base,
    baseline: { kind: 'stored', key, store: store.kind, provenance: meta.provenance, replaced },
  });
}

/** Makes the report and leaves it beside the record. */
async function told(evidence: Evidence): Promise<Report> {
  const report = makeReport(evidence);
  await writeReport(report.context.reportPath, report);
  return report;
}

/** How the old baseline is compared: to show what changes, held to nothing. */
const LOOK: Claim = { relation: 'baseline', requirement: 'measure' };

function provenance(
  { job }: Settings,
  { reason, commit, ref, workflow, runUrl, actor, event }: RefreshSettings,
): Provenance {
  return {
    repository: job.repository,
    commit,
    ref,
    workflow,
    runId: job.run,
    runAttempt: job.attempt,
    runUrl,
    actor,
    event,
    reason,
    createdAt: new Date().toISOString(),
    tool: VERSION,
  };
}
