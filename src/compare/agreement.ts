import type { Observation } from '../record/schema.ts';
import type { Requirement } from '../suite/schema.ts';
import type { Agreement } from './types.ts';

/**
 * How two observations of one prompt compare, by digests alone. The top k count only where both sides kept the
 * same k: changing k is no drift.
 */
export function agreement(
  left: Observation,
  right: Observation,
): { agreement: Agreement; reason: string | null } {
  const decided = (value: Agreement, reason: string | null = null) => ({ agreement: value, reason });
  if (left.promptTokens.sha256 !== right.promptTokens.sha256) return decided('inputs-differ');
  if (left.tokens.sha256 !== right.tokens.sha256) return decided('tokens-differ');
  // The same tokens, but one side would have gone on: the next token is another one.
  if (left.finishReason !== right.finishReason)
    return decided('tokens-differ', `it ended by \`${left.finishReason}\`, now by \`${right.finishReason}\``);
  const sameTop = left.topK.k !== right.topK.k || left.topK.sha256 === right.topK.sha256;
  if (left.logprobs.sha256 !== right.logprobs.sha256 || !sameTop) return decided('logprobs-differ');
  // A model that computes NaN gives constant bits: equal digests then say nothing (measured: token 0, 0xFFFF0000).
  const nans = Math.max(left.logprobs.nans, right.logprobs.nans);
  if (nans > 0) return decided('unmeasured', `${nans} log-probabilities are NaN: the model is broken`);
  if (right.tokens.count === 0) return decided('unmeasured', 'not a single token was generated');
  return decided('identical');
}

/** Does an agreement satisfy a requirement? */
export function satisfies(found: Agreement, requirement: Requirement): boolean {
  switch (found) {
    case 'identical':
    case 'added':
    case 'removed':
      return true;
    case 'logprobs-differ':
      return requirement !== 'identical';
    case 'tokens-differ':
    case 'inputs-differ':
      return requirement === 'measure';
    case 'unmeasured':
      return false;
  }
}
