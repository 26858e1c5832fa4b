import { createHash } from 'node:crypto';
import type http from 'node:http';
import type { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import zlib from 'node:zlib';
import { z } from 'zod';
import { UserError } from '../../errors.ts';
import { libraryFor } from '../../network/library.ts';
import { unpack } from '../archive.ts';
import { plain } from '../foreign.ts';
import { copyError, type TreeLimits, UnfitTree } from '../tree.ts';

/**
 * A small read-only client of the Actions cache service, after the source of @actions/cache 6.3.0. The library's own
 * `restoreCache` cannot serve here: it gives `undefined` both for a miss and for an outage, waits up to 15 minutes for
 * a service that never answers, and extracts with `tar -P`, so that a poisoned entry writes anywhere.
 */

/** The job's environment, as far as it is needed: ACTIONS_*, GITHUB_SERVER_URL, proxies, PATH. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Constant and relative: @actions/cache hashes it into the entry's version, so another path is another cache. */
export const CACHED_PATH = '.deterministic-ml/baseline';

/** As @actions/cache calls them. It packs with zstd wherever a `zstd` is on the PATH, and with gzip elsewhere. */
export const COMPRESSIONS = ['zstd-without-long', 'gzip'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** Part of an entry's identity beside its key (`getCacheVersion` in cacheUtils.js, which the library keeps to itself). */
export function cacheVersion(compression: Compression, platform: string = process.platform): string {
  const parts = [CACHED_PATH, compression, ...(platform === 'win32' ? ['windows-only'] : []), '1.0'];
  return createHash('sha256').update(parts.join('|')).digest('hex');
}

/** Where the cache service is, and what this job may do there. */
export interface CacheService {
  readonly protocol: 'v1' | 'v2';
  readonly base: string;
  readonly host: string;
  readonly token: string;
  readonly mayRead: boolean;
  readonly mayWrite: boolean;
  /** `ACTIONS_CACHE_MODE` as the runner exported it, or empty. */
  readonly mode: string;
  readonly env: Environment;
}

/** @throws UserError `store-unavailable` where the runner offers no cache service */
export function cacheService(env: Environment): CacheService {
  const protocol = !isEnterpriseServer(env) && env['ACTIONS_CACHE_SERVICE_V2'] ? 'v2' : 'v1';
  const variable = protocol === 'v2' ? 'ACTIONS_RESULTS_URL' : 'ACTIONS_CACHE_URL';
  const base = env[variable] ?? '';
  const token = env['ACTIONS_RUNTIME_TOKEN'] ?? '';
  const missing = [...(base === '' ? [variable] : []), ...(token === '' ? ['ACTIONS_RUNTIME_TOKEN'] : [])];
  if (missing.length > 0)
    throw new UserError(
      'store-unavailable',
      `This runner offers no cache service: ${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not set.`,
      'GitHub gives them to actions only, not to `run:` steps or a terminal. Keep the baselines in the ' +
        'repository instead: `baseline: { store: files }` in the suite. (Under act: `--artifact-server-path`.)',
    );
  if (!URL.canParse(base) || !/^https?:$/.test(new URL(base).protocol))
    throw new UserError(
      'store-unavailable',
      `The address of the cache service in ${variable} is no http(s) URL.`,
      'The runner sets it: take care that no step overwrites it.',
    );
  const mode = (env['ACTIONS_CACHE_MODE'] ?? '').trim().toLowerCase();
  return {
    protocol,
    base,
    // The host alone: the path of a v1 address holds a secret.
    host: new URL(base).host,
    token,
    // Unknown modes permit all, as in config.js of the library.
    mayRead: mode !== 'none' && mode !== 'write-only',
    mayWrite: mode !== 'none' && mode !== 'read',
    mode,
    env,
  };
}

/** The library speaks v1 to GitHub Enterprise Server whatever the variables say (`isGhes` in config.js). */
function isEnterpriseServer(env: Environment): boolean {
  const url = env['GITHUB_SERVER_URL'] || 'https://github.com';
  const host = URL.canParse(url) ? new URL(url).hostname.toLowerCase() : '';
  return host !== 'github.com' && !host.endsWith('.ghe.com') && !host.endsWith('.localhost');
}

/** An entry that the service named. */
export interface CacheEntry {
  readonly key: string;
  readonly compression: Compression;
  /** Signed: whoever has it can read the entry. Never to be shown. */
  readonly url: string;
  /** When it was made; only protocol v1 says so. */
  readonly created: string | undefined;
}

/** How long to wait and how often to try. */
export interface Patience {
  /** For one question to the service, all tries together. */
  readonly lookupMs: number;
  /** For the download of an entry. */
  readonly downloadMs: number;
  /** Pauses before the next try after an answer that may be passing, such as 503. */
  readonly retryDelaysMs: readonly number[];
  /** Aborts everything when the job is cancelled. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The newest entry whose key begins with this one, packed in this way; undefined only where the service said that
 * there is none.
 * @throws UserError `store-unavailable` when it said anything else, or nothing
 */
export async function lookUp(
  service: CacheService,
  key: string,
  compression: Compression,
  patience: Patience,
): Promise<CacheEntry | undefined> {
  const deadline = AbortSignal.timeout(patience.lookupMs);
  const signal = any(deadline, patience.signal);
  const question = `asked for "${plain(key)}"`;
  const delays = [...patience.retryDelaysMs];
  for (;;) {
    const outcome = await askOnce(service, key, compression, signal).catch((error: unknown) => {
      patience.signal?.throwIfAborted();
      return broken(
        deadline.aborted ? `did not answer within ${seconds(patience.lookupMs)}` : reason(error),
        {
          cause: error,
          passing: !deadline.aborted,
        },
      );
    });
    if (outcome.kind !== 'broken') return outcome.entry;
    const pause = outcome.passing ? delays.shift() : undefined;
    if (pause === undefined)
      throw unavailable(service, `${outcome.happened}, ${question}`, outcome.denied, outcome.cause);
    await delay(pause, undefined, { signal }).catch(() => undefined);
  }
}

/**
 * Downloads an entry and unpacks it into an empty folder.
 * @throws UserError `store-unavailable` when the download broke, `baseline-invalid` when the entry is no baseline
 */
export async function download(
  service: CacheService,
  entry: CacheEntry,
  folder: string,
  limits: TreeLimits,
  patience: Patience,
): Promise<void> {
  const deadline = AbortSignal.timeout(patience.downloadMs);
  const subject = `the download of "${plain(entry.key)}"`;
  const failed = (error: unknown): UserError => {
    patience.signal?.throwIfAborted();
    const happened = deadline.aborted
      ? `did not finish ${subject} within ${seconds(patience.downloadMs)}`
      : `${reason(error)} during ${subject}`;
    return unavailable(service, happened, false, error);
  };
  async function* body(): AsyncGenerator<Uint8Array> {
    try {
      const reply = await send(service, new URL(entry.url), { signal: any(deadline, patience.signal) });
      if (reply.statusCode !== 200) {
        reply.destroy();
        throw new Error(`answered ${reply.statusCode}`);
      }
      // No blob store calls an archive a text; a proxy's page does, and is no reason to delete a good entry.
      if (/^text\//.test(reply.headers['content-type'] ?? '')) {
        reply.destroy();
        throw new Error(`answered with a page instead of the entry`);
      }
      yield* reply;
    } catch (error) {
      throw failed(error);
    }
  }
  const decompress = decompressor(entry.compression);
  try {
    await pipeline(body, decompress, (source: AsyncIterable<Uint8Array>) =>
      unpack(source, CACHED_PATH, folder, limits),
    );
  } catch (error) {
    if (error instanceof UserError) throw error;
    const why = unfit(error);
    if (why === undefined) throw copyError(error, subject);
    throw new UserError(
      'baseline-invalid',
      `The cache entry "${plain(entry.key)}" is no baseline of this action: ${why}.`,
      `Nobody but the refresh should write entries under this name: find out who did. Then delete it (\`gh cache delete ${plain(entry.key)}\`) and refresh the baseline.`,
      { cause: error },
    );
  }
}

function unfit(error: unknown): string | undefined {
  if (error instanceof UnfitTree) return error.message;
  // Both decompressors name their errors so: Z_DATA_ERROR, Z_BUF_ERROR, ZSTD_error_prefix_unknown.
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^(?:Z_|ZSTD_)/.test(code) ? `it cannot be decompressed (${code})` : undefined;
}

function decompressor(compression: Compression): Transform {
  switch (compression) {
    case 'gzip':
      return zlib.createGunzip();
    case 'zstd-without-long':
      // Node has it since 22.15 and 23.8; the runner's own Node is newer, a terminal's may not be.
      if (typeof zlib.createZstdDecompress !== 'function')
        throw new UserError(
          'store-unavailable',
          `The baseline in the cache is packed with zstd, which this Node (${process.version}) cannot read.`,
          'Use Node 24.',
        );
      return zlib.createZstdDecompress();
  }
}

type Outcome =
  | { readonly kind: 'answer'; readonly entry: CacheEntry | undefined }
  | {
      readonly kind: 'broken';
      readonly happened: string;
      readonly passing: boolean;
      readonly denied: boolean;
      readonly cause: unknown;
    };

function broken(
  happened: string,
  { cause, passing = false, denied = false }: { cause?: unknown; passing?: boolean; denied?: boolean },
): Outcome {
  return { kind: 'broken', happened, passing, denied, cause };
}

const MAX_ANSWER_BYTES = 1024 ** 2;

async function askOnce(
  service: CacheService,
  key: string,
  compression: Compression,
  signal: AbortSignal,
): Promise<Outcome> {
  const version = cacheVersion(compression);
  const { base, token } = service;
  const authorization = `Bearer ${token}`;
  let reply: http.IncomingMessage;
  switch (service.protocol) {
    case 'v1': {
      const url = new URL(
        `${base}_apis/artifactcache/cache?keys=${encodeURIComponent(key)}&version=${version}`,
      );
      const headers = { authorization, accept: 'application/json;api-version=6.0-preview.1' };
      reply = await send(service, url, { headers, signal });
      break;
    }
    case 'v2': {
      const method = 'github.actions.results.api.v1.CacheService/GetCacheEntryDownloadURL';
      const headers = { authorization, 'content-type': 'application/json' };
      const body = JSON.stringify({ key, restore_keys: [key], version });
      reply = await send(service, new URL(`/twirp/${method}`, base), {
        method: 'POST',
        headers,
        body,
        signal,
      });
      break;
    }
  }
  const status = reply.statusCode ?? 0;
  const text = await textOf(reply, MAX_ANSWER_BYTES);
  if (service.protocol === 'v1' && status === 204) return { kind: 'answer', entry: undefined };
  if (status !== 200) {
    const said = messageIn(text);
    const happened = `answered ${status}${said === '' ? '' : ` (${said})`}`;
    return broken(happened, {
      passing: status === 429 || status >= 500,
      denied: status === 401 || status === 403,
    });
  }
  const answer = Answer.safeParse(json(text));
  if (!answer.success)
    return broken('answered with something that no cache service says', { cause: answer.error });
  const { ok, key: matched, url, created } = answer.data;
  if (service.protocol === 'v2' && !ok) return { kind: 'answer', entry: undefined };
  if (matched === undefined || url === undefined || !URL.canParse(url))
    return broken('named an entry without its key or address', {});
  return { kind: 'answer', entry: { key: matched, url, created, compression } };
}

const text = z.string().min(1).optional();

/** v1 and v2 in one. v2 is protobuf's JSON, whose names may come in either spelling and whose defaults are left out. */
const Answer = z
  .object({
    ok: z.boolean().optional(),
    matched_key: text,
    matchedKey: text,
    cacheKey: text,
    signed_download_url: text,
    signedDownloadUrl: text,
    archiveLocation: text,
    creationTime: text,
  })
  .transform((answer) => ({
    ok: answer.ok === true,
    key: answer.matched_key ?? answer.matchedKey ?? answer.cacheKey,
    url: answer.signed_download_url ?? answer.signedDownloadUrl ?? answer.archiveLocation,
    created: answer.creationTime,
  }));

/** The reason in an error's body: twirp says `msg`, v1 `message`, a proxy anything. */
function messageIn(body: string): string {
  const parsed = z
    .object({ msg: z.string().optional(), message: z.string().optional() })
    .safeParse(json(body));
  const said = parsed.success ? (parsed.data.msg ?? parsed.data.message) : undefined;
  return plain(said ?? body.replace(/<[^>]*>/g, ' '), 200);
}

export function json(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

interface Request {
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string | Buffer;
  readonly signal: AbortSignal;
}

/** Follows no redirect, and takes the proxy from the job's environment, as @actions/http-client does. */
export async function send(service: CacheService, url: URL, request: Request): Promise<http.IncomingMessage> {
  const { method = 'GET', headers = {}, body, signal } = request;
  const library = libraryFor(url);
  const agent = new library.Agent({ keepAlive: false, proxyEnv: { ...service.env } });
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const sent = library.request(url, { method, headers, agent, signal });
  sent.once('response', resolve);
  sent.once('error', reject);
  sent.end(body);
  return promise;
}

export async function textOf(reply: http.IncomingMessage, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of reply) {
    length += chunk.length;
    if (length > limit) throw new Error(`answered with more than ${limit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** What happened, as the end of a sentence that begins with the service. */
function reason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  switch (code) {
    case 'ECONNREFUSED':
      return 'refused the connection';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `cannot be found by its name (${code})`;
    case 'ECONNRESET':
    case 'EPIPE':
      return `closed the connection (${code})`;
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `cannot be reached (${code})`;
    default: {
      const message = plain(error instanceof Error ? error.message : String(error));
      return message.startsWith('answered ') ? message : `could not be asked (${message})`;
    }
  }
}

/** An outage is not an absence: nothing is known about the baseline. */
function unavailable(service: CacheService, happened: string, denied: boolean, cause: unknown): UserError {
  return new UserError(
    'store-unavailable',
    `${nameOf(service)} ${happened}.`,
    `Whether there is a baseline is unknown, so this is an error and no verdict. ${remedy(service, denied)}`,
    { cause },
  );
}

export function nameOf({ host, protocol }: CacheService): string {
  return `The cache service at ${host} (protocol ${protocol})`;
}

/** What to do when the service did not do its part. */
export function remedy({ host }: CacheService, denied = false): string {
  const first = denied
    ? "The service did not accept this job's token: re-run the job, and see whether a policy of the organisation, or the event that started this run, forbids caches."
    : `Re-run the job; if it happens again, see https://www.githubstatus.com and whether this runner reaches ${host} (proxy, firewall).`;
  return `${first} Baselines in the repository need no such service: \`baseline: { store: files }\` in the suite.`;
}

export function seconds(ms: number): string {
  return `${ms / 1000} s`;
}

/** What aborts as soon as one of them does. */
export function any(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined));
}
