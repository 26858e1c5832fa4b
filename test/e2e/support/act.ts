import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { ensureAct } from '../../../scripts/setup/act.ts';
import { repository } from '../../../scripts/setup/cache.ts';

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

export interface ActOptions {
  /** Folder for everything that is made. */
  readonly folder: string;
  /** The built action. */
  readonly action: string;
  /** For DOCKER_HOST. */
  readonly docker: string;
}

/** A repository with the example workflows, and nektos/act as its self-hosted runner with a cache server. */
export interface ActRepository {
  /** Writes a file of the repository. */
  write(path: string, content: string): Promise<void>;
  /** Opens a pull request of what is written: runs check.yml. */
  pullRequest(signal: AbortSignal): Promise<JobResult>;
  /** Starts refresh.yml by hand on the default branch. */
  refresh(reason: string, signal: AbortSignal): Promise<JobResult>;
}

export async function actRepository({ folder, action, docker }: ActOptions): Promise<ActRepository> {
  const act = await ensureAct();
  const place = join(folder, 'repository');
  const records = join(folder, 'records');
  await cp(join(repository, 'examples/prompts'), join(place, 'prompts'), { recursive: true });
  await mkdir(join(place, '.github/workflows'), { recursive: true });
  for (const name of ['check.yml', 'refresh.yml']) {
    const example = await readFile(join(repository, 'examples/workflows', name), 'utf8');
    await writeFile(join(place, '.github/workflows', name), keepingRecord(example, records));
  }
  const git = (...args: string[]) => execa('git', args, { cwd: place, env: GIT_IDENTITY });
  await git('init', '--quiet', '--initial-branch', 'main');
  await git('remote', 'add', 'origin', 'https://github.com/acme/models.git');
  // Not 1, act's own: on a machine's daemon, another act's containers would be taken for this job's.
  let runId = Date.now();

  async function run(
    event: string,
    workflow: string,
    payload: object,
    signal: AbortSignal,
  ): Promise<JobResult> {
    await git('add', '--all');
    await git('commit', '--quiet', '--allow-empty', '--message', event);
    const eventFile = join(folder, 'event.json');
    await writeFile(eventFile, JSON.stringify({ repository: { default_branch: 'main' }, ...payload }));
    runId += 1;
    const start = performance.now();
    const { stdout, stderr } = await execa(
      act,
      [
        ...[event, '--json', '--workflows', join('.github/workflows', workflow), '--eventpath', eventFile],
        ...['--platform', 'self-hosted=-self-hosted', '--platform', 'gpu=-self-hosted'],
        ...['--local-repository', `org/deterministic-ml-action@v1=${action}`, '--actor', 'octocat'],
        ...['--cache-server-addr', '127.0.0.1', '--cache-server-path', join(folder, 'cache')],
        // Nobody uses it, on whatever port; but without it there is no ACTIONS_RUNTIME_TOKEN, and so no cache.
        ...['--artifact-server-addr', '127.0.0.1', '--artifact-server-port', '0'],
        ...['--artifact-server-path', join(folder, 'artifacts')],
        ...['--action-cache-path', join(folder, 'work'), '--env', `GITHUB_RUN_ID=${runId}`],
      ],
      {
        cwd: place,
        cancelSignal: signal,
        reject: false,
        stdin: 'ignore',
        env: {
          PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
          DOCKER_HOST: docker,
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
    return { ...resultOf(events), record: join(records, String(runId)), runId: String(runId), seconds };
  }

  return {
    write: (path, content) => writeFile(join(place, path), content),
    pullRequest: (signal) =>
      run(
        'pull_request',
        'check.yml',
        { pull_request: { number: 7, head: { ref: 'change' }, base: { ref: 'main' } } },
        signal,
      ),
    refresh: (reason, signal) => run('workflow_dispatch', 'refresh.yml', { inputs: { reason } }, signal),
  };
}

/** act throws a succeeded job's RUNNER_TEMP away, and the record with it. */
function keepingRecord(workflow: string, records: string): string {
  const suite = /^( *)suite: .*$/m;
  if (!suite.test(workflow)) throw new Error('the example names no suite');
  return workflow.replace(suite, `$&\n$1record-path: ${records}/\${{ github.run_id }}`);
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

function resultOf(events: readonly Event[]): Omit<JobResult, 'record' | 'runId' | 'seconds'> {
  const post = events.find(({ stage, stepResult }) => stage === 'Post' && stepResult !== undefined);
  return {
    succeeded: events.some(({ jobResult }) => jobResult === 'success'),
    post: post === undefined ? 'missing' : post.stepResult === 'success' ? 'success' : 'failure',
    outputs: Object.fromEntries(
      events.filter(({ command }) => command === 'set-output').map(({ name, arg }) => [name, arg]),
    ),
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
