import http from 'node:http';
import https from 'node:https';
import { buffer } from 'node:stream/consumers';
import { ReadableStream } from 'node:stream/web';
import { z } from 'zod';
import type { CacheListing, ListedEntry } from '../baseline/store.ts';
import { UserError } from '../errors.ts';
import { logLine } from '../report/inert.ts';

/** What this action asks GitHub's REST API. It only reads. */
export interface GitHubApi extends CacheListing {
  /**
   * UTF-8 text of a file at a commit; undefined where that commit has no such file.
   * @throws UserError `github-unavailable`
   */
  fileAt(path: string, commit: string): Promise<string | undefined>;
  /**
   * Commit that a branch of this repository is at.
   * @throws UserError `github-unavailable`, also where there is no such branch
   */
  tipOf(branch: string): Promise<string>;
  /**
   * Number of the merged pull request that brought a commit; undefined when GitHub knows none or may not tell.
   * @throws UserError `github-unavailable`
   */
  pullRequestOf(commit: string): Promise<number | undefined>;
}

export interface GitHubApiOptions {
  /** `GITHUB_API_URL`. */
  readonly url: string;
  /** `owner/name`; empty where nobody knows it, as on a terminal. */
  readonly repository: string;
  readonly token: string | undefined;
  /** Where the proxies of the runner are named. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted when the job is cancelled; a call then throws its reason. */
  readonly signal?: AbortSignal | undefined;
  /** For one call, all tries and pages together. */
  readonly deadlineMs?: number;
  /** A pause before a next try is this, four times this, nine times this; of rate limits, a second counts as it. */
  readonly retryBaseMs?: number;
}

const MAX_FILE_BYTES = 1024 ** 2;
/** Above what a page of a hundred entries can hold. */
const MAX_ANSWER_BYTES = 4 * 1024 ** 2;
const PER_PAGE = 100;
const MAX_PAGES = 20;

