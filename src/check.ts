import { compare } from './compare/compare.ts';
import type { RelationResult } from './compare/types.ts';
import { keepCopy } from './disk/record-folder.ts';
import { writeReport } from './disk/report-file.ts';
import { loadSuite } from './disk/suite-file.ts';
import { makePlan } from './plan.ts';
import { makeReport } from './report/make.ts';
import type { Report } from './report/model.ts';
import { startRun, type Tools } from './run.ts';
import type { Settings } from './settings.ts';
import { findTrusted, knownTokens, type Trusted, view } from './trusted.ts';
import { openStore } from './wiring.ts';

/** Does the model still compute the same thing? */
export async function check(settings: Settings, tools: Tools): Promise<Report> {
  const loaded = await loadSuite(settings.suite, settings.workspace);
  const plan = makePlan(loaded, 'check');
  const store = openStore(loaded, settings, tools);

  await using owned = new AsyncDisposableStack();
  const run = owned.use(await startRun(loaded, plan, settings, tools));
  const query = { suite: plan.suite.name, hardwareClass: run.hardwareClass };
  const trusted: Trusted = plan.claims.some(({ relation }) => relation === 'baseline')
    ? await tools.console.section('Baseline', () => findTrusted(store, query, owned))
    : { kind: 'not-asked' };
  const before = trusted.kind === 'found' ? trusted : undefined;

  const known = before === undefined ? new Map() : await knownTokens(before.side, plan.prompts);
  const lifetimes = owned.use(await run.begin(known));
  const compared = () => compare(lifetimes.side(), before?.side, plan.claims);
  await lifetimes.planned();
  let relations = await compared();
  if (drifted(relations) && plan.confirm > 0) {
    await lifetimes.more(plan.confirm);
    relations = await compared();
  }
  if (drifted(relations) && plan.traceApart) {
    await lifetimes.trace();
    relations = await compared();
  }
  const side = await lifetimes.commit();
  if (before !== undefined) await keepCopy(before.folder, `${settings.recordPath}.baseline`);
  const report = makeReport({
    ...run.facts,
    mode: 'check',
    claims: plan.claims,
    side,
    before,
    relations,
    baseline: view(trusted, store),
    digests: {
      record: side.sha256,
      baselineRecord: before?.side.sha256 ?? null,
      baselineMeta: before?.metaSha256 ?? null,
    },
  });
  await writeReport(report.context.reportPath, report);
  return report;
}

const drifted = (relations: readonly RelationResult[]) =>
  relations.some(({ relation, status }) => relation === 'baseline' && status === 'broken');
