import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { CacheServer } from './cache-server.ts';

/** The endpoints that this action asks. */
type Endpoint = 'caches' | 'contents' | 'commit' | 'ref' | 'pulls';

/** What goes wrong at one endpoint; `times` is how often, for ever if left out. */
export type GitHubFault = { readonly at: Endpoint; times?: number } & (
  | { readonly kind: 'status'; readonly status: number; readonly message: string }
  | { readonly kind: 'secondary-limit'; readonly status: 403 | 429; readonly retryAfter: number }
  | { readonly kind: 'primary-limit'; readonly message: string }
  | { readonly kind: 'page'; readonly status: number; readonly html: string }
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'elsewhere'; readonly location: string }
  | { readonly kind: 'silence' }
  | { readonly kind: 'reset' }
);

export interface Pull {
  readonly number: number;
  readonly merged_at: string | null;
  readonly merge_commit_sha: string | null;
}

/** Files of commits: written down here, by commit and path, or those of a real repository's folder. */
export type Contents =
  | {
      readonly kind: 'commits';
      readonly commits: Readonly<Record<string, Readonly<Record<string, string | Buffer>>>>;
      /** Branch -> commit; `main` is at the last one unless told otherwise. */
      readonly heads?: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'git'; readonly folder: string };

export interface GitHubServerOptions {
  /** `owner/name`. */
  readonly repository: string;
  /** The job's token: no other is accepted. */
  readonly token: string;
  /** What the workflow's `permissions:` give it; all, unless told otherwise. */
  readonly permissions?: readonly ('actions' | 'contents' | 'pull-requests')[];
  /** Whose entries are listed. */
  readonly caches?: CacheServer;
  readonly contents?: Contents;
  /** Pull requests by commit. */
  readonly pulls?: Readonly<Record<string, readonly Pull[]>>;
}

export interface GitHubServer extends AsyncDisposable {
  readonly url: string;
  readonly env: { readonly GITHUB_API_URL: string };
  readonly faults: GitHubFault[];
  /** Method, path and query, in the order of arrival. */
  readonly calls: string[];
  /** Told of each call when it arrives. */
  onCall: (endpoint: Endpoint) => void;
}

/**
 * What this action asks of GitHub's REST API, after GitHub's OpenAPI description. It refuses what GitHub refuses, in
 * its words: a missing user agent, another token, a repository that the token may not see, a permission that the
 * workflow does not give. Its list of caches is the state of a cache server itself.
 */
