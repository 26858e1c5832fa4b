import { bisectDrift, claimOf, toldOf } from '../changes/bisect.ts';
import { once } from '../changes/measure.ts';
import { compare } from '../compare/compare.ts';
import { UserError } from '../errors.ts';
import type { Asks, BisectSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { Answer } from '../report/answer.ts';
import type { BisectAnswer } from '../report/answers.ts';
import { secondsOfStart } from '../run/cost.ts';
import { makePlan, nameOfRelation } from '../run/plan.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import { refuseDoubt } from '../trust/health.ts';
import { bisectLines, isAnswered, priceWords } from '../words/bisect.ts';
import { type Begun, begin, type Prepared, prepare } from './begin.ts';

/**
 * Of several declared changes the one, or the few together, that moved the bits: the suite as it is runs once, then what
 * the baseline declares with some of the changes made, one engine start each.
 *
 * @throws UserError `baseline-missing` where there is nothing to compare with
 */
export async function bisect(settings: BisectSettings & Asks<'long'>, tools: Tools): Promise<Answer> {
  const { budget } = settings;
  const began = performance.now();
  const { loaded, ...prepared } = against(await prepare('check', settings, tools));
  const recordPath = `${settings.recordPath}.bisect/all`;
  await using begun = await begin({ loaded, ...prepared }, { ...settings, recordPath }, tools);
  const { run, lifetimes } = begun;
  const before = begun.before ?? refuse(begun);
  tools.console.info(priceWords(budget, secondsOfStart(prepared.plan.passes, before.side.record)));

  await lifetimes.planned();
  refuseDoubt(lifetimes.health, ['unhealthy']);
  const side = await lifetimes.commit();
  // The next starts are runs of their own: GPUs that this one still had, they would wait for in vain.
  await run[Symbol.asyncDispose]();
  const claim = claimOf(prepared.plan.claims);
  const [relation] = await compare(side, before.side, [claim]);
  if (relation === undefined) throw new Error('nothing was compared');
  const told = toldOf(relation);
  const seconds = (performance.now() - began) / 1000;
  const start = { ...told, seconds, recordPath };
  const whole = { loaded, side, before: before.side, claim, outcome: told.outcome, start };
  const found = await bisectDrift(whole, budget, settings, tools);
  const { hardwareClass } = run;
  const value: BisectAnswer = {
    schema: 'deterministic-ml/bisect/v1',
    ...{ suite: loaded.suite.name, hardwareClass, baseline: before.key },
    ...found,
  };
  return {
    verdict: isAnswered(found) ? 'pass' : 'fail',
    lines: bisectLines(found, hardwareClass),
    value,
  };
}

/** One engine start of what is held against a baseline, whether the suite asks for that or not. */
function against(prepared: Prepared): Prepared {
  const loaded = withBaseline(prepared.loaded);
  const plan = makePlan(loaded, 'check');
  return { ...prepared, loaded, plan: once(plan, plan.repeats) };
}

function withBaseline(loaded: LoadedSuite): LoadedSuite {
  const { relations } = loaded.suite;
  return relations.some((entry) => nameOfRelation(entry) === 'baseline')
    ? loaded
    : { ...loaded, suite: { ...loaded.suite, relations: [...relations, 'baseline'] } };
}

function refuse({ trusted, standing, run: { hardwareClass } }: Begun): never {
  if (standing?.kind === 'lacks')
    throw new UserError(
      'baseline-missing',
      `The measured commit lacks what was accepted in ${standing.accepted.commit}, and the baseline that its ancestors had is not kept any more.`,
      'Bring it up to date with its base branch; then only its own changes are tried.',
    );
  const others = trusted.kind === 'incomparable' ? trusted.otherClasses : [];
  throw new UserError(
    'baseline-missing',
    `The suite has no baseline on ${hardwareClass}${others.length === 0 ? '' : `, only on ${others.slice(0, 5).join(', ')}`}: there is nothing that a change could have moved.`,
    others.length === 0
      ? 'Refresh the baseline first, on the default branch and without the changes.'
      : 'Run it on a machine of such a class, which is where the drift was seen.',
  );
}
