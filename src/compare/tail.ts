import type { Steps } from '../record/channels.ts';
import { bitsOf } from '../record/words.ts';

/** Decoded steps beside the positions at which a score had the same tokens before it. */
export interface Tail {
  readonly left: Steps;
  readonly right: Steps;
  /** Steps beyond the score's longest sequence. */
  readonly cut: number;
}

/** Cuts a score down to the positions that `decoded` decoded, or says why there are none. */
export function tailOf(decoded: Steps, scored: Steps): Tail | string {
  const { promptTokens, tokens } = decoded;
  // A score's first position is the sequence's second token.
  const from = promptTokens.length - 1;
  if (from < 0) return 'the prompt has no token';
  const steps = Math.min(tokens.length, scored.tokens.length - from);
  if (steps < 1) return 'the scored sequence was cut before the first decoded token';
  const sameTokens =
    equal(promptTokens.subarray(1), scored.tokens.subarray(0, from)) &&
    equal(tokens.subarray(0, steps), scored.tokens.subarray(from, from + steps));
  if (!sameTokens) return 'the decoded tokens are not those that were scored';
  return {
    left: part(decoded, 0, steps),
    right: part(scored, from, steps),
    cut: tokens.length - steps,
  };
}

function part(body: Steps, from: number, steps: number): Steps {
  const { k } = body;
  return {
    ...body,
    tokens: body.tokens.subarray(from, from + steps),
    logprobs: body.logprobs.subarray(from, from + steps),
    topIds: body.topIds.subarray(from * k, (from + steps) * k),
    topLogprobs: body.topLogprobs.subarray(from * k, (from + steps) * k),
  };
}

/** NaNs among the log-probabilities of a body. */
export function nansOf({ logprobs, topLogprobs }: Steps): number {
  let nans = 0;
  for (const values of [logprobs, topLogprobs]) {
    const bits = bitsOf(values);
    for (let i = 0; i < bits.length; i++) if (((bits[i] ?? 0) & 0x7fff_ffff) > 0x7f80_0000) nans++;
  }
  return nans;
}

/** Both are as long. */
function equal(a: Uint32Array, b: Uint32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
