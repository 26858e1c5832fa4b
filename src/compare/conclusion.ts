import type { Suite } from '../suite/schema.ts';
import { comparesWithBaseline, relationNamed } from './relations/index.ts';
import type { Finding, RelationResult } from './types.ts';

export { comparesWithBaseline };

/** Engine starts that a relation is shown by, at least. */
export const startsFor = (relation: string): number => relationNamed(relation).lifetimes;

/** Of the whole run, worst first. An engine or a store that failed is an error, not a conclusion. */
export const CONCLUSIONS = [
  'unhealthy-gpu',
  'unstable',
  'drift',
  /** A relation other than these, which the suite holds to something, does not hold. */
  'relation-broken',
  'incomparable',
  'no-baseline',
  'unmeasured',
  'reproduced',
] as const;
export type Conclusion = (typeof CONCLUSIONS)[number];

/** What the store said; `not-asked` when nothing is held to a baseline, as in a refresh, which only shows the old one. */
export type BaselineState = 'found' | 'incomparable' | 'absent' | 'not-asked';

export const VERDICTS = ['pass', 'warn', 'fail'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** The levels that a suite's policy gives to what it may let pass. */
export type Levels = Pick<Suite['policy'], 'no-baseline' | 'incomparable' | 'removed'>;

/** What a relation's result comes to depends on. */
export type Judged = Pick<RelationResult, 'relation' | 'requirement' | 'status' | 'decision'> & {
  /** Whether it is prompts alone which a change takes away that keep it from holding. */
  readonly onlyLeaving?: boolean;
};

export interface Judgement {
  readonly conclusion: Conclusion;
  /** What the policy makes of it. */
  readonly verdict: Verdict;
}

/**
 * The worst conclusion names the run; the verdict looks at every one that was reached, so that a `no-baseline`
 * which the policy lets pass hides nothing that it would not.
 *
 * @param accepted whether the suite accepts the record that drifted: nothing else passes by that
 * @param gpus whether what they compute counts: where it does not, no relation says anything
 */
export function judge(
  results: readonly Judged[],
  baseline: BaselineState,
  policy: Levels,
  accepted = false,
  gpus: 'trusted' | 'unhealthy' = 'trusted',
): Judgement {
  if (gpus === 'unhealthy')
    return { conclusion: 'unhealthy-gpu', verdict: verdict('unhealthy-gpu', policy, accepted) };
  const judged = results
    .filter(({ relation }) => !comparesWithBaseline(relation) || baseline !== 'not-asked')
    .map((result) => eased(result, policy));
  const reached = new Map<Conclusion, Verdict>();
  for (const result of judged) {
    const one = concluded(result, baseline);
    const level = verdict(one, policy, accepted);
    // What only prompts that leave show is let off; that there is no baseline is not shown by them.
    const isShown = one !== 'no-baseline' && one !== 'incomparable';
    const weight = result.onlyLeaving && isShown && level === 'fail' ? policy.removed : level;
    if (reached.get(one) !== 'fail') reached.set(one, weight);
  }
  // Where nothing was held to a requirement, nothing could have failed.
  if (!judged.some(({ status }) => status === 'held')) reached.delete('reproduced');
  if (reached.size === 0) reached.set('unmeasured', 'fail');
  // What is accepted must not name a run that fails for something else.
  if (accepted && [...reached.values()].includes('fail')) reached.delete('drift');
  const conclusion = CONCLUSIONS.find((candidate) => reached.has(candidate)) ?? 'unmeasured';
  const verdicts = new Set(reached.values());
  return { conclusion, verdict: verdicts.has('fail') ? 'fail' : verdicts.has('warn') ? 'warn' : 'pass' };
}

/** Under `removed: pass`, prompts that a change takes away count as little as if they were gone. */
function eased(result: Judged, { removed }: Levels): Judged {
  const fails = result.status === 'broken' || result.status === 'unmeasured';
  return fails && result.onlyLeaving && removed === 'pass' ? { ...result, status: 'held' } : result;
}

/**
 * Whether what stays holds by itself, and something that leaves does not: where nothing stays to be compared, what
 * leaves is all that a run says.
 */
export function onlyLeaving(
  findings: readonly Pick<Finding, 'prompt' | 'agreement' | 'holds'>[],
  leaving: ReadonlySet<string>,
): boolean {
  const compared = findings.filter(({ agreement }) => agreement !== 'added' && agreement !== 'removed');
  const staying = compared.filter(({ prompt }) => !leaving.has(prompt));
  return staying.length > 0 && staying.every(({ holds }) => holds) && compared.some(({ holds }) => !holds);
}

function concluded(result: Judged, baseline: BaselineState): Conclusion {
  const { relation } = result;
  if (comparesWithBaseline(relation) && baseline === 'absent') return 'no-baseline';
  if (comparesWithBaseline(relation) && baseline === 'incomparable') return 'incomparable';
  switch (result.status) {
    case 'broken':
      return whatBroke(result);
    case 'unmeasured':
      return 'unmeasured';
    case 'held':
    case 'measured':
      return 'reproduced';
  }
}

function whatBroke({ relation, requirement, decision }: Judged): Conclusion {
  const { means } = relationNamed(relation).breaks;
  switch (means) {
    case 'unstable':
      return 'unstable';
    case 'broken':
      return 'relation-broken';
    case 'drift': {
      if (decision === null) return 'drift';
      const { of, known, distinct } = decision;
      // Some of its starts gave what the baseline knows, others did not: it has not drifted, it does not repeat.
      if (known > 0) return known < of ? 'unstable' : 'drift';
      // It repeats nothing, known or new; where honest lifetimes may differ, other bits each time are no sign of that.
      return distinct > 1 && requirement !== 'within-envelope' ? 'unstable' : 'drift';
    }
  }
}

/** Default: everything but `reproduced` fails the job. */
function verdict(conclusion: Conclusion, policy: Levels, accepted: boolean): Verdict {
  switch (conclusion) {
    case 'reproduced':
      return 'pass';
    case 'no-baseline':
    case 'incomparable':
      return policy[conclusion];
    case 'drift':
      return accepted ? 'pass' : 'fail';
    case 'unhealthy-gpu':
    case 'unstable':
    case 'relation-broken':
    case 'unmeasured':
      return 'fail';
  }
}
