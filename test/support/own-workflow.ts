import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { execa } from 'execa';
import { parse } from 'yaml';
import { z } from 'zod';
import { ensureAct } from '../../scripts/setup/act.ts';
import { cache, repository } from '../../scripts/setup/cache.ts';

/*
 * Workflows of this repository, run by act from a copy of its sources: each command is run, and each action that lies on GitHub
 * only is stood in for by a script.
 */

/** Files and folders of this repository in a folder of their own; the packages of node_modules and what setup made are linked. */
export async function copyOf(sources: readonly string[], path: string): Promise<void> {
  for (const source of sources)
    await cp(join(repository, source), join(path, source), {
      recursive: true,
      filter: (file) => !file.includes('__pycache__'),
    });
  const modules = join(repository, 'node_modules');
  const lock = createHash('sha256').update(await readFile(join(repository, 'package-lock.json')));
  // Else bootstrap.mjs installs there what the lock asks for, and begins with emptying the folder behind the link.
  if ((await readFile(join(modules, '.dml-lock'), 'utf8')) !== lock.digest('hex'))
    throw new Error('node_modules is not what package-lock.json asks for: `npm run check` installs it');
  await symlink(modules, join(path, 'node_modules'));
  await symlink(cache, join(path, '.cache'));
}

/** git in a folder, as somebody whose commits are the same each time. */
export const gitIn =
  (cwd: string) =>
  async (...words: string[]): Promise<string> =>
    (await execa('git', words, { cwd, env: IDENTITY })).stdout;

const IDENTITY = {
  ...{ GIT_AUTHOR_NAME: 'Octo Cat', GIT_AUTHOR_EMAIL: 'octocat@example.com' },
  ...{ GIT_COMMITTER_NAME: 'Octo Cat', GIT_COMMITTER_EMAIL: 'octocat@example.com' },
  ...{ GIT_AUTHOR_DATE: '1767312000 +0000', GIT_COMMITTER_DATE: '1767312000 +0000' },
};

export interface WorkflowOptions {
  /** File in .github/workflows. */
  readonly workflow: string;
  /** The repository, with a commit. */
  readonly path: string;
  /** What was pushed. */
  readonly ref: string;
  /** A folder for what the run leaves, empty. */
  readonly place: string;
  /**
   * By the name of an action, what bash does in its place: an input is the variable `INPUT_` and its name in capitals, an
   * output a line of `$GITHUB_OUTPUT`. `$LOGS` is a folder for what is to be told. Artifacts are kept anyway.
   */
  readonly standIns: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** A folder of programs that stand before all others. */
  readonly bin?: string;
}

export interface WorkflowRun {
  /** Names of the jobs that did. */
  readonly succeeded: ReadonlySet<string>;
  readonly log: string;
  /** The file of a name that stand-ins wrote below `$LOGS`; empty where there is none. */
  readonly told: (name: string) => Promise<string>;
  /** Folder of the artifacts. */
  readonly artifacts: string;
}

export const RUN_ID = '7';

/** Runs one as a push starts it. */
export async function pushed({
  workflow,
  path,
  ref,
  place,
  standIns,
  environment = {},
  bin,
}: WorkflowOptions): Promise<WorkflowRun> {
  const [artifacts, logs, stands] = ['artifacts', 'logs', 'stands'].map((name) => join(place, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [artifacts, logs, stands]) await mkdir(folder);
  const event = join(place, 'event.json');
  const name = 'deterministic-ml-action';
  const payload = {
    ...{ ref, after: await gitIn(path)('rev-parse', 'HEAD') },
    repository: { full_name: `org/${name}`, name, owner: { login: 'org' } },
  };
  await writeFile(event, JSON.stringify(payload));
  const text = await readFile(join(repository, '.github/workflows', workflow), 'utf8');
  const variables = { ...environment, ARTIFACTS: artifacts, LOGS: logs, GITHUB_RUN_ID: RUN_ID };
  const { stdout, stderr } = await execa(
    await ensureAct(),
    [
      ...['push', '--json', '--workflows', `.github/workflows/${workflow}`, '--eventpath', event],
      ...['--platform', 'ubuntu-latest=-self-hosted', '--no-cache-server', '--actor', 'octocat'],
      ...['--action-cache-path', join(place, 'work'), '--secret', 'GITHUB_TOKEN=of-the-job'],
      ...(await stoodIn(text, standIns, stands)),
      ...Object.entries(variables).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
    ],
    {
      ...{ cwd: path, reject: false, stdin: 'ignore' },
      env: {
        PATH: [...(bin === undefined ? [] : [bin]), dirname(process.execPath), process.env['PATH']].join(
          delimiter,
        ),
      },
    },
  );
  const lines = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => Line.parse(JSON.parse(line)));
  return {
    // Behind the workflow's name; of a matrix a number follows.
    succeeded: new Set(
      lines
        .filter(({ jobResult }) => jobResult === 'success')
        .map(({ job }) => job.slice(job.indexOf('/') + 1).replace(/-\d+\s*$/, ''))
        .map((job) => job.trim()),
    ),
    log: `${lines.map(({ job, msg }) => `${job}: ${msg}`).join('\n')}\n${stderr}`,
    told: (name) => readFile(join(logs, name), 'utf8').catch(() => ''),
    artifacts,
  };
}

const Line = z.object({ msg: z.string(), job: z.string().default(''), jobResult: z.string().optional() });

const Workflow = z.object({
  jobs: z.record(
    z.string(),
    z.object({
      steps: z.array(
        z.object({ uses: z.string().optional(), with: z.record(z.string(), z.unknown()).default({}) }),
      ),
    }),
  ),
});

/** Flags of act: a folder for each action of the workflow, which takes all inputs that any step gives it. */
async function stoodIn(
  text: string,
  standIns: WorkflowOptions['standIns'],
  folder: string,
): Promise<string[]> {
  const steps = Object.values(Workflow.parse(parse(text)).jobs).flatMap(({ steps }) => steps);
  const outputs = [...text.matchAll(/\bsteps\.\w+\.outputs\.(\w+)/g)].map(([, output = '']) => output);
  const flags: string[] = [];
  for (const [uses = '', all] of Map.groupBy(steps, (step) => step.uses)) {
    const action = uses.slice(0, Math.max(0, uses.indexOf('@')));
    if (action === '' || action === 'actions/checkout') continue;
    const [, which] = /^actions\/(upload|download)-artifact$/.exec(action) ?? [];
    const path = which === undefined ? join(folder, action.replace('/', '-')) : join(ARTIFACTS, which);
    flags.push('--local-repository', `${uses}=${path}`);
    if (which !== undefined) continue;
    const run = standIns[action];
    if (run === undefined) throw new Error(`nothing stands in for ${action}`);
    const names = [...new Set(all.flatMap((step) => Object.keys(step.with)))];
    await mkdir(path);
    await writeFile(
      join(path, 'action.yml'),
      JSON.stringify({
        name: action,
        inputs: Object.fromEntries(names.map((name) => [name, { default: '' }])),
        outputs: Object.fromEntries(
          outputs.map((name) => [name, { value: `\${{ steps.it.outputs.${name} }}` }]),
        ),
        runs: {
          using: 'composite',
          steps: [
            {
              ...{ id: 'it', shell: 'bash', run },
              env: Object.fromEntries(
                names.map((name) => [
                  `INPUT_${name.toUpperCase().replaceAll('-', '_')}`,
                  `\${{ inputs.${name} }}`,
                ]),
              ),
            },
          ],
        },
      }),
    );
  }
  return flags;
}

const ARTIFACTS = join(repository, 'test/e2e/support/artifacts');
