import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { execa } from 'execa';
import { ensureTinyImage } from '../../scripts/setup/image.ts';
import { openRecord } from '../../src/disk/record-folder.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { assertFault } from '../e2e/support/faults.ts';
import { stepHere } from '../e2e/support/here.ts';
import { reportOf } from '../e2e/support/reports.ts';
import { type Outcome, type Runner, runStep } from '../e2e/support/spawn.ts';
import { BASELINES, checkout, type SuiteOptions, suite } from '../e2e/support/suites.ts';
import { hosted } from '../e2e/support/trust.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { REPOSITORY } from '../support/events.ts';
import { fault } from '../support/fault.ts';
import { tried } from '../support/tried.ts';

let action: Action;
/** What one refresh left, for the tests that begin with it. */
let refreshed: { readonly runner: Runner; readonly stored: Outcome };
before(async () => {
  action = await builtAction('scripted');
  const runner = await checkout(KEPT);
  refreshed = { runner, stored: await refresh(runner) };
  assert.equal(refreshed.stored.outputs['conclusion'], 'reproduced', refreshed.stored.log);
  for (const [copy, place] of left(runner)) await cp(place, copy, { recursive: true });
});
after(async () => {
  await refreshed.runner[Symbol.asyncDispose]();
  await action[Symbol.asyncDispose]();
});

/** What the engine compiles where it finds nothing; a kernel of another content computes otherwise. */
const KERNEL = 'kernel as it was compiled';
const COMPILES = `import os, pathlib
kernel = pathlib.Path(os.environ["TRITON_CACHE_DIR"], "abc", "kernel.cubin")
if not kernel.exists():
    kernel.parent.mkdir(parents=True, exist_ok=True)
    kernel.write_text(${JSON.stringify(KERNEL)})
    print("COMPILED")
if kernel.read_text() != ${JSON.stringify(KERNEL)}: args["logprob"] = -0.5
`;
const KEPT: SuiteOptions = { caches: 'kept', args: { on_load: COMPILES } };
const PROCESS = { runtime: 'process' } as const;

async function refresh(runner: Runner, options = KEPT, more: Readonly<Record<string, string>> = {}) {
  await runner.write('determinism.yml', suite(options));
  return await stepHere(action, runner, {
    event: 'workflow_dispatch',
    with: { ...PROCESS, mode: 'refresh', reason: 'first one', 'record-path': '../refreshed', ...more },
  });
}

async function check(runner: Runner, step = stepHere): Promise<Outcome> {
  await runner.write('determinism.yml', suite(KEPT));
  return await step(action, runner, { with: { ...PROCESS, 'record-path': '../checked' } });
}

/** The machine as that refresh left it: caches hold paths, and would be others' on another. */
async function withBaseline(): Promise<Runner> {
  const { runner } = refreshed;
  for (const [from, to] of left(runner)) {
    await rm(to, { recursive: true });
    await cp(from, to, { recursive: true });
  }
  return runner;
}

/** What a refresh writes, and where a copy of it lies. */
const left = ({
  workspace,
  toolCache,
  home,
}: Runner): readonly (readonly [copy: string, place: string])[] => [
  [join(home, 'baselines'), join(workspace, BASELINES)],
  [join(home, 'caches'), toolCache],
];

const cachesIn = async ({ outputs }: Outcome) =>
  (await openRecord(outputs['record-path'] ?? '')).record.lifetimes.map(({ caches }) => [
    caches?.kind,
    caches?.before.files,
    caches?.after?.files,
  ]);

/** Folder below which the runner keeps caches of this repository. */
const keptOf = ({ toolCache }: Runner) => join(toolCache, 'deterministic-ml/caches', REPOSITORY);

async function kernelOf(runner: Runner): Promise<string> {
  const files = await readdir(keptOf(runner), { recursive: true });
  const [kernel, ...more] = files.filter((file) => file.endsWith('kernel.cubin'));
  assert.deepEqual(more, []);
  return join(keptOf(runner), kernel ?? '');
}

