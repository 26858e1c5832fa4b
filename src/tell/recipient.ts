import { type GitHubPosts, PostError } from '../github/port.ts';
import { excerpt } from '../inert.ts';
import type { TellSettings } from '../job/settings.ts';
import type { Subject } from '../job/situation.ts';
import type { Tools } from '../job/tools.ts';
import type { Across } from '../report/across.ts';
import type { Notice } from '../report/schema.ts';
import type { Post, PostedRun } from '../surfaces/surface.ts';
import { worstVerdict } from '../words/brief.ts';
import { type Target, type Telling, tellPullRequest } from './pull-request.ts';
import type { Change } from './tell.ts';

/**
 * Tells those whom the event names what was found of a change: a comment, a check run. What could not be told comes
 * back as notices, and changes no conclusion.
 *
 * @throws UserError `cancelled`
 */
export async function tellChange(
  { reports, isMerged, across }: Change,
  surfaces: readonly Post[],
  settings: TellSettings,
  { open }: Pick<Tools, 'open'>,
): Promise<readonly Notice[]> {
  const { comment, checkRun, situation } = settings;
  const { subject, fork } = situation;
  const asked = surfaces.filter((post) => post.isAsked(settings));
  if (asked.length === 0) return [];
  if (subject.kind === 'none')
    return [nobody('The event does not say which commit or pull request the report is about.')];
  if (
    subject.kind === 'workflow-run' &&
    subject.conclusion !== 'success' &&
    worstVerdict(reports, across) === 'pass'
  )
    return [
      nobody(
        `The run that measured ended in \`${excerpt(subject.conclusion, 40)}\`, and its reports do not say why: that all is well would be a guess.`,
      ),
    ];
  const posts = open.posts();
  const notices: Notice[] = [];
  const target: Target = {
    headSha: subject.head,
    pullRequest: asked.some(({ to }) => to === 'comment')
      ? await pullRequestOf(subject, posts, notices)
      : undefined,
    readOnly: subject.kind === 'pull-request' && fork,
  };
  for (const [suite, own] of Map.groupBy(reports, (report) => report.suite.name)) {
    const how: Telling = {
      comment,
      checkRun,
      scope: { suite, hardwareClass: isMerged ? '*' : (own[0]?.hardwareClass ?? '*') },
      run: runOf(settings),
      isUnverified: subject.kind === 'workflow-run' && fork,
      across: acrossOf(suite, across),
    };
    notices.push(...(await tellPullRequest(own, target, how, asked, posts)));
  }
  return notices;
}

/** Of one suite: undefined where it has no part in it. */
function acrossOf(suite: string, across: Across | undefined): Across | undefined {
  const pairs = across?.pairs.filter((pair) => pair.suite === suite) ?? [];
  if (across === undefined || (pairs.length === 0 && across.status !== 'held')) return undefined;
  const isAny = (status: Across['status']) => pairs.some((pair) => pair.status === status);
  const status = isAny('broken') ? 'broken' : isAny('unmeasured') ? 'unmeasured' : 'held';
  return { ...across, status, verdict: status === 'held' ? 'pass' : 'fail', pairs };
}

/** By the event: what a report says of itself a stranger may have written. */
async function pullRequestOf(
  subject: Exclude<Subject, { kind: 'none' }>,
  posts: Pick<GitHubPosts, 'pullRequestsAt'>,
  notices: Notice[],
): Promise<number | undefined> {
  switch (subject.kind) {
    case 'pull-request':
      return subject.number;
    case 'commit':
      return undefined;
    case 'workflow-run': {
      const [one, ...others] = await pullRequestsOf(subject, posts).catch((error: unknown) => {
        if (!(error instanceof PostError)) throw error;
        return [error];
      });
      if (typeof one === 'number' && others.length === 0) return one;
      notices.push(
        nobody(
          one === undefined
            ? 'No open pull request is at this commit any more: a newer one has a run of its own.'
            : one instanceof PostError
              ? `The pull request could not be looked up, which needs \`permissions: { pull-requests: write }\`. ${one.message}`
              : 'Several pull requests are at this commit, each into a branch of its own, and the event does not say which of them was measured.',
        ),
      );
      return undefined;
    }
  }
}

/** A fork's are not in the event. */
async function pullRequestsOf(
  { pullRequests, from, head }: Extract<Subject, { kind: 'workflow-run' }>,
  posts: Pick<GitHubPosts, 'pullRequestsAt'>,
): Promise<readonly (number | PostError)[]> {
  if (pullRequests.length > 0 || from === undefined) return pullRequests;
  return await posts.pullRequestsAt({ ...from, head });
}

const nobody = (message: string): Notice => ({
  level: 'notice',
  title: 'No pull request was told',
  message,
});

function runOf({ situation: { subject }, job, runUrl, server }: TellSettings): PostedRun {
  if (subject.kind !== 'workflow-run') return { id: job.run, attempt: job.attempt, url: runUrl };
  const { id, attempt } = subject.run;
  return { id, attempt, url: `${server}/${job.repository}/actions/runs/${id}/attempts/${attempt}` };
}
