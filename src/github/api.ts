import { buffer } from 'node:stream/consumers';
import { ReadableStream } from 'node:stream/web';
import { z } from 'zod';
import type { CacheListing, ListedEntry, Mark, Marks } from '../baseline/port.ts';
import { UserError } from '../errors.ts';
import { logLine } from '../inert.ts';
import { type Answer, type GitHubApiOptions, type Octokit, openClient, PER_PAGE } from './client.ts';
import type { GitHubReader } from './port.ts';
import { Strange } from './transport.ts';

/** What this action asks GitHub's REST API. It only reads. */
export interface GitHubApi extends CacheListing, Marks, GitHubReader {}

export type { GitHubApiOptions } from './client.ts';

/** As large as a prompt's file may be, and above what a page of a hundred entries can hold. */
const MAX_ANSWER_BYTES = 4 * 1024 ** 2;
const MAX_PAGES = 20;

/** Asks GitHub with the job's token: an outage is thrown, and never looks like "there is no such thing". */
export function githubApi(options: GitHubApiOptions): GitHubApi {
  const client = openClient(options, MAX_ANSWER_BYTES);
  const { owner, repo, host, unasked } = client;

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

    async isIn(commit, head) {
      const what = `whether ${logLine(head, 300)} has the commit ${logLine(commit, 64)}`;
      const answer = await ask(what, async (octokit, inTime) => {
        const { data } = await octokit.rest.repos.compareCommitsWithBasehead({
          ...{ owner, repo, basehead: `${commit}...${head}` },
          // What files changed is on the first page alone, and can be larger than any answer that is read here.
          ...{ per_page: 1, page: 2 },
          request: { signal: inTime },
        });
        return Comparison.parse(data).status;
      });
      if (answer.kind !== 'answered') return { kind: 'unknown', why: answer.why };
      switch (answer.value) {
        case 'ahead':
        case 'identical':
          return { kind: 'yes' };
        case 'behind':
        case 'diverged':
          return { kind: 'no' };
      }
    },

    async list(prefix) {
      if (unasked !== undefined)
        return {
          kind: 'denied',
          why: `GitHub could not be asked on which branches the cache entries lie: ${unasked}.`,
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

    async marks(name) {
      const remedy = `Give the action the job's token, ${MAY_LIST}`;
      const what = `the artifacts called ${logLine(name, 300)}`;
      const answer = await ask(what, (octokit, inTime) => allMarks(octokit, name, inTime));
      return answer.kind === 'answered'
        ? { kind: 'listed', marks: answer.value }
        : {
            ...{ kind: 'denied', remedy },
            why: `GitHub does not tell this job whether there ever was a baseline (${answer.why}).`,
          };
    },

    async pullRequestOf(commit) {
      if (unasked !== undefined) return undefined;
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

    async isRunOf(run, pullRequest) {
      if (unasked !== undefined) return { kind: 'unknown', why: unasked };
      if (!RUN_ID.test(run)) return { kind: 'no' };
      const ran = await ask(`the run ${run}`, async (octokit, inTime) => {
        const { data } = await octokit.rest.actions.getWorkflowRun({
          ...{ owner, repo, run_id: Number(run), exclude_pull_requests: true },
          request: { signal: inTime },
        });
        return WorkflowRun.parse(data);
      });
      if (ran.kind !== 'answered') return { kind: 'unknown', why: ran.why };
      const { event, head_sha: head, repository, head_repository: from } = ran.value;
      if (event !== 'pull_request' || from?.id !== repository.id) return { kind: 'no' };
      const what = `the commits of the pull request ${pullRequest}`;
      const has = await ask(what, (octokit, inTime) => hasCommit(octokit, pullRequest, head, inTime));
      if (has.kind !== 'answered') return { kind: 'unknown', why: has.why };
      return { kind: has.value ? 'yes' : 'no' };
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
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch (error) {
      throw new Strange('has a file that is no UTF-8', { cause: error });
    }
  }

  /** Of its first 250, which are all that GitHub lists. */
  async function hasCommit(
    octokit: Octokit,
    pullRequest: number,
    commit: string,
    inTime: AbortSignal,
  ): Promise<boolean> {
    for (let page = 1; page <= MAX_PAGES; page++) {
      const { data } = await octokit.rest.pulls.listCommits({
        ...{ owner, repo, pull_number: pullRequest, per_page: PER_PAGE, page },
        request: { signal: inTime },
      });
      const found = Commits.parse(data);
      if (found.some(({ sha }) => sha === commit)) return true;
      if (found.length < PER_PAGE) break;
    }
    return false;
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

  /** Newest first. An expired one is listed too. */
  async function allMarks(octokit: Octokit, name: string, inTime: AbortSignal): Promise<readonly Mark[]> {
    const marks: Mark[] = [];
    for (let page = 1; page <= MAX_PAGES; page++) {
      const { data } = await octokit.rest.actions.listArtifactsForRepo({
        ...{ owner, repo, name, per_page: PER_PAGE, page },
        request: { signal: inTime },
      });
      const { artifacts } = Artifacts.parse(data);
      // A fork may call its branch as it likes.
      for (const { created_at, workflow_run: run } of artifacts)
        if (run?.head_branch && run.repository_id === run.head_repository_id)
          marks.push({ branch: run.head_branch, createdAt: created_at ?? '' });
      if (artifacts.length < PER_PAGE) return marks;
    }
    throw new Strange(
      `lists more than ${PER_PAGE * MAX_PAGES} artifacts called ${logLine(name, 300)}, which no refresh makes: find out who does, and delete them`,
    );
  }

  /** Of what is only read, GitHub has no reason to say these. */
  async function ask<T>(
    what: string,
    work: (octokit: Octokit, inTime: AbortSignal) => Promise<T>,
  ): Promise<Known<T>> {
    const answer = await client.ask(what, work);
    if (answer.kind === 'gone' || answer.kind === 'invalid')
      throw client.unavailable(`answered ${answer.why}`, what);
    return answer;
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

type Known<T> = Exclude<Answer<T>, { readonly kind: 'gone' | 'invalid' }>;

const Ref = z.object({
  object: z.object({ type: z.literal('commit'), sha: z.string().regex(/^[0-9a-f]{40}$/) }),
});
/** What the head is to the commit. */
const Comparison = z.object({ status: z.enum(['ahead', 'identical', 'behind', 'diverged']) });
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
const Artifacts = z.object({
  artifacts: z
    .array(
      z.object({
        created_at: Time.nullable(),
        workflow_run: z
          .object({
            repository_id: z.number().optional(),
            head_repository_id: z.number().optional(),
            head_branch: z.string().max(1024).nullish(),
          })
          .nullish(),
      }),
    )
    .max(PER_PAGE),
});
const RUN_ID = /^\d{1,15}$/;

const Repository = z.object({ id: z.number().int() });

const WorkflowRun = z.object({
  event: z.string(),
  head_sha: z.string(),
  repository: Repository,
  /** Null where that is gone. */
  head_repository: Repository.nullish(),
});

const Commits = z.array(z.object({ sha: z.string() })).max(PER_PAGE);

const PullRequests = z
  .array(
    z.object({
      number: z.number().int().positive(),
      merged_at: Time.nullable(),
      merge_commit_sha: z.string().nullish(),
    }),
  )
  .max(PER_PAGE);
