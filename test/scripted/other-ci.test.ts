import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { execa } from 'execa';
import { repository } from '../../scripts/setup/cache.ts';
import type { Report } from '../../src/report/schema.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import type { Runner } from '../e2e/support/spawn.ts';
import { checkout, suite } from '../e2e/support/suites.ts';
import { OneProcess } from '../support/one-process.ts';
import { startS3 } from '../support/s3-server.ts';
import { tried } from '../support/tried.ts';
import { readJunit } from '../support/xml.ts';

/* The command lines of examples/ci, as those services run them: by a shell, without anything of GitHub. */

const [GITLAB, JENKINS, BUILDKITE] = ['.gitlab-ci.yml', 'Jenkinsfile', 'pipeline.yml'] as const;

/** The one line of an example that runs the program. */
async function lineOf(example: string): Promise<string> {
  const text = await readFile(join(repository, 'examples/ci', example), 'utf8');
  const [line, ...rest] = [...text.matchAll(/\bdeterministic-ml check [^'\n]*/g)].map(([found]) => found);
  assert.ok(line !== undefined && rest.length === 0, `${example}: ${rest.length} more lines`);
  return line;
}

let action: Action;
let runner: Runner;
let there: OneProcess;

before(async () => {
  action = await builtAction('scripted');
  runner = await checkout();
  const bin = join(runner.home, 'bin');
  await mkdir(bin);
  await symlink(join(action.path, 'dist/cli.js'), join(bin, 'deterministic-ml'));
  await symlink(process.execPath, join(bin, 'node'));
  there = new OneProcess(runner.workspace, environment());
  const stored = await run(['refresh', '--reason', 'first one', '--junit', 'stored.xml']);
  assert.equal(stored.exitCode, 0, stored.stderr);
});
after(async () => {
  await there[Symbol.asyncDispose]();
  await runner[Symbol.asyncDispose]();
  await action[Symbol.asyncDispose]();
});

const environment = () => ({
  PATH: `${join(runner.home, 'bin')}:${process.env['PATH']}`,
  HOME: runner.home,
  NODE_COMPILE_CACHE: action.compiled,
  CI: 'true',
});

const shell = (line: string) =>
  execa('sh', ['-c', line], {
    ...{ cwd: runner.workspace, extendEnv: false, reject: false },
    env: environment(),
  });
/** What no example says: the same program, all of it in one process. */
const run = (words: readonly string[], more: Readonly<Record<string, string>> = {}) =>
  there.run(join(action.path, 'dist/cli.js'), words, more);
const left = (name: string) => readFile(join(runner.workspace, name), 'utf8');

async function counts() {
  const [root] = await readJunit([await left('junit.xml')]);
  const { tests, failures, errors } = root?.attributes ?? {};
  return { tests, failures, errors };
}

async function severities(): Promise<readonly string[]> {
  const found = JSON.parse(await left('gl-code-quality-report.json')) as { readonly severity: string }[];
  return found.map(({ severity }) => severity);
}

test('a refresh leaves a test for each relation and prompt too', async () => {
  assert.match(await left('stored.xml'), /<testcase classname="[^"]*\.rerun" name="one" time="0"\/>/);
});

test('the examples’ command lines give the verdict by their exit code, and leave what each service reads', async () => {
  assert.deepEqual(await readdir(join(repository, 'examples/ci')), [GITLAB, JENKINS, BUILDKITE]);
  await runner.write('determinism.yml', suite());
  const same = await shell(await lineOf(GITLAB));
  assert.equal(same.exitCode, 0, same.stderr);
  assert.deepEqual(await counts(), { tests: '3', failures: '0', errors: '0' });
  assert.deepEqual(await severities(), []);

  await runner.write('determinism.yml', suite({ args: { logprob: -0.5 } }));
  // Two of them have the same line.
  for (const line of new Set(await Promise.all([GITLAB, JENKINS, BUILDKITE].map(lineOf)))) {
    const drifted = await shell(line);
    assert.equal(drifted.exitCode, 1, drifted.stderr);
    assert.deepEqual(await counts(), { tests: '3', failures: '2', errors: '0' });
  }
  assert.deepEqual(await severities(), ['critical']);
});

test('of several reports there is one file', async () => {
  const shown = await run(['report', '.deterministic-ml', '--junit', 'junit.xml', '--sarif', 'all.sarif']);
  assert.equal(shown.exitCode, 1, shown.stderr);
  const [all] = await readJunit([await left('junit.xml')]);
  assert.ok(all !== undefined && all.children.length > 2);
  assert.match(await left('all.sarif'), /"relation\/baseline"/);
});

test('of an error there is its own file, in place of what an earlier run left', async () => {
  await runner.write('determinism.yml', 'name: [');
  const wrong = await shell(await lineOf(GITLAB));
  assert.deepEqual([wrong.exitCode, /^suite-invalid: /m.test(wrong.stderr)], [2, true]);
  assert.deepEqual(await counts(), { tests: '1', failures: '0', errors: '1' });
  assert.deepEqual(await severities(), ['blocker']);
});

test('a bucket keeps baselines where there is no cache: a refresh writes, a check only reads', async () => {
  await using bucket = await startS3();
  const options = { baseline: { store: 's3', path: 'fleet' } };
  await runner.write('determinism.yml', suite(options));
  const none = await run(['log'], bucket.environment('reader'));
  assert.match(none.stderr + none.stdout, /There is no baseline of this suite/);
  const made = await run(['refresh', '--reason', 'first one'], bucket.environment('writer'));
  assert.equal(made.exitCode, 0, made.stderr);
  await runner.write('determinism.yml', suite({ ...options, args: { logprob: -0.5 } }));
  const drifted = await run(['check', '--json'], bucket.environment('reader'));
  assert.equal(drifted.exitCode, 1, drifted.stderr);
  const { report } = JSON.parse(drifted.stdout) as { readonly report: Report };
  const { baseline } = report.context;
  assert.ok(report.conclusion === 'drift' && baseline.kind === 'found' && baseline.store === 's3');
  assert.match(baseline.proof ?? '', /may not write to the bucket/);
  const secret = bucket.environment('reader')['AWS_SECRET_ACCESS_KEY'] ?? '';
  assert.deepEqual([secret.length > 0, (drifted.stdout + drifted.stderr).includes(secret)], [true, false]);
});

tried(
  'report’s place a link',
  'a link in the checkout where a file for another program will be, to a folder of the runner’s user',
  'a folder on the way that is a link is refused, and a file that is one is replaced and never written through',
  async () => {
    await runner.write('determinism.yml', suite());
    const precious = join(runner.home, 'junit.xml');
    await writeFile(precious, 'precious');
    await symlink(runner.home, join(runner.workspace, 'out'));
    const led = await run(['check', '--junit', 'out/junit.xml']);
    assert.deepEqual([led.exitCode, /^input-invalid: .* out is a link/m.test(led.stderr)], [2, true]);
    await symlink(precious, join(runner.workspace, 'link.xml'));
    const replaced = await run(['check', '--junit', 'link.xml']);
    assert.equal(replaced.exitCode, 0, replaced.stderr);
    assert.match(await left('link.xml'), /^<\?xml/);
    assert.equal(await readFile(precious, 'utf8'), 'precious');
  },
);