describe('kept caches', () => {
  test('are compiled once by a refresh, and found by its other starts and by a check', async () => {
    const { stored } = refreshed;
    assert.equal(stored.exitCode, 0, stored.log);
    assert.deepEqual(await cachesIn(stored), [
      ['fresh', 0, 1],
      ['kept', 1, 1],
    ]);
    const runner = await withBaseline();
    const outcome = await check(runner, runStep);
    assert.equal(outcome.outputs['conclusion'], 'reproduced', outcome.log);
    assert.deepEqual(await cachesIn(outcome), [['kept', 1, 1]]);
    assert.match(outcome.log, /Kept caches: 1 file, sha256:[0-9a-f]{16}/);
    const printed = await readFile(`${outcome.outputs['record-path']}.log`, 'utf8').catch(() => '');
    assert.doesNotMatch(printed, /COMPILED/);
    assert.deepEqual(
      (await readdir(keptOf(runner))).map((name) => name.replace(/^[0-9a-f]{16}/, 'KEY')).sort(),
      ['KEY', 'KEY.json'],
      'nothing half-made is left',
    );
  });

  test('that are another content by their own list: a drift, and the report says that they differ', async () => {
    const runner = await withBaseline();
    const kernel = await kernelOf(runner);
    await writeFile(kernel, 'kernel of another hand');
    await rewriteList(runner);
    const outcome = await check(runner);
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'drift', outcome.log);
    assert.deepEqual(report.changes, [
      {
        ...{ half: 'ambient', field: 'kept caches', before: '1 file' },
        after: '1 file; 1 of 1 differ: triton/abc/kernel.cubin',
      },
    ]);
    assert.match(outcome.summary.replaceAll('&#45;', '-'), /kept caches/i);
  });

  tried(
    'kept caches, a kernel replaced',
    'a kernel in the kept caches that is replaced between two runs',
    'every file is held to the list that the refresh left: what lies there is thrown away, compiled anew, and told',
    async () => {
      const runner = await withBaseline();
      await writeFile(await kernelOf(runner), 'kernel of another hand');
      const outcome = await check(runner);
      assert.equal(outcome.outputs['conclusion'], 'reproduced', outcome.log);
      assert.deepEqual(await cachesIn(outcome), [['fresh', 0, 1]]);
      assert.match(outcome.log, /refused.*1 of 1 files are not what was kept/);
      assert.match(outcome.summary, /Kept caches were refused/);
      const again = await refresh(runner, KEPT, { 'store-unchanged': 'true' });
      assert.equal(again.exitCode, 0, again.log);
      assert.equal(await readFile(await kernelOf(runner), 'utf8'), KERNEL, 'a refresh keeps them again');
    },
  );

  tried(
    'kept caches, poisoned by a pull request',
    'a pull request whose engine changes the kept caches, for the runs that come after it',
    'a check works on a copy: only a refresh, once what it computed is trusted, puts one in its place',
    async () => {
      await using repository = await hosted(action, { base: KEPT });
      const { runner, log } = await repository.refresh({ suite: KEPT });
      const before = await readFile(await kernelOf(runner), 'utf8').catch(() => log);
      const poisons = `${COMPILES}kernel.write_text("poison"); pathlib.Path(kernel.parent, "evil.py").write_text("x")`;
      const outcome = await repository.step({ runner, suite: { ...KEPT, args: { on_load: poisons } } });
      assert.deepEqual(await cachesIn(outcome), [['kept', 1, 2]], outcome.log);
      assert.equal(await readFile(await kernelOf(runner), 'utf8'), before);
      assert.deepEqual((await readdir(join(await kernelOf(runner), '..'))).sort(), ['kernel.cubin']);
      const next = await repository.step({ runner, suite: KEPT });
      assert.equal(next.outputs['conclusion'], 'reproduced', next.log);
    },
  );

  tried(
    'kept caches, links in them',
    'links to files of the machine that an engine leaves in its caches, to have them kept',
    'no link and no special file is taken: nothing is kept, and the report says so',
    async () => {
      await using runner = await checkout(KEPT);
      const links = `${COMPILES}pathlib.Path(kernel.parent, "passwd").symlink_to("/etc/passwd")`;
      const outcome = await refresh(runner, { ...KEPT, args: { on_load: links } });
      assert.equal(outcome.exitCode, 0, outcome.log);
      assert.match(outcome.summary, /Caches could not be kept/);
      assert.deepEqual(await readdir(keptOf(runner)).catch(() => []), []);
    },
  );

  test('of two runs at once: one waits for the other, and both are right', async () => {
    const runner = await withBaseline();
    const slow = { ...KEPT, args: { on_load: `${COMPILES}import time; time.sleep(1)` } };
    await runner.write('determinism.yml', suite(slow));
    const steps = await Promise.all(
      ['one', 'two'].map((name) =>
        runStep(action, runner, { with: { ...PROCESS, 'record-path': `../${name}` } }),
      ),
    );
    for (const step of steps) {
      assert.equal(step.outputs['conclusion'], 'reproduced', step.log);
      assert.deepEqual(await cachesIn(step), [['kept', 1, 1]]);
    }
    assert.equal(steps.filter(({ log }) => /has its kept caches in use: waiting/.test(log)).length, 1);
  });

  fault(
    'disk full for the kept caches',
    'no room for what an engine compiled',
    'an error that says what helps, and no baseline',
    async (t) => {
      await using runner = await checkout(KEPT);
      const place = join(runner.toolCache, 'deterministic-ml/caches');
      await using disk = await tinyDisk(t, place, '64k');
      if (disk === undefined) return;
      const large = `${COMPILES}kernel.write_bytes(b"x" * 4_000_000); kernel.write_text(${JSON.stringify(KERNEL)}); pathlib.Path(kernel.parent, "large").write_bytes(b"x" * 1_000_000)`;
      const outcome = await refresh(runner, { ...KEPT, args: { on_load: large } });
      await assertFault(outcome, runner, {
        code: 'disk-full',
        says: /kept caches do not fit/,
        advises: /clean 30/,
      });
    },
  );

  test('of an engine in a container lie in a folder of this machine, its own copy, for as long as it runs', async (t) => {
    const daemon = await dockerOrSkip(t);
    if (daemon === undefined) return;
    const { imageId: image } = await ensureTinyImage(daemon);
    const env = { DOCKER_HOST: daemon.host };
    const options = { ...KEPT, runtime: { image } };
    await using runner = await checkout(options);
    const stored = await runStep(action, runner, {
      env,
      event: 'workflow_dispatch',
      with: { runtime: 'docker', mode: 'refresh', reason: 'first one' },
    });
    assert.equal(stored.outputs['conclusion'], 'reproduced', stored.log);
    assert.deepEqual(await cachesIn(stored), [
      ['fresh', 0, 1],
      ['kept', 1, 1],
    ]);
    const checked = await runStep(action, runner, { env, with: { runtime: 'docker' } });
    assert.equal(checked.outputs['conclusion'], 'reproduced', checked.log);
    assert.deepEqual(await cachesIn(checked), [['kept', 1, 1]]);
    const caches = await readdir(join(runner.toolCache, 'deterministic-ml/caches'));
    assert.deepEqual(caches, [REPOSITORY.split('/')[0]], 'no copy is left');
  });

  test('are what `clean` finds, by the day of their last use', async () => {
    const runner = await withBaseline();
    const { stdout } = await execa(process.execPath, [join(action.path, 'dist/cli.js'), 'clean', '--json'], {
      env: { RUNNER_TOOL_CACHE: runner.toolCache, TMPDIR: runner.temp },
    });
    assert.match(stdout, /"what": ?"kept caches"/);
  });
});

