import type http from 'node:http';
import { excerpt } from '../inert.ts';
import { libraryFor } from '../network/library.ts';
import { Hiccup, patiently } from '../network/patience.ts';
import { VERSION } from '../version.ts';
import { EndpointError } from './error.ts';

export interface ClientOptions {
  /** Where OpenAI's API begins, e.g. `https://api.example/v1`. The suite's schema let it pass. */
  readonly url: string;
  readonly key: string | undefined;
  /** The proxies of the runner are named here. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** One line: hostile. */
  readonly log: (line: string) => void;
  readonly pause?: (seconds: number, signal: AbortSignal) => Promise<unknown>;
  /** Bytes of an answer, and milliseconds without one of them, at most; tests have their own. */
  readonly limits?: { readonly bytes: number; readonly silenceMs: number };
}

/** 32 k steps with their best tokens are about 10 MB. */
const LIMITS = { bytes: 64 * 1024 * 1024, silenceMs: 300_000 };
const LIMIT_HEADER = /^x-ratelimit-(?:limit|remaining|reset)-[a-z]+$/;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** What the server said, parsed: whatever JSON it is. */
export type Json = unknown;

/**
 * Asks one server, and sends the key to its address alone: no redirect is followed, and over plain HTTP only this machine
 * itself gets it. What comes back with the key in it is refused, so that it reaches no record, log or error.
 */
