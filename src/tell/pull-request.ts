import { type GitHubPosts, PostError } from '../github/port.ts';
import { logLine } from '../inert.ts';
import type { Notice, Report } from '../report/schema.ts';
import type { Post, PostedRun, Posting } from '../surfaces/surface.ts';
import type { Thread } from '../words/thread.ts';
import { tellByCheckRun } from './check-run.ts';
import { type Told, tellByComment } from './sticky.ts';

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

/** How a change is told of. */
export interface Telling extends Posting {
  /** What tells one thread of comments from another; a hardware class of `*` where all legs are merged. */
  readonly scope: Thread;
  /** Whether it is a stranger's job that measured: what it says is its word. */
  readonly isUnverified: boolean;
  /** Of this run: an older run that ends later must not overwrite a newer one's comment. */
  readonly run: PostedRun;
}

/**
 * Tells a pull request what was found: by one comment, edited in place, and by a check run.
 *
 * Never throws but for cancellation and never changes a conclusion: what could not be posted comes back as notices, at
 * most one for each surface.
 *
 * @param reports of one suite, worst first; of none, nothing is told
 */
export async function tellPullRequest(
  reports: readonly Report[],
  target: Target,
  how: Telling,
  surfaces: readonly Post[],
  posts: GitHubPosts,
): Promise<readonly Notice[]> {
  const wanted = surfaces.filter((post) => reports.length > 0 && post.isAsked(how) && isPlaced(post, target));
  if (target.readOnly) return wanted.some((post) => post.isNew(reports, how)) ? [FORK] : [];
  const notices: Notice[] = [];
  for (const post of wanted) notices.push(...(await tried(post, reports, target, how, posts)));
  return notices;
}

/** Whether there is a place for it. */
function isPlaced({ to }: Post, { pullRequest }: Target): boolean {
  switch (to) {
    case 'comment':
      return pullRequest !== undefined;
    case 'check-run':
      return true;
  }
}

async function put(
  post: Post,
  reports: readonly Report[],
  { pullRequest, headSha }: Target,
  how: Telling,
  posts: GitHubPosts,
): Promise<Told> {
  const { scope, run, isUnverified, across } = how;
  const whence = { url: run.url, headSha, isUnverified, across };
  switch (post.to) {
    case 'comment':
      if (pullRequest === undefined) return { kind: 'nothing' };
      return await tellByComment(posts, {
        ...{ pullRequest, thread: scope, run, isNew: post.isNew(reports, how) },
        ladder: (before) => post.ladder(reports, scope, run, whence, before),
      });
    case 'check-run':
      return await tellByCheckRun(posts, post.ladder(reports, scope, run, whence));
  }
}

async function tried(
  post: Post,
  reports: readonly Report[],
  target: Target,
  how: Telling,
  posts: GitHubPosts,
): Promise<readonly Notice[]> {
  try {
    const told = await put(post, reports, target, how, posts);
    switch (told.kind) {
      case 'posted':
      case 'nothing':
        return [];
      case 'newer':
        return [
          {
            level: 'notice',
            title: `The ${post.name} is of a later run`,
            message: `Run ${told.run.id}, attempt ${told.run.attempt}, has told its result already: its ${post.name} stays as it is, and this run's result is on this run's page only.`,
          },
        ];
    }
  } catch (error) {
    posts.signal?.throwIfAborted();
    return [missing(post, error)];
  }
}

/** What is missing, what GitHub says, what helps: in this order, since a surface may cut the end. */
function missing({ name, permission, off }: Post, error: unknown): Notice {
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
