import { acceptances, acceptedBy } from '../compare/acceptance.ts';
import { compare } from '../compare/compare.ts';
import type { RelationResult } from '../compare/types.ts';
import { keepCopy } from '../disk/record-folder.ts';
import { openStore } from '../front/wiring.ts';
import type { Settings } from '../job/settings.ts';
import { outcomeDigests } from '../record/outcome.ts';
import { makeReport } from '../report/make.ts';
import type { Report } from '../report/model.ts';
import { makePlan } from '../run/plan.ts';
import { startRun, type Tools } from '../run/start.ts';
import type { Suite } from '../suite/schema.ts';
import { leave } from '../tell/files.ts';
import {
  digestsOf,
  findTrusted,
  knownTokens,
  replacedByChange,
  type Trusted,
  view,
} from '../trust/baseline.ts';
import { loadRuled } from '../trust/judge.ts';

/** Does the model still compute the same thing? */
export async function check(settings: Settings, tools: Tools): Promise<Report> {
  const { loaded, rules } = await loadRuled('check', settings, tools);
  const plan = makePlan(loaded, 'check');
  const store = openStore(loaded, settings, tools);

  await using owned = new AsyncDisposableStack();
  const run = owned.use(await startRun(loaded, plan, settings, tools));
  const { hardwareClass } = run;
  const query = { suite: plan.suite.name, hardwareClass };
  const trusted: Trusted = plan.claims.some(({ relation }) => relation === 'baseline')
    ? await tools.console.section('Baseline', () => findTrusted(store, query, owned))
    : { kind: 'not-asked' };
  const before = trusted.kind === 'found' ? trusted : undefined;
  const brought = await replacedByChange(trusted, loaded, query, rules, settings, tools);

  const known = before === undefined ? new Map() : await knownTokens(before.side, plan.prompts);
  const lifetimes = owned.use(await run.begin(known));
  const compared = () => compare(lifetimes.side(), before?.side, plan.claims);
  await lifetimes.planned();
  let relations = await compared();
  // What the suite accepts was confirmed by the run that named it.
  const doubted = () => drifted(relations) && !isAccepted();
  if (doubted() && plan.confirm > 0) {
    await lifetimes.more(plan.confirm);
    relations = await compared();
  }
  if (doubted() && plan.traceApart) {
    await lifetimes.trace();
    relations = await compared();
  }
  const side = await lifetimes.commit();
  if (before !== undefined) await keepCopy(before.folder, `${settings.recordPath}.baseline`);
  const report = makeReport({
    ...run.facts,
    suite: brought?.how === 'removed' ? withoutMercy(loaded.suite) : loaded.suite,
    mode: 'check',
    rules,
    claims: plan.claims,
    side,
    before,
    replacedByChange: brought,
    relations,
    baseline: view(trusted, store),
    digests: digestsOf(side, before),
  });
  return await leave(report);

  function isAccepted(): boolean {
    const outcomes = {
      hardwareClass,
      run: outcomeDigests(lifetimes.side().record),
      baseline: before?.meta.envelope.digests ?? [],
    };
    return acceptedBy(acceptances(loaded.suite.accept, outcomes), outcomes) !== undefined;
  }
}

/** A policy lets a baseline be missing that never was, and not one that the change itself takes away. */
const withoutMercy = (suite: Suite): Suite => ({
  ...suite,
  policy: { ...suite.policy, 'no-baseline': 'fail', incomparable: 'fail' },
});

const drifted = (relations: readonly RelationResult[]) =>
  relations.some(({ relation, status }) => relation === 'baseline' && status === 'broken');
