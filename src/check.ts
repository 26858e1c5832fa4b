import { compare } from './compare/compare.ts';
import { makeReport } from './report/make.ts';
import type { Report } from './report/model.ts';
import { startRun, type Tools } from './run.ts';
import type { Settings } from './settings.ts';
import { findTrusted, type Trusted, view } from './trusted.ts';
import { openStore } from './wiring.ts';

/** Does the model still compute the same thing? */
export async function check(settings: Settings, tools: Tools): Promise<Report> {
  await using owned = new AsyncDisposableStack();
  const run = owned.use(await startRun(settings, tools));
  const { plan, hardwareClass } = run;

  const asked = plan.claims.some(({ relation }) => relation === 'baseline');
  const store = openStore(run.loaded, settings, tools);
  const trusted: Trusted = asked
    ? await tools.console.section('Baseline', () =>
        findTrusted(store, { suite: plan.suite.name, hardwareClass }, owned),
      )
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
