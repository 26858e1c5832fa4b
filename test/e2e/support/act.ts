import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { ensureAct } from '../../../scripts/setup/act.ts';
import { repository } from '../../../scripts/setup/cache.ts';
import { type CacheJob, type CacheServer, startCacheServer } from '../../support/cache-server.ts';
import { payloadOf, REPOSITORY, SHAS } from '../../support/events.ts';
import { type GitHubServer, type Pull, startGitHubServer } from '../../support/github-server.ts';

/** What the runner shows on a line of a file, or on the job where `file` is missing. */
export interface Annotation {
  readonly level: 'error' | 'warning' | 'notice';
  readonly message: string;
  readonly title?: string | undefined;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
}

/** How a job ended and what it showed. */
export interface JobResult {
  readonly succeeded: boolean;
  /** The action's step after all others, which cleans up. */
  readonly post: 'success' | 'failure' | 'missing';
  readonly outputs: Readonly<Record<string, string>>;
  readonly annotations: readonly Annotation[];
  /** Lines of the log, groups and commands left out. */
  readonly log: readonly string[];
  readonly summary: string;
  /** Folder of the record that the job wrote, if any. */
  readonly record: string;
  readonly runId: string;
  readonly seconds: number;
}

/** How the jobs of a workflow ended, by their names. */
export interface RunResult {
  readonly jobs: ReadonlyMap<string, JobResult>;
  readonly runId: string;
  readonly seconds: number;
}

export interface ActOptions {
  /** Folder for everything that is made. */
  readonly folder: string;
  /** The built action. */
  readonly action: string;
  /** For DOCKER_HOST; without it the engine runs in a process. */
  readonly docker?: string;
  /** Without the example workflows: what is written, `adoptWorkflows` makes ready to be run. */
  readonly isEmpty?: true;
}

/** What the pull request's merge is known by to GitHub. */
const PULL = 7;
/** A stranger's pull request, at a commit and on a branch of the same name. */
export const FORKED = { number: 8 } as const;
const TOKEN = 'ghs_token-of-the-job';
const MAIN = 'refs/heads/main';

/**
 * A repository with the example workflows, and nektos/act as its self-hosted runner. The cache service and GitHub's API
 * are the tests' own, since act's know neither scopes nor permissions.
 */
export interface ActRepository extends AsyncDisposable {
  readonly cache: CacheServer;
  readonly github: GitHubServer;
  /** Writes a file of the working tree. */
  write(path: string, content: string): Promise<void>;
  /** Has the workflows of the working tree keep their records here, and their artifacts. Once. */
  adoptWorkflows(): Promise<void>;
  /** Commits what is written to a branch, and runs check.yml, or another, for its pull request. */
  pullRequest(signal: AbortSignal, workflow?: string, flags?: readonly string[]): Promise<JobResult>;
  /** Merges that branch, or what is written: nothing runs. */
  merge(): Promise<void>;
  /** The same of a workflow with several jobs, by their names. */
  pullRequestJobs(signal: AbortSignal, workflow: string, flags?: readonly string[]): Promise<RunResult>;
  /** Runs a workflow on the default branch, after another run that a stranger's pull request started. */
  afterRun(runId: string, workflow: string, options: Pick<RunOptions, 'signal'>): Promise<JobResult>;
  /** The same of one with several jobs, on the default branch. */
  onMainJobs(event: string, workflow: string, options: RunOptions): Promise<RunResult>;
  /** Runs a workflow on the default branch. */
  onMain(event: string, workflow: string, options: RunOptions): Promise<JobResult>;
}

export interface RunOptions {
  readonly signal: AbortSignal;
  readonly inputs?: Readonly<Record<string, string>>;
  /** More flags of act. */
  readonly flags?: readonly string[];
}

const WORKFLOWS = [
  ...['check.yml', 'refresh.yml', 'accept.yml', 'keep-warm.yml', 'matrix.yml', 'fleet.yml'],
  ...['fork-check.yml', 'fork-report.yml'],
] as const;

/** Where the stand-ins for GitHub's own actions lie. */
const ARTIFACTS = join(repository, 'test/e2e/support/artifacts');

