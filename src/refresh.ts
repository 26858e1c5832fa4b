import { BASELINE_SCHEMA, type BaselineMeta, type Provenance } from './baseline/store.ts';
import { mayRefresh } from './baseline/trust.ts';
import { compare } from './compare/compare.ts';
import { writeBaselineMeta } from './disk/record-folder.ts';
import { loadSuite } from './disk/suite-file.ts';
import { makePlan } from './plan.ts';
import { outcomeDigest } from './record/outcome.ts';
import { makeReport } from './report/make.ts';
import type { Report } from './report/model.ts';
import { startRun, type Tools } from './run.ts';
import type { RefreshSettings, Settings } from './settings.ts';
import { findTrusted } from './trusted.ts';
import { VERSION } from './version.ts';
import { openStore } from './wiring.ts';

/** Makes a record and, if it agrees with itself, trusts it: with a name, a reason and a run behind it. */
export async function refresh(settings: Settings, request: RefreshSettings, tools: Tools): Promise<Report> {
  const loaded = await loadSuite(settings.suite, settings.workspace);
  const plan = makePlan(loaded, ['rerun']);
  const store = openStore(loaded, settings, tools);
  mayRefresh(request, store.kind);

  await using owned = new AsyncDisposableStack();
  const run = owned.use(await startRun(loaded, plan, settings, tools));
  const { hardwareClass } = run;
  const query = { suite: plan.suite.name, hardwareClass };
  const trusted = await tools.console.section('Old baseline', () => findTrusted(store, query, owned));

  const side = await run.measure();
  const { record } = side;
  // The old baseline is only looked at, to show what changes; the engine must agree with itself.
  const before = trusted.kind === 'found' ? trusted.side : undefined;
  const own = await compare(
    side,
    undefined,
    plan.claims.filter(({ relation }) => relation !== 'baseline'),
  );
  const old =
    before === undefined
      ? []
      : await compare(side, before, [{ relation: 'baseline', requirement: 'measure' }]);
  const base = {
    ...run.facts,
    mode: 'refresh',
    record,
    before: before?.record,
    relations: [...own, ...old],
  } as const;

  const broken = own.find(({ status }) => status === 'broken' || status === 'unmeasured');
  if (broken !== undefined)
    return makeReport({
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
    envelope: { lifetimes: plan.lifetimes.length, digests: [outcome] },
  };
  await writeBaselineMeta(settings.recordPath, meta);
  const key = await tools.console.section('Store', () =>
    store.save(
      { ...query, runId: settings.job.run, runAttempt: settings.job.attempt, record: outcome },
      settings.recordPath,
    ),
  );
  const replaced = trusted.kind === 'found' ? trusted.key : null;
  return makeReport({
    ...base,
    baseline: { kind: 'stored', key, store: store.kind, provenance: meta.provenance, replaced },
  });
}

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
