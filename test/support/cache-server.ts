import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { z } from 'zod';

const CREATE = 'CreateCacheEntry';
const FINALIZE = 'FinalizeCacheEntryUpload';
const LOOK_UP = 'GetCacheEntryDownloadURL';
type Method = typeof CREATE | typeof FINALIZE | typeof LOOK_UP;
type Step = Method | 'download';

/** What goes wrong at one step; `times` is how often, for ever if left out. */
export type Fault = { readonly at: Step; times?: number } & (
  | { readonly kind: 'status'; readonly status: number; readonly message: string }
  | { readonly kind: 'page'; readonly html: string }
  | { readonly kind: 'silence' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'cut-short' }
  | { readonly kind: 'lost' }
);

export interface StoredEntry {
  readonly key: string;
  readonly version: string;
  readonly archive: Buffer;
}

export interface CacheServer extends AsyncDisposable {
  /** What the runner would export, for this server. */
  readonly env: Readonly<Record<string, string>>;
  readonly host: string;
  /** Oldest first. A test may put its own archives here. */
  readonly entries: StoredEntry[];
  readonly faults: Fault[];
  /** `CreateCacheEntry`, `PUT block`, `download`, …, in the order of arrival. */
  readonly calls: string[];
  /** Told of each call when it arrives. */
  onCall: (call: string) => void;
}

interface Upload {
  readonly key: string;
  readonly version: string;
  readonly blocks: Map<string, Buffer>;
  archive: Buffer | undefined;
}

/**
 * The Actions cache service, protocol v2, as far as one repository with one scope sees it: JSON twirp and a blob store
 * behind signed URLs, after the generated client of @actions/cache 6.3.0 and the Put Blob, Put Block and Put Block List
 * operations of Azure. It refuses what the real one refuses: a wrong path, method, token or signature, unknown
 * fields, a second entry under a key and version, a size that is not what was uploaded.
 */
