import { z } from 'zod';
import { finishOf, logprobsIn, Nats, Response, textIn } from '../import/openai-response.ts';
import type { Channel } from '../record/channels.ts';
import { sha256 } from '../record/digest.ts';
import type { FinishReason } from '../record/witness.ts';
import type { Json } from './client.ts';
import { EndpointError } from './error.ts';

/* What a server answered, as channels. What cannot be is refused: it would be compared as if an engine had computed it. */

/** Which of the API's two ways to ask: a text as it is, or messages that the server's template renders. */
export type Route = 'completions' | 'chat/completions';

const Best = z.object({ token: z.string().max(10_000), logprob: Nats });
const Ranked = z.object({
  logprobs: z
    .object({
      tokens: z.array(z.string().max(10_000)).nullish(),
      top_logprobs: z.array(z.record(z.string(), Nats).nullable()).nullish(),
      content: z.array(Best.extend({ top_logprobs: z.array(Best).nullish() })).nullish(),
    })
    .nullish(),
});
const Ranks = z.record(
  z.string().regex(/^\d{1,10}$/),
  z.object({ logprob: Nats, decoded_token: z.string().max(10_000).nullish() }),
);
const Scored = z.object({ prompt_logprobs: z.array(Ranks.nullable()).nullish() });
/** What the parser of files leaves alone. */
const More = z.object({
  choices: z.array(Ranked.extend(Scored.shape)).length(1),
  usage: z
    .object({
      prompt_tokens: z.number().int().nonnegative().nullish(),
      completion_tokens: z.number().int().nonnegative().nullish(),
      prompt_tokens_details: z.object({ cached_tokens: z.number().int().nonnegative().nullish() }).nullish(),
    })
    .nullish(),
});

/** The best tokens of one step: id, or the token as text where no ids are told, and its nats. */
export type Best = readonly (readonly [token: string, nats: number])[];

/** One answer. What the server does not tell is undefined, or null where it counts. */
export interface Answer {
  readonly text: string | undefined;
  readonly finishReason: FinishReason;
  readonly promptIds: readonly number[] | undefined;
  readonly ids: readonly number[] | undefined;
  /** One a step; NaN where the server has null. */
  readonly nats: readonly number[] | undefined;
  readonly best: readonly Best[] | undefined;
  /** One a position of the prompt but the first. */
  readonly scored:
    | readonly Readonly<Record<string, { readonly nats: number; readonly text: string | undefined }>>[]
    | undefined;
  readonly systemFingerprint: string | undefined;
  readonly promptTokens: number | null;
  readonly generatedTokens: number | null;
  readonly cachedTokens: number | null;
}

/** @param most tokens that were asked for @throws EndpointError `endpoint-broken` */
export function readAnswer(body: Json, most: number): Answer {
  const [parsed, rest] = [Response.safeParse(body), More.safeParse(body)];
  if (!parsed.success || !rest.success) {
    const [issue] = (parsed.error ?? rest.error)?.issues ?? [];
    throw broken(`\`${issue?.path.map(String).join('.')}\`: ${issue?.message}`);
  }
  const { system_fingerprint: mark, prompt_token_ids: asked } = parsed.data;
  const { usage } = rest.data;
  const [choice] = parsed.data.choices;
  const [more] = rest.data.choices;
  if (choice === undefined || more === undefined) throw broken('there is no choice in it');
  const nats = logprobsIn(choice)?.map(numberOf);
  const ids = choice.token_ids ?? undefined;
  const named = namesIn(more);
  const best = bestIn(more);
  for (const list of [ids, nats])
    if (list !== undefined && list.length > most)
      throw broken(`it has ${list.length} tokens, and ${most} were asked for`);
  if (ids !== undefined && nats !== undefined && ids.length !== nats.length)
    throw broken(`it has ${nats.length} log-probabilities of ${ids.length} tokens`);
  for (const [at, id] of (ids ?? []).entries()) {
    const name = named?.[at];
    const other = name === undefined ? undefined : idIn(name);
    if (other !== undefined && other !== id)
      throw broken(`its token ${at} is ${id} among its ids and ${other} among its log-probabilities`);
  }
  const details = usage?.prompt_tokens_details;
  return {
    text: textIn(choice),
    finishReason: finishOf(choice.finish_reason),
    promptIds: choice.prompt_token_ids ?? asked ?? undefined,
    ids,
    nats,
    best,
    scored: scoredIn(more),
    systemFingerprint: mark ?? undefined,
    promptTokens: usage?.prompt_tokens ?? null,
    generatedTokens: usage?.completion_tokens ?? null,
    cachedTokens: details?.cached_tokens ?? null,
  };
}

type MoreChoice = z.infer<typeof More>['choices'][number];

/** JSON has no NaN: a server that computed one says null, if it says anything. */
const numberOf = (told: number | null) => (told === null ? Number.NaN : told + 0);

function namesIn({ logprobs }: MoreChoice): readonly string[] | undefined {
  return logprobs?.content?.map(({ token }) => token) ?? logprobs?.tokens ?? undefined;
}

function bestIn({ logprobs }: MoreChoice): Best[] | undefined {
  const chat = logprobs?.content?.map(({ top_logprobs: top }) =>
    (top ?? []).map(({ token, logprob }) => [token, numberOf(logprob)] as const),
  );
  const text = logprobs?.top_logprobs?.map((step) =>
    Object.entries(step ?? {}).map(([token, nats]) => [token, numberOf(nats)] as const),
  );
  return (chat ?? text)?.map(sorted);
}

