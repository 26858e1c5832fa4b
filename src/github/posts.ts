import { z } from 'zod';
import { UserError } from '../errors.ts';
import { logLine } from '../inert.ts';
import { type GitHubApiOptions, type Octokit, openClient, PER_PAGE } from './client.ts';
import { type GitHubPosts, PostError, type PostedCheckRun, type PostedComment } from './port.ts';

/** A page of comments, each as long as they come, each character as JSON at its longest. */
const MAX_ANSWER_BYTES = PER_PAGE * 65_536 * 6;
/** GitHub allows 2500 comments, and 1000 check runs of a name. */
const MAX_PAGES = 30;
/** An answer may be lost; so is what follows it. */
const ONCE = { retries: 0 } as const;

/** With the job's token. */
export function githubPosts(options: GitHubApiOptions): GitHubPosts {
  const client = openClient(options, MAX_ANSWER_BYTES);
  const { owner, repo, signal } = client;
  let known: { readonly login: string | undefined } | undefined;

  async function done<T>(
    what: string,
    work: (octokit: Octokit, inTime: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const answer = await client.ask(what, work).catch((error: unknown) => {
      signal?.throwIfAborted();
      if (error instanceof UserError) throw new PostError('unavailable', error.message, error);
      throw error;
    });
    if (answer.kind === 'answered') return answer.value;
    throw new PostError(answer.kind, `GitHub answered ${answer.why}, asked for ${what}.`);
  }

  /** All pages, each with a deadline of its own. */
  async function every<T>(
    what: string,
    page: (octokit: Octokit, page: number, inTime: AbortSignal) => Promise<readonly T[]>,
  ): Promise<readonly T[]> {
    const all: T[] = [];
    for (let number = 1; number <= MAX_PAGES; number++) {
      const found = await done(what, (octokit, inTime) => page(octokit, number, inTime));
      all.push(...found);
      if (found.length < PER_PAGE) return all;
    }
    throw new PostError('unavailable', `GitHub lists more than ${PER_PAGE * MAX_PAGES}, asked for ${what}.`);
  }

  return {
    signal,

    async pullRequestsAt({ owner: whose, repositoryId, branch, head }) {
      const found = await every(
        `the pull request of ${logLine(branch, 100)}`,
        async (octokit, page, inTime) => {
          const { data } = await octokit.rest.pulls.list({
            ...{ owner, repo, head: `${whose}:${branch}`, state: 'open', per_page: PER_PAGE, page },
            request: { signal: inTime },
          });
          return PullRequests.parse(data);
        },
      );
      return found.flatMap(({ number, head: { sha, ref, repo: from } }) =>
        sha === head && ref === branch && from?.id === repositoryId ? [number] : [],
      );
    },

    async login() {
      if (known !== undefined) return known.login;
      try {
        const login = await done('whose token this is', async (octokit, inTime) => {
          const { data } = await octokit.rest.users.getAuthenticated({ request: { signal: inTime } });
          return User.parse(data).login;
        });
        known = { login };
      } catch (error) {
        // Of the token of a job or an app, which is no user's. One that is refused altogether is refused again.
        if (!(error instanceof PostError) || (error.kind !== 'denied' && error.kind !== 'missing'))
          throw error;
        known = { login: undefined };
      }
      return known.login;
    },

    comments: (pullRequest) =>
      every(`the comments of pull request ${pullRequest}`, async (octokit, page, inTime) => {
        const { data } = await octokit.rest.issues.listComments({
          ...{ owner, repo, issue_number: pullRequest, per_page: PER_PAGE, page },
          request: { signal: inTime },
        });
        return z.array(Comment).max(PER_PAGE).parse(data);
      }),

    createComment: (pullRequest, body) =>
      done(`a comment on pull request ${pullRequest}`, async (octokit, inTime) => {
        const { data } = await octokit.rest.issues.createComment({
          ...{ owner, repo, issue_number: pullRequest, body },
          request: { signal: inTime, ...ONCE },
        });
        return Comment.parse(data);
      }),

    editComment: (id, body) =>
      done(`an edit of comment ${id}`, async (octokit, inTime) => {
        await octokit.rest.issues.updateComment({
          ...{ owner, repo, comment_id: id, body },
          request: { signal: inTime },
        });
      }),

    async deleteComment(id) {
      try {
        await done(`comment ${id} to be deleted`, async (octokit, inTime) => {
          await octokit.rest.issues.deleteComment({
            ...{ owner, repo, comment_id: id },
            request: { signal: inTime },
          });
        });
      } catch (error) {
        if (!(error instanceof PostError) || error.kind !== 'missing') throw error;
      }
    },

    checkRuns: (headSha, name) =>
      every(`the check runs of ${logLine(headSha, 64)}`, async (octokit, page, inTime) => {
        const { data } = await octokit.rest.checks.listForRef({
          ...{ owner, repo, ref: headSha, check_name: name, filter: 'latest', per_page: PER_PAGE, page },
          request: { signal: inTime },
        });
        return CheckRuns.parse(data).check_runs;
      }),

    createCheckRun: ({ output, ...run }, annotations) =>
      done('a check run', async (octokit, inTime) => {
        const { data } = await octokit.rest.checks.create({
          ...{ owner, repo, ...run, output: { ...output, annotations: [...annotations] } },
          request: { signal: inTime, ...ONCE },
        });
        return z.object({ id: Id }).parse(data).id;
      }),

    updateCheckRun: (id, { output, ...run }, annotations) =>
      done(`check run ${id} to be changed`, async (octokit, inTime) => {
        await octokit.rest.checks.update({
          ...{ owner, repo, check_run_id: id, ...run },
          output: { ...output, annotations: [...annotations] },
          request: { signal: inTime, ...(annotations.length > 0 ? ONCE : {}) },
        });
      }),
  };
}

const Id = z.number().int().positive();
const User = z.object({ login: z.string().min(1).max(256) });
const Comment = z
  .object({ id: Id, body: z.string().nullish(), user: User.nullish() })
  .transform(({ id, body, user }): PostedComment => ({ id, body: body ?? '', author: user?.login ?? '' }));
const CheckRuns = z.object({
  check_runs: z
    .array(
      z
        .object({
          id: Id,
          external_id: z.string().nullish(),
          output: z.object({ annotations_count: z.number().int().nonnegative().catch(0) }),
        })
        .transform(
          ({ id, external_id, output }): PostedCheckRun => ({
            id,
            externalId: external_id ?? '',
            annotations: output.annotations_count,
          }),
        ),
    )
    .max(PER_PAGE),
});
const PullRequests = z
  .array(
    z.object({
      number: Id,
      head: z.object({
        sha: z.string(),
        ref: z.string(),
        repo: z.object({ id: z.number().int() }).nullish(),
      }),
    }),
  )
  .max(PER_PAGE);