/** An own deadline, since octokit has none; an outage is thrown, and never looks like "there is no such thing". */
export function githubApi(options: GitHubApiOptions): GitHubApi {
  const { repository, signal, deadlineMs = 30_000, retryBaseMs = 1_000 } = options;
  const token = options.token ?? '';
  const [owner = '', repo = ''] = repository.split('/');
  const host = URL.canParse(options.url) ? new URL(options.url).host : options.url;
  const mute = { debug: nothing, info: nothing, warn: nothing, error: nothing };

  /** Whether there is somebody to ask, and something to ask about. */
  const isAsked = token !== '' && owner !== '' && repo !== '';
  let opened: Promise<Octokit> | undefined;

  async function open(): Promise<Octokit> {
    const [{ getOctokit }, { retry }, { throttling }] = await Promise.all([
      // As it is loaded, it reads the event's payload, and throws at one that is no JSON: only who needs it pays that.
      import('@actions/github'),
      import('@octokit/plugin-retry'),
      import('@octokit/plugin-throttling'),
    ]);
    return getOctokit(
      token,
      {
        baseUrl: options.url.replace(/\/+$/, ''),
        // Octokit's own log prints raw what headers say.
        log: mute,
        request: { fetch: transport(options.env), log: mute },
        // Of a rate limit the throttling takes care.
        retry: { doNotRetry: [400, 401, 403, 404, 410, 422, 429, 451], retryAfterBaseValue: retryBaseMs },
        throttle: {
          retryAfterBaseValue: retryBaseMs,
          // The primary limit counts by the hour: to wait for it would keep the machine busy for nothing.
          onRateLimit: () => false,
          onSecondaryRateLimit: (seconds: number, _: unknown, __: unknown, count: number) =>
            count === 0 && seconds * retryBaseMs < deadlineMs / 2,
        },
      },
      retry,
      throttling,
    );
  }

  return {
    async tipOf(branch) {
      const what = `the tip of the branch ${logLine(branch, 300)}`;
      const answer = await ask(what, async (octokit, inTime) => {
        const { data } = await octokit.rest.git.getRef({
          ...{ owner, repo, ref: `heads/${branch}` },
          request: { signal: inTime },
        });
        return Ref.parse(data).object.sha;
      });
      if (answer.kind === 'answered') return answer.value;
      throw unreadable(`does not show this job ${what} (${answer.why})`);
    },

    async fileAt(path, commit) {
      const what = `${logLine(path, 300)} at ${logLine(commit, 64)}`;
      const answer = await ask(what, (octokit, inTime) => rawFile(octokit, path, commit, inTime));
      switch (answer.kind) {
        case 'answered':
          return answer.value;
        case 'denied':
          throw unreadable(`refused ${what} (${answer.why})`);
        case 'missing': {
          // What a token may not see is "not found" too: only of a commit that is there, a file can be missing.
          const known = await ask(`the commit ${logLine(commit, 64)}`, (octokit, inTime) =>
            octokit.rest.git.getCommit({ owner, repo, commit_sha: commit, request: { signal: inTime } }),
          );
          if (known.kind === 'answered') return undefined;
          throw unreadable(`does not show this job the commit of ${what} (${known.why})`);
        }
      }
    },

    async list(prefix) {
      if (!isAsked)
        return {
          kind: 'denied',
          why: `GitHub could not be asked on which branches the cache entries lie: ${token === '' ? 'this run was given no token' : 'this run does not know its repository'}.`,
          remedy: `Give the action the job's token, ${MAY_LIST}`,
        };
      const answer = await ask(`the cache entries under "${logLine(prefix, 300)}"`, (octokit, inTime) =>
        allEntries(octokit, prefix, inTime),
      );
      return answer.kind === 'answered'
        ? { kind: 'listed', entries: answer.value }
        : {
            kind: 'denied',
            why: `GitHub does not tell this job on which branches the cache entries lie (${answer.why}).`,
            remedy: `Give the job, beside the permissions that it has, ${MAY_LIST}`,
          };
    },

    async pullRequestOf(commit) {
      if (!isAsked) return undefined;
      const answer = await ask(`the pull request of ${logLine(commit, 64)}`, async (octokit, inTime) => {
        const { data } = await octokit.rest.repos.listPullRequestsAssociatedWithCommit({
          ...{ owner, repo, commit_sha: commit, per_page: PER_PAGE },
          request: { signal: inTime },
        });
        return PullRequests.parse(data);
      });
      if (answer.kind !== 'answered') return undefined;
      const merged = answer.value
        .flatMap(({ merged_at, ...rest }) =>
          merged_at === null ? [] : [{ ...rest, at: Date.parse(merged_at) }],
        )
        .toSorted((a, b) => a.at - b.at);
      // A later one may have carried the commit on, to another branch.
      return (merged.find(({ merge_commit_sha }) => merge_commit_sha === commit) ?? merged[0])?.number;
    },
  };

  async function rawFile(
    octokit: Octokit,
    path: string,
    commit: string,
    inTime: AbortSignal,
  ): Promise<string | undefined> {
    const { data, headers } = await octokit.rest.repos.getContent({
      ...{ owner, repo, path, ref: commit },
      mediaType: { format: 'raw' },
      // As bytes: octokit would replace what is no UTF-8 without a word.
      request: { signal: inTime, parseSuccessResponseBody: false },
    });
    const stream: unknown = data;
    const bytes = stream instanceof ReadableStream ? await buffer(stream) : Buffer.alloc(0);
    if (!/^application\/vnd\.github\.(?:v3\.)?raw\b/.test(headers['content-type'] ?? '')) {
      // Only a file is ever raw. A folder is a list of what is in it.
      NoFile.parse(JSON.parse(bytes.toString('utf8')));
      return undefined;
    }
    if (bytes.length > MAX_FILE_BYTES) throw new Strange(`has a file of more than ${MAX_FILE_BYTES} bytes`);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch (error) {
      throw new Strange('has a file that is no UTF-8', { cause: error });
    }
  }

  async function allEntries(
    octokit: Octokit,
    prefix: string,
    inTime: AbortSignal,
  ): Promise<readonly ListedEntry[]> {
    const entries = new Map<number, ListedEntry>();
    for (let page = 1; page <= MAX_PAGES; page++) {
      const { data } = await octokit.rest.actions.getActionsCacheList({
        ...{ owner, repo, key: prefix, per_page: PER_PAGE, page },
        // An entry that is made meanwhile shifts older ones to the next page, where they are seen twice; none is missed.
        ...{ sort: 'created_at', direction: 'desc' },
        request: { signal: inTime },
      });
      const found = Caches.parse(data).actions_caches;
      for (const { id, created_at: createdAt, key, ref, version } of found)
        entries.set(id, { key, ref, version, createdAt });
      if (found.length < PER_PAGE) return [...entries.values()];
    }
    throw new Strange(
      `lists more than ${PER_PAGE * MAX_PAGES} entries, which no refresh makes: find out who does, and delete them (\`gh cache list\`)`,
    );
  }

  async function ask<T>(
    what: string,
    work: (octokit: Octokit, inTime: AbortSignal) => Promise<T>,
  ): Promise<Answer<T>> {
    if (!isAsked)
      return { kind: 'denied', why: token === '' ? 'this run was given no token' : 'no repository is known' };
    const deadline = AbortSignal.timeout(deadlineMs);
    const inTime = signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
    try {
      // A pause between two tries knows nothing of signals.
      opened ??= open();
      const asked = opened.then((octokit) => work(octokit, inTime));
      return { kind: 'answered', value: await Promise.race([asked, aborted(inTime)]) };
    } catch (error) {
      signal?.throwIfAborted();
      if (deadline.aborted) throw unavailable(`did not answer within ${deadlineMs / 1000} s`, what, error);
      const refusal = refusalIn(error);
      const why = refusal === undefined ? '' : `${refusal.status}${said(refusal.data)}`;
      switch (refusal?.status) {
        case undefined:
          throw unavailable(reason(error), what, error);
        case 404:
          return { kind: 'missing', why };
        case 401:
          return { kind: 'denied', why };
        case 403:
          if (!isRateLimit(refusal)) return { kind: 'denied', why };
      }
      throw unavailable(`answered ${why}`, what, error);
    }
  }

  /** The sentence in an error's body; of a page, its text. */
  function said(data: unknown): string {
    const { message } = Message.safeParse(data).data ?? {};
    const text = (message ?? (typeof data === 'string' ? data : ''))
      .replaceAll(token, '***')
      .slice(0, 10_000)
      .replaceAll(/<(style|script)[\s\S]*?<\/\1>|<[^>]*>/g, ' ')
      .replaceAll(/\s+/g, ' ')
      .trim();
    return text === '' ? '' : `: ${logLine(text, 200)}`;
  }

  function unavailable(happened: string, what: string, cause: unknown): UserError {
    return new UserError(
      'github-unavailable',
      `GitHub's API at ${host} ${happened}, asked for ${what}.`,
      `Nothing is known of it, so this is an error and no verdict. Re-run the job; if it happens again, see https://www.githubstatus.com and whether this runner reaches ${host} (proxy, firewall).`,
      { cause },
    );
  }

  function unreadable(happened: string): UserError {
    return new UserError(
      'github-unavailable',
      `GitHub's API at ${host} ${happened}.`,
      "Give the action the job's token, and the job the right to read the repository:\npermissions:\n  contents: read",
    );
  }
}

