import { createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { z } from 'zod';

const CREATE = 'CreateCacheEntry';
const FINALIZE = 'FinalizeCacheEntryUpload';
const LOOK_UP = 'GetCacheEntryDownloadURL';
type Method = typeof CREATE | typeof FINALIZE | typeof LOOK_UP;
const MAKE = 'CreateArtifact';
const END = 'FinalizeArtifact';
type Step = Method | typeof MAKE | typeof END | 'download';

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
  readonly id: number;
  readonly key: string;
  readonly version: string;
  /** Its scope: the branch or pull request whose run made it. */
  readonly ref: string;
  readonly createdAt: string;
  readonly archive: Buffer;
}

export interface StoredArtifact {
  readonly id: number;
  readonly name: string;
  /** Of the run that made it. */
  readonly ref: string;
  readonly size: number;
}

/** On the default branch unless told otherwise. */
export type Put = Pick<StoredEntry, 'key' | 'version' | 'archive'> & Partial<Pick<StoredEntry, 'ref'>>;

/** What decides what a job's token may do. */
export interface CacheJob {
  /** `GITHUB_REF`: what the job reads first, and the only scope that it writes. */
  readonly ref: string;
  /** Of a pull request. */
  readonly base?: string;
  readonly default?: string;
  /** `read` for events that outsiders can start, `none` where a policy forbids caches. */
  readonly permission?: 'write' | 'read' | 'none';
}

export interface CacheServer extends AsyncDisposable {
  /** What the runner would export to a job on the default branch, `refs/heads/main`. */
  readonly env: Readonly<Record<string, string>>;
  readonly host: string;
  /** What the runner would export to this job. */
  job(job: CacheJob): Readonly<Record<string, string>>;
  /** Oldest first. */
  readonly entries: readonly StoredEntry[];
  /** Stores what no client would make. */
  put(entry: Put): StoredEntry;
  /** As after 7 days without use, or as `gh cache delete`: everything with this key, or what lies on one ref. */
  evict(key: string, ref?: string): void;
  /** Whole artifacts, oldest first: what a cache that is full does not push out. */
  readonly artifacts: readonly StoredArtifact[];
  readonly faults: Fault[];
  /** `CreateCacheEntry`, `PUT block`, `download`, …, in the order of arrival. */
  readonly calls: string[];
  /** Told of each call when it arrives. */
  onCall: (call: string) => void;
}

interface Upload {
  readonly key: string;
  readonly version: string;
  readonly ref: string;
  readonly blocks: Map<string, Buffer>;
  archive: Buffer | undefined;
}

const MAIN = 'refs/heads/main';
const READ = 1;
const WRITE = 2;

/** The claim `ac` of a job's token: a JSON text in the JSON of its payload. */
const Claim = z.object({ ac: z.string(), scp: z.string() });
const Scopes = z.array(z.strictObject({ Scope: z.string(), Permission: z.number().int().min(0).max(3) }));
type Scopes = z.infer<typeof Scopes>;

/**
 * The Actions cache service of one repository, protocol v2: JSON twirp and a blob store behind signed URLs, after the
 * generated client of @actions/cache 6.3.0 and the Put Blob, Put Block and Put Block List operations of Azure. It
 * refuses what the real one refuses: a wrong path, method, token or signature, unknown fields, a scope that the token
 * does not name, a second entry of a scope, key and version, a size that is not what was uploaded.
 *
 * A lookup goes through the token's scopes in their order (own ref, base, default branch) and in each takes the very
 * key first, then the newest that begins with it.
 */
