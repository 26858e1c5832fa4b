import type { Suite } from '../suite/schema.ts';
import { relationNamed } from './relations/index.ts';
import type { RelationResult } from './types.ts';

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

export type Verdict = 'pass' | 'warn' | 'fail';

/** The levels that a suite's policy gives to what it may let pass. */
export type Levels = Pick<Suite['policy'], 'no-baseline' | 'incomparable'>;

/** What a relation's result comes to depends on. */
export type Judged = Pick<RelationResult, 'relation' | 'requirement' | 'status' | 'decision'>;

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
  const judged = results.filter(({ relation }) => relation !== 'baseline' || baseline !== 'not-asked');
  const reached = new Set(judged.map((result) => concluded(result, baseline)));
  // Where nothing was held to a requirement, nothing could have failed.
  if (!judged.some(({ status }) => status === 'held')) reached.delete('reproduced');
  if (reached.size === 0) reached.add('unmeasured');
  const failing = [...reached].filter((one) => verdict(one, policy, accepted) === 'fail');
  // What is accepted must not name a run that fails for something else.
  if (accepted && failing.length > 0) reached.delete('drift');
  const conclusion = CONCLUSIONS.find((candidate) => reached.has(candidate)) ?? 'unmeasured';
  const verdicts = new Set([...reached].map((one) => verdict(one, policy, accepted)));
  return { conclusion, verdict: verdicts.has('fail') ? 'fail' : verdicts.has('warn') ? 'warn' : 'pass' };
}

function concluded(result: Judged, baseline: BaselineState): Conclusion {
  const { relation } = result;
  if (relation === 'baseline' && baseline === 'absent') return 'no-baseline';
  if (relation === 'baseline' && baseline === 'incomparable') return 'incomparable';
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