const MAY_LIST = 'the right to list them, `permissions: { actions: read }`.';

type Octokit = ReturnType<typeof import('@actions/github')['getOctokit']>;

type Answer<T> =
  | { readonly kind: 'answered'; readonly value: T }
  /** The status, and what GitHub says with it. */
  | { readonly kind: 'denied' | 'missing'; readonly why: string };

const Message = z.object({ message: z.string() });
const Ref = z.object({
  object: z.object({ type: z.literal('commit'), sha: z.string().regex(/^[0-9a-f]{40}$/) }),
});
const NoFile = z.union([z.array(z.unknown()), z.object({ type: z.enum(['dir', 'submodule', 'symlink']) })]);
const Time = z
  .string()
  .max(64)
  .refine((time) => !Number.isNaN(Date.parse(time)));
const Caches = z.object({
  actions_caches: z
    .array(
      z.object({
        id: z.number().int(),
        key: z.string().min(1).max(1024),
        ref: z.string().min(1).max(1024),
        version: z.string().max(256),
        created_at: Time,
      }),
    )
    .max(PER_PAGE),
});
const PullRequests = z
  .array(
    z.object({
      number: z.number().int().positive(),
      merged_at: Time.nullable(),
      merge_commit_sha: z.string().nullish(),
    }),
  )
  .max(PER_PAGE);