export async function startCacheServer(): Promise<CacheServer> {
  const secret = randomBytes(24);
  const signature = randomBytes(24).toString('base64url');
  const entries: StoredEntry[] = [];
  const faults: Fault[] = [];
  const calls: string[] = [];
  const uploads = new Map<string, Upload>();
  const artifacts: StoredArtifact[] = [];
  /** By run and name. */
  const begun = new Map<string, { readonly ref: string; size: number }>();
  let made = 0;
  let tokens = 0;

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
      const scopes = scopesIn(request.headers.authorization);
      if (!/^application\/json/.test(request.headers['content-type'] ?? ''))
        throw new Refusal(404, 'bad_route', 'unexpected Content-Type');
      const body: unknown = JSON.parse((await buffer(request)).toString('utf8'));
      arrived(method);
      const fault = take(method);
      if (fault !== undefined && misbehave(fault, response)) return;
      return reply(response, 200, twirp(method, body, scopes, fault?.kind === 'lost'));
    }
    const told = /^\/twirp\/github\.actions\.results\.api\.v1\.ArtifactService\/(\w+)$/.exec(
      url.pathname,
    )?.[1];
    if (told === MAKE || told === END) {
      const body: unknown = JSON.parse((await buffer(request)).toString('utf8'));
      const fault = take(told);
      if (fault !== undefined && misbehave(fault, response)) return;
      return reply(response, 200, artifact(body, request.headers.authorization));
    }
    const artifactName = /^\/account\/artifacts\/(.+)$/.exec(url.pathname)?.[1];
    if (artifactName !== undefined) {
      const upload = begun.get(decodeURIComponent(artifactName));
      if (upload === undefined || url.searchParams.get('sig') !== signature)
        throw new Refusal(403, 'AuthenticationFailed', 'wrong signature');
      if (request.headers['x-ms-blob-type'] !== 'BlockBlob')
        throw new Refusal(400, 'MissingRequiredHeader', 'x-ms-blob-type');
      upload.size = (await buffer(request)).length;
      response.writeHead(201).end();
      return;
    }
    const name = /^\/account\/caches\/([0-9a-f-]+)$/.exec(url.pathname)?.[1];
    if (name === undefined) throw new Refusal(404, 'bad_route', `no handler for ${url.pathname}`);
    if (url.searchParams.get('sig') !== signature)
      throw new Refusal(403, 'AuthenticationFailed', 'wrong signature');
    if (request.headers.authorization !== undefined)
      throw new Refusal(400, 'InvalidAuthenticationInfo', 'signed and with a token');
    if (request.method === 'GET') {
      arrived('download');
      const archive = entries.find(({ id }) => id.toString(16) === name)?.archive;
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
    receive(upload, url, request.headers['x-ms-blob-type'], await buffer(request));
    response.writeHead(201, { etag: '"0x1"', 'last-modified': new Date(0).toUTCString() }).end();
  }

  function receive(upload: Upload, url: URL, type: string | string[] | undefined, content: Buffer): void {
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

  /** After the generated client of @actions/artifact 4: a name once in a run, and only for one's own run and job. */
  function artifact(body: unknown, authorization: string | undefined): object {
    const [scope] = scopesIn(authorization);
    const asked = parse(Artifact, body);
    const own = `Actions.Results:${asked.workflow_run_backend_id}:${asked.workflow_job_run_backend_id}`;
    if (scope === undefined || claimsIn(authorization).scp !== `Actions.GenericRead:x ${own}`)
      throw new Refusal(403, 'permission_denied', 'of another run');
    const id = `${asked.workflow_run_backend_id}/${asked.name}`;
    if ('version' in asked) {
      if (begun.has(id))
        throw new Refusal(409, 'already_exists', 'an artifact with this name already exists');
      begun.set(id, { ref: scope.Scope, size: -1 });
      return {
        ok: true,
        signed_upload_url: `http://${host}/account/artifacts/${encodeURIComponent(id)}?sig=${signature}`,
      };
    }
    const upload = begun.get(id);
    if (upload === undefined || String(upload.size) !== asked.size)
      throw new Refusal(400, 'invalid_argument', `${upload?.size} bytes are not ${asked.size}`);
    artifacts.push({ id: artifacts.length + 1, name: asked.name, ...upload });
    return { ok: true, artifact_id: String(artifacts.length) };
  }

  function twirp(method: Method, body: unknown, scopes: Scopes, isLost: boolean): object {
    switch (method) {
      case CREATE: {
        const { key, version } = parse(Create, body);
        const ref = writable(scopes);
        const isThere = (other: Pick<StoredEntry, 'key' | 'version' | 'ref'>) =>
          other.key === key && other.version === version && other.ref === ref;
        if (entries.some(isThere) || [...uploads.values()].some(isThere))
          throw new Refusal(
            409,
            'already_exists',
            'cache entry with the same key, version, and scope already exists',
          );
        const id = randomUUID();
        uploads.set(id, { key, version, ref, blocks: new Map(), archive: undefined });
        return { ok: true, signed_upload_url: `http://${host}/account/caches/${id}?sig=${signature}` };
      }
      case FINALIZE: {
        const { key, version, size_bytes } = parse(Finalize, body);
        const ref = writable(scopes);
        for (const [id, upload] of uploads) {
          if (upload.key !== key || upload.version !== version || upload.ref !== ref) continue;
          const { archive } = upload;
          if (archive === undefined) continue;
          if (String(archive.length) !== size_bytes)
            throw new Refusal(400, 'invalid_argument', `${archive.length} bytes are not ${size_bytes}`);
          uploads.delete(id);
          const entry = isLost ? undefined : put({ key, version, ref, archive });
          return { ok: true, entry_id: String(entry?.id ?? 0) };
        }
        throw new Refusal(404, 'not_found', 'no such upload');
      }
      case LOOK_UP: {
        const { key, restore_keys, version } = parse(LookUp, body);
        const readable = scopes.filter(({ Permission }) => (Permission & READ) !== 0);
        if (readable.length === 0)
          throw new Refusal(403, 'permission_denied', 'cache read denied: no readable scopes');
        for (const { Scope } of readable)
          for (const wanted of [key, ...restore_keys]) {
            const near = entries.filter(
              (entry) => entry.ref === Scope && entry.version === version && entry.key.startsWith(wanted),
            );
            const entry = near.find((one) => one.key === wanted) ?? near.at(-1);
            if (entry === undefined) continue;
            const url = `http://${host}/account/caches/${entry.id.toString(16)}?sig=${signature}`;
            return { ok: true, signed_download_url: url, matched_key: entry.key };
          }
        return { ok: false };
      }
    }
  }

  function put({ ref = MAIN, ...entry }: Put): StoredEntry {
    made += 1;
    // A clock of its own: each entry is a second younger than the last one.
    const createdAt = new Date(Date.UTC(2026, 10, 23, 4) + made * 1000).toISOString();
    const stored = { id: 1000 + made, ...entry, ref, createdAt };
    entries.push(stored);
    return stored;
  }

  function tokenOf({ ref, base, default: main, permission = 'write' }: CacheJob): string {
    const own = { write: READ | WRITE, read: READ, none: 0 }[permission];
    const others = [base, main].filter((scope) => scope !== undefined && scope !== ref);
    const scopes = [
      { Scope: ref, Permission: own },
      ...others.map((Scope) => ({ Scope, Permission: own & READ })),
    ];
    tokens += 1;
    const scp = `Actions.GenericRead:x Actions.Results:run-${tokens}:job-${tokens}`;
    const parts = [
      { alg: 'HS256', typ: 'JWT' },
      { ac: JSON.stringify(scopes), scp },
    ];
    const unsigned = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${unsigned}.${sign(unsigned)}`;
  }

  function scopesIn(authorization: string | undefined): Scopes {
    const [, unsigned = '', signed = ''] =
      /^Bearer ([\w-]+\.[\w-]+)\.([\w-]+)$/.exec(authorization ?? '') ?? [];
    const expected = Buffer.from(sign(unsigned));
    if (signed.length !== expected.length || !timingSafeEqual(Buffer.from(signed), expected))
      throw new Refusal(401, 'unauthenticated', 'no valid token');
    return Scopes.parse(JSON.parse(claimsIn(authorization).ac));
  }

  function claimsIn(authorization: string | undefined): z.infer<typeof Claim> {
    const payload = authorization?.split('.')[1] ?? '';
    return Claim.parse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')));
  }

  function sign(unsigned: string): string {
    return createHmac('sha256', secret).update(unsigned).digest('base64url');
  }

  function jobEnv(job: CacheJob): Record<string, string> {
    return {
      ACTIONS_CACHE_SERVICE_V2: 'True',
      ACTIONS_RESULTS_URL: `http://${host}/`,
      ACTIONS_RUNTIME_TOKEN: tokenOf(job),
      GITHUB_SERVER_URL: 'https://github.com',
    };
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
    env: jobEnv({ ref: MAIN }),
    job: jobEnv,
    ...{ host, entries, artifacts, faults, calls, put },
    evict(key, ref) {
      for (const entry of entries.filter((one) => one.key === key && (ref ?? one.ref) === one.ref))
        entries.splice(entries.indexOf(entry), 1);
    },
    onCall: () => undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return self;
}

/** Twirp's names of statuses. */
const CODES: Readonly<Record<number, string>> = {
  400: 'invalid_argument',
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'not_found',
  409: 'already_exists',
  429: 'resource_exhausted',
  500: 'internal',
  503: 'unavailable',
};

/** The scope that a token may write, which is one at most. */
function writable(scopes: Scopes): string {
  const scope = scopes.find(({ Permission }) => (Permission & WRITE) !== 0)?.Scope;
  if (scope === undefined)
    throw new Refusal(403, 'permission_denied', 'cache write denied: no writable scopes');
  return scope;
}

/** False when the step is to go on as if nothing were wrong. */
function misbehave(fault: Fault, response: ServerResponse): boolean {
  switch (fault.kind) {
    case 'status':
      reply(response, fault.status, { code: CODES[fault.status] ?? 'unknown', msg: fault.message });
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
const ofRun = {
  workflow_run_backend_id: z.string(),
  workflow_job_run_backend_id: z.string(),
  name: z.string(),
};
const Artifact = z.union([
  z.strictObject({ ...ofRun, version: z.literal(4) }),
  z.strictObject({ ...ofRun, size: z.string(), hash: z.string().regex(/^sha256:[0-9a-f]{64}$/) }),
]);
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