export async function startGitHubServer(options: GitHubServerOptions): Promise<GitHubServer> {
  const { repository, token, caches, contents, pulls = {} } = options;
  const permissions = options.permissions ?? ['actions', 'contents', 'pull-requests'];
  const faults: GitHubFault[] = [];
  const calls: string[] = [];

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (error instanceof Refusal) json(response, error.status, body(error.status, error.message));
      else response.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const base = `http://127.0.0.1:${address.port}`;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', base);
    calls.push(`${request.method} ${url.pathname}${url.search}`);
    const { endpoint, name } = route(url);
    self.onCall(endpoint);
    const fault = faults.find(({ at, times }) => at === endpoint && times !== 0);
    if (fault?.times !== undefined) fault.times -= 1;
    if (fault !== undefined) return misbehave(fault, response);
    admit(request, endpoint);
    switch (endpoint) {
      case 'caches':
        return listCaches(url, response);
      case 'contents':
        return await giveContents(name, url.searchParams.get('ref'), request, response);
      case 'commit':
        if (!(await isCommit(name))) throw new Refusal(404, 'Not Found');
        return json(response, 200, { sha: name, message: 'a commit' });
      case 'ref': {
        const sha = await tipOf(name);
        if (sha === undefined) throw new Refusal(404, 'Not Found');
        return json(response, 200, { ref: `refs/heads/${name}`, object: { type: 'commit', sha } });
      }
      case 'pulls': {
        const found = pulls[name];
        if (found === undefined) throw new Refusal(422, `No commit found for SHA: ${name}`);
        return json(response, 200, found);
      }
    }
  }

  function route(url: URL): { readonly endpoint: Endpoint; readonly name: string } {
    const [, owner, repo, rest = ''] = /^\/repos\/([^/]+)\/([^/]+)\/(.*)$/.exec(url.pathname) ?? [];
    if (`${owner}/${repo}`.toLowerCase() !== repository.toLowerCase()) throw new Refusal(404, 'Not Found');
    if (rest === 'actions/caches') return { endpoint: 'caches', name: '' };
    for (const [endpoint, form] of [
      ['contents', /^contents\/(.+)$/],
      ['commit', /^git\/commits\/([0-9a-f]{40})$/],
      ['ref', /^git\/ref\/heads(?:\/|%2F)(.+)$/i],
      ['pulls', /^commits\/([0-9a-f]{40})\/pulls$/],
    ] as const) {
      const name = form.exec(rest)?.[1];
      if (name !== undefined) return { endpoint, name: decodeURIComponent(name) };
    }
    throw new Refusal(404, 'Not Found');
  }

  /** In GitHub's order: who asks, whether there is such a thing for it, whether it may. */
  function admit({ method, headers }: IncomingMessage, endpoint: Endpoint): void {
    if (headers['user-agent'] === undefined)
      throw new Refusal(
        403,
        'Request forbidden by administrative rules. Please make sure your request has a User-Agent header.',
      );
    if (headers.authorization === undefined) throw new Refusal(404, 'Not Found');
    if (![`token ${token}`, `Bearer ${token}`].includes(headers.authorization))
      throw new Refusal(401, 'Bad credentials');
    if (method !== 'GET') throw new Refusal(404, 'Not Found');
    const needed = NEEDED[endpoint];
    // A repository that the token may not read at all is hidden from it.
    if (needed === 'contents' && !permissions.includes('contents')) throw new Refusal(404, 'Not Found');
    if (!permissions.includes(needed)) throw new Refusal(403, 'Resource not accessible by integration');
  }

  function listCaches(url: URL, response: ServerResponse): void {
    const { key, ref, page, per_page, sort, direction } = parse(ListQuery, url);
    const sign = direction === 'asc' ? 1 : -1;
    const all = (caches?.entries ?? [])
      .filter((entry) => entry.key.startsWith(key) && (ref ?? entry.ref) === entry.ref)
      .toSorted((a, b) =>
        sort === 'size_in_bytes'
          ? sign * (a.archive.length - b.archive.length)
          : sign * a.createdAt.localeCompare(b.createdAt),
      );
    const size = Math.min(per_page, 100);
    const last = Math.max(1, Math.ceil(all.length / size));
    const linkTo = (to: number, rel: string) => {
      const target = new URL(url);
      target.searchParams.set('page', String(to));
      return `<${target}>; rel="${rel}"`;
    };
    if (page < last) response.setHeader('link', [linkTo(page + 1, 'next'), linkTo(last, 'last')].join(', '));
    json(response, 200, {
      total_count: all.length,
      actions_caches: all.slice((page - 1) * size, page * size).map((entry) => ({
        ...{ id: entry.id, ref: entry.ref, key: entry.key, version: entry.version },
        ...{ last_accessed_at: entry.createdAt, created_at: entry.createdAt },
        size_in_bytes: entry.archive.length,
      })),
    });
  }

  async function giveContents(
    path: string,
    ref: string | null,
    { headers }: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (ref === null || !(await isCommit(ref))) throw new Refusal(404, `No commit found for the ref ${ref}`);
    const found = await fileAt(ref, path);
    if (found === undefined) throw new Refusal(404, 'Not Found');
    if (found === 'folder') return json(response, 200, [{ type: 'file', name: 'something', path }]);
    if (/\.raw\b/.test(headers.accept ?? '')) {
      response
        .writeHead(200, { 'content-type': 'application/vnd.github.raw+json; charset=utf-8' })
        .end(found);
      return;
    }
    json(response, 200, {
      type: 'file',
      encoding: 'base64',
      size: found.length,
      path,
      content: found.toString('base64'),
    });
  }

  async function isCommit(sha: string): Promise<boolean> {
    switch (contents?.kind) {
      case undefined:
        return false;
      case 'commits':
        return Object.hasOwn(contents.commits, sha);
      case 'git':
        return (await git('cat-file', '-t', sha))?.toString('utf8').trim() === 'commit';
    }
  }

  async function tipOf(branch: string): Promise<string | undefined> {
    switch (contents?.kind) {
      case undefined:
        return undefined;
      case 'commits': {
        const { commits, heads } = contents;
        const all: Readonly<Record<string, string | undefined>> = heads ?? {
          main: Object.keys(commits).at(-1),
        };
        return all[branch];
      }
      case 'git':
        return (await git('rev-parse', '--verify', `refs/heads/${branch}`))?.toString('utf8').trim();
    }
  }

  async function fileAt(sha: string, path: string): Promise<Buffer | 'folder' | undefined> {
    switch (contents?.kind) {
      case undefined:
        return undefined;
      case 'commits': {
        const files = contents.commits[sha] ?? {};
        const file = files[path];
        if (file !== undefined) return Buffer.from(file);
        return Object.keys(files).some((other) => other.startsWith(`${path}/`)) ? 'folder' : undefined;
      }
      case 'git': {
        const kind = (await git('cat-file', '-t', `${sha}:${path}`))?.toString('utf8').trim();
        return kind === 'tree'
          ? 'folder'
          : kind === 'blob'
            ? await git('cat-file', 'blob', `${sha}:${path}`)
            : undefined;
      }
    }
  }

  async function git(...args: readonly string[]): Promise<Buffer | undefined> {
    if (contents?.kind !== 'git') return undefined;
    const command = ['-C', contents.folder, ...args];
    return await promisify(execFile)('git', command, { encoding: 'buffer', maxBuffer: 2 ** 26 }).then(
      ({ stdout }) => stdout,
      () => undefined,
    );
  }

  const self: GitHubServer = {
    ...{ url: base, env: { GITHUB_API_URL: base }, faults, calls },
    onCall: () => undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return self;
}

