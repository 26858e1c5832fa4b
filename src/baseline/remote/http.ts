import type http from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { libraryFor } from '../../network/library.ts';
import { Hiccup } from '../../network/patience.ts';
import { plain } from '../foreign.ts';

const SILENCE_MS = 30_000;

export interface Request {
  readonly method: string;
  readonly url: URL;
  readonly headers: http.OutgoingHttpHeaders;
  readonly body?: string | Readable;
  /** Of the job, which says where a proxy is. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly silenceMs?: number | undefined;
}

/** Follows no redirect. @throws Hiccup where the other side cannot be reached, falls silent, or asks for patience */
export async function send(request: Request): Promise<http.IncomingMessage> {
  const { method, url, headers, body, environment, signal, silenceMs = SILENCE_MS } = request;
  const library = libraryFor(url);
  const agent = new library.Agent({ keepAlive: false, proxyEnv: { ...environment } });
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const sent = library.request(url, { method, headers, agent, signal });
  sent.setTimeout(silenceMs, () => sent.destroy(new Error(`nothing came for ${silenceMs / 1000} s`)));
  sent.once('response', resolve);
  sent.once('error', reject);
  if (body === undefined || typeof body === 'string') sent.end(body);
  else pipeline(body, sent).catch(reject);
  const reply = await promise.catch((error: unknown) => {
    throw broken(error, signal);
  });
  const { statusCode: status = 0 } = reply;
  if (status !== 429 && status < 500) return reply;
  const after = Number(reply.headers['retry-after']);
  const said = await textOf(reply, 4096).catch(() => '');
  throw new Hiccup(
    `it answered ${status}${said === '' ? '' : ` (${plain(said.replaceAll(/<[^>]*>/g, ' '), 200)})`}`,
    Number.isFinite(after) ? Math.min(after, MAX_WAIT_SECONDS) : undefined,
  );
}

const MAX_WAIT_SECONDS = 60;

/** A whole answer. @throws Hiccup for one that is cut or longer than that */
export async function textOf(reply: http.IncomingMessage, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of bodyOf(reply)) {
    length += chunk.length;
    if (length > limit) {
      reply.destroy();
      throw new Hiccup(`it answered with more than ${limit} bytes`, undefined);
    }
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** What is no JSON is undefined, which no schema takes. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @throws Hiccup where it is cut */
export async function* bodyOf(reply: http.IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* reply;
  } catch (error) {
    throw new Hiccup(`its answer broke off (${codeOf(error)})`, undefined, error);
  }
}

function broken(error: unknown, signal: AbortSignal): unknown {
  signal.throwIfAborted();
  const code = codeOf(error);
  return new Hiccup(`it cannot be asked (${code})`, undefined, error);
}

const codeOf = (error: unknown) =>
  error instanceof Error && 'code' in error && error.code !== undefined && error.code !== 'ABORT_ERR'
    ? String(error.code)
    : plain(error instanceof Error ? error.message : String(error), 200);
