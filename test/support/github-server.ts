import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import type { CacheServer } from './cache-server.ts';
import { SHAS } from './events.ts';
import {
  type CheckRunState,
  type CommentState,
  type Conversation,
  conversation,
  type PullRequestState,
  type Reply,
} from './github-conversation.ts';
import { ALL_RIGHTS, type Bearer, demand, Refusal, type Right } from './github-rules.ts';
import { type Asked, answerProblem, asked as askedOf, type Routed, route, whole } from './github-schema.ts';

/** The endpoints that this action asks, by GitHub's names for them. */
const ENDPOINTS = {
  'actions/get-actions-cache-list': 'caches',
  'actions/list-artifacts-for-repo': 'artifacts',
  'actions/get-workflow-run': 'run',
  'repos/get-content': 'contents',
  'git/get-commit': 'commit',
  'git/get-ref': 'ref',
  'repos/compare-commits-with-basehead': 'compare',
  'repos/list-pull-requests-associated-with-commit': 'pulls',
  'pulls/list': 'pull-list',
  'pulls/list-commits': 'pull-commits',
  'pulls/get': 'pull',
  'users/get-authenticated': 'user',
  'issues/list-comments': 'comments',
  'issues/create-comment': 'create-comment',
  'issues/update-comment': 'edit-comment',
  'issues/delete-comment': 'delete-comment',
  'checks/list-for-ref': 'check-runs',
  'checks/create': 'create-check-run',
  'checks/update': 'update-check-run',
} as const;
export type Endpoint = (typeof ENDPOINTS)[keyof typeof ENDPOINTS];

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
  /** It is done, and nobody is told. */
  | { readonly kind: 'lost' }
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
  readonly permissions?: readonly Right[];
  /** Whose token it is: `github-actions[bot]`'s, unless told otherwise. */
  readonly login?: string;
  readonly kind?: Bearer['kind'];
  /** Whose other tokens are accepted. */
  readonly others?: readonly Bearer[];
  /** Pull requests that can be commented on: the one of the events, unless told otherwise. */
  readonly pullRequests?: readonly PullRequestState[];
  /** Whose entries are listed. */
  readonly caches?: CacheServer;
  readonly contents?: Contents;
  /** Parents of commits that are written down here; one that is not named has none. */
  readonly parents?: Readonly<Record<string, readonly string[]>>;
  /** Pull requests by commit. */
  readonly pulls?: Readonly<Record<string, readonly Pull[]>>;
  /** Runs of Actions by their id; `from` is the number of the repository that their commit comes from, this one's is 1. */
  readonly runs?: Readonly<
    Record<string, { readonly event: string; readonly head_sha: string; readonly from: number }>
  >;
  /** Commits by the pull request that has them. */
  readonly commits?: Readonly<Record<number, readonly string[]>>;
}

export interface GitHubServer extends AsyncDisposable {
  readonly url: string;
  readonly env: { readonly GITHUB_API_URL: string };
  readonly faults: GitHubFault[];
  /** Method, path and query, in the order of arrival. */
  readonly calls: string[];
  /** Told of each call when it arrives. */
  onCall: (endpoint: Endpoint) => void;
  /** What is there, oldest first. */
  readonly comments: readonly CommentState[];
  readonly checkRuns: readonly CheckRunState[];
  /** Puts a comment there, as somebody wrote it before. */
  comment: Conversation['comment'];
}

/**
 * What this action asks of GitHub's REST API. Each request and each answer is held to GitHub's own description, and what
 * that does not say stands in github-rules.ts: it refuses what GitHub refuses, in its words, be it a missing user
 * agent, another token, a repository that the token may not see, a permission that the workflow does not give, or too
 * much text. Comments and check runs stay; its list of caches is the state of a cache server itself.
 */
