import { type Announcing, announce, type Target } from './announce.ts';
import type { Subject } from './github/event.ts';
import { type GitHubPosts, PostError } from './github/posts.ts';
import type { Notice, Report } from './report/model.ts';
import type { Tools } from './run.ts';
import type { AnnouncingSettings, Settings } from './settings.ts';
import { openPosts } from './wiring.ts';

/**
 * Tells a pull request what was found: a comment, a check run. What could not be told comes back as notices, and
 * changes no conclusion.
 *
 * @param merged whether these reports are all that the run has to say, or one leg's
 * @throws UserError `cancelled`
 */
export async function tell(
  reports: readonly Report[],
  merged: boolean,
  settings: Settings,
  { comment, checkRun }: AnnouncingSettings,
  { signal }: Pick<Tools, 'signal'>,
): Promise<readonly Notice[]> {
  const { situation } = settings;
  if (comment === 'never' && !checkRun) return [];
  const posts = openPosts(settings, { signal });
  const target = await targetOf(situation.subject, situation.fork, posts);
  if ('notice' in target) return [target.notice];
  const notices: Notice[] = [];
  for (const [suite, own] of Map.groupBy(reports, (report) => report.suite.name)) {
    const how: Announcing = {
      comment,
      checkRun,
      scope: { suite, hardwareClass: merged ? '*' : (own[0]?.hardwareClass ?? '*') },
      run: runOf(settings),
    };
    notices.push(...(await announce(own, target, how, posts)));
  }
  return notices;
}

/** The head is the event's: what a report says of itself a stranger may have written. */
async function targetOf(
  subject: Subject,
  fork: boolean,
  posts: Pick<GitHubPosts, 'pullRequestAt'>,
): Promise<Target | { readonly notice: Notice }> {
  switch (subject.kind) {
    case 'pull-request':
      return { pullRequest: subject.number, headSha: subject.head, readOnly: fork };
    case 'commit':
      return { pullRequest: undefined, headSha: subject.head, readOnly: false };
    case 'workflow-run': {
      const { head, from, pullRequests } = subject;
      const [told] = pullRequests;
      if (told !== undefined) return { pullRequest: told, headSha: head, readOnly: false };
      if (from === undefined) return nobody('The repository or the branch of the change is gone.');
      try {
        // A fork's: the event names none.
        const found = await posts.pullRequestAt({ ...from, head });
        if (found !== undefined) return { pullRequest: found, headSha: head, readOnly: false };
      } catch (error) {
        if (!(error instanceof PostError)) throw error;
        return nobody(
          `The pull request could not be looked up, which needs \`permissions: { pull-requests: write }\`. ${error.message}`,
        );
      }
      return nobody('No open pull request is at this commit any more: a newer one has a run of its own.');
    }
    case 'none':
      return nobody('The event does not say which commit or pull request the report is about.');
  }
}

const nobody = (message: string) => ({
  notice: { level: 'notice', title: 'Nobody was told beside this run’s page', message } satisfies Notice,
});

function runOf({ situation: { subject }, job, runUrl, environment }: Settings): Announcing['run'] {
  if (subject.kind !== 'workflow-run') return { id: job.run, attempt: job.attempt, url: runUrl };
  const { id, attempt } = subject.run;
  const server = environment['GITHUB_SERVER_URL'] ?? 'https://github.com';
  return { id, attempt, url: `${server}/${job.repository}/actions/runs/${id}/attempts/${attempt}` };
}
