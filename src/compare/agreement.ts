import type { Observation, Trace } from '../record/schema.ts';
import type { Requirement } from '../suite/schema.ts';
import type { Agreement } from './types.ts';

/** An agreement, and what it does not say. */
export interface Decided {
  readonly agreement: Agreement;
  readonly reason: string | null;
}

/**
 * How two observations of one prompt compare, by digests alone. The top k count only where both sides kept the
 * same k: changing k is no drift.
 */
export function agreement(left: Observation, right: Observation): Decided {
  // Looked at first: a model that computes NaN gives constant bits, and equal digests then say nothing (measured:
  // token 0, 0xFFFF0000).
  const nans = Math.max(left.logprobs.nans, right.logprobs.nans);
  const broken = nans === 0 ? null : `${nans} log-probabilities are NaN: the model is broken`;
  const decided = (value: Agreement, reason: string | null = null): Decided => ({
    agreement: value,
    reason: joined(reason, broken),
  });
  if (left.promptTokens.sha256 !== right.promptTokens.sha256) return decided('inputs-differ');
  const given = left.finishReason === 'given' && right.finishReason === 'given';
  if (left.tokens.sha256 !== right.tokens.sha256)
    return given ? decided('unmeasured', 'the two were given other tokens') : decided('tokens-differ');
  // The same tokens, but one side would have gone on: the next token is another one.
  if (left.finishReason !== right.finishReason)
    return decided('tokens-differ', `it ended by \`${left.finishReason}\`, now by \`${right.finishReason}\``);
  if (left.logprobs.sha256 !== right.logprobs.sha256 || !sameTop(left, right))
    return decided('logprobs-differ');
  if (broken !== null) return decided('unmeasured');
  if (right.tokens.count === 0)
    return decided('unmeasured', given ? 'not a single position' : 'not a single token was generated');
  return decided('identical');
}

/** How two traces compare, by digests alone. */
export function traceAgreement(left: Trace, right: Trace): Decided {
  const nans = Math.max(left.modules.nans, right.modules.nans);
  const broken = nans === 0 ? null : `${nans} values that modules gave are NaN: the model is broken`;
  const decided = (value: Agreement, reason: string | null = null): Decided => ({
    agreement: value,
    reason: joined(reason, broken),
  });
  if (left.promptTokens.sha256 !== right.promptTokens.sha256) return decided('inputs-differ');
  if (left.modules.sha256 !== right.modules.sha256) return decided('modules-differ');
  if (broken !== null) return decided('unmeasured');
  if (right.modules.count === 0) return decided('unmeasured', 'not a single module was seen');
  return decided('identical');
}

/** Are the digests equal as far as the requirement looks? NaN is no matter here. */
export function sameOutcome(left: Observation, right: Observation, requirement: Requirement): boolean {
  return (
    left.promptTokens.sha256 === right.promptTokens.sha256 &&
    left.tokens.sha256 === right.tokens.sha256 &&
    left.finishReason === right.finishReason &&
    (requirement === 'tokens' || (left.logprobs.sha256 === right.logprobs.sha256 && sameTop(left, right)))
  );
}

/** Do only the top k differ? Then it may be no more than which of several equal tokens got into them. */
export function onlyTopDiffers(left: Observation, right: Observation): boolean {
  return (
    left.promptTokens.sha256 === right.promptTokens.sha256 &&
    left.tokens.sha256 === right.tokens.sha256 &&
    left.finishReason === right.finishReason &&
    left.logprobs.sha256 === right.logprobs.sha256 &&
    !sameTop(left, right)
  );
}

const sameTop = (left: Observation, right: Observation) =>
  left.topK.k !== right.topK.k || left.topK.sha256 === right.topK.sha256;

/**
 * Does an agreement satisfy a requirement?
 *
 * @param within whether what differs is no larger than what the baseline's own lifetimes differ by
 */
export function satisfies(found: Agreement, requirement: Requirement, within: boolean): boolean {
  switch (found) {
    case 'identical':
    case 'added':
    case 'removed':
      return true;
    case 'modules-differ':
    case 'logprobs-differ':
      return requirement === 'within-envelope' ? within : requirement !== 'identical';
    case 'tokens-differ':
      return requirement === 'within-envelope' ? within : requirement === 'measure';
    case 'inputs-differ':
      return requirement === 'measure';
    case 'unmeasured':
      return false;
  }
}

/** Reasons one after the other; null where there is none. */
export function joined(...reasons: readonly (string | null | undefined)[]): string | null {
  const told = reasons.filter((reason) => reason !== null && reason !== undefined && reason !== '');
  return told.length === 0 ? null : told.join('; ');
}
