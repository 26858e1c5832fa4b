import type { BaselineQuery, BaselineStore } from '../baseline/port.ts';
import type { Asks, CheckSettings, SuiteNeed } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { Lifetimes } from '../run/lifetimes.ts';
import { makePlan, type Plan, type Purpose } from '../run/plan.ts';
import { type Run, startRun } from '../run/start.ts';
import { type Based, basedOn } from '../trust/ancestry.ts';
import { type FoundTrusted, knownTokens } from '../trust/baseline.ts';
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
  tools: Pick<Tools, 'console' | 'open' | 'suiteSchema' | 'kept'>,
): Promise<Prepared> {
  const ruled = await loadRuled(settings, tools);
  refuseArguments(ruled.permission, ruled.loaded);
  const loaded = await besideBase(ruled, tools);
  const planned = makePlan(loaded, purpose);
  const plan = tools.kept === undefined ? planned : inOneStart(planned);
  return { ...ruled, loaded, plan, store: tools.open.store(loaded.suite.baseline, ruled.branches) };
}

/** Where the next run comes soon, and somebody waits: what is left open, a check without a next one would find out. */
const inOneStart = (plan: Plan): Plan => ({ ...plan, confirm: 0, bisect: 0, traceApart: false });

/** An engine that runs, beside the baseline that it is compared with. Disposing gives back both. */
export interface Begun extends AsyncDisposable, Based {
  readonly run: Run;
  readonly query: BaselineQuery;
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
  const { trusted, newest, standing } = plan.baseline
    ? await tools.console.section('Baseline', () =>
        basedOn({ permission, branches }, store, query, settings, tools, owned),
      )
    : NOT_ASKED;
  const before = trusted.kind === 'found' ? trusted : undefined;
  if (before !== undefined) refuseMovedAndCut(rules, before.side.record, plan);
  const earlier = before?.side ?? tools.kept?.before;
  const known = earlier === undefined ? new Map() : await knownTokens(earlier, plan.prompts);
  const lifetimes = owned.use(await run.begin(known));
  const kept = owned.move();
  return {
    ...{ run, query, trusted, newest, standing, before, lifetimes },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

const NOT_ASKED: Based = { trusted: { kind: 'not-asked' }, newest: undefined, standing: undefined };
