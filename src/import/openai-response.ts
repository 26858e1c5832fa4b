import { z } from 'zod';
import type { FinishReason } from '../record/witness.ts';

/*
 * One response of OpenAI's API, of completions or of chats, as it lies in a file or comes from a server. Token ids are told by
 * vLLM alone (`prompt_token_ids`, `token_ids`); log-probabilities as decimal numbers, which are rounded to the float32 that
 * they came from.
 */

export const KINDS: ReadonlySet<unknown> = new Set(['chat.completion', 'text_completion']);
const MAX_TOKENS = 1_000_000;
const MAX_ID = 2 ** 31 - 1;

export const TokenIds = z.array(z.number().int().min(0).max(MAX_ID)).max(MAX_TOKENS);
/** Null for what was not computed, and where a server has no other word for NaN. */
export const Nats = z.number().max(1e-6).nullable();
/** Of a chat `content`, of a completion the rest. */
const Logprobs = z
  .object({
    content: z
      .array(z.object({ logprob: Nats }))
      .max(MAX_TOKENS)
      .nullish(),
    token_logprobs: z.array(Nats).max(MAX_TOKENS).nullish(),
    tokens: z.array(z.unknown()).max(MAX_TOKENS).nullish(),
  })
  .refine(
    ({ tokens, token_logprobs: told }) => !tokens || !told || tokens.length === told.length,
    'has not as many `token_logprobs` as `tokens`',
  );
export const Choice = z.object({
  index: z.number().int().min(0).max(10_000).optional(),
  finish_reason: z.string().max(100).nullish(),
  message: z.object({ content: z.string().nullish() }).optional(),
  text: z.string().optional(),
  logprobs: Logprobs.nullish(),
  token_ids: TokenIds.nullish(),
  prompt_token_ids: TokenIds.nullish(),
});
export type Choice = z.infer<typeof Choice>;

export const Response = z.object({
  id: z.string().max(500).optional(),
  model: z.string().max(500).optional(),
  created: z.number().int().nonnegative().optional(),
  system_fingerprint: z.string().max(500).nullish(),
  prompt_token_ids: TokenIds.nullish(),
  choices: z.array(Choice).min(1).max(1000),
});
export type Response = z.infer<typeof Response>;

/** Nats of the tokens, one each; undefined where none are told. */
export function logprobsIn({ logprobs }: Choice): (number | null)[] | undefined {
  return logprobs?.content?.map(({ logprob }) => logprob) ?? logprobs?.token_logprobs ?? undefined;
}

export const textIn = ({ message, text }: Choice): string | undefined =>
  message?.content ?? text ?? undefined;

export function finishOf(told: string | null | undefined): FinishReason {
  return told === 'stop' || told === 'length' || told === 'abort' ? told : 'unknown';
}
