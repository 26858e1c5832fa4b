import type { BaselineQuery, BaselineStore } from '../baseline/port.ts';
import type { Asks, CheckSettings, SuiteNeed } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { Standing } from '../report/notices.ts';
import type { Lifetimes } from '../run/lifetimes.ts';
import { makePlan, type Plan, type Purpose } from '../run/plan.ts';
import { type Run, startRun } from '../run/start.ts';
import { forCommit, type Placed } from '../trust/ancestry.ts';
import { type FoundTrusted, findTrusted, knownTokens, type Trusted } from '../trust/baseline.ts';
import { refuseArguments, refusePickled } from '../trust/code.ts';
import { loadRuled, type Ruled } from '../trust/judge.ts';
import { besideBase, refuseMovedAndCut } from '../trust/leaving.ts';

/** All that is known before anything is started. */
export interface Prepared extends Ruled {
  readonly plan: Plan;
  readonly store: BaselineStore;
}

export async function prepare(
  purpose: Purpose,
  settings: CheckSettings & Asks<SuiteNeed>,
  tools: Pick<Tools, 'console' | 'open' | 'suiteSchema'>,
): Promise<Prepared> {
  const ruled = await loadRuled(settings, tools);
  refuseArguments(ruled.permission, ruled.loaded);
  const loaded = await besideBase(ruled, tools);
  const plan = makePlan(loaded, purpose);
  return { ...ruled, loaded, plan, store: tools.open.store(loaded.suite.baseline, ruled.branches) };
}

/** An engine that runs, beside the baseline that it is compared with. Disposing gives back both. */
export interface Begun extends AsyncDisposable {
  readonly run: Run;
  readonly query: BaselineQuery;
  readonly trusted: Trusted;
  /** Key of the newest baseline, which need not be the one that is compared with. */
  readonly newest: string | undefined;
  /** Where what is measured is no newer than the newest baseline. */
  readonly standing: Standing | undefined;
  /** What of it can be compared with. */
  readonly before: FoundTrusted | undefined;
  /** None has run yet. Force and score are given the baseline's tokens, so that both sides compute the same. */
  readonly lifetimes: Lifetimes;
}

/** Starts the engine, whose fingerprint chooses the baseline; a store that does not answer ends the run here. */
export async function begin(
  { loaded, permission, branches, rules, plan, store }: Prepared,
  settings: CheckSettings,
  tools: Tools,
): Promise<Begun> {
  await using owned = new AsyncDisposableStack();
  const run = owned.use(await startRun(loaded, plan, settings, tools));
  refusePickled(permission, run, loaded);
  const query = { suite: plan.suite.name, hardwareClass: run.hardwareClass };
  let newest: string | undefined;
  const { trusted, standing } = await baseline();
  const before = trusted.kind === 'found' ? trusted : undefined;
  if (before !== undefined) refuseMovedAndCut(rules, before.side.record, plan);
  const known = before === undefined ? new Map() : await knownTokens(before.side, plan.prompts);
  const lifetimes = owned.use(await run.begin(known));
  const kept = owned.move();
  return {
    ...{ run, query, trusted, newest, standing, before, lifetimes },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };

  async function baseline(): Promise<Placed> {
    if (!plan.baseline) return { trusted: { kind: 'not-asked' }, standing: undefined };
    return await tools.console.section('Baseline', async () => {
      const trusted = await findTrusted(store, query, tools.records, owned);
      newest = trusted.kind === 'found' ? trusted.key : undefined;
      // What is to be replaced is the newest, but for a branch that has none of its own yet.
      const isOwn = trusted.kind === 'found' && trusted.meta.provenance.ref === settings.situation.ref;
      return permission.stores !== 'nothing' && isOwn
        ? { trusted, standing: undefined }
        : await forCommit(trusted, store, query, { ...settings, branches }, tools, owned);
    });
  }
}
