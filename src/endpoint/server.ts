import { z } from 'zod';
import type { Request } from '../engine/protocol.ts';
import type { HarnessFingerprint } from '../fingerprint/schema.ts';
import type { Channel } from '../record/channels.ts';
import { uint32 } from '../record/words.ts';
import { type Answer, broken, channelsOf, type Route, readAnswer, scoreChannels } from './answer.ts';
import { ask, asking, type Capabilities, fields, sampleFields, scoreFields, told } from './capabilities.ts';
import type { Client } from './client.ts';

/** What one request gave, and what the server counted. */
export interface Observed {
  readonly answer: Answer;
  readonly channels: readonly Channel[];
}

const Version = z.object({ version: z.string().min(1).max(200) });
const Models = z.object({
  data: z
    .array(z.object({ id: z.string(), max_model_len: z.number().int().positive().nullish() }))
    .max(10_000),
});

/** One model of one server, as a run knows it: what it can be asked is asked once. */
export class Server {
  readonly #client: Client;
  readonly #model: string;
  readonly #capabilities = new Map<Route, Promise<Capabilities>>();
  readonly #texts = new Map<number, string>();
  /** Of a question, as JSON. */
  readonly #promptIds = new Map<string, readonly number[]>();
  #length = Number.POSITIVE_INFINITY;

  constructor(client: Client, model: string) {
    this.#client = client;
    this.#model = model;
  }

  /** All that a server tells of itself before it is asked for a token. @throws EndpointError */
  async fingerprint(signal: AbortSignal): Promise<HarnessFingerprint> {
    // Where there is one, it lies beside the API, not in it.
    const version = Version.safeParse(await this.#client.get('../version', signal));
    const models = Models.safeParse(await this.#client.get('models', signal));
    if (models.success)
      this.#length = models.data.data.find(({ id }) => id === this.#model)?.max_model_len ?? this.#length;
    return {
      engine: { name: 'openai', version: version.success ? version.data.version : UNKNOWN },
      libraries: {},
      files: [],
      environment: {},
      gpus: [],
      driver: UNKNOWN,
      cpu: { vendor: UNKNOWN, model: UNKNOWN, level: UNKNOWN, capability: UNKNOWN, cores: UNKNOWN },
      memoryBytes: UNKNOWN,
      os: UNKNOWN,
      kernel: UNKNOWN,
    };
  }

  /** What it can be asked for in these ways, as a record keeps it. @throws EndpointError */
  async settings(
    routes: Iterable<Route>,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string | boolean>>> {
    const all: Record<string, string | boolean> = {};
    for (const route of routes) {
      const capabilities = await this.#of(route, signal);
      Object.assign(all, told(route, capabilities));
      all['system_fingerprint'] = capabilities.systemFingerprint ?? 'not told';
    }
    return all;
  }

  /** @throws EndpointError */
  async generate({ input, sampling }: Request, topK: number, signal: AbortSignal): Promise<Observed> {
    const route = routeOf(input);
    const capabilities = await this.#of(route, signal);
    const body = { ...fields(sampling, this.#model, route, capabilities), ...asking(route, input) };
    const answer = readAnswer(await this.#client.post(route, body, signal), sampling.max_tokens);
    if (answer.promptIds !== undefined) this.#promptIds.set(JSON.stringify(input), answer.promptIds);
    return { answer, channels: channelsOf(answer, topK) };
  }

  /** Why it scores nothing; undefined where it does. @throws EndpointError */
  async cannotScore(signal: AbortSignal): Promise<string | undefined> {
    const { has } = await this.#of('completions', signal);
    if (!has.has('prompt-logprobs')) return 'the endpoint tells no log-probabilities of a prompt';
    return has.has('token-ids') ? undefined : 'the endpoint tells no token ids, and is given none';
  }

  /** Prompt and known tokens, prefilled. @throws EndpointError */
  async score({ input, tokens, limit }: Request, topK: number, signal: AbortSignal): Promise<Observed> {
    const prompt = await this.#idsOf(input, signal);
    const known = uint32(Buffer.from(tokens ?? '', 'base64'));
    // It generates one token more, whatever it is asked.
    const most = Math.min(limit ?? Number.POSITIVE_INFINITY, this.#length - 1);
    const sequence = [...prompt, ...known].slice(0, most);
    const capabilities = await this.#of('completions', signal);
    const body = {
      ...scoreFields(this.#model, capabilities),
      ...asking('completions', { ids: sequence }),
    };
    const answer = readAnswer(await this.#client.post('completions', body, signal), 1);
    if (answer.promptIds !== undefined && !same(answer.promptIds, sequence))
      throw broken('it scored other tokens than it was sent');
    for (const step of answer.scored ?? [])
      for (const [id, { text }] of Object.entries(step))
        if (text !== undefined) this.#texts.set(Number(id), text);
    return { answer, channels: scoreChannels(answer, sequence, Math.min(prompt.length, most), topK) };
  }

  /** Why it cannot be sampled; undefined where it can. @throws EndpointError */
  async cannotSample(routes: Iterable<Route>, signal: AbortSignal): Promise<string | undefined> {
    for (const route of routes)
      if (!(await this.#of(route, signal)).has.has('logprobs'))
        return 'the endpoint tells no log-probabilities';
    return undefined;
  }

  /** One token of a prompt, for its log-probabilities. @throws EndpointError */
  async sample({ input }: Request, signal: AbortSignal): Promise<Answer> {
    const route = routeOf(input);
    const capabilities = await this.#of(route, signal);
    const body = { ...sampleFields(this.#model, route, capabilities), ...asking(route, input) };
    return readAnswer(await this.#client.post(route, body, signal), 1);
  }

  /** Texts of token ids, as far as they were told beside log-probabilities. */
  vocabulary(ids: Iterable<number>): Readonly<Record<string, string>> {
    return Object.fromEntries(
      [...ids].flatMap((id) => {
        const text = this.#texts.get(id);
        return text === undefined ? [] : [[String(id), text]];
      }),
    );
  }

  /** The tokens of a question, as an answer to it tells them. */
  async #idsOf(input: Request['input'], signal: AbortSignal): Promise<readonly number[]> {
    const known = this.#promptIds.get(JSON.stringify(input));
    if (known !== undefined) return known;
    const route = routeOf(input);
    const capabilities = await this.#of(route, signal);
    const body = { ...fields(ONE, this.#model, route, capabilities), ...asking(route, input) };
    const { promptIds } = readAnswer(await this.#client.post(route, body, signal), 1);
    if (promptIds === undefined) throw broken('it told no tokens of the prompt, and did before');
    this.#promptIds.set(JSON.stringify(input), promptIds);
    return promptIds;
  }

  async #of(route: Route, signal: AbortSignal): Promise<Capabilities> {
    const asked = this.#capabilities.get(route) ?? ask(this.#client, this.#model, route, signal);
    this.#capabilities.set(route, asked);
    return await asked;
  }
}

const UNKNOWN = 'unknown';
const ONE = { max_tokens: 1, seed: 0, temperature: 0 };

const same = (left: readonly number[], right: readonly number[]) =>
  left.length === right.length && left.every((one, at) => one === right[at]);

export const routeOf = (input: Request['input']): Route =>
  'messages' in input ? 'chat/completions' : 'completions';