export class Client {
  readonly #options: ClientOptions;
  readonly #base: URL;
  #toldLimits = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#base = new URL(options.url.replace(/\/*$/, '/'));
  }

  /** Once more for what the network or the server may do better the next time. @throws EndpointError; the abort's reason */
  async post(path: string, body: object, signal: AbortSignal): Promise<Json> {
    return await this.#patiently(path, signal, () => this.#once(path, JSON.stringify(body), signal));
  }

  /** Undefined for what the server does not know. @throws EndpointError; the abort's reason */
  async get(path: string, signal: AbortSignal): Promise<Json | undefined> {
    try {
      return await this.#patiently(path, signal, () => this.#once(path, undefined, signal));
    } catch (error) {
      if (error instanceof EndpointError && error.status !== undefined && error.status !== 401)
        return undefined;
      throw error;
    }
  }

  get #isLocal(): boolean {
    return LOOPBACK.test(this.#base.hostname);
  }

  async #patiently(path: string, signal: AbortSignal, attempt: () => Promise<Json>): Promise<Json> {
    const { log, pause } = this.#options;
    const what = new URL(path, this.#base).host;
    try {
      return await patiently(attempt, { what, signal, log, ...(pause === undefined ? {} : { pause }) });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Hiccup)
        throw new EndpointError('endpoint-unavailable', this.#redacted(error.message));
      throw error;
    }
  }

  async #once(path: string, body: string | undefined, signal: AbortSignal): Promise<Json> {
    const answer = await this.#send(path, body, signal);
    const { statusCode: status = 0, headers } = answer;
    const text = await this.#read(answer, signal);
    if (status < 200 || status >= 300) throw this.#failed(status, headers, text);
    if (this.#options.key !== undefined && text.includes(this.#options.key))
      throw this.#broken('answered with the key that it was given: what it said is thrown away');
    this.#tellLimits(headers);
    try {
      return JSON.parse(text);
    } catch {
      throw this.#broken(`answered what is no JSON: “${excerpt(text, 200)}”`);
    }
  }

  async #send(path: string, body: string | undefined, signal: AbortSignal): Promise<http.IncomingMessage> {
    signal.throwIfAborted();
    const { key, environment, limits = LIMITS } = this.#options;
    const url = new URL(path, this.#base);
    if (key !== undefined && url.protocol !== 'https:' && !this.#isLocal)
      throw new EndpointError(
        'endpoint-refused',
        `${url.host} would get the key over plain HTTP, for everybody on the way to read`,
      );
    const library = libraryFor(url);
    // What lies on this machine needs no proxy, which would learn the key.
    const agent = new library.Agent({
      keepAlive: false,
      ...(this.#isLocal ? {} : { proxyEnv: { ...environment } }),
    });
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    const request = library.request(url, {
      method: body === undefined ? 'GET' : 'POST',
      agent,
      signal,
      headers: {
        'user-agent': `deterministic-ml/${VERSION}`,
        accept: 'application/json',
        'accept-encoding': 'identity',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      },
    });
    request.setTimeout(limits.silenceMs, () =>
      request.destroy(new Error(`it sent nothing for ${limits.silenceMs / 1000} s`)),
    );
    request.once('response', resolve);
    request.once('error', reject);
    request.end(body);
    try {
      return await promise;
    } catch (error) {
      signal.throwIfAborted();
      throw new Hiccup(messageOf(error), undefined, error);
    }
  }

  async #read(answer: http.IncomingMessage, signal: AbortSignal): Promise<string> {
    const { bytes: most } = this.#options.limits ?? LIMITS;
    const chunks: Buffer[] = [];
    let length = 0;
    try {
      for await (const chunk of answer) {
        const bytes: Buffer = chunk;
        length += bytes.length;
        if (length > most) break;
        chunks.push(bytes);
      }
    } catch (error) {
      signal.throwIfAborted();
      throw new Hiccup(
        `its answer was cut off after ${length} bytes (${messageOf(error)})`,
        undefined,
        error,
      );
    }
    if (length > most) throw this.#broken(`gave an answer of more than ${most} bytes`);
    return Buffer.concat(chunks).toString('utf8');
  }

  #failed(status: number, headers: http.IncomingHttpHeaders, text: string): Error {
    const { code, message } = saidIn(text);
    const said = message === undefined ? '' : `, “${this.#redacted(excerpt(message, 300))}”`;
    const words = `${status}${said}`;
    // No waiting helps against an empty account.
    const isEmpty = code === 'insufficient_quota';
    if (!isEmpty && (status === 408 || status === 425 || status === 429 || status >= 500))
      return new Hiccup(`it answered ${words}`, secondsIn(headers['retry-after']));
    const { host } = this.#base;
    if (status >= 300 && status < 400) {
      const to = URL.parse(headers.location ?? '', this.#base.href)?.host ?? 'an address that is none';
      return new EndpointError(
        'endpoint-refused',
        `${host} redirects to ${excerpt(to, 200)} (${status}), and nobody but the suite says who gets prompts and key`,
        status,
      );
    }
    return new EndpointError('endpoint-refused', `${host} answered ${words}`, status);
  }

  /** Once: how much the server lets this key ask. */
  #tellLimits(headers: http.IncomingHttpHeaders): void {
    if (this.#toldLimits) return;
    this.#toldLimits = true;
    const limits = Object.entries(headers)
      .filter(([name]) => LIMIT_HEADER.test(name))
      .slice(0, 8)
      .map(([name, value]) => `${name.slice('x-ratelimit-'.length)} ${excerpt(String(value), 40)}`);
    const told = limits.length === 0 ? 'tells no rate limits' : `tells its rate limits: ${limits.join(', ')}`;
    this.#options.log(this.#redacted(`${this.#base.host} ${told}.`));
  }

  #broken(what: string): EndpointError {
    return new EndpointError('endpoint-broken', `${this.#base.host} ${what}`);
  }

  #redacted(text: string): string {
    const { key } = this.#options;
    return key === undefined ? text : text.replaceAll(key, '(key)');
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Seconds until a time that is told as such, or as a date. */
function secondsIn(told: string | undefined): number | undefined {
  if (told === undefined || told.trim() === '') return undefined;
  const seconds = Number(told);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const until = Date.parse(told);
  return Number.isNaN(until) ? undefined : Math.max(0, (until - Date.now()) / 1000);
}

/** `{ "error": { "message", "code" } }`, or without the outer `{ "message" }`, `{ "detail" }`. */
function saidIn(text: string): { readonly code: string | undefined; readonly message: string | undefined } {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { code: undefined, message: text.trim() === '' ? undefined : text.trim() };
  }
  const outer = record(body);
  const inner = typeof outer['error'] === 'object' ? record(outer['error']) : outer;
  const message = [inner['message'], outer['error'], outer['detail']].find((one) => typeof one === 'string');
  return {
    code: typeof inner['code'] === 'string' ? inner['code'] : undefined,
    message: typeof message === 'string' ? message : undefined,
  };
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {};
