import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { payloadOf, REPOSITORY, refOf, SHAS } from '../../support/events.ts';
import { temporaryFolder } from '../../support/runtimes.ts';
import type { Action } from './action.ts';
import { type RunnerCommand, runnerCommands } from './commands.ts';

/** One self-hosted runner with one job: its folders, its name and its checkout. */
export interface Runner extends AsyncDisposable {
  readonly name: string;
  readonly runId: string;
  /** In the environment of all that this job starts: finds the processes that it left. */
  readonly trackingId: string;
  readonly workspace: string;
  readonly temp: string;
  /** `TMPDIR` of all that this job starts. */
  readonly scratch: string;
  readonly toolCache: string;
  readonly home: string;
  /** Writes a file of the checkout. */
  write(path: string, content: string): Promise<void>;
}

export async function aRunner(name = `runner-${randomInt(1e9)}`): Promise<Runner> {
  const folder = await temporaryFolder();
  const [workspace, temp, toolCache, home] = [
    '_work/models/models',
    '_work/_temp',
    '_work/_tool',
    'home',
  ].map((part) => join(folder.path, part)) as [string, string, string, string];
  // Short: an engine's sockets lie in it.
  const scratch = join(folder.path, 't');
  for (const path of [workspace, temp, toolCache, home, scratch]) await mkdir(path, { recursive: true });
  // An engine is another user where this one is root: it comes here, and leaves in the home what a test wants to see.
  await chmod(folder.path, 0o755);
  await chmod(home, 0o777);
  return {
    name,
    runId: String(randomInt(1e12, 9e12)),
    trackingId: `github_${randomUUID()}`,
    workspace,
    temp,
    toolCache,
    home,
    scratch,
    async write(path, content) {
      await mkdir(join(workspace, path, '..'), { recursive: true });
      await writeFile(join(workspace, path), content);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

export interface StepOptions {
  /** Inputs by name; the others have their defaults. */
  readonly with?: Readonly<Record<string, string>>;
  /** `env:` of the job, and what the machine's own environment adds. */
  readonly env?: Readonly<Record<string, string>>;
  /** What started the workflow: a push to the default branch unless told otherwise. */
  readonly event?: string;
  /** Whether a pull request comes from another repository, in the event's own payload. */
  readonly fork?: boolean;
  /** In place of the branch, tag or pull request that the event has by itself. */
  readonly ref?: string;
  /** In place of the event's own payload; a text is written as it is. */
  readonly payload?: unknown;
  /** GitHub's REST API; unless told otherwise nobody answers there. */
  readonly github?: { readonly url: string; readonly token: string };
  /** What main saved, for post. */
  readonly state?: Readonly<Record<string, string>>;
}

/** How a step ended and what the runner has of it. */
export interface Outcome {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Both streams, as they came. */
  readonly log: string;
  /** What of the log the runner executes. */
  readonly commands: readonly RunnerCommand[];
  readonly outputs: Readonly<Record<string, string>>;
  readonly state: Readonly<Record<string, string>>;
  readonly summary: string;
  /** Files that must stay empty: the action sets no variables and no paths. */
  readonly env: string;
  readonly path: string;
}

/** The action's main or post program, started as the runner starts it. Disposing kills it. */
export class Step implements AsyncDisposable {
  readonly ended: Promise<Outcome>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #onLog = new Set<() => void>();
  #log = '';

  private constructor(child: ChildProcessByStdio<null, Readable, Readable>, files: CommandFiles) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
        for (const look of this.#onLog) look();
      });
    this.ended = this.#end(files);
  }

  static async start(
    action: Action,
    runner: Runner,
    program: 'main' | 'post',
    options: StepOptions = {},
  ): Promise<Step> {
    const [files] = await Promise.all([commandFiles(runner), writeEvent(runner, options)]);
    const child = spawn(process.execPath, [join(action.path, `dist/${program}.js`)], {
      cwd: runner.workspace,
      env: { ...environment(action, runner, options), ...files },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return new Step(child, files);
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get log(): string {
    return this.#log;
  }

  /** Waits until the log shows something. */
  async sees(pattern: RegExp, seconds = 60): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = () => {
      if (pattern.test(this.#log)) resolve();
    };
    const missing = (why: string) => () =>
      reject(new Error(`${why} before ${pattern}; its log:\n${this.#log}`));
    const late = setTimeout(missing(`${seconds} s had passed`), seconds * 1000);
    this.#onLog.add(look);
    // What the log shows last comes before the end.
    void this.ended.then(look).then(missing('the step had ended'));
    look();
    await promise.finally(() => {
      clearTimeout(late);
      this.#onLog.delete(look);
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }

  async #end(files: CommandFiles): Promise<Outcome> {
    const [exitCode, signal] = (await once(this.#child, 'close')) as [number | null, NodeJS.Signals | null];
    return { exitCode, signal, ...(await toldBy(this.#log, files)) };
  }
}

/** What the runner has of a step that ended: its log, and what it wrote into its files. */
export async function toldBy(
  log: string,
  files: CommandFiles,
): Promise<Omit<Outcome, 'exitCode' | 'signal'>> {
  const text = (path: string) => readFile(path, 'utf8');
  return {
    log,
    commands: runnerCommands(log),
    outputs: fileCommands(await text(files.GITHUB_OUTPUT)),
    state: fileCommands(await text(files.GITHUB_STATE)),
    summary: await text(files.GITHUB_STEP_SUMMARY),
    env: await text(files.GITHUB_ENV),
    path: await text(files.GITHUB_PATH),
  };
}

/** A step from its start to its end. */
export async function runStep(action: Action, runner: Runner, options: StepOptions = {}): Promise<Outcome> {
  await using step = await Step.start(action, runner, 'main', options);
  return await step.ended;
}

const COMMAND_FILES = [
  'GITHUB_OUTPUT',
  'GITHUB_STATE',
  'GITHUB_STEP_SUMMARY',
  'GITHUB_ENV',
  'GITHUB_PATH',
] as const;
export type CommandFiles = Readonly<Record<(typeof COMMAND_FILES)[number], string>>;

/** New for each step, as the runner makes them. */
export async function commandFiles(runner: Runner): Promise<CommandFiles> {
  const folder = join(runner.temp, '_runner_file_commands');
  await mkdir(folder, { recursive: true });
  const id = randomUUID();
  const files = COMMAND_FILES.map((name) => [name, join(folder, `${name.toLowerCase()}_${id}`)] as const);
  for (const [, path] of files) await writeFile(path, '');
  return Object.fromEntries(files) as CommandFiles;
}

const EVENT_FILE = '_github_workflow/event.json';

export async function writeEvent(
  runner: Runner,
  { event = 'push', fork = false, payload }: StepOptions,
): Promise<void> {
  const path = join(runner.temp, EVENT_FILE);
  await mkdir(dirname(path), { recursive: true });
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload ?? payloadOf(event, { fork }));
  await writeFile(path, text);
}

/** `name<<delimiter`, lines, `delimiter`; or `name=value`. */
function fileCommands(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const [, name, delimiter] = /^([^=<]+)<<(.+)$/.exec(line) ?? [];
    if (name !== undefined && delimiter !== undefined) {
      const end = lines.indexOf(delimiter, at + 1);
      if (end < 0) throw new Error(`the delimiter ${delimiter} of ${name} is missing`);
      values[name] = lines.slice(at + 1, end).join('\n');
      at = end;
    } else if (line !== '') {
      const equals = line.indexOf('=');
      if (equals < 1) throw new Error(`the runner fails a step with such a line: ${line}`);
      values[line.slice(0, equals)] = line.slice(equals + 1);
    }
  }
  return values;
}

/** Refuses every connection. */
const NOBODY = 'http://127.0.0.1:1/';

/**
 * What a runner 2.336 sets for a step of an action, and nothing of this process's own; and where Node keeps what it compiled.
 */
export function environment(
  action: Action,
  runner: Runner,
  { with: given = {}, env = {}, event = 'push', ref = refOf(event), state = {}, github }: StepOptions,
): Record<string, string> {
  const { url, token } = github ?? { url: NOBODY, token: 'github-token-that-nothing-may-see' };
  const evaluated = Object.entries(action.inputs).map(([name, value]) => [
    name,
    value.replaceAll(/\$\{\{ *github\.token *\}\}/g, token),
  ]);
  const forPullRequest = /^pull_request(_target)?$/.test(event);
  const named = (prefix: string, values: Readonly<Record<string, string>>) =>
    Object.fromEntries(
      Object.entries(values).map(([name, value]) => [
        `${prefix}_${name.replaceAll(' ', '_').toUpperCase()}`,
        value,
      ]),
    );
  return {
    CI: 'true',
    HOME: runner.home,
    LANG: 'C.UTF-8',
    NODE_COMPILE_CACHE: action.compiled,
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    TMPDIR: runner.scratch,
    USER: 'runner',
    ...named('INPUT', { ...Object.fromEntries(evaluated), ...given }),
    ...named('STATE', state),
    ACTIONS_RUNTIME_TOKEN: 'runtime-token-that-nothing-may-see',
    ACTIONS_RUNTIME_URL: NOBODY,
    ACTIONS_RESULTS_URL: NOBODY,
    ACTIONS_CACHE_URL: NOBODY,
    ACTIONS_CACHE_SERVICE_V2: 'True',
    GITHUB_ACTION: '__octo_deterministic-ml-action',
    GITHUB_ACTIONS: 'true',
    GITHUB_ACTION_REF: 'v1',
    GITHUB_ACTION_REPOSITORY: 'octo/deterministic-ml-action',
    GITHUB_ACTOR: 'octocat',
    GITHUB_ACTOR_ID: '583231',
    GITHUB_API_URL: url.replace(/\/$/, ''),
    GITHUB_BASE_REF: forPullRequest ? 'main' : '',
    GITHUB_EVENT_NAME: event,
    GITHUB_EVENT_PATH: join(runner.temp, EVENT_FILE),
    GITHUB_GRAPHQL_URL: `${url.replace(/\/$/, '')}/graphql`,
    GITHUB_HEAD_REF: forPullRequest ? 'change' : '',
    GITHUB_JOB: 'determinism',
    GITHUB_REF: ref,
    GITHUB_REF_NAME: ref.replace(/^refs\/(heads|tags|pull)\//, ''),
    GITHUB_REF_PROTECTED: 'false',
    GITHUB_REF_TYPE: ref.startsWith('refs/tags/') ? 'tag' : 'branch',
    GITHUB_REPOSITORY: REPOSITORY,
    GITHUB_REPOSITORY_ID: '1296269',
    GITHUB_REPOSITORY_OWNER: 'octo',
    GITHUB_RETENTION_DAYS: '90',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_RUN_ID: runner.runId,
    GITHUB_RUN_NUMBER: '12',
    GITHUB_SERVER_URL: 'https://github.com',
    GITHUB_SHA: SHAS.commit,
    GITHUB_TRIGGERING_ACTOR: 'octocat',
    GITHUB_WORKFLOW: 'determinism',
    GITHUB_WORKSPACE: runner.workspace,
    RUNNER_ARCH: 'X64',
    RUNNER_ENVIRONMENT: 'self-hosted',
    RUNNER_NAME: runner.name,
    RUNNER_OS: 'Linux',
    RUNNER_TEMP: runner.temp,
    RUNNER_TOOL_CACHE: runner.toolCache,
    RUNNER_TRACKING_ID: runner.trackingId,
    RUNNER_WORKSPACE: join(runner.workspace, '..'),
    ...env,
  };
}
