import { channelOf } from '../record/channels.ts';
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
  { name: 'text-digest', differs: 'text-differs', lacking: 'unmeasured', nans: 'characters' },
  { name: 'logprobs', differs: 'logprobs-differ', lacking: 'unmeasured', nans: 'log-probabilities' },
  {
    // Of tokens that are not told: by how much they differ, no step of it can say.
    name: 'told-logprobs',
    differs: 'logprobs-differ',
    lacking: 'unmeasured',
    nans: 'log-probabilities',
  },
  { name: 'top-k', differs: 'logprobs-differ', lacking: 'told', nans: 'log-probabilities' },
  { name: 'vector', differs: 'vector-differs', lacking: 'unmeasured', nans: 'numbers of vectors' },
  { name: 'modules', differs: 'modules-differ', lacking: 'told', nans: 'values that modules gave' },
  { name: 'tensors', differs: 'values-differ', lacking: 'unmeasured', nans: 'values of tensors' },
];

/** They tell how far two models are apart, and not whether: sums of them come out otherwise in another library. */
export const ROLES = 'roles';

const RULES: ReadonlySet<string> = new Set([...CHANNELS.map(({ name }) => name), ROLES]);

/** A channel that no rule knows is data of an engine's own, or of a user's program: compared as tensors are. */
const otherRule = (name: string): Rule => ({
  name,
  differs: 'values-differ',
  lacking: 'unmeasured',
  nans: `values of \`${name}\``,
});

/** Is it a channel that a program named itself? */
export const isOwn = ({ differs }: Pick<Rule, 'differs'>): boolean => differs === 'values-differ';

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
  const compared: Compared[] = [];
  const add = (rule: Rule) => {
    const [a, b] = [channelOf(left, rule.name), channelOf(right, rule.name)];
    if (a === undefined && b === undefined) return;
    // A text beside one that is known by its digest: their digests are compared, once.
    const others = a === undefined || b === undefined ? textsOf(left, right) : undefined;
    if (others !== undefined && rule.name === 'text') return;
    if (others !== undefined && rule.name === 'text-digest') {
      compared.push({ rule, outcome: others[0] === others[1] ? 'equal' : 'differs', nans: 0 });
      return;
    }
    const nans = Math.max(a?.nans ?? 0, b?.nans ?? 0);
    const lacking = a === undefined || b === undefined || (rule.name === 'top-k' && a.count !== b.count);
    const outcome = lacking ? 'lacking' : a.sha256 === b.sha256 ? 'equal' : 'differs';
    compared.push({ rule, outcome, nans });
  };
  for (const rule of CHANNELS) add(rule);
  // What an engine of its own tells, once each.
  for (const { name } of left.channels) if (!RULES.has(name)) add(otherRule(name));
  for (const { name } of right.channels)
    if (!RULES.has(name) && channelOf(left, name) === undefined) add(otherRule(name));
  return compared;
}

/** BLAKE2b-512 of the texts of two observations, of which one is known by that alone; undefined where it is not so. */
function textsOf(left: Observation, right: Observation): readonly [string, string] | undefined {
  const told = (one: Observation) => channelOf(one, 'text') ?? channelOf(one, 'text-digest');
  const [a, b] = [told(left), told(right)];
  return a === undefined || b === undefined || a.name === b.name || a.blake2b === null || b.blake2b === null
    ? undefined
    : [a.blake2b, b.blake2b];
}

/** Have both the same channels of the same bits? Looked at first, since most that is compared is equal. */
export function equalChannels({ channels: left }: Observation, { channels: right }: Observation): boolean {
  // Passes of one digest are one file, and read once.
  if (left === right) return true;
  if (left.length !== right.length) return false;
  for (const [at, one] of left.entries()) {
    const other = right[at];
    if (one.name !== other?.name || one.sha256 !== other.sha256 || one.count !== other.count) return false;
  }
  return true;
}