export async function startCacheServer(): Promise<CacheServer> {
  const token = randomBytes(24).toString('base64url');
  const signature = randomBytes(24).toString('base64url');
  const entries: StoredEntry[] = [];
  const faults: Fault[] = [];
  const calls: string[] = [];
  const uploads = new Map<string, Upload>();

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (error instanceof Refusal) reply(response, error.status, { code: error.code, msg: error.message });
      else response.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const host = `127.0.0.1:${address.port}`;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', `http://${host}`);
    const method = /^\/twirp\/github\.actions\.results\.api\.v1\.CacheService\/(\w+)$/.exec(
      url.pathname,
    )?.[1];
    if (method === CREATE || method === FINALIZE || method === LOOK_UP) {
      if (request.method !== 'POST') throw new Refusal(405, 'bad_route', `no ${request.method} here`);
      if (request.headers.authorization !== `Bearer ${token}`)
        throw new Refusal(401, 'unauthenticated', 'no valid token');
      if (!/^application\/json/.test(request.headers['content-type'] ?? ''))
        throw new Refusal(404, 'bad_route', 'unexpected Content-Type');
      const body: unknown = JSON.parse((await buffer(request)).toString('utf8'));
      arrived(method);
      const fault = take(method);
      if (fault !== undefined && misbehave(fault, response)) return;
      return reply(response, 200, twirp(method, body, fault?.kind === 'lost'));
    }
    const name = /^\/account\/caches\/([0-9a-f-]+)$/.exec(url.pathname)?.[1];
    if (name === undefined) throw new Refusal(404, 'bad_route', `no handler for ${url.pathname}`);
    if (url.searchParams.get('sig') !== signature)
      throw new Refusal(403, 'AuthenticationFailed', 'wrong signature');
    if (request.headers.authorization !== undefined)
      throw new Refusal(400, 'InvalidAuthenticationInfo', 'signed and with a token');
    if (request.method === 'GET') {
      arrived('download');
      const archive = entries[Number.parseInt(name, 16)]?.archive;
      if (archive === undefined) throw new Refusal(404, 'BlobNotFound', name);
      const fault = take('download');
      if (fault?.kind === 'cut-short') {
        response.writeHead(200, { 'content-length': archive.length });
        response.write(archive.subarray(0, archive.length / 2), () => response.destroy());
        return;
      }
      if (fault !== undefined && misbehave(fault, response)) return;
      response.writeHead(200, { 'content-length': archive.length }).end(archive);
      return;
    }
    const upload = uploads.get(name);
    if (request.method !== 'PUT' || upload === undefined) throw new Refusal(404, 'ContainerNotFound', name);
    put(upload, url, request.headers['x-ms-blob-type'], await buffer(request));
    response.writeHead(201, { etag: '"0x1"', 'last-modified': new Date(0).toUTCString() }).end();
  }

  function put(upload: Upload, url: URL, type: string | string[] | undefined, content: Buffer): void {
    const operation = url.searchParams.get('comp');
    arrived(`PUT ${operation ?? 'blob'}`);
    switch (operation) {
      case null:
        if (type !== 'BlockBlob') throw new Refusal(400, 'MissingRequiredHeader', 'x-ms-blob-type');
        upload.archive = content;
        return;
      case 'block':
        upload.blocks.set(url.searchParams.get('blockid') ?? '', content);
        return;
      case 'blocklist':
        upload.archive = Buffer.concat(
          [...content.toString('utf8').matchAll(/<Latest>([^<]*)<\/Latest>/g)].map(([, id = '']) => {
            const block = upload.blocks.get(id);
            if (block === undefined) throw new Refusal(400, 'InvalidBlockList', id);
            return block;
          }),
        );
        return;
      default:
        throw new Refusal(400, 'InvalidQueryParameterValue', operation);
    }
  }

  function twirp(method: Method, body: unknown, isLost: boolean): object {
    switch (method) {
      case CREATE: {
        const { key, version } = parse(Create, body);
        if (entries.some((entry) => entry.key === key && entry.version === version))
          throw new Refusal(
            409,
            'already_exists',
            'cache entry with the same key, version, and scope already exists',
          );
        const id = randomUUID();
        uploads.set(id, { key, version, blocks: new Map(), archive: undefined });
        return { ok: true, signed_upload_url: `http://${host}/account/caches/${id}?sig=${signature}` };
      }
      case FINALIZE: {
        const { key, version, size_bytes } = parse(Finalize, body);
        for (const [id, upload] of uploads) {
          if (upload.key !== key || upload.version !== version || upload.archive === undefined) continue;
          if (String(upload.archive.length) !== size_bytes)
            throw new Refusal(
              400,
              'invalid_argument',
              `${upload.archive.length} bytes are not ${size_bytes}`,
            );
          uploads.delete(id);
          if (!isLost) entries.push({ key, version, archive: upload.archive });
          return { ok: true, entry_id: String(1000 + entries.length) };
        }
        throw new Refusal(404, 'not_found', 'no such upload');
      }
      case LOOK_UP: {
        const { key, restore_keys, version } = parse(LookUp, body);
        for (const wanted of [key, ...restore_keys]) {
          const index = entries.findLastIndex(
            (entry) => entry.version === version && entry.key.startsWith(wanted),
          );
          const entry = entries[index];
          if (entry === undefined) continue;
          const url = `http://${host}/account/caches/${index.toString(16)}?sig=${signature}`;
          return { ok: true, signed_download_url: url, matched_key: entry.key };
        }
        return { ok: false };
      }
    }
  }

  function arrived(call: string): void {
    calls.push(call);
    self.onCall(call);
  }

  function take(step: Step): Fault | undefined {
    const fault = faults.find(({ at, times }) => at === step && times !== 0);
    if (fault?.times !== undefined) fault.times -= 1;
    return fault;
  }

  const self: CacheServer = {
    env: {
      ACTIONS_CACHE_SERVICE_V2: 'True',
      ACTIONS_RESULTS_URL: `http://${host}/`,
      ACTIONS_RUNTIME_TOKEN: token,
      GITHUB_SERVER_URL: 'https://github.com',
    },
    ...{ host, entries, faults, calls },
    onCall: () => undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return self;
}

/** False when the step is to go on as if nothing were wrong. */
function misbehave(fault: Fault, response: ServerResponse): boolean {
  switch (fault.kind) {
    case 'status':
      reply(response, fault.status, { code: 'some_code', msg: fault.message });
      return true;
    case 'page':
      response.writeHead(200, { 'content-type': 'text/html' }).end(fault.html);
      return true;
    case 'silence':
      return true;
    case 'reset':
      response.destroy();
      return true;
    case 'cut-short':
    case 'lost':
      return false;
  }
}

const key = z
  .string()
  .min(1)
  .max(512)
  .regex(/^[^,]+$/);
const version = z.string().regex(/^[0-9a-f]{64}$/);
const Create = z.strictObject({ key, version });
const Finalize = z.strictObject({ key, version, size_bytes: z.string() });
const LookUp = z.strictObject({ key, version, restore_keys: z.array(key).max(9).default([]) });

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (!result.success) throw new Refusal(400, 'invalid_argument', result.error.message);
  return result.data;
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
