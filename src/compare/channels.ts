import type { Observation } from '../record/schema.ts';
import type { Agreement } from './types.ts';

/** How a channel is compared. */
interface Rule {
  readonly name: string;
  /** What two observations are whose bits differ in it. */
  readonly differs: Agreement;
  /**
   * Whether two observations, one of which lacks it, are unmeasured. `told`: what lacks it is compared in all else,
   * and only named: modules and best candidates say more about bits that other channels hold already.
   */
  readonly lacking: 'unmeasured' | 'told';
  /** What a NaN in it is called. */
  readonly nans: string;
}

/** Every channel that can be compared, the one first whose difference says most: it names the agreement. */
export const CHANNELS: readonly Rule[] = [
  { name: 'prompt-tokens', differs: 'inputs-differ', lacking: 'unmeasured', nans: 'token ids' },
  { name: 'tokens', differs: 'tokens-differ', lacking: 'unmeasured', nans: 'token ids' },
  { name: 'text', differs: 'text-differs', lacking: 'unmeasured', nans: 'characters' },
  { name: 'logprobs', differs: 'logprobs-differ', lacking: 'unmeasured', nans: 'log-probabilities' },
  { name: 'top-k', differs: 'logprobs-differ', lacking: 'told', nans: 'log-probabilities' },
  { name: 'modules', differs: 'modules-differ', lacking: 'told', nans: 'values that modules gave' },
  { name: 'tensors', differs: 'modules-differ', lacking: 'unmeasured', nans: 'values of tensors' },
];

/** A channel that no rule knows is data of an engine's own: compared as tensors are. */
const ruleOf = (name: string): Rule =>
  CHANNELS.find((rule) => rule.name === name) ?? {
    name,
    differs: 'modules-differ',
    lacking: 'unmeasured',
    nans: `values of \`${name}\``,
  };

/** What digests say of one channel of two observations. */
export interface Compared {
  readonly rule: Rule;
  /** `lacking`: only one of the two has it, or the two kept another number of candidates: that is no drift. */
  readonly outcome: 'equal' | 'differs' | 'lacking';
  /** NaNs on the side that has more of them. */
  readonly nans: number;
}

/** Channel by channel, in the order of `CHANNELS`. */
export function compareChannels(left: Observation, right: Observation): Compared[] {
  const [before, now] = [left, right].map(({ channels }) => new Map(channels.map((one) => [one.name, one])));
  const names = new Set([
    ...CHANNELS.map(({ name }) => name),
    ...(before?.keys() ?? []),
    ...(now?.keys() ?? []),
  ]);
  return [...names].flatMap((name): Compared[] => {
    const [a, b] = [before?.get(name), now?.get(name)];
    if (a === undefined && b === undefined) return [];
    const nans = Math.max(a?.nans ?? 0, b?.nans ?? 0);
    const lacking = a === undefined || b === undefined || (name === 'top-k' && a.count !== b.count);
    const outcome = lacking ? 'lacking' : a.sha256 === b.sha256 ? 'equal' : 'differs';
    return [{ rule: ruleOf(name), outcome, nans }];
  });
}
