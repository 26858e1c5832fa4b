import {
  type Bearer,
  demand,
  demandOwn,
  Refusal,
  record,
  ruleOnBody,
  ruleOnCheckRun,
  text,
} from './github-rules.ts';
import { type Asked, type Routed, whole } from './github-schema.ts';

export interface PullRequestState {
  readonly number: number;
  readonly headSha: string;
  readonly headRef?: string;
  /** The repository that the change comes from; this one, unless told otherwise. */
  readonly from?: { readonly id: number; readonly owner: string };
  /** Whether it is open: yes, unless told otherwise. */
  readonly open?: boolean;
  locked?: boolean;
}

export interface CommentState {
  readonly id: number;
  readonly pullRequest: number;
  readonly author: string;
  body: string;
  /** How often it was changed. */
  edits: number;
}

export interface CheckRunState {
  readonly id: number;
  readonly app: string;
  readonly headSha: string;
  name: string;
  externalId: string | undefined;
  detailsUrl: string | undefined;
  status: string;
  conclusion: string | undefined;
  output: { title: string; summary: string; readonly annotations: Readonly<Record<string, unknown>>[] };
}

/** What people and apps write on pull requests and commits. */
export interface Conversation {
  readonly comments: CommentState[];
  readonly checkRuns: CheckRunState[];
  /** As somebody wrote it before. */
  comment(given: Pick<CommentState, 'pullRequest' | 'author' | 'body'>): CommentState;
  /** Undefined where the operation is none of these. */
  answer(routed: Routed, asked: Asked, bearer: Bearer): Promise<Reply | undefined>;
}

/** @property list is told in pages */
export type Reply =
  | { readonly status: number; readonly value: unknown }
  | { readonly status: 204 }
  | { readonly list: readonly unknown[]; readonly within?: string };

interface Grounds {
  readonly repository: string;
  readonly pullRequests: readonly PullRequestState[];
  isCommit(sha: string): Promise<boolean>;
}

export const REPOSITORY_ID = 1296269;

