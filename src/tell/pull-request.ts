import { postCheckRun } from '../github/checks.ts';
import { type Stuck, stick } from '../github/sticky.ts';
import { logLine } from '../inert.ts';
import type { Notice, Report } from '../report/model.ts';
import { checkRunLadder } from '../surfaces/check-run.ts';
import { commentLadder, type Thread } from '../surfaces/comment.ts';
import { type GitHubPosts, PostError } from '../surfaces/port.ts';
import { isWell } from '../words/brief.ts';

/**
 * Where on GitHub a report is told beside the run's own page. The head is the pull request's, never the merge
 * commit's, and always from the event.
 */
export interface Target {
  /** Undefined where there is none: then nobody is commented to. */
  readonly pullRequest: number | undefined;
  readonly headSha: string;
  /** From a fork, whose token may not write. */
  readonly readOnly: boolean;
}

export interface Announcing {
  readonly comment: 'drift' | 'always' | 'never';
  readonly checkRun: boolean;
  /** What tells one thread of comments from another; a hardware class of `*` where all legs are merged. */
  readonly scope: Thread;
  /** Whether it is a stranger's job that measured: what it says is its word. */
  readonly isUnverified: boolean;
  /** Of this run: an older run that ends later must not overwrite a newer one's comment. */
  readonly run: { readonly id: string; readonly attempt: string; readonly url: string };
}

/**
 * Tells a pull request what was found: by one comment, edited in place, and by a check run.
 *
 * Never throws but for cancellation and never changes a conclusion: what could not be posted comes back as notices, at
 * most one for each surface.
 *
 * @param reports of one suite, worst first; of none, nothing is told
 */
export async function announce(
  reports: readonly Report[],
  target: Target,
  how: Announcing,
  posts: GitHubPosts,
): Promise<readonly Notice[]> {
  const wanted = SURFACES.filter((surface) => reports.length > 0 && surface.isWanted(reports, target, how));
  if (target.readOnly) return wanted.some(({ isNew }) => isNew(reports, how)) ? [FORK] : [];
  const notices: Notice[] = [];
  for (const surface of wanted) notices.push(...(await tried(surface, reports, target, how, posts)));
  return notices;
}

interface Surface {
  readonly name: string;
  /** Of the token, as a workflow asks for it. */
  readonly permission: string;
  /** How a workflow does without it. */
  readonly off: string;
  isWanted(reports: readonly Report[], target: Target, how: Announcing): boolean;
  /** Whether it is made where there is none. */
  isNew(reports: readonly Report[], how: Announcing): boolean;
  post(reports: readonly Report[], target: Target, how: Announcing, posts: GitHubPosts): Promise<Stuck>;
}

const COMMENT: Surface = {
  name: 'comment',
  permission: 'pull-requests: write',
  off: 'comment: never',
  isWanted: (_, { pullRequest }, { comment }) => comment !== 'never' && pullRequest !== undefined,
  isNew: (reports, { comment }) => comment === 'always' || !isWell(reports),
  async post(reports, { pullRequest, headSha }, how, posts) {
    if (pullRequest === undefined) return { kind: 'nothing' };
    const { scope, run, isUnverified } = how;
    return await stick(posts, {
      ...{ pullRequest, thread: scope, run, isNew: COMMENT.isNew(reports, how) },
      ladder: (before) => commentLadder(reports, scope, run, { url: run.url, headSha, isUnverified }, before),
    });
  },
};

const CHECK_RUN: Surface = {
  name: 'check run',
  permission: 'checks: write',
  off: 'check-run: false',
  isWanted: (_, __, { checkRun }) => checkRun,
  isNew: () => true,
  post: (reports, { headSha }, { scope, run, isUnverified }, posts) =>
    postCheckRun(posts, checkRunLadder(reports, scope, run, { url: run.url, headSha, isUnverified })),
};

const SURFACES: readonly Surface[] = [COMMENT, CHECK_RUN];

async function tried(
  surface: Surface,
  reports: readonly Report[],
  target: Target,
  how: Announcing,
  posts: GitHubPosts,
): Promise<readonly Notice[]> {
  try {
    const stuck = await surface.post(reports, target, how, posts);
    switch (stuck.kind) {
      case 'posted':
      case 'nothing':
        return [];
      case 'newer':
        return [
          {
            level: 'notice',
            title: `The ${surface.name} is of a later run`,
            message: `Run ${stuck.run.id}, attempt ${stuck.run.attempt}, has told its result already: its ${surface.name} stays as it is, and this run's result is on this run's page only.`,
          },
        ];
    }
  } catch (error) {
    posts.signal?.throwIfAborted();
    return [missing(surface, error)];
  }
}

/** What is missing, what GitHub says, what helps: in this order, since a surface may cut the end. */
function missing({ name, permission, off }: Surface, error: unknown): Notice {
  const happened = error instanceof Error ? error.message : String(error);
  // In one line: a surface shows a notice as one.
  const right = `\`permissions: { ${permission} }\``;
  const without = `Or do without it: \`${off}\`.`;
  return {
    level: 'warning',
    title: `No ${name}`,
    message: `The ${name} is missing, or not all of it is there; the conclusion stays as it is. ${logLine(happened, 600)} ${remedy()}`,
  };

  function remedy(): string {
    if (!(error instanceof PostError)) return `That is a bug of ours: please report it. ${without}`;
    switch (error.kind) {
      case 'denied':
        return /\blocked\b/i.test(error.message)
          ? `Unlock the conversation. ${without}`
          : `Give the action the job's token (\`github-token\`), and the job the right to write it: ${right}. ${without}`;
      case 'missing':
        return `What a token may not see is not found: give the job the right to write it (and \`contents: read\` in a private repository): ${right}. ${without}`;
      case 'gone':
        return `The repository has switched that off. ${without}`;
      case 'invalid':
        return `GitHub takes no such thing: please report it. ${without}`;
      case 'unavailable':
        return `Re-run the job to try again, and see https://www.githubstatus.com. ${without}`;
    }
  }
}

const FORK: Notice = {
  level: 'notice',
  title: 'Nobody was told beside this run’s page',
  message:
    'The token of a pull request from a fork may not write, so that no comment and no check run was tried. Two workflows do it safely: one without rights that measures (examples/workflows/fork-check.yml), one with rights that only shows what the other left (examples/workflows/fork-report.yml).',
};