export async function actRepository({ folder, action, docker, isEmpty }: ActOptions): Promise<ActRepository> {
  const act = await ensureAct();
  const place = join(folder, 'repository');
  const records = join(folder, 'records');
  const workflows = join(place, '.github/workflows');
  await mkdir(workflows, { recursive: true });
  const standIns = new Map<string, string>();
  const adoptWorkflows = async () => {
    for (const name of await readdir(workflows)) {
      const text = await readFile(join(workflows, name), 'utf8');
      for (const [uses, which = ''] of text.matchAll(/actions\/(upload|download)-artifact@[0-9a-f]{40}/g))
        standIns.set(uses, join(ARTIFACTS, which));
      await writeFile(join(workflows, name), keepingRecord(text, records));
    }
  };
  if (isEmpty !== true) {
    await cp(join(repository, 'examples/prompts'), join(place, 'prompts'), { recursive: true });
    for (const name of WORKFLOWS)
      await cp(join(repository, 'examples/workflows', name), join(workflows, name));
    await adoptWorkflows();
  }
  const artifacts = join(folder, 'artifacts');
  await mkdir(artifacts);
  const git = async (...args: string[]) =>
    (await execa('git', args, { cwd: place, env: GIT_IDENTITY })).stdout;
  const commit = async (message: string) => {
    await git('add', '--all');
    await git('commit', '--quiet', '--allow-empty', '--message', message);
  };
  await git('init', '--quiet', '--initial-branch', 'main');
  await git('remote', 'add', 'origin', `https://github.com/${REPOSITORY}.git`);
  await commit('the workflows');

  await using owned = new AsyncDisposableStack();
  const cache = owned.use(await startCacheServer());
  const pulls: Record<string, Pull[]> = {};
  const github = owned.use(
    await startGitHubServer({
      ...{ repository: REPOSITORY, token: TOKEN, caches: cache, pulls },
      contents: { kind: 'git', folder: place },
      pullRequests: [
        { number: PULL, headSha: SHAS.head },
        {
          number: FORKED.number,
          headSha: SHAS.head,
          headRef: 'change',
          from: { id: 98765432, owner: 'mallory' },
        },
      ],
    }),
  );
  const kept = owned.move();
  // Not 1, act's own: on a machine's daemon, another act's containers would be taken for this job's.
  let runId = Date.now();

  async function run(
    event: string,
    workflow: string,
    payload: object,
    job: CacheJob,
    { signal, flags = [] }: RunOptions,
  ): Promise<RunResult> {
    const eventFile = join(folder, 'event.json');
    await writeFile(eventFile, JSON.stringify(payload));
    runId += 1;
    const environment = {
      ...cache.job({ default: MAIN, ...job }),
      ...github.env,
      GITHUB_RUN_ID: String(runId),
      ARTIFACTS: artifacts,
    };
    const start = performance.now();
    const { stdout, stderr } = await execa(
      act,
      [
        ...[event, '--json', '--workflows', join('.github/workflows', workflow), '--eventpath', eventFile],
        ...['self-hosted', 'gpu', 'ubuntu-latest', 'l4', 'a100', 'h100'].flatMap((label) => [
          '--platform',
          `${label}=-self-hosted`,
        ]),
        ...['--local-repository', `org/deterministic-ml-action@v1=${action}`, '--actor', 'octocat'],
        ...[...standIns].flatMap(([uses, path]) => ['--local-repository', `${uses}=${path}`]),
        ...['--no-cache-server', '--action-cache-path', join(folder, 'work')],
        ...['--secret', `GITHUB_TOKEN=${TOKEN}`],
        ...Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
        ...flags,
      ],
      {
        cwd: place,
        cancelSignal: signal,
        reject: false,
        stdin: 'ignore',
        env: {
          PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
          ...(docker === undefined ? {} : { DOCKER_HOST: docker }),
        },
      },
    );
    signal.throwIfAborted();
    const events = stdout
      .split('\n')
      .flatMap((line) => (line.startsWith('{') ? [Event.parse(JSON.parse(line))] : []));
    if (!events.some(({ jobResult }) => jobResult !== undefined))
      throw new Error(`act said:\n${stdout}\n${stderr}`);
    const seconds = (performance.now() - start) / 1000;
    const jobs = Map.groupBy(events, ({ job }) => job);
    jobs.delete('');
    return {
      runId: String(runId),
      seconds,
      jobs: new Map(
        [...jobs].map(([job, own]) => [
          job.slice(job.indexOf('/') + 1).trim(),
          { ...resultOf(own), runId: String(runId), seconds },
        ]),
      ),
    };
  }

  /** Of a workflow with one job. */
  async function runOne(...asked: Parameters<typeof run>): Promise<JobResult> {
    const { jobs } = await run(...asked);
    const [job, ...others] = jobs.values();
    if (job === undefined || others.length > 0) throw new Error(`jobs: ${[...jobs.keys()].join(', ')}`);
    return job;
  }

  async function payloadOnMain(event: string, { inputs }: RunOptions): Promise<object> {
    await git('checkout', '--quiet', 'main');
    // act takes the commit from a push's payload.
    const after = event === 'push' ? { after: await git('rev-parse', 'HEAD') } : {};
    return { ...payloadOf(event), ...after, ...(inputs === undefined ? {} : { inputs }) };
  }

  return {
    cache,
    github,
    write: (path, content) => writeFile(join(place, path), content),
    adoptWorkflows,
    async pullRequest(signal, workflow = 'check.yml', flags = []) {
      await git('checkout', '--quiet', '-B', 'change');
      await commit('change');
      const job = { ref: `refs/pull/${PULL}/merge`, base: MAIN };
      return await runOne('pull_request', workflow, payloadOf('pull_request'), job, { signal, flags });
    },
    async pullRequestJobs(signal, workflow, flags = []) {
      await git('checkout', '--quiet', '-B', 'change');
      await commit('change');
      const job = { ref: `refs/pull/${PULL}/merge`, base: MAIN };
      return await run('pull_request', workflow, payloadOf('pull_request'), job, { signal, flags });
    },
    async merge() {
      await commit('change');
      const changed = await git('rev-parse', 'HEAD');
      await git('checkout', '--quiet', 'main');
      await git('merge', '--quiet', '--no-ff', '--message', `vLLM 0.31 (#${PULL})`, changed);
      const sha = await git('rev-parse', 'HEAD');
      pulls[sha] = [{ number: PULL, merged_at: new Date().toISOString(), merge_commit_sha: sha }];
    },
    async onMain(event, workflow, options) {
      return await runOne(event, workflow, await payloadOnMain(event, options), { ref: MAIN }, options);
    },
    async onMainJobs(event, workflow, options) {
      return await run(event, workflow, await payloadOnMain(event, options), { ref: MAIN }, options);
    },
    async afterRun(other, workflow, { signal }) {
      await git('checkout', '--quiet', 'main');
      const payload = payloadOf('workflow_run');
      const about = { ...Object(payload['workflow_run']), id: Number(other) };
      return await runOne(
        'workflow_run',
        workflow,
        { ...payload, workflow_run: about },
        { ref: MAIN },
        { signal },
      );
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** act throws a succeeded job's RUNNER_TEMP away, and the record with it. */
function keepingRecord(workflow: string, records: string): string {
  const suite = /^( *)suite: .*$/m;
  if (!suite.test(workflow)) return workflow;
  const path = `${records}/\${{ github.run_id }}\${{ matrix.gpu }}`;
  return (
    workflow
      .replace(suite, `$&\n$1record-path: ${path}`)
      // One machine is several: which one, a variable tells it.
      .replace(/^ {4}runs-on: .*matrix\.gpu.*$/m, `$&\n    env: { LC_LEVEL: "\${{ matrix.gpu }}" }`)
  );
}

const GIT_IDENTITY = {
  GIT_AUTHOR_NAME: 'Octo Cat',
  GIT_AUTHOR_EMAIL: 'octocat@example.com',
  GIT_COMMITTER_NAME: 'Octo Cat',
  GIT_COMMITTER_EMAIL: 'octocat@example.com',
};

/** One line of `act --json`. */
const Event = z.object({
  msg: z.string(),
  job: z.string().default(''),
  stage: z.string().optional(),
  step: z.string().optional(),
  stepResult: z.string().optional(),
  jobResult: z.enum(['success', 'failure']).optional(),
  raw_output: z.boolean().default(false),
  command: z.string().optional(),
  name: z.string().default(''),
  arg: z.string().default(''),
  content: z.string().default(''),
  kvPairs: z.record(z.string(), z.string()).nullish(),
});
type Event = z.infer<typeof Event>;

const LEVELS = ['error', 'warning', 'notice'] as const;

function resultOf(events: readonly Event[]): Omit<JobResult, 'runId' | 'seconds'> {
  const post = events.find(({ stage, stepResult }) => stage === 'Post' && stepResult !== undefined);
  const outputs = Object.fromEntries(
    events.filter(({ command }) => command === 'set-output').map(({ name, arg }) => [name, arg]),
  );
  return {
    record: outputs['record-path'] ?? '',
    succeeded: events.some(({ jobResult }) => jobResult === 'success'),
    post: post === undefined ? 'missing' : post.stepResult === 'success' ? 'success' : 'failure',
    outputs,
    annotations: events.flatMap(({ command, arg, kvPairs }): Annotation[] => {
      const level = LEVELS.find((one) => one === command);
      if (level === undefined) return [];
      const { title, file, line } = kvPairs ?? {};
      return [{ level, message: arg, title, file, line: line === undefined ? undefined : Number(line) }];
    }),
    log: events.filter(({ raw_output }) => raw_output).map(({ msg }) => msg.trimEnd()),
    summary: events.find(({ command }) => command === 'summary')?.content ?? '',
  };
}