export function conversation({ repository, pullRequests, isCommit }: Grounds): Conversation {
  const comments: CommentState[] = [];
  const checkRuns: CheckRunState[] = [];
  let last = 1000;

  function comment(given: Pick<CommentState, 'pullRequest' | 'author' | 'body'>): CommentState {
    last += 1;
    const made = { ...given, id: last, edits: 0 };
    comments.push(made);
    return made;
  }

  function pullRequest(number: unknown): PullRequestState {
    const found = pullRequests.find((one) => one.number === Number(number));
    if (found === undefined) throw new Refusal(404, 'Not Found');
    return found;
  }

  function commentBy(id: unknown): CommentState {
    const found = comments.find((one) => one.id === Number(id));
    if (found === undefined) throw new Refusal(404, 'Not Found');
    return found;
  }

  async function commit(sha: string): Promise<void> {
    if (pullRequests.some(({ headSha }) => headSha === sha) || (await isCommit(sha))) return;
    throw new Refusal(422, `No commit found for SHA: ${sha}`);
  }

  function addTo(run: CheckRunState, { body }: Asked): void {
    const output = record(body['output']);
    const added = Array.isArray(output['annotations']) ? output['annotations'].map(record) : [];
    run.output = {
      title: text(output['title']) || run.output.title,
      summary: text(output['summary']) || run.output.summary,
      // They are appended, and nothing takes them away.
      annotations: [...run.output.annotations, ...added],
    };
    run.externalId = text(body['external_id']) || run.externalId;
    run.detailsUrl = text(body['details_url']) || run.detailsUrl;
    run.conclusion = text(body['conclusion']) || run.conclusion;
    run.status = run.conclusion !== undefined ? 'completed' : text(body['status']) || run.status;
  }

  return {
    comments,
    checkRuns,
    comment,
    async answer({ id, path }, asked, bearer) {
      const { body, query } = asked;
      switch (id) {
        case 'users/get-authenticated':
          // A job's token and an app's are nobody's.
          if (bearer.kind === 'app') throw new Refusal(403, 'Resource not accessible by integration');
          return {
            status: 200,
            value: whole('public-user', { ...userOf(bearer.login), user_view_type: 'public' }),
          };
        case 'issues/list-comments': {
          const { number } = pullRequest(path['issue_number']);
          demand(bearer, 'issues', 'pull-requests');
          return { list: comments.filter((one) => one.pullRequest === number).map(commentJson) };
        }
        case 'issues/create-comment': {
          const { number, locked } = pullRequest(path['issue_number']);
          demand(bearer, 'issues:write', 'pull-requests:write');
          if (locked === true) throw new Refusal(403, 'Unable to create comment because issue is locked.');
          ruleOnBody(text(body['body']));
          const made = comment({ pullRequest: number, author: bearer.login, body: text(body['body']) });
          return { status: 201, value: commentJson(made) };
        }
        case 'issues/update-comment': {
          const found = commentBy(path['comment_id']);
          demand(bearer, 'issues:write', 'pull-requests:write');
          demandOwn(bearer, found.author);
          ruleOnBody(text(body['body']));
          found.body = text(body['body']);
          found.edits += 1;
          return { status: 200, value: commentJson(found) };
        }
        case 'issues/delete-comment': {
          const found = commentBy(path['comment_id']);
          demand(bearer, 'issues:write', 'pull-requests:write');
          demandOwn(bearer, found.author);
          comments.splice(comments.indexOf(found), 1);
          return { status: 204 };
        }
        case 'checks/create': {
          if (bearer.kind === 'user') throw new Refusal(403, 'You must authenticate via a GitHub App.');
          demand(bearer, 'checks:write');
          const headSha = text(body['head_sha']);
          await commit(headSha);
          ruleOnCheckRun(asked);
          last += 1;
          const made: CheckRunState = {
            ...{ id: last, app: bearer.login, headSha, name: text(body['name']), status: 'queued' },
            ...{ externalId: undefined, detailsUrl: undefined, conclusion: undefined },
            output: { title: '', summary: '', annotations: [] },
          };
          addTo(made, asked);
          checkRuns.push(made);
          return { status: 201, value: checkRunJson(made) };
        }
        case 'checks/update': {
          if (bearer.kind === 'user') throw new Refusal(403, 'You must authenticate via a GitHub App.');
          const found = checkRuns.find((one) => one.id === Number(path['check_run_id']));
          if (found === undefined) throw new Refusal(404, 'Not Found');
          demand(bearer, 'checks:write');
          if (found.app !== bearer.login)
            throw new Refusal(403, 'A check run can only be modified by the GitHub App that created it.');
          ruleOnCheckRun(asked);
          addTo(found, asked);
          return { status: 200, value: checkRunJson(found) };
        }
        case 'checks/list-for-ref': {
          demand(bearer, 'checks');
          const sha = text(path['ref']);
          await commit(sha);
          const named = checkRuns.filter(
            ({ headSha, name }) => headSha === sha && (query['check_name'] ?? name) === name,
          );
          const shown =
            query['filter'] === 'all'
              ? named
              : [...new Map(named.map((one) => [`${one.app} ${one.name}`, one])).values()];
          return { list: shown.toReversed().map(checkRunJson), within: 'check_runs' };
        }
        case 'pulls/get':
          demand(bearer, 'pull-requests');
          return { status: 200, value: whole('pull-request', pullJson(pullRequest(path['pull_number']))) };
        case 'pulls/list': {
          demand(bearer, 'pull-requests');
          const state = query['state'] ?? 'open';
          const head = text(query['head']);
          const found = pullRequests.filter((one) => {
            const { open = true, headRef = 'change', from = { owner: ownerOf(repository) } } = one;
            return (
              (state === 'all' || (state === 'open') === open) &&
              (head === '' || head === `${from.owner}:${headRef}`)
            );
          });
          return { list: found.map((one) => whole('pull-request-simple', pullJson(one))) };
        }
        default:
          return undefined;
      }
    },
  };

  function pullJson({
    number,
    headSha,
    headRef = 'change',
    from,
    open = true,
    locked = false,
  }: PullRequestState) {
    const owner = from?.owner ?? ownerOf(repository);
    const repo = { id: from?.id ?? REPOSITORY_ID, owner: userOf(owner), name: repository.split('/')[1] };
    return {
      ...{ id: number, number, state: open ? 'open' : 'closed', locked, user: userOf('octocat') },
      head: { ref: headRef, sha: headSha, label: `${owner}:${headRef}`, repo, user: userOf(owner) },
      labels: [],
    };
  }
}

const ownerOf = (repository: string) => repository.split('/')[0] ?? '';

const userOf = (login: string) => ({ login, type: login.endsWith('[bot]') ? 'Bot' : 'User' });

const commentJson = ({ id, author, body }: CommentState) =>
  whole('issue-comment', { id, body, user: userOf(author) });

const checkRunJson = (run: CheckRunState) =>
  whole('check-run', {
    ...{ id: run.id, name: run.name, head_sha: run.headSha, status: run.status },
    external_id: run.externalId ?? null,
    details_url: run.detailsUrl ?? null,
    conclusion: run.conclusion ?? 'neutral',
    check_suite: { id: 1 },
    output: {
      ...{ title: run.output.title, summary: run.output.summary, text: null },
      annotations_count: run.output.annotations.length,
    },
  });
