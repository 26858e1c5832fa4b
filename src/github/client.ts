import { setTimeout as pause } from 'node:timers/promises';
import type { ThrottlingOptions } from '@octokit/plugin-throttling';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { logLine } from '../inert.ts';
import { Strange, transport } from './transport.ts';

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

/** How GitHub's API is asked, by whoever reads and whoever writes. */
export interface GitHubClient {
  readonly owner: string;
  readonly repo: string;
  /** Of the API. */
  readonly host: string;
  /** Why nobody can be asked; undefined where somebody can be. */
  readonly unasked: 'this run was given no token' | 'this run does not know its repository' | undefined;
  /** Aborted when the job is cancelled. */
  readonly signal: AbortSignal | undefined;
  /**
   * Asks once, or, where GitHub is out of order, again.
   *
   * @param what the words that follow "asked for"
   * @param work must hand its signal to each request
   * @throws UserError `github-unavailable` whenever GitHub said nothing that says anything about the thing itself
   */
  ask<T>(what: string, work: (octokit: Octokit, inTime: AbortSignal) => Promise<T>): Promise<Answer<T>>;
  /** That GitHub could not be asked. */
  unavailable(happened: string, what: string, cause?: unknown): UserError;
}

export type Octokit = ReturnType<typeof import('@actions/github')['getOctokit']>;

/** Not with these rights; there is no such thing, or it is hidden; no longer; not like this. */
export type Answer<T> =
  | { readonly kind: 'answered'; readonly value: T }
  | Refused<'denied'>
  | Refused<'missing'>
  | Refused<'gone'>
  | Refused<'invalid'>;

export interface Refused<Kind extends string> {
  readonly kind: Kind;
  /** The status, and what GitHub says with it. */
  readonly why: string;
}

export const PER_PAGE = 100;

/**
 * An own deadline, since octokit has none; an outage is thrown, and never looks like "there is no such thing".
 *
 * @param maxAnswerBytes above what any answer can hold
 */
export function openClient(options: GitHubApiOptions, maxAnswerBytes: number): GitHubClient {
  const { repository, signal, deadlineMs = 30_000, retryBaseMs = 1_000 } = options;
  const token = options.token ?? '';
  const [owner = '', repo = ''] = repository.split('/');
  const host = URL.canParse(options.url) ? new URL(options.url).host : options.url;
  const mute = { debug: nothing, info: nothing, warn: nothing, error: nothing };
  const unasked =
    token === ''
      ? 'this run was given no token'
      : owner === '' || repo === ''
        ? 'this run does not know its repository'
        : undefined;
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
        request: { fetch: transport(options.env, maxAnswerBytes), log: mute },
        // Of a rate limit the throttling takes care.
        retry: { doNotRetry: [400, 401, 403, 404, 410, 422, 429, 451], retryAfterBaseValue: retryBaseMs },
        throttle: {
          retryAfterBaseValue: retryBaseMs,
          // GitHub asks for a second between two writes. Of its own, the plugin takes three for what notifies
          // somebody, and has one clock for the whole process.
          write: paced(retryBaseMs),
          notifications: paced(0),
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

  async function ask<T>(
    what: string,
    work: (octokit: Octokit, inTime: AbortSignal) => Promise<T>,
  ): Promise<Answer<T>> {
    if (unasked !== undefined) return { kind: 'denied', why: unasked };
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
        case 410:
          return { kind: 'gone', why };
        case 422:
          return { kind: 'invalid', why };
        case 401:
          return { kind: 'denied', why };
        case 403:
          if (!isRateLimit(refusal)) return { kind: 'denied', why };
      }
      throw unavailable(`answered ${why}`, what, error);
    }
  }

  /** The sentences in an error's body; of a page, its text. */
  function said(data: unknown): string {
    const { message, errors = [] } = Message.safeParse(data).data ?? {};
    const told = message ?? (typeof data === 'string' ? data : '');
    const text = [told, ...errors.slice(0, 3).flatMap((error) => error.message ?? [])]
      .join(': ')
      .replaceAll(token, '***')
      .slice(0, 10_000)
      .replaceAll(/<(style|script)[\s\S]*?<\/\1>|<[^>]*>/g, ' ')
      .replaceAll(/\s+/g, ' ')
      .trim();
    return text === '' ? '' : `: ${logLine(text, 200)}`;
  }

  function unavailable(happened: string, what: string, cause?: unknown): UserError {
    return new UserError(
      'github-unavailable',
      `GitHub's API at ${host} ${happened}, asked for ${what}.`,
      `Nothing is known of it, so this is an error and no verdict. Re-run the job; if it happens again, see https://www.githubstatus.com and whether this runner reaches ${host} (proxy, firewall).`,
      { cause },
    );
  }

  return { owner, repo, host, unasked, signal, ask, unavailable };
}

const Message = z.object({
  message: z.string(),
  errors: z.array(z.object({ message: z.string().optional() }).catch({})).catch([]),
});

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

type Limiters = NonNullable<ThrottlingOptions['write']>;

/** What the throttling plugin takes for a group of limiters, as far as it looks: lets one through each `apartMs`. */
function paced(apartMs: number): Limiters {
  let free = 0;
  const schedule = async <T>(_: unknown, work: () => Promise<T>): Promise<T> => {
    const now = Date.now();
    const start = Math.max(now, free);
    free = start + apartMs;
    if (start > now) await pause(start - now);
    return await work();
  };
  return { key: () => ({ schedule }) } as unknown as Limiters;
}

const nothing = (): void => undefined;