const NEEDED = {
  caches: 'actions',
  contents: 'contents',
  commit: 'contents',
  ref: 'contents',
  pulls: 'pull-requests',
} as const satisfies Record<Endpoint, string>;

function misbehave(fault: GitHubFault, response: ServerResponse): void {
  switch (fault.kind) {
    case 'status':
      json(response, fault.status, body(fault.status, fault.message));
      return;
    case 'secondary-limit':
      response.setHeader('retry-after', fault.retryAfter);
      json(
        response,
        fault.status,
        body(
          fault.status,
          'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.',
        ),
      );
      return;
    case 'primary-limit':
      response.setHeader('x-ratelimit-remaining', '0');
      response.setHeader('x-ratelimit-reset', '4102444800');
      json(response, 403, body(403, fault.message));
      return;
    case 'page':
      response.writeHead(fault.status, { 'content-type': 'text/html' }).end(fault.html);
      return;
    case 'json':
      json(response, 200, fault.value);
      return;
    case 'elsewhere':
      response.writeHead(301, { location: fault.location }).end();
      return;
    case 'silence':
      return;
    case 'reset':
      response.destroy();
      return;
  }
}

const whole = z.string().regex(/^\d+$/).transform(Number);
const ListQuery = z.strictObject({
  key: z.string().default(''),
  ref: z.string().optional(),
  page: whole.default(1),
  per_page: whole.default(30),
  sort: z.enum(['created_at', 'last_accessed_at', 'size_in_bytes']).default('last_accessed_at'),
  direction: z.enum(['asc', 'desc']).default('desc'),
});

function parse<T>(schema: z.ZodType<T>, url: URL): T {
  const result = schema.safeParse(Object.fromEntries(url.searchParams));
  if (!result.success) throw new Refusal(422, 'Validation Failed');
  return result.data;
}

class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const body = (status: number, message: string) => ({
  message,
  documentation_url: 'https://docs.github.com/rest',
  status: String(status),
});

function json(response: ServerResponse, status: number, value: unknown): void {
  response
    .writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
    .end(JSON.stringify(value));
}