/** GitHub answered, but not so that it could be used; the message goes on from its name. */
class Strange extends Error {}

const Refusal = z.object({
  response: z.object({
    status: z.number(),
    headers: z.record(z.string(), z.unknown()),
    data: z.unknown(),
  }),
});
type Refusal = z.infer<typeof Refusal>['response'];

/** What GitHub answered, if it did: without an answer octokit says 500 as well. */
function refusalIn(error: unknown): Refusal | undefined {
  return Refusal.safeParse(error).data?.response;
}

/** Says nothing about what this job may do. */
function isRateLimit({ headers, data }: Refusal): boolean {
  return (
    headers['x-ratelimit-remaining'] === '0' ||
    headers['retry-after'] !== undefined ||
    /\b(?:rate limit|abuse detection)/i.test(Message.safeParse(data).data?.message ?? '')
  );
}

function reason(error: unknown): string {
  if (error instanceof z.ZodError || error instanceof SyntaxError)
    return 'answered with something that GitHub does not say';
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (error instanceof Strange) return error.message;
  if (cause instanceof Strange) return cause.message;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  switch (code) {
    case 'ECONNREFUSED':
      return 'refused the connection';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `cannot be found by its name (${code})`;
    case 'ECONNRESET':
    case 'EPIPE':
      return `closed the connection (${code})`;
    default:
      return `could not be asked (${logLine(cause instanceof Error ? cause.message : String(cause), 200)})`;
  }
}

async function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  signal.throwIfAborted();
  return await promise;
}

interface Asked {
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly signal?: AbortSignal;
}

/**
 * As `fetch`, but with the proxies of the job's environment, and no more bytes than an answer can have. A redirect (a
 * repository that was renamed) is followed on the same host only, since the token goes with it.
 */
function transport(env: GitHubApiOptions['env']) {
  return async (address: string, { method = 'GET', headers = {}, signal }: Asked): Promise<Response> => {
    let url = new URL(address);
    for (let hops = 0; ; hops++) {
      const reply = await send(url, { method, headers, ...(signal === undefined ? {} : { signal }) }, env);
      const { statusCode: status = 0, headers: told } = reply;
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of reply) {
        length += chunk.length;
        if (length > MAX_ANSWER_BYTES) throw new Strange(`answered with more than ${MAX_ANSWER_BYTES} bytes`);
        chunks.push(chunk);
      }
      const { location } = told;
      if (status >= 300 && location !== undefined && URL.canParse(location, url.href) && hops < 3) {
        const next = new URL(location, url);
        if (next.origin !== url.origin) throw new Strange(`sends to another host (${status})`);
        url = next;
        continue;
      }
      if (status < 200 || (status >= 300 && status < 400)) throw new Strange(`answered ${status}`);
      const pairs = Object.entries(told).flatMap(([name, value]) =>
        typeof value === 'string' ? [[name, value] as const] : [],
      );
      const body = status === 204 || status === 205 ? null : Buffer.concat(chunks);
      return new Response(body, {
        status,
        headers: new Headers(pairs.map(([name, value]) => [name, value])),
      });
    }
  };
}

async function send(url: URL, asked: Asked, env: GitHubApiOptions['env']): Promise<http.IncomingMessage> {
  const library = url.protocol === 'https:' ? https : http;
  const agent = new library.Agent({ keepAlive: false, proxyEnv: { ...env } });
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const sent = library.request(url, { ...asked, agent });
  sent.once('response', resolve);
  sent.once('error', reject);
  sent.end();
  return promise;
}

const nothing = (): void => undefined;
