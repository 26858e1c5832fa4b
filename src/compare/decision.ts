import type { Observation } from '../record/schema.ts';
import type { Side } from '../record/side.ts';
import type { Requirement } from '../suite/schema.ts';
import { sameOutcome } from './agreement.ts';
import { tie } from './ties.ts';
import type { Decision } from './types.ts';

/** One thing that several lifetimes observed: a prompt in a kind of pass, on both sides. */
export interface Item {
  /** What the baseline's lifetimes gave. */
  readonly before: readonly Observation[];
  /** What this run's lifetimes gave, one each at most. */
  readonly now: readonly Observation[];
}

/**
 * Of each item, which outcome a lifetime gave: the place of the baseline's that it is, and where the baseline does not
 * know it -1, -2 and so on. Undefined where the lifetime gave nothing.
 */
type Outcomes = readonly (number | undefined)[];

export interface Census {
  /** In this run's order, what each lifetime gave. */
  readonly lifetimes: readonly { readonly lifetime: string; readonly outcomes: Outcomes }[];
}

/** Gives every observation of this run the number of its outcome. */
export async function census(
  lifetimes: readonly string[],
  items: readonly Item[],
  run: Side,
  baseline: Side,
  requirement: Requirement,
): Promise<Census> {
  const outcomes = new Map(lifetimes.map((one) => [one, items.map((): number | undefined => undefined)]));
  for (let at = 0; at < items.length; at++) {
    const { before, now } = items[at] as Item;
    /** What this run gave and the baseline did not, each once. */
    const strange: Observation[] = [];
    for (const one of now) {
      const of = outcomes.get(one.lifetime);
      if (of === undefined) continue;
      const isSame = (other: Observation) => sameOutcome(other, one, requirement);
      let index = before.findIndex(isSame);
      if (index < 0) index = await tying(before, baseline, one, run);
      if (index < 0) {
        let again = strange.findIndex(isSame);
        if (again < 0) again = await tying(strange, run, one, run);
        index = again < 0 ? -strange.push(one) : -1 - again;
      }
      of[at] = index;
    }
  }
  return {
    lifetimes: [...outcomes]
      .map(([lifetime, of]) => ({ lifetime, outcomes: of }))
      .filter(({ outcomes: of }) => of.some((one) => one !== undefined)),
  };
}

/** Index of the first of a side's observations that ties with one of this run; -1 where none does. */
async function tying(all: readonly Observation[], side: Side, one: Observation, run: Side): Promise<number> {
  for (const [index, other] of all.entries()) if (await tie(other, side, one, run)) return index;
  return -1;
}

const isStrange = (outcome: number | undefined) => outcome !== undefined && outcome < 0;

/** A lifetime is known where each of its outcomes is one that the baseline has. */
export const isKnown = (outcomes: Outcomes) => !outcomes.some(isStrange);

/** Whether what differs is this engine's new way or one of several. */
export function decide({ lifetimes }: Census, baselineLifetimes: number): Decision {
  const items = [...(lifetimes[0]?.outcomes.keys() ?? [])];
  // Where a difference is in what a lifetime did not measure, that lifetime says nothing about it.
  const doubted = items.filter((at) => lifetimes.some(({ outcomes }) => isStrange(outcomes[at])));
  const taking = lifetimes.filter(({ outcomes }) => doubted.every((at) => outcomes[at] !== undefined));
  const common = items.filter((at) => taking.every(({ outcomes }) => outcomes[at] !== undefined));
  const joint = new Set(taking.map(({ outcomes }) => common.map((at) => outcomes[at]).join(' ')));
  const of = taking.length;
  const known = taking.filter(({ outcomes }) => isKnown(outcomes)).length;
  return {
    of,
    known,
    distinct: joint.size,
    baselineLifetimes,
    falseAlarm: known === 0 && joint.size === 1 ? falseAlarm(of, baselineLifetimes) : null,
  };
}

/**
 * Largest chance that an honest engine is called drifted: that all `of` lifetimes of this run give one and the same
 * outcome, and none of the baseline's n gave it.
 *
 * Let an honest engine have outcomes i with the chances p_i, each lifetime on its own. The chance of that is
 *
 *     sum_i p_i^of (1 - p_i)^n  =  sum_i p_i . p_i^(of-1) (1 - p_i)^n  <=  max_p p^(of-1) (1 - p)^n,
 *
 * since the p_i sum up to 1. The maximum is at p = (of-1) / (of-1+n): 3.5 % for 3 lifetimes against a baseline of 3,
 * 0.4 % for 5 against one of 4. With a single lifetime it is 1: nothing bounds it.
 */
export function falseAlarm(of: number, n: number): number | null {
  if (of < 2) return null;
  const p = (of - 1) / (of - 1 + n);
  return p ** (of - 1) * (1 - p) ** n;
}
