import { bisectDrift, claimOf } from '../changes/bisect.ts';
import { acceptances, acceptedBy } from '../compare/acceptance.ts';
import { compare } from '../compare/compare.ts';
import { onlyLeaving } from '../compare/conclusion.ts';
import type { RelationResult } from '../compare/types.ts';
import { UserError } from '../errors.ts';
import type { Asks, CheckSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import { outcomeDigests } from '../record/outcome.ts';
import { leavingIn } from '../record/select.ts';
import { makeReport } from '../report/make.ts';
import type { Notice, Report } from '../report/schema.ts';
import { files } from '../tell/files.ts';
import { tell } from '../tell/tell.ts';
import { digestsOf, replacedByChange, view } from '../trust/baseline.ts';
import { lostBaseline, withoutMercy } from '../trust/memory.ts';
import { bisectFailed, bisectNotice } from '../words/bisect.ts';
import { begin, prepare } from './begin.ts';
import { measureVariants } from './variants.ts';

/** Does the model still compute the same thing? */
export async function check(settings: CheckSettings & Asks<'look'>, tools: Tools): Promise<Report> {
  const prepared = await prepare('check', settings, tools);
  const { loaded, permission, rules, plan, store } = prepared;
  await using begun = await begin(prepared, settings, tools);
  const { run, query, trusted, standing, before, lifetimes } = begun;
  const brought = await replacedByChange(trusted, loaded, store, query, rules, tools);
  const behind = standing?.kind === 'lacks' ? standing : undefined;
  // That there was one is known.
  const isGone = behind?.isKept === false;
  const lost = isGone ? undefined : await lostBaseline(trusted, loaded.suite, store, query);

  const compared = () => compare(lifetimes.side(), before?.side, plan.claims);
  await lifetimes.planned();
  let relations = await compared();
  const letOff = new Set(loaded.suite.policy.removed === 'pass' ? leavingIn(lifetimes.side().record) : []);
  // What the suite accepts was confirmed by the run that named it.
  const doubted = () => drifted(relations, letOff) && !isAccepted();
  if (doubted() && plan.confirm > 0) {
    await lifetimes.more(plan.confirm);
    relations = await compared();
  }
  if (doubted() && plan.traceApart) {
    await lifetimes.trace();
    relations = await compared();
  }
  const side = await lifetimes.commit();
  const variants = await measureVariants(prepared, begun, side, settings, tools);
  if (before !== undefined) await tools.records.keepCopy(before.folder, `${settings.recordPath}.baseline`);
  const reportOf = (found: readonly Notice[]) =>
    makeReport({
      ...run.facts,
      suite:
        brought?.how === 'removed' || lost !== undefined || isGone
          ? withoutMercy(loaded.suite)
          : loaded.suite,
      mode: 'check',
      rules,
      claims: plan.claims,
      side,
      before,
      replacedByChange: brought,
      lostBaseline: lost,
      standing,
      variants: variants.map(({ asked }) => asked),
      relations: [...relations, ...variants.map(({ result }) => result)],
      baseline: view(trusted, store, behind?.apart === null ? behind.newest : undefined),
      digests: {
        ...digestsOf(side, before),
        ...(variants.length === 0 ? {} : { variants: variants.map(({ record }) => record) }),
      },
      found,
    });
  const compareOnly = reportOf([]);
  const report = isOpen(compareOnly) ? reportOf([await bisected()]) : compareOnly;
  await tell('report', report, files(tools.reports));
  return report;

  /** Whether the suite wants to know which of its changes it was. A stranger's change starts no engine for that. */
  function isOpen({ conclusion, accepted }: Report): boolean {
    return plan.bisect > 0 && permission.limits === 'none' && conclusion === 'drift' && accepted === null;
  }

  /** What was found of the check itself stands, whatever becomes of this. */
  async function bisected(): Promise<Notice> {
    if (before === undefined) throw new Error('a drift without a baseline');
    // GPUs that this run still had, the next ones would wait for in vain.
    await run[Symbol.asyncDispose]();
    const whole = {
      ...{ loaded, side, before: before.side },
      ...{ claim: claimOf(plan.claims), outcome: 'moved' as const },
    };
    try {
      return bisectNotice(await bisectDrift(whole, plan.bisect, settings, tools));
    } catch (error) {
      if (!(error instanceof UserError) || error.code === 'cancelled') throw error;
      return bisectFailed(error);
    }
  }

  function isAccepted(): boolean {
    const outcomes = {
      hardwareClass: run.hardwareClass,
      run: outcomeDigests(lifetimes.side().record),
      baseline: before?.meta.envelope.digests ?? [],
    };
    return acceptedBy(acceptances(loaded.suite.accept, outcomes), outcomes) !== undefined;
  }
}

/** @param letOff prompts that do not count where they alone drift */
const drifted = (relations: readonly RelationResult[], letOff: ReadonlySet<string>) =>
  relations.some(
    ({ relation, status, findings }) =>
      relation === 'baseline' && status === 'broken' && !onlyLeaving(findings, letOff),
  );