export async function startGitHubServer(options: GitHubServerOptions): Promise<GitHubServer> {
  const { repository, token, caches, contents, parents = {}, pulls = {}, runs = {}, commits = {} } = options;
  const { pullRequests = [PULL_REQUEST] } = options;
  const bearers: readonly Bearer[] = [
    {
      token,
      login: options.login ?? 'github-actions[bot]',
      kind: options.kind ?? 'app',
      rights: options.permissions ?? ALL_RIGHTS,
    },
    ...(options.others ?? []),
  ];
  const faults: GitHubFault[] = [];
  const calls: string[] = [];
  const talk = conversation({ repository, pullRequests, isCommit });

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (error instanceof Refusal)
        json(response, error.status, body(error.status, error.message, error.errors));
      // A slip of this server is no outage of GitHub's: nobody tries that again.
      else json(response, 400, body(400, `The test server: ${String(error)}`));
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
    const routed = routeOf(request, url);
    const endpoint = endpointOf(routed);
    self.onCall(endpoint);
    const fault = faults.find(({ at, times }) => at === endpoint && times !== 0);
    if (fault?.times !== undefined) fault.times -= 1;
    if (fault !== undefined && fault.kind !== 'lost') return misbehave(fault, response);
    const bearer = bearerOf(request);
    const told = askedOf(routed, url.searchParams, await jsonOf(request));
    if ('wrong' in told) throw new Refusal(422, `Invalid request.\n\n${told.wrong}`);
    if (endpoint === 'contents') {
      // A repository that the token may not read at all is hidden from it.
      if (!bearer.rights.includes('contents')) throw new Refusal(404, 'Not Found');
      return await giveContents(routed, String(told.query['ref']), request, response);
    }
    const reply = (await talk.answer(routed, told, bearer)) ?? (await read(endpoint, routed, told, bearer));
    if (fault?.kind === 'lost') response.destroy();
    else send(routed, reply, url, told, response);
  }

  function routeOf({ method = 'GET' }: IncomingMessage, { pathname }: URL): Routed {
    const routed = route(method, pathname);
    const { owner, repo } = routed?.path ?? {};
    if (routed === undefined) throw new Refusal(404, 'Not Found');
    if (owner !== undefined && `${owner}/${repo}`.toLowerCase() !== repository.toLowerCase())
      throw new Refusal(404, 'Not Found');
    return routed;
  }

  /** In GitHub's order: who asks, whether there is such a thing for it, whether it may. */
  function bearerOf({ headers }: IncomingMessage): Bearer {
    if (headers['user-agent'] === undefined)
      throw new Refusal(
        403,
        'Request forbidden by administrative rules. Please make sure your request has a User-Agent header.',
      );
    if (headers.authorization === undefined) throw new Refusal(404, 'Not Found');
    const [, given] = /^(?:token|Bearer) (.+)$/.exec(headers.authorization) ?? [];
    const bearer = bearers.find((one) => one.token === given);
    if (bearer === undefined) throw new Refusal(401, 'Bad credentials');
    return bearer;
  }

  /** What is only read, and lies elsewhere. */
  async function read(endpoint: Endpoint, { path }: Routed, told: Asked, bearer: Bearer): Promise<Reply> {
    switch (endpoint) {
      case 'caches':
        demand(bearer, 'actions');
        return { list: entries(told), within: 'actions_caches' };
      case 'artifacts':
        demand(bearer, 'actions');
        return { list: marks(told), within: 'artifacts' };
      case 'run': {
        demand(bearer, 'actions');
        const found = runs[path['run_id'] ?? ''];
        if (found === undefined) throw new Refusal(404, 'Not Found');
        const { from, ...run } = found;
        const value = whole('workflow-run', {
          ...{ ...run, id: Number(path['run_id']) },
          ...{ repository: { id: 1 }, head_repository: { id: from } },
        });
        return { status: 200, value };
      }
      case 'pull-commits': {
        demand(bearer, 'pull-requests');
        const found = commits[Number(path['pull_number'])];
        if (found === undefined) throw new Refusal(404, 'Not Found');
        return { list: found.map((sha) => whole('commit', { sha })) };
      }
      case 'commit': {
        const sha = path['commit_sha'] ?? '';
        if (!bearer.rights.includes('contents') || !(await isCommit(sha)))
          throw new Refusal(404, 'Not Found');
        return { status: 200, value: whole('git-commit', { sha, message: 'a commit' }) };
      }
      case 'ref': {
        const [, name = ''] = /^heads\/(.+)$/.exec(path['ref'] ?? '') ?? [];
        const sha = bearer.rights.includes('contents') ? await tipOf(name) : undefined;
        if (sha === undefined) throw new Refusal(404, 'Not Found');
        return {
          status: 200,
          value: whole('git-ref', { ref: `refs/heads/${name}`, object: { type: 'commit', sha } }),
        };
      }
      case 'compare': {
        const [base = '', head = ''] = (path['basehead'] ?? '').split('...');
        const commits = [base, await commitAt(head)];
        if (!bearer.rights.includes('contents') || !(await Promise.all(commits.map(isCommit))).every(Boolean))
          throw new Refusal(404, 'Not Found');
        const [from = '', to = ''] = commits;
        const [isAhead, isBehind] = [await isAncestor(from, to), await isAncestor(to, from)];
        const status = isAhead ? (isBehind ? 'identical' : 'ahead') : isBehind ? 'behind' : 'diverged';
        // What files changed is on the first page alone.
        const files = Number(told.query['page'] ?? 1) === 1 ? { files: [] } : {};
        return { status: 200, value: whole('commit-comparison', { status, ...files }) };
      }
      case 'pulls': {
        demand(bearer, 'pull-requests');
        const sha = path['commit_sha'] ?? '';
        const found = pulls[sha];
        if (found === undefined) throw new Refusal(422, `No commit found for SHA: ${sha}`);
        return { list: found.map((one) => whole('pull-request-simple', { ...one })) };
      }
      default:
        throw new Error(`nobody answers ${endpoint}`);
    }
  }

  function entries({ query }: Asked): readonly unknown[] {
    const { key = '', ref, sort, direction } = query;
    const sign = direction === 'asc' ? 1 : -1;
    return (caches?.entries ?? [])
      .filter((entry) => entry.key.startsWith(String(key)) && (ref ?? entry.ref) === entry.ref)
      .toSorted((a, b) =>
        sort === 'size_in_bytes'
          ? sign * (a.archive.length - b.archive.length)
          : sign * a.createdAt.localeCompare(b.createdAt),
      )
      .map((entry) => ({
        ...{ id: entry.id, ref: entry.ref, key: entry.key, version: entry.version },
        ...{ last_accessed_at: entry.createdAt, created_at: entry.createdAt },
        size_in_bytes: entry.archive.length,
      }));
  }

  /** Newest first. A fork's lie beside those of the repository. */
  function marks({ query }: Asked): readonly unknown[] {
    return [...(caches?.artifacts ?? [])]
      .reverse()
      .filter(({ name }) => name === query['name'])
      .map(({ id, name, ref, size }) =>
        whole('artifact', {
          ...{ id, name, size_in_bytes: size, expired: true, created_at: '2026-11-23T00:00:00Z' },
          workflow_run: {
            ...{ id, head_sha: SHAS.head, repository_id: 1 },
            // The branch of a stranger's pull request is called as its author likes.
            ...(ref.startsWith('refs/pull/')
              ? { head_branch: 'main', head_repository_id: 2 }
              : { head_branch: ref.replace('refs/heads/', ''), head_repository_id: 1 }),
          },
        }),
      );
  }

  function send(routed: Routed, reply: Reply, url: URL, told: Asked, response: ServerResponse): void {
    if (!('list' in reply) && !('value' in reply)) {
      response.writeHead(reply.status).end();
      return;
    }
    const { status, value } = 'list' in reply ? page(reply, url, told, response) : reply;
    const problem = answerProblem(routed.id, status, value);
    if (problem !== undefined) throw new Error(`an answer of ${routed.id} is none: ${problem}`);
    json(response, status, value);
  }

  async function giveContents(
    { path: { path = '' } }: Routed,
    ref: string,
    { headers }: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (!(await isCommit(ref))) throw new Refusal(404, `No commit found for the ref ${ref}`);
    const found = await fileAt(ref, path);
    if (found === undefined) throw new Refusal(404, 'Not Found');
    if (found === 'folder')
      return json(response, 200, whole('content-directory', [{ type: 'file', name: 'something', path }]));
    if (/\.raw\b/.test(headers.accept ?? '')) {
      response
        .writeHead(200, { 'content-type': 'application/vnd.github.raw+json; charset=utf-8' })
        .end(found);
      return;
    }
    const file = {
      type: 'file',
      encoding: 'base64',
      size: found.length,
      path,
      content: found.toString('base64'),
    };
    json(response, 200, whole('content-file', file));
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

  const commitAt = async (name: string) => ((await isCommit(name)) ? name : ((await tipOf(name)) ?? ''));

  /** Or the commit itself. */
  async function isAncestor(commit: string, of: string): Promise<boolean> {
    if (contents?.kind === 'git') return (await git('merge-base', '--is-ancestor', commit, of)) !== undefined;
    const found = new Set([of]);
    // A set that grows while it is walked.
    for (const one of found) for (const parent of parents[one] ?? []) found.add(parent);
    return found.has(commit);
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
    ...{ comments: talk.comments, checkRuns: talk.checkRuns, comment: talk.comment },
    onCall: () => undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return self;
}

const PULL_REQUEST: PullRequestState = { number: 7, headSha: SHAS.head };

function endpointOf({ id }: Routed): Endpoint {
  const found = Object.entries(ENDPOINTS).find(([operation]) => operation === id)?.[1];
  if (found === undefined) throw new Error(`nobody answers ${id}`);
  return found;
}

/** A body that is no JSON is refused as such; undefined where there is none. */
async function jsonOf(request: IncomingMessage): Promise<unknown> {
  const bytes = await buffer(request);
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new Refusal(400, 'Problems parsing JSON');
  }
}

