import type { PromptContent, SaidSampling } from '../suite/schema.ts';
import { type Answer, type Route, readAnswer } from './answer.ts';
import type { Client, Json } from './client.ts';
import { EndpointError } from './error.ts';

/** Best tokens of a step: as many as OpenAI's completions give, and the record keeps. */
const BEST = 5;
const MOST = 20;

/**
 * What a server may be asked for beside the answer itself. Each is asked once, of each way to ask; whether it is there is read
 * from the answer where that can show it: many servers take fields that they then ignore.
 */
const FEATURES = [
  'logprobs',
  /** As many best tokens as any vendor gives. */
  'logprobs-20',
  'token-ids',
  'prompt-logprobs',
  'seed',
  /** Sampling that OpenAI's API has no word for. */
  'sampling',
] as const;
export type Feature = (typeof FEATURES)[number];

function fieldsOf(feature: Feature, route: Route): object {
  switch (feature) {
    case 'logprobs':
      return route === 'completions' ? { logprobs: BEST } : { logprobs: true, top_logprobs: BEST };
    case 'logprobs-20':
      return route === 'completions' ? { logprobs: MOST } : { logprobs: true, top_logprobs: MOST };
    case 'token-ids':
      return { return_token_ids: true, return_tokens_as_token_ids: true };
    case 'prompt-logprobs':
      return { prompt_logprobs: BEST };
    case 'seed':
      return { seed: 0 };
    case 'sampling':
      return NEUTRAL;
  }
}

/** Undefined where an answer does not show it. */
function shows(feature: Feature, answer: Answer): boolean | undefined {
  switch (feature) {
    case 'logprobs':
      return answer.nats !== undefined;
    case 'logprobs-20':
      return (answer.best?.[0]?.length ?? 0) >= MOST;
    case 'token-ids':
      return answer.ids !== undefined && answer.promptIds !== undefined;
    case 'prompt-logprobs':
      return answer.scored !== undefined;
    case 'seed':
    case 'sampling':
      return undefined;
  }
}

/** Of a way to ask: what the server has, and how it says how many tokens. */
export interface Capabilities {
  readonly has: ReadonlySet<Feature>;
  readonly limit: 'max_tokens' | 'max_completion_tokens';
  readonly systemFingerprint: string | undefined;
}

/** @throws EndpointError for a server that does not answer the plainest question; the abort's reason */
export async function ask(
  client: Client,
  model: string,
  route: Route,
  signal: AbortSignal,
): Promise<Capabilities> {
  const plain = { model, temperature: 0, ...asking(route, PROBE) };
  const tried = async (limit: Capabilities['limit'], features: readonly Feature[]): Promise<Answer> => {
    const wanted = Object.assign({}, ...features.map((feature) => fieldsOf(feature, route)));
    return readAnswer(await client.post(route, { ...plain, ...wanted, [limit]: 1 }, signal), 1);
  };
  const refused = async (limit: Capabilities['limit'], features: readonly Feature[]) => {
    try {
      return await tried(limit, features);
    } catch (error) {
      if (error instanceof EndpointError && (error.status === 400 || error.status === 422)) return error;
      throw error;
    }
  };
  // Most servers take all at once, or one word less.
  let limit: Capabilities['limit'] = 'max_tokens';
  // A prompt's log-probabilities are asked for where tokens can be sent as such.
  const wanted = FEATURES.filter((feature) => route === 'completions' || feature !== 'prompt-logprobs');
  let answer = await refused(limit, wanted);
  let accepted: readonly Feature[] = wanted;
  if (answer instanceof EndpointError) {
    const bare = await refused(limit, []);
    if (bare instanceof EndpointError) {
      if (!bare.message.includes('max_completion_tokens')) throw bare;
      limit = 'max_completion_tokens';
      answer = await tried(limit, []);
    } else answer = bare;
    accepted = [];
    for (const feature of wanted) {
      const more = await refused(limit, [...accepted, feature]);
      if (more instanceof EndpointError) continue;
      accepted = [...accepted, feature];
      answer = more;
    }
  }
  const last = answer;
  return {
    has: new Set(accepted.filter((feature) => shows(feature, last) !== false)),
    limit,
    systemFingerprint: last.systemFingerprint,
  };
}

/** A token or two. */
const PROBE = { text: 'The' };

/** What is asked, as the route has it. */
export const asking = (route: Route, input: PromptContent | { readonly ids: readonly number[] }): object => {
  if ('ids' in input) return { prompt: input.ids };
  // A suite’s schema lets no other question pass.
  if (!('text' in input) && !('messages' in input))
    throw new Error('an endpoint is asked texts and messages alone');
  if (route === 'completions') return { prompt: 'text' in input ? input.text : '' };
  return { messages: 'messages' in input ? input.messages : [{ role: 'user', content: input.text }] };
};

/** What each means that is not said: where the server has no word for it, it need not be told that it is off. */
const NEUTRAL = {
  top_k: 0,
  min_p: 0,
  repetition_penalty: 1,
  min_tokens: 0,
  ignore_eos: false,
  stop_token_ids: [],
};

/** All of a request but what is asked. What the server has no word for is sent where it matters: it then says no itself. */
export function fields(
  sampling: SaidSampling,
  model: string,
  route: Route,
  { has, limit }: Capabilities,
): Readonly<Record<string, Json>> {
  const { max_tokens: most, seed, ...rest } = sampling;
  const said = Object.entries(rest).filter(
    ([name, value]) =>
      has.has('sampling') ||
      !(name in NEUTRAL) ||
      JSON.stringify(value) !== JSON.stringify(NEUTRAL[name as keyof typeof NEUTRAL]),
  );
  return {
    model,
    ...Object.fromEntries(said.filter(([, value]) => !(Array.isArray(value) && value.length === 0))),
    [limit]: most,
    ...(has.has('seed') ? { seed } : {}),
    ...(has.has('logprobs') ? fieldsOf('logprobs', route) : {}),
    ...(has.has('token-ids') ? fieldsOf('token-ids', route) : {}),
  };
}

/** One token with its best: as many as it tells. */
export const sampleFields = (model: string, route: Route, capabilities: Capabilities): object => ({
  ...fields({ max_tokens: 1, seed: 0, temperature: 0 }, model, route, capabilities),
  ...(capabilities.has.has('logprobs-20') ? fieldsOf('logprobs-20', route) : {}),
});

export const scoreFields = (model: string, { limit }: Capabilities): object => ({
  model,
  temperature: 0,
  [limit]: 1,
  ...fieldsOf('prompt-logprobs', 'completions'),
  ...fieldsOf('token-ids', 'completions'),
});

/** As the record keeps it: what it can be asked for, by name. */
export const told = (route: Route, { has }: Capabilities): Readonly<Record<string, boolean>> => ({
  ...Object.fromEntries(
    FEATURES.filter((feature) => route === 'completions' || feature !== 'prompt-logprobs').map((feature) => [
      `${route}.${feature}`,
      has.has(feature),
    ]),
  ),
});
