import type { Asked, Request } from '../engine/protocol.ts';
import { digestJson, sha256 } from '../record/digest.ts';
import type { Arrangement } from '../record/schema.ts';
import { littleEndian } from '../record/words.ts';
import type { LoadedText } from '../suite/loaded.ts';
import { type PromptContent, Sampling, saidOf } from '../suite/schema.ts';
import { STRANGERS } from './own-texts.ts';
import type { ReadyPass } from './pass.ts';
import { FROZEN_CLOCK, type Plan, type PlannedPass, type PlannedPrompt, TOP_K } from './plan.ts';

/** Prompt -> the tokens that force and score are given: the baseline's, so that both sides compute the same. */
export type KnownTokens = ReadonlyMap<string, Uint32Array>;

/** All that the passes will ask, by what tokenizer and template have to say of it. */
export const askedOf = ({
  prompts,
  texts,
  vectors,
}: Pick<Plan, 'prompts' | 'texts' | 'vectors'>): Asked[] => [
  ...prompts.map(({ id, content }) => ({ id, input: content, isScored: vectors })),
  ...texts.map(({ id, content }) => ({ id, input: content, isScored: true })),
];

/** Arrangements of which what roles give is sketched: what is compared, and what rounding makes of it. */
const ROLES: readonly Arrangement[] = ['alone', 'noise'];

/** What each prompt and text asks, as a record names it. */
export const questionsOfPlan = ({ prompts, texts }: Pick<Plan, 'prompts' | 'texts'>) =>
  new Map([
    ...prompts.map(({ id, digest }) => [id, digest] as const),
    ...texts.map(({ id, content }) => [id, knownInput('score', content, null)] as const),
  ]);

/** Any will do: of four seeds the distances lay within 5 % of each other (measured). */
const NOISE_SEED = 0;

/** Tokens of a scored sequence at most: up to there a prefill repeats exactly in any lifetime (measured). */
const SCORE_LIMIT = 1024;

/** One request, and the digest of what it asks. */
interface Digested {
  readonly request: Request;
  readonly input: string;
}

/**
 * Fills a planned pass with its requests. Undefined when there is nothing to ask.
 *
 * @param unknown prompts without known tokens as the run began: every lifetime asks the same, also of what the first
 * one has generated meanwhile
 */
export function readyPass(
  plan: Plan,
  lifetime: string,
  { pass, kind, arrangement, grouped }: PlannedPass,
  known: KnownTokens,
  unknown: ReadonlySet<string>,
): ReadyPass | undefined {
  const asked = grouped === 'samples' ? sampled(plan) : requestsOf(plan, kind, known, unknown);
  if (asked.length === 0) return undefined;
  const strangers = grouped === 'strangers' ? asked.flatMap(({ request }) => strangersOf(request)) : [];
  return {
    lifetime,
    arrangement,
    command: {
      command: 'pass',
      pass,
      kind,
      requests: [...asked.map(({ request }) => request), ...strangers],
      groups: groupsOf(
        grouped,
        asked.map(({ request }) => request.id),
      ),
      warm: grouped === 'warm',
      // Each scored sequence in its own prefill, once: the modules of what is compared, and of nothing else.
      trace: kind === 'trace' || (kind === 'score' && arrangement === 'alone'),
      ...(plan.roles && kind === 'score' && ROLES.includes(grouped) ? { roles: true as const } : {}),
      noise: grouped === 'noise' ? NOISE_SEED : null,
      samples: grouped === 'samples' ? plan.samples : null,
      topK: TOP_K,
      clock: FROZEN_CLOCK,
    },
    inputs: new Map(asked.map(({ request, input }) => [request.id, input])),
  };
}

function requestsOf(
  { depth, prompts, texts }: Plan,
  kind: PlannedPass['kind'],
  known: KnownTokens,
  unknown: ReadonlySet<string>,
): Digested[] {
  switch (kind) {
    case 'generate':
      // At depth `score` nothing is generated but the tokens that are to be scored.
      return prompts.filter(({ id }) => depth === 'full' || unknown.has(id)).map(free);
    case 'force':
      return prompts.flatMap((prompt) => {
        const tokens = known.get(prompt.id);
        return tokens === undefined || tokens.length === 0 ? [] : [given('force', prompt, tokens)];
      });
    case 'score':
    case 'trace':
      return [...prompts, ...texts].map((prompt) => given('score', prompt, known.get(prompt.id)));
  }
}

/** Prompts that are sampled at most: each costs many requests, and the test looks at all of them together. */
export const SAMPLED = 64;

/** An engine of this machine repeats itself or does not: nothing is sampled there. */
const sampled = ({ endpoint, prompts }: Plan): Digested[] =>
  endpoint === undefined
    ? []
    : prompts.slice(0, SAMPLED).map(({ id, content }) => ({
        request: { id, input: content, sampling: GREEDY, tokens: null, observed: true, limit: null },
        input: digestJson({ samples: content, clock: FROZEN_CLOCK }),
      }));

const free = ({ id, content, sampling, unsaid, digest }: PlannedPrompt): Digested => ({
  request: {
    id,
    input: content,
    sampling: saidOf(sampling, unsaid),
    tokens: null,
    observed: true,
    limit: null,
  },
  input: digest,
});

/** How the known tokens were chosen does not matter for what they are given: no sampling of the suite's takes part. */
export const GREEDY = Sampling.parse({ max_tokens: 1 });

function given(
  kind: 'force' | 'score',
  { id, content }: LoadedText,
  tokens: Uint32Array | undefined,
): Digested {
  return {
    request: {
      id,
      input: content,
      sampling: GREEDY,
      tokens: tokens === undefined ? null : base64(tokens),
      observed: true,
      limit: kind === 'score' ? SCORE_LIMIT : null,
    },
    input: knownInput(kind, content, tokens === undefined ? null : sha256(littleEndian(tokens))),
  };
}

/** What a force or a score asks: the prompt, and which tokens come after it. */
export const knownInput = (kind: 'force' | 'score', content: PromptContent, tokens: string | null) =>
  digestJson({ [kind]: content, tokens, clock: FROZEN_CLOCK });

const ofStranger = (id: string, which: keyof typeof STRANGERS) => `${id}/${which}`;

/** Neighbours that do as the request does, with texts of ours. */
const strangersOf = (request: Request): Request[] =>
  (['short', 'long'] as const).map((which) => ({
    ...request,
    id: ofStranger(request.id, which),
    input: { text: STRANGERS[which] },
    tokens: null,
    observed: false,
  }));

function groupsOf(arrangement: Arrangement, ids: readonly string[]): string[][] {
  switch (arrangement) {
    case 'alone':
    case 'again':
    case 'warm':
    case 'noise':
      return ids.map((id) => [id]);
    case 'together':
    case 'samples':
      return [[...ids]];
    case 'reversed':
      return [ids.toReversed()];
    case 'strangers':
      return ids.map((id) => [id, ofStranger(id, 'short'), ofStranger(id, 'long')]);
  }
}

/** uint32 little-endian in base64, as the protocol carries ids. */
export function base64(ids: Uint32Array): string {
  return littleEndian(ids).toString('base64');
}