/** By falling nats, then id; NaN comes last. */
const sorted = (best: Best): Best =>
  best.toSorted(
    ([a, x], [b, y]) =>
      Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || (y > x ? 1 : y < x ? -1 : rankOf(a) - rankOf(b)),
  );
const rankOf = (token: string) => idIn(token) ?? 0;

/** Some servers name tokens `token_id:17` where it is asked to. */
const idIn = (token: string): number | undefined => {
  const [, id] = /^(?:token_id:)(\d{1,10})$/.exec(token) ?? [];
  return id === undefined ? undefined : Number(id);
};

function scoredIn({ prompt_logprobs: told }: MoreChoice): Answer['scored'] {
  if (told === null || told === undefined) return undefined;
  return told
    .slice(1)
    .map((step) =>
      Object.fromEntries(
        Object.entries(step ?? {}).map(([id, { logprob, decoded_token: text }]) => [
          id,
          { nats: numberOf(logprob), text: text ?? undefined },
        ]),
      ),
    );
}

/** Of what was generated. Without ids the log-probabilities have a name of their own: how many tokens there are, a text does not tell. */
export function channelsOf(answer: Answer, topK: number): Channel[] {
  const { promptIds, ids, nats, best, text } = answer;
  const channels: Channel[] = [];
  if (promptIds !== undefined)
    channels.push({ name: 'prompt-tokens', kind: 'ids', ids: Uint32Array.from(promptIds) });
  if (ids !== undefined) channels.push({ name: 'tokens', kind: 'ids', ids: Uint32Array.from(ids) });
  if (nats !== undefined)
    channels.push({
      name: ids === undefined ? 'told-logprobs' : 'logprobs',
      kind: 'nats',
      nats: Float32Array.from(nats),
    });
  const ranked = ids === undefined || best === undefined ? undefined : rankedOf(best.map(withIds), topK);
  if (ranked !== undefined) channels.push(ranked);
  if (text !== undefined) channels.push({ name: 'text', kind: 'text', text });
  return channels;
}

const withIds = (best: Best) =>
  best.flatMap(([token, nats]): (readonly [id: number, nats: number])[] => {
    const id = idIn(token);
    return id === undefined ? [] : [[id, nats]];
  });

/** Undefined where a step has fewer than k. */
function rankedOf(
  steps: readonly (readonly (readonly [id: number, nats: number])[])[],
  k: number,
): Channel | undefined {
  if (steps.some(({ length }) => length < k)) return undefined;
  const kept = steps.flatMap((step) => step.slice(0, k));
  return {
    ...{ name: 'top-k', kind: 'ranked', k },
    ids: Uint32Array.from(kept, ([id]) => id),
    nats: Float32Array.from(kept, ([, nats]) => nats),
  };
}

/**
 * The best tokens of the first step of many answers to one question, a row each. By id, or where none are told by a number
 * that stands for the token's text; never of both, which could not be compared.
 */
export function samplesChannel(answers: readonly Answer[]): Channel {
  const rows = answers.flatMap(({ best }) => (best?.[0] === undefined ? [] : [best[0]]));
  const k = Math.min(MOST_SAMPLED, ...rows.map(({ length }) => length));
  const kept = rows.length === 0 ? [] : rows.flatMap((row) => row.slice(0, k));
  const byId = kept.every(([token]) => idIn(token) !== undefined);
  return {
    ...{ name: byId ? 'samples' : 'samples-by-text', kind: 'ranked', k: rows.length === 0 ? 0 : k },
    ids: Uint32Array.from(kept, ([token]) => (byId ? (idIn(token) ?? 0) : standIn(token))),
    nats: Float32Array.from(kept, ([, nats]) => nats),
  };
}

const MOST_SAMPLED = 20;
/** 31 bits: of the few hundred tokens of a prompt's samples no two are likely to share one. */
const standIn = (token: string) => Number.parseInt(sha256(token).slice(0, 8), 16) >>> 1;

/**
 * Of a sequence that was prefilled: as an engine's score has it, a step is a position but the first.
 * @param prompt how many of the sequence's tokens are the prompt's
 * @throws EndpointError `endpoint-broken`
 */
export function scoreChannels(
  { scored }: Answer,
  sequence: readonly number[],
  prompt: number,
  topK: number,
): Channel[] {
  const tokens = sequence.slice(1);
  if (scored?.length !== tokens.length)
    throw broken(`it scores ${scored?.length ?? 0} positions of ${tokens.length}`);
  const nats = scored.map((step, at) => {
    const told = step[String(tokens[at])];
    if (told === undefined)
      throw broken(`position ${at + 1} of the scored tokens has no log-probability of token ${tokens[at]}`);
    return told.nats;
  });
  const ranked = rankedOf(
    scored
      .map((step) => sorted(Object.entries(step).map(([id, one]) => [`token_id:${id}`, one.nats] as const)))
      .map(withIds),
    topK,
  );
  return [
    { name: 'prompt-tokens', kind: 'ids', ids: Uint32Array.from(sequence.slice(0, prompt)) },
    { name: 'tokens', kind: 'ids', ids: Uint32Array.from(tokens) },
    { name: 'logprobs', kind: 'nats', nats: Float32Array.from(nats) },
    ...(ranked === undefined ? [] : [ranked]),
  ];
}

export const broken = (what: string) =>
  new EndpointError('endpoint-broken', `the endpoint gave an answer that cannot be: ${what}`);
