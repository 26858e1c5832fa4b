import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { ExplainAnswer } from '../../src/report/json.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { aRunner } from '../e2e/support/spawn.ts';
import { type RayCluster, startRay } from '../support/ray.ts';
import { processesWith, until } from '../support/runtimes.ts';

/* The command line and the real harness, through a real cluster of Ray with two nodes: what is Ray's own about it. */

let action: Action;
let ray: RayCluster;
before(async () => {
  [action, ray] = await Promise.all([builtAction('scripted'), startRay('left', 'right')]);
});
after(async () => {
  await ray?.[Symbol.asyncDispose]();
  await action?.[Symbol.asyncDispose]();
});

const SUITE = `apiVersion: deterministic-ml/v1
name: far
engine: { name: script, args: { file: step.py } }
prompts: [{ id: fox, text: The fox }]
runtime: { image: "engine@sha256:${'ab'.repeat(32)}" }
relations: [rerun]
baseline: { store: files }
`;

describe('a fleet of the nodes of a Ray cluster', () => {
  const aFleet = async (
    program: string,
    launchersOf: (scratch: string) => Readonly<Record<string, string>>,
  ) => {
    const runner = await aRunner();
    const launchers = launchersOf(runner.scratch);
    await runner.write('determinism.yml', SUITE);
    await runner.write('step.py', program);
    const listed = Object.entries(launchers).map(
      ([name, launcher]) => `  - { name: ${name}, launcher: ${JSON.stringify(launcher)} }\n`,
    );
    await runner.write(
      'fleet.yml',
      `apiVersion: deterministic-ml/v1\nsuite: determinism.yml\nlaunchers:\n${listed.join('')}`,
    );
    const run = execa(
      process.execPath,
      [join(action.path, 'dist/cli.js'), 'fleet', 'fleet.yml', '--json', '--record-path', 'out'],
      { cwd: runner.workspace, env: { HOME: runner.home, TMPDIR: runner.scratch }, reject: false },
    );
    return { runner, run };
  };

  test('each is measured, and who differs is explained', async () => {
    const { runner, run } = await aFleet(
      `import os
def run(prompt, emit):
    emit("threads", os.environ.get("OMP_NUM_THREADS", "all"))
`,
      () => ({
        left: ray.launcher('left'),
        right: ray.launcher('right'),
        other: `${ray.launcher('right')} env OMP_NUM_THREADS=3`,
      }),
    );
    await using _runner = runner;
    const { stdout, stderr, exitCode } = await run;
    assert.equal(exitCode, 0, stderr);
    const [family] = ExplainAnswer.parse(JSON.parse(stdout)).families;
    const [whole] = family?.groupings ?? [];
    assert.deepEqual(
      whole?.groups.map(({ cases }) => cases.map((at) => family?.cases[at]?.name)),
      [['left', 'right'], ['other']],
    );
    assert.match(JSON.stringify(whole?.explanation?.sets), /OMP_NUM_THREADS/);
  });

  test('leaves nothing of engines that ignore signals, whoever of Ray’s is killed', async () => {
    const [mark, launchers] = [randomUUID(), { left: randomUUID(), right: randomUUID() }];
    const { runner, run } = await aFleet(
      `import signal, subprocess, sys, time
def run(prompt, emit):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600) # ${mark}"], start_new_session=True)
    time.sleep(600)
`,
      (scratch) => ({
        left: `${ray.launcher('left')} env TMPDIR=${scratch} DML_TEST=${launchers.left}`,
        right: `${ray.launcher('right')} env TMPDIR=${scratch} DML_TEST=${launchers.right}`,
      }),
    );
    await using _runner = runner;
    await until(async () => (await processesWith(mark)).length === 2, 'both compute', 120);
    const folders = async () =>
      (await readdir(runner.scratch)).filter((name) => name.startsWith('deterministic-ml-'));
    assert.equal((await folders()).length, 2, 'one on each far side');
    const [launcher, left, right] = await Promise.all([
      processesWith(launchers.left),
      ray.workers('left'),
      ray.workers('right'),
    ]);
    assert.deepEqual([launcher.length, left.length, right.length], [1, 1, 1], 'a task a node');
    for (const pid of [...launcher, ...right]) process.kill(pid, 'SIGKILL');
    const { stderr, exitCode } = await run;
    assert.equal(exitCode, 2, stderr);
    for (const name of ['left', 'right']) assert.match(stderr, new RegExp(`${name}.*launcher-lost`));
    await until(async () => (await processesWith(mark)).length === 0, 'the engines have gone', 10);
    await until(async () => (await folders()).length === 0, 'and their folders', 5);
  });
});