/** A page of a list, with what leads to the others; more than a hundred at once is a hundred. */
function page(
  { list, within }: Extract<Reply, { readonly list: unknown }>,
  url: URL,
  { query }: Asked,
  response: ServerResponse,
): { readonly status: number; readonly value: unknown } {
  const size = Math.min(Math.max(Number(query['per_page'] ?? 30), 1), 100);
  const number = Math.max(Number(query['page'] ?? 1), 1);
  const last = Math.max(1, Math.ceil(list.length / size));
  const linkTo = (to: number, rel: string) => {
    const target = new URL(url);
    target.searchParams.set('page', String(to));
    return `<${target}>; rel="${rel}"`;
  };
  if (number < last)
    response.setHeader('link', [linkTo(number + 1, 'next'), linkTo(last, 'last')].join(', '));
  const shown = list.slice((number - 1) * size, number * size);
  return { status: 200, value: within === undefined ? shown : { total_count: list.length, [within]: shown } };
}

function misbehave(fault: Exclude<GitHubFault, { readonly kind: 'lost' }>, response: ServerResponse): void {
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

const body = (status: number, message: string, errors: readonly string[] = []) => ({
  message,
  ...(errors.length === 0
    ? {}
    : {
        errors: errors.map((one) => ({
          resource: 'any',
          code: 'unprocessable',
          field: 'data',
          message: one,
        })),
      }),
  documentation_url: 'https://docs.github.com/rest',
  status: String(status),
});

function json(response: ServerResponse, status: number, value: unknown): void {
  response
    .writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
    .end(JSON.stringify(value));
}