/** Makes the list of what is kept fit it, as somebody would who may write there. */
async function rewriteList(runner: Runner): Promise<void> {
  const { createHash } = await import('node:crypto');
  const [name = ''] = (await readdir(keptOf(runner))).filter((one) => one.endsWith('.json'));
  const path = join(keptOf(runner), name);
  const told = JSON.parse(await readFile(path, 'utf8'));
  const content = await readFile(await kernelOf(runner));
  const list = [['triton/abc/kernel.cubin', createHash('sha256').update(content).digest('hex')]];
  const digest = createHash('sha256').update(JSON.stringify(list)).digest('hex');
  await writeFile(
    path,
    JSON.stringify({ ...told, digest, bytes: content.length, list: Object.fromEntries(list) }),
  );
}

/** A file system of that size; undefined, told loudly, where none can be mounted. */
async function tinyDisk(t: TestContext, path: string, size: string): Promise<AsyncDisposable | undefined> {
  await mkdir(path, { recursive: true });
  const done = await execa('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path], { reject: false });
  if (done.failed) {
    process.stderr.write(`SKIPPED, no tmpfs can be mounted: ${t.name}: ${done.stderr}\n`);
    t.skip('only root can mount a small disk');
    return undefined;
  }
  return {
    async [Symbol.asyncDispose]() {
      await execa('umount', ['--lazy', path]);
    },
  };
}
