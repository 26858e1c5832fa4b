/** Events of GitHub as a runner hands them over: name, refs and payload, trimmed to what somebody might look at. */

export const REPOSITORY = 'octo/models';
export const SHAS = {
  /** What the runner checks out. */
  commit: 'c0ffee'.repeat(6).concat('c0ff'),
  head: 'ec26c3e57ca3a959ca5aad62de7213c562f8c821',
  base: 'f95f852bd8fca8fcc58a9a2d6c842781e32a215e',
} as const;

const owner = { login: 'octo', id: 6811672, type: 'Organization' } as const;
const sender = { login: 'octocat', id: 583231, type: 'User', site_admin: false } as const;

const repository = {
  id: 1296269,
  node_id: 'MDEwOlJlcG9zaXRvcnkxMjk2MjY5',
  name: 'models',
  full_name: REPOSITORY,
  private: false,
  owner,
  html_url: `https://github.com/${REPOSITORY}`,
  fork: false,
  url: `https://api.github.com/repos/${REPOSITORY}`,
  default_branch: 'main',
} as const;

/** The copy of somebody whom nobody here knows. */
const stranger = {
  ...repository,
  id: 98765432,
  full_name: 'mallory/models',
  owner: { login: 'mallory', id: 666, type: 'User' },
  fork: true,
} as const;

export interface EventOptions {
  /** Whether a pull request comes from another repository. */
  readonly fork?: boolean;
  /** Whether that repository is gone by now. */
  readonly deleted?: boolean;
}

/** A pull request's part of a payload: `action` and what it is about come on top. */
function pullRequest({ fork = false, deleted = false }: EventOptions) {
  return {
    repository,
    organization: owner,
    sender,
    pull_request: {
      url: `https://api.github.com/repos/${REPOSITORY}/pulls/7`,
      id: 279147437,
      number: 7,
      state: 'open',
      locked: false,
      title: 'vLLM 0.31',
      user: sender,
      body: null,
      merge_commit_sha: SHAS.commit,
      draft: false,
      head: {
        label: fork ? 'mallory:change' : 'octo:change',
        ref: 'change',
        sha: SHAS.head,
        user: fork ? stranger.owner : owner,
        repo: deleted ? null : fork ? stranger : repository,
      },
      base: { label: 'octo:main', ref: 'main', sha: SHAS.base, user: owner, repo: repository },
      author_association: fork ? 'NONE' : 'MEMBER',
    },
  };
}

const comment = { id: 1, body: '/refresh please', user: sender, author_association: 'NONE' } as const;
const QUEUED = `refs/heads/gh-readonly-queue/main/pr-7-${SHAS.base}`;

interface Kind {
  /** GITHUB_REF. */
  readonly ref: string;
  payload(options: EventOptions): Readonly<Record<string, unknown>>;
}

const common = { repository, organization: owner, sender } as const;
const onMain = (more: Readonly<Record<string, unknown>>): Kind => ({
  ref: 'refs/heads/main',
  payload: () => ({ ...common, ...more }),
});
const onPullRequest = (more: Readonly<Record<string, unknown>>): Kind => ({
  ref: 'refs/pull/7/merge',
  payload: (options) => ({ ...more, ...pullRequest(options) }),
});

const KINDS = {
  pull_request: onPullRequest({ action: 'synchronize', number: 7, before: SHAS.base, after: SHAS.head }),
  pull_request_review: onPullRequest({
    action: 'submitted',
    review: { id: 237895671, user: sender, body: 'fine', commit_id: SHAS.head, state: 'approved' },
  }),
  pull_request_review_comment: onPullRequest({
    action: 'created',
    comment: { ...comment, path: 'determinism.yml', commit_id: SHAS.head },
  }),
  pull_request_target: {
    ref: 'refs/heads/main',
    payload: (options) => ({ action: 'synchronize', number: 7, ...pullRequest(options) }),
  },
  merge_group: {
    ref: QUEUED,
    payload: () => ({
      ...common,
      action: 'checks_requested',
      merge_group: {
        head_sha: SHAS.commit,
        head_ref: QUEUED,
        base_sha: SHAS.base,
        base_ref: 'refs/heads/main',
        head_commit: { id: SHAS.commit, tree_id: SHAS.head, message: 'vLLM 0.31 (#7)' },
      },
    }),
  },
  push: onMain({
    ref: 'refs/heads/main',
    before: SHAS.base,
    after: SHAS.commit,
    base_ref: null,
    created: false,
    deleted: false,
    forced: false,
    pusher: { name: 'octocat', email: 'octocat@example.com' },
    head_commit: { id: SHAS.commit, message: 'vLLM 0.31 (#7)', timestamp: '2026-11-23T10:00:00+01:00' },
    commits: [{ id: SHAS.commit, message: 'vLLM 0.31 (#7)', distinct: true }],
  }),
  // No repository: the payload of a schedule may hold nothing else.
  schedule: { ref: 'refs/heads/main', payload: () => ({ schedule: '17 3 * * 1,4' }) },
  workflow_dispatch: onMain({
    inputs: { reason: 'vLLM 0.31' },
    ref: 'refs/heads/main',
    workflow: '.github/workflows/refresh.yml',
  }),
  repository_dispatch: onMain({ action: 'new-driver', branch: 'main', client_payload: {} }),
  release: {
    ref: 'refs/tags/v1.0.0',
    payload: () => ({
      ...common,
      action: 'published',
      release: { id: 1, tag_name: 'v1.0.0', target_commitish: 'main', draft: false, prerelease: false },
    }),
  },
  workflow_run: onMain({
    action: 'completed',
    workflow: { id: 1, name: 'build', path: '.github/workflows/build.yml' },
    workflow_run: {
      id: 2,
      event: 'pull_request',
      head_branch: 'change',
      head_sha: SHAS.head,
      conclusion: 'success',
      pull_requests: [],
      head_repository: stranger,
    },
  }),
  issue_comment: onMain({
    action: 'created',
    issue: {
      number: 7,
      title: 'vLLM 0.31',
      pull_request: { url: `https://api.github.com/repos/${REPOSITORY}/pulls/7` },
    },
    comment,
  }),
  issues: onMain({ action: 'opened', issue: { number: 8, title: 'It differs', user: sender } }),
  discussion_comment: onMain({ action: 'created', discussion: { number: 9 }, comment }),
  fork: onMain({ forkee: stranger }),
  watch: onMain({ action: 'started' }),
  create: onMain({ ref: 'change', ref_type: 'branch', master_branch: 'main' }),
  delete: onMain({ ref: 'change', ref_type: 'branch' }),
  check_run: onMain({ action: 'completed', check_run: { id: 3, head_sha: SHAS.head } }),
  status: onMain({ sha: SHAS.head, state: 'success', context: 'other' }),
  deployment: onMain({ action: 'created', deployment: { id: 4, ref: 'main', sha: SHAS.commit } }),
} as const satisfies Readonly<Record<string, Kind>>;

/** Events with a payload here. */
export const EVENTS = Object.keys(KINDS) as readonly EventName[];
export type EventName = keyof typeof KINDS;

const kindOf = (event: string): Kind | undefined =>
  Object.hasOwn(KINDS, event) ? KINDS[event as EventName] : undefined;

/** What GITHUB_REF is on an event. */
export const refOf = (event: string): string => kindOf(event)?.ref ?? 'refs/heads/main';

/** What the file that GITHUB_EVENT_PATH names says. */
export const payloadOf = (event: string, options: EventOptions = {}): Readonly<Record<string, unknown>> =>
  kindOf(event)?.payload(options) ?? common;
