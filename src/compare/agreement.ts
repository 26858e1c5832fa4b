import { countOf } from '../record/channels.ts';
import type { ChannelDigest, Observation } from '../record/schema.ts';
import type { Requirement } from '../suite/schema.ts';
import { type Compared, compareChannels, equalChannels, isOwn } from './channels.ts';
import type { Agreement } from './types.ts';

/** An agreement, and what it does not say. */
export interface Decided {
  readonly agreement: Agreement;
  readonly reason: string | null;
  /** Channels that only one of the two has. */
  readonly unmeasured: readonly string[];
}

/** How two observations of one prompt compare, by digests alone. */
export function agreement(left: Observation, right: Observation): Decided {
  if (left.finishReason === right.finishReason && equalChannels(left, right) && isSound(right))
    return IDENTICAL;
  const compared = compareChannels(left, right);
  const given = left.finishReason === 'given' && right.finishReason === 'given';
  const unmeasured = namesOf(compared, ({ outcome }) => outcome === 'lacking');
  // Looked at first: a model that computes NaN gives constant bits, and equal digests then say nothing (measured:
  // token 0, 0xFFFF0000).
  const broken = brokenBy(compared);
  const decided = (value: Agreement, reason: string | null = null): Decided => ({
    agreement: value,
    reason: joined(reason, broken),
    unmeasured,
  });
  const worst = compared.find(({ outcome }) => outcome === 'differs')?.rule.differs;
  if (worst === 'tokens-differ' && given) return decided('unmeasured', 'the two were given other tokens');
  if (worst === 'inputs-differ' || worst === 'tokens-differ') return decided(worst);
  // The same tokens, but one side would have gone on: the next token is another one.
  if (left.finishReason !== right.finishReason)
    return decided('tokens-differ', `it ended by \`${left.finishReason}\`, now by \`${right.finishReason}\``);
  if (worst !== undefined) return decided(worst);
  if (broken !== null) return decided('unmeasured');
  const lacking = namesOf(
    compared,
    ({ outcome, rule }) => outcome === 'lacking' && rule.lacking === 'unmeasured',
  );
  if (lacking.length > 0) return decided('unmeasured', `only one of the two has ${quoted(lacking)}`);
  const nothing = nothingIn(right, compared, given);
  return nothing === undefined ? decided('identical') : decided('unmeasured', nothing);
}

const IDENTICAL: Decided = { agreement: 'identical', reason: null, unmeasured: [] };

/** Has it numbers, none of them NaN, and a token if it should have one? Then equal bits say something. */
function isSound({ channels }: Observation): boolean {
  let told = false;
  for (let at = 0; at < channels.length; at++) {
    const { name, count, nans } = channels[at] as ChannelDigest;
    if ((nans ?? 0) > 0 || (name === 'tokens' && count === 0)) return false;
    if (name !== 'prompt-tokens' && (name === 'text' || count > 0)) told = true;
  }
  return told;
}

/** Why equal channels say nothing; undefined where they say something. */
function nothingIn(right: Observation, compared: readonly Compared[], given: boolean): string | undefined {
  const equal = namesOf(compared, ({ outcome }) => outcome === 'equal');
  if (equal.includes('tokens') && countOf(right, 'tokens') === 0)
    return given ? 'not a single position' : 'not a single token was generated';
  const told = equal.filter((name) => name !== 'prompt-tokens');
  if (told.length === 0) {
    const lacking = namesOf(compared, ({ outcome }) => outcome === 'lacking');
    return lacking.length > 0
      ? `only one of the two has ${quoted(lacking)}`
      : 'nothing but its input was seen';
  }
  return told.every((name) => name !== 'text' && countOf(right, name) === 0)
    ? `not a single entry in ${quoted(told)}`
    : undefined;
}

function brokenBy(compared: readonly Compared[]): string | null {
  const most = new Map<string, number>();
  for (const { rule, nans } of compared) if (nans > 0) most.set(rule.nans, (most.get(rule.nans) ?? 0) + nans);
  if (most.size === 0) return null;
  const told = `${[...most].map(([what, nans]) => `${nans} ${what}`).join(' and ')} are NaN`;
  // What a program names itself need be no model’s.
  return compared.every(({ rule, nans }) => nans === 0 || isOwn(rule))
    ? `${told}: equal bits of them say nothing`
    : `${told}: the model is broken`;
}

const namesOf = (compared: readonly Compared[], which: (one: Compared) => boolean) =>
  compared.filter(which).map(({ rule }) => rule.name);

const quoted = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ');

/** Channels that a requirement looks at. */
const looksAt = (requirement: Requirement, name: string) =>
  requirement !== 'tokens' || ['prompt-tokens', 'tokens', 'text', 'vector'].includes(name);

/** Are the digests equal as far as the requirement looks? NaN is no matter here. */
export function sameOutcome(left: Observation, right: Observation, requirement: Requirement): boolean {
  return (
    left.finishReason === right.finishReason &&
    (equalChannels(left, right) ||
      compareChannels(left, right).every(
        ({ rule, outcome }) => outcome !== 'differs' || !looksAt(requirement, rule.name),
      ))
  );
}

/** Were tokens, or at least a text, compared, and are they the same? What broken numbers chose is none. */
export function sameTokens(left: Observation, right: Observation): boolean {
  const compared = compareChannels(left, right);
  const chosen = compared.filter(({ rule }) => rule.name === 'tokens' || rule.name === 'text');
  return (
    sameOutcome(left, right, 'tokens') &&
    brokenBy(compared) === null &&
    chosen.some(({ rule, outcome }) => outcome === 'equal' && countOf(right, rule.name) > 0)
  );
}

/** Do only the top k differ? Then it may be no more than which of several equal tokens got into them. */
export function onlyTopDiffers(left: Observation, right: Observation): boolean {
  const differ = namesOf(compareChannels(left, right), ({ outcome }) => outcome === 'differs');
  return left.finishReason === right.finishReason && differ.length === 1 && differ[0] === 'top-k';
}

/**
 * Does an agreement satisfy a requirement?
 *
 * @param within whether what differs is no larger than what the baseline's own lifetimes differ by
 */
export function satisfies(found: Agreement, requirement: Requirement, within: boolean): boolean {
  switch (found) {
    case 'identical':
    case 'indistinct':
    case 'added':
    case 'removed':
      return true;
    case 'modules-differ':
    case 'values-differ':
    case 'logprobs-differ':
      return requirement === 'within-envelope' ? within : requirement !== 'identical';
    case 'tokens-differ':
    case 'text-differs':
      return requirement === 'within-envelope' ? within : requirement === 'measure';
    // No envelope is known of vectors, and they have no tokens.
    case 'vector-differs':
    case 'inputs-differ':
    case 'another-model':
      return requirement === 'measure';
    case 'unmeasured':
      return false;
  }
}

/** Reasons one after the other; null where there is none. */
export const joined = (...reasons: readonly (string | null | undefined)[]): string | null =>
  reasons.reduce<string | null>(
    (told, reason) => (!reason ? told : told === null ? reason : `${told}; ${reason}`),
    null,
  );
