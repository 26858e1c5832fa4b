import { compare } from './compare/compare.ts';
import { loadSuite } from './disk/suite-file.ts';
import { makePlan } from './plan.ts';
import { makeReport } from './report/make.ts';
import type { Report } from './report/model.ts';
import { startRun, type Tools } from './run.ts';
import type { Settings } from './settings.ts';
import { findTrusted, type Trusted, view } from './trusted.ts';
import { openStore } from './wiring.ts';

/** Does the model still compute the same thing? */
export async function check(settings: Settings, tools: Tools): Promise<Report> {
  const loaded = await loadSuite(settings.suite, settings.workspace);
  const plan = makePlan(loaded);
  const store = openStore(loaded, settings, tools);

  await using owned = new AsyncDisposableStack();
  const run = owned.use(await startRun(loaded, plan, settings, tools));
  const query = { suite: plan.suite.name, hardwareClass: run.hardwareClass };
  const trusted: Trusted = plan.claims.some(({ relation }) => relation === 'baseline')
    ? await tools.console.section('Baseline', () => findTrusted(store, query, owned))
    : { kind: 'not-asked' };

  const side = await run.measure();
  const before = trusted.kind === 'found' ? trusted.side : undefined;
  const relations = await compare(side, before, plan.claims);
  return makeReport({
    ...run.facts,
    mode: 'check',
    record: side.record,
    before: before?.record,
    relations,
    baseline: view(trusted, store),
  });
}
