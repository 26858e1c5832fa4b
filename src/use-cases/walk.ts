import { type Refusal, refusalOf } from '../words/accept.ts';
import type { Drift } from '../words/review.ts';

/** Where somebody is in a list of drifts. */
export interface Walk {
  /** Place in the list; its length at the end. */
  readonly at: number;
  /** What was accepted, as `settledBy` names it: its drifts are passed over. */
  readonly accepted: ReadonlySet<string>;
}

/** What a key asks for, and where it leads. */
export type Step =
  | { readonly kind: 'go'; readonly walk: Walk }
  | { readonly kind: 'more' }
  /** For the reason, and then to write it. */
  | { readonly kind: 'accept' }
  | { readonly kind: 'refuse'; readonly refusal: Refusal }
  | { readonly kind: 'quit' }
  | { readonly kind: 'unknown' };

/** One line in the suite settles all drifts with this name: other reports may hold the same record. */
export const settledBy = ({ report }: Pick<Drift, 'report'>): string =>
  JSON.stringify([report.suite.name, report.hardwareClass, report.acceptable]);

/** The first drift from a place on that is not settled, or the end. */
const from = (at: number, accepted: Walk['accepted'], drifts: readonly Drift[]): Walk => {
  const found = drifts.findIndex((one, index) => index >= at && !accepted.has(settledBy(one)));
  return { at: found === -1 ? drifts.length : found, accepted };
};

export const begin = (drifts: readonly Drift[], accepted: ReadonlySet<string>): Walk =>
  from(0, accepted, drifts);

/** What a key means where somebody is. */
export function press(walk: Walk, key: string, drifts: readonly Drift[]): Step {
  const here = drifts[walk.at];
  if (here === undefined) return { kind: 'quit' };
  const { at, accepted } = walk;
  switch (key.toLowerCase()) {
    case 'a': {
      const refusal = refusalOf(here.report);
      return refusal === undefined ? { kind: 'accept' } : { kind: 'refuse', refusal };
    }
    case 's':
    case ' ':
      return { kind: 'go', walk: from(at + 1, accepted, drifts) };
    case 'n': {
      const next = drifts.findIndex((one, index) => index > at && one.path !== here.path);
      return { kind: 'go', walk: from(next === -1 ? drifts.length : next, accepted, drifts) };
    }
    case 'b': {
      const before = drifts.findLastIndex((one, index) => index < at && !accepted.has(settledBy(one)));
      return { kind: 'go', walk: { at: before === -1 ? at : before, accepted } };
    }
    case 'm':
      return { kind: 'more' };
    case 'q':
      return { kind: 'quit' };
    default:
      return { kind: 'unknown' };
  }
}

/** After the drift where somebody is was accepted: on to the next that this did not settle. */
export function afterAccepting(walk: Walk, drifts: readonly Drift[]): Walk {
  const here = drifts[walk.at];
  if (here === undefined) return walk;
  return from(walk.at + 1, new Set([...walk.accepted, settledBy(here)]), drifts);
}
