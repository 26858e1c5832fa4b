import { z } from 'zod';
import { readPayload } from '../disk/payload.ts';
import type { Door, Situation, Subject } from '../job/situation.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const Branch = z.string().regex(/^[^\s\p{C}~^:?*[\\]{1,255}$/u);
const Repository = z.object({ id: z.number().int(), full_name: z.string().min(1) });

/*
 * One schema for each question: a payload that leaves one open still answers the others. Objects are loose, since a
 * payload says a hundred things that nothing here depends on.
 */
const WithDefaultBranch = z.object({ repository: z.object({ default_branch: Branch }) });
const WithBase = z.object({
  pull_request: z.object({ base: z.object({ ref: Branch }) }),
});
const WithOrigin = z.object({
  repository: Repository,
  pull_request: z.object({
    head: z.object({ repo: Repository }),
    base: z.object({ repo: Repository }),
  }),
});
const WithRepository = z.object({ repository: z.object({ id: z.number().int() }) });
const Commit = z.string().regex(/^[0-9a-f]{40}$/);
const WithNumber = z.object({
  pull_request: z.object({ number: z.number().int().positive(), head: z.object({ sha: Commit }) }),
});
const WithRun = z.object({
  workflow_run: z.object({
    id: z.number().int().positive(),
    run_attempt: z.number().int().positive().default(1),
    head_sha: Commit,
    head_branch: Branch.nullish().catch(undefined),
    conclusion: z.string().nullish().catch(undefined),
    // Those of another repository, whose base our branch is, are listed too.
    pull_requests: z
      .array(
        z.object({
          number: z.number().int().positive(),
          head: z.object({ sha: z.string() }),
          base: z.object({ repo: z.object({ id: z.number().int() }) }),
        }),
      )
      .catch([]),
    head_repository: z
      .object({ id: z.number().int(), owner: z.object({ login: z.string().regex(/^[\w.-]{1,100}$/) }) })
      .nullish()
      .catch(undefined),
  }),
});
const WithMergeGroup = z.object({
  merge_group: z.object({ base_ref: Branch.startsWith('refs/heads/') }),
});

/** @param environment as the runner sets it; what it and the event's payload leave open is no permission */
export async function readSituation(environment: Environment, door: Door): Promise<Situation> {
  const event = door === 'terminal' ? 'cli' : (environment['GITHUB_EVENT_NAME'] ?? '');
  const ref = environment['GITHUB_REF'] ?? '';
  const payload = await readPayload(environment['GITHUB_EVENT_PATH']);
  const common = {
    door,
    event,
    ref,
    commit: environment['GITHUB_SHA'] ?? '',
    defaultBranch: defaultBranchOf(event, ref, payload),
    subject: subjectOf(event, environment['GITHUB_SHA'] ?? '', payload),
  };
  switch (event) {
    case 'pull_request':
    case 'pull_request_review':
    case 'pull_request_review_comment':
    case 'pull_request_target':
      return {
        ...common,
        base: pullRequestBase(payload),
        fork: isFork(payload),
      };
    case 'merge_group':
      // Whatever is in it, somebody with the right to merge put it into the queue.
      return { ...common, base: mergeGroupBase(payload), fork: false };
    case 'workflow_run': {
      const { subject } = common;
      const from = subject.kind === 'workflow-run' ? subject.from : undefined;
      const own = WithRepository.safeParse(payload).data?.repository.id;
      // What the other run did is its authors' word.
      return { ...common, base: undefined, fork: from === undefined || from.repositoryId !== own };
    }
    default:
      return { ...common, base: undefined, fork: false };
  }
}

function defaultBranchOf(event: string, ref: string, payload: unknown): string | undefined {
  const told = WithDefaultBranch.safeParse(payload).data?.repository.default_branch;
  // The payload of a schedule may name no repository at all; but GitHub runs schedules on the default branch only.
  const [, scheduled] = (event === 'schedule' && /^refs\/heads\/(.+)$/.exec(ref)) || [];
  return told ?? scheduled;
}

function subjectOf(event: string, commit: string, payload: unknown): Subject {
  switch (event) {
    case 'pull_request':
    case 'pull_request_review':
    case 'pull_request_review_comment':
    case 'pull_request_target': {
      const told = WithNumber.safeParse(payload).data?.pull_request;
      return told === undefined
        ? { kind: 'none' }
        : { kind: 'pull-request', number: told.number, head: told.head.sha };
    }
    case 'workflow_run': {
      const told = WithRun.safeParse(payload).data?.workflow_run;
      if (told === undefined) return { kind: 'none' };
      const { head_repository: repository, head_branch: branch } = told;
      const own = WithRepository.safeParse(payload).data?.repository.id;
      return {
        kind: 'workflow-run',
        run: { id: String(told.id), attempt: String(told.run_attempt) },
        head: told.head_sha,
        conclusion: told.conclusion ?? '',
        pullRequests: told.pull_requests.flatMap(({ number, head, base }) =>
          head.sha === told.head_sha && base.repo.id === own ? [number] : [],
        ),
        from:
          repository === undefined || repository === null || branch === undefined || branch === null
            ? undefined
            : { owner: repository.owner.login, repositoryId: repository.id, branch },
      };
    }
    default:
      return Commit.safeParse(commit).success ? { kind: 'commit', head: commit } : { kind: 'none' };
  }
}

function pullRequestBase(payload: unknown): Situation['base'] {
  const base = WithBase.safeParse(payload).data?.pull_request.base;
  return base === undefined ? undefined : `refs/heads/${base.ref}`;
}

function mergeGroupBase(payload: unknown): Situation['base'] {
  const group = WithMergeGroup.safeParse(payload).data?.merge_group;
  return group?.base_ref;
}

/** A repository that was deleted, or that the payload does not tell in full, is nobody's that is known here. */
function isFork(payload: unknown): boolean {
  const origin = WithOrigin.safeParse(payload).data;
  if (origin === undefined) return true;
  const { head, base } = origin.pull_request;
  return head.repo.id !== base.repo.id || head.repo.full_name !== origin.repository.full_name;
}
