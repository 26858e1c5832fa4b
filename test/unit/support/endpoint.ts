import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { openEndpoint } from '../../../src/endpoint/runtime.ts';
import type { RefreshSettings } from '../../../src/job/settings.ts';
import type { Tools } from '../../../src/job/tools.ts';
import type { Report } from '../../../src/report/schema.ts';
import { check } from '../../../src/use-cases/check.ts';
import { refresh } from '../../../src/use-cases/refresh.ts';
import { ASKS, Job } from './job.ts';

/* A server that speaks OpenAI's API as a test tells it to, and runs that ask it. */

/** Fields of a request. */
export interface Asked {
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Answers in place of the model; undefined leaves it to the model. */
export type Hostile = (
  asked: Asked,
  response: http.ServerResponse,
  nth: number,
) => true | undefined | Promise<true | undefined>;

/** What it computes, and what of that it tells. */
export interface Serves {
  /** `vllm` tells all; `openai` refuses fields that it does not know; `text` takes all and tells the text alone. */
  readonly kind?: 'vllm' | 'openai' | 'text';
  readonly nats?: number | null;
  readonly shift?: number;
  readonly mark?: string;
  readonly hostile?: Hostile;
}

const EXTRA = ['return_token_ids', 'return_tokens_as_token_ids', 'prompt_logprobs', 'top_k', 'min_p'];

export class EndpointServer implements AsyncDisposable {
  readonly asked: Asked[] = [];
  serves: Serves = {};
  readonly #server = http.createServer((request, response) => void this.#answer(request, response));

  static async start(serves: Serves = {}): Promise<EndpointServer> {
    const one = new EndpointServer();
    one.serves = serves;
    one.#server.listen(0, '127.0.0.1');
    await once(one.#server, 'listening');
    return one;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const body = text === '' ? {} : (JSON.parse(text) as Asked['body']);
    const asked: Asked = { path: request.url ?? '', headers: request.headers, body };
    this.asked.push(asked);
    if ((await this.serves.hostile?.(asked, response, this.asked.length)) === true) return;
    const { status, said } = this.#said(asked);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(said));
  }

  #said({ path, body }: Asked): { readonly status: number; readonly said: object } {
    const { kind = 'vllm' } = this.serves;
    if (path === '/version' && kind === 'vllm') return { status: 200, said: { version: '0.30.0' } };
    if (path === '/v1/models') return { status: 200, said: { data: [{ id: 'small', max_model_len: 64 }] } };
    if (!/^\/v1\/(chat\/)?completions$/.test(path)) return { status: 404, said: { detail: 'Not Found' } };
    if (body['model'] !== 'small')
      return { status: 404, said: { error: { message: `The model \`${body['model']}\` does not exist.` } } };
    const unknown = kind === 'openai' ? EXTRA.find((name) => name in body) : undefined;
    if (unknown !== undefined)
      return { status: 400, said: { error: { message: `Unrecognized request argument: ${unknown}` } } };
    if (kind === 'openai' && Number(body['logprobs']) > 5)
      return { status: 400, said: { error: { message: 'logprobs is at most 5' } } };
    return { status: 200, said: this.#computed(path.includes('chat'), body) };
  }

  #computed(chat: boolean, body: Asked['body']): object {
    const { kind = 'vllm', nats = -0.25, shift = 0, mark = 'fp_1' } = this.serves;
    const asked = chat ? JSON.stringify(body['messages']) : body['prompt'];
    const prompt = Array.isArray(asked) ? asked.map(Number) : [...String(asked)].map((c) => c.charCodeAt(0));
    const ids = Array.from(
      { length: Number(body['max_tokens']) },
      (_, at) => 100 + at + shift + prompt.length,
    );
    const tellsIds = body['return_token_ids'] === true && kind === 'vllm';
    const nameOf = (id: number) => (tellsIds ? `token_id:${id}` : ` w${id}`);
    const count = Number(chat ? body['top_logprobs'] : body['logprobs']);
    const tells = kind !== 'text' && body['logprobs'] !== undefined;
    const best = (id: number) =>
      Array.from({ length: count }, (_, rank) => [nameOf(id + rank), told(nats, rank)] as const);
    const logprobs = !tells
      ? null
      : chat
        ? {
            content: ids.map((id) => ({
              ...{ token: nameOf(id), logprob: nats },
              top_logprobs: best(id).map(([token, logprob]) => ({ token, logprob })),
            })),
          }
        : {
            tokens: ids.map(nameOf),
            token_logprobs: ids.map(() => nats),
            top_logprobs: ids.map((id) => Object.fromEntries(best(id))),
          };
    const text = ids.map((id) => ` w${id}`).join('');
    return {
      object: chat ? 'chat.completion' : 'text_completion',
      system_fingerprint: kind === 'text' ? null : mark,
      choices: [
        {
          ...(chat ? { message: { content: text } } : { text }),
          ...{ index: 0, finish_reason: 'length', logprobs },
          ...(tellsIds ? { token_ids: ids, prompt_token_ids: prompt } : {}),
          ...(kind === 'vllm' && body['prompt_logprobs'] !== undefined
            ? { prompt_logprobs: prompt.map((id, at) => (at === 0 ? null : scored(id, nats))) }
            : {}),
        },
      ],
      usage: { prompt_tokens: prompt.length, completion_tokens: ids.length },
    };
  }
}

const told = (nats: number | null, rank: number) => (nats === null ? null : nats - rank);

const scored = (id: number, nats: number | null) =>
  Object.fromEntries(
    Array.from({ length: 5 }, (_, rank) => [
      String(id + rank),
      { logprob: told(nats, rank), rank: rank + 1, decoded_token: String.fromCharCode(id + rank) },
    ]),
  );

export const suiteOf = (url: string, relations = '[baseline]') => `apiVersion: deterministic-ml/v1
name: staging
model: { served: small }
engine: { name: openai, args: { url: "${url}" } }
sampling: { temperature: 0, max_tokens: 4 }
prompts:
  - { id: capital, text: "The capital" }
  - { id: sky, messages: [{ role: user, content: "Why blue?" }] }
score:
  - { id: prose, text: "It was a dark night" }
relations: ${relations}
`;

/** A machine that asks such a server, with what it waited for. */
export class EndpointJob extends Job {
  readonly pauses: number[] = [];
  key: string | undefined;
  limits: { readonly bytes: number; readonly silenceMs: number } | undefined;

  constructor(server: EndpointServer, relations?: string) {
    super();
    this.suite = suiteOf(server.url, relations);
  }

  override tools(): Tools {
    const tools = super.tools();
    return {
      ...tools,
      open: {
        ...tools.open,
        runtime: async (_, __, ___, endpoint) => {
          if (endpoint === undefined) throw new Error('the suite names no endpoint');
          return openEndpoint({
            ...{ endpoint, key: this.key, environment: {} },
            log: (line) => this.lines.push(line),
            pause: async (seconds) => {
              this.pauses.push(seconds);
            },
            ...(this.limits === undefined ? {} : { limits: this.limits }),
          });
        },
      },
    };
  }

  async looks(): Promise<Report> {
    return await check({ ...this.settings(), ...ASKS.check }, this.tools());
  }

  async stores(event = 'workflow_dispatch', more: Partial<RefreshSettings> = {}): Promise<Report> {
    return await refresh({ ...this.settings(event, more), ...ASKS.refresh }, this.tools());
  }
}
