import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { execa } from 'execa';
import { PackagesUnavailable } from '../../scripts/setup/debian.ts';
import { ExplainAnswer } from '../../src/report/json.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { assertFault } from '../e2e/support/faults.ts';
import { relationOf, reportOf } from '../e2e/support/reports.ts';
import { aRunner, type Runner, runStep, Step } from '../e2e/support/spawn.ts';
import { processesWith, until } from '../support/runtimes.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';
import { tried } from '../support/tried.ts';

/* The built action and the real harness, over ssh from this machine to itself. */

let action: Action;
let sshd: Sshd | undefined;
let why = '';
before(async () => {
  action = await builtAction('scripted');
  try {
    sshd = await startSshd();
  } catch (error) {
    if (!(error instanceof PackagesUnavailable)) throw error;
    why = error.message;
  }
});
after(async () => {
  await sshd?.[Symbol.asyncDispose]();
  await action[Symbol.asyncDispose]();
});

const SUITE = `apiVersion: deterministic-ml/v1
name: far
engine: { name: script, args: { file: step.py } }
prompts: [{ id: fox, text: The fox }]
runtime: { image: "engine@sha256:${'ab'.repeat(32)}" }
relations: [rerun, baseline]
baseline: { store: files, lifetimes: 1 }
policy: { confirm: 0 }
`;

describe('an engine that a launcher takes elsewhere', () => {
  const ssh = (t: TestContext): Sshd | undefined => {
    if (sshd === undefined) t.skip(`NEEDS sshd: ${why}`);
    return sshd;
  };
  const runnerWith = async (program: string): Promise<Runner> => {
    const runner = await aRunner();
    await runner.write('determinism.yml', SUITE);
    await runner.write('step.py', program);
    return runner;
  };
  const event = 'workflow_dispatch';

  test('is refreshed and reproduced, and says what nobody here could check', async (t) => {
    const own = ssh(t);
    if (own === undefined) return;
    await using runner = await runnerWith('def run(prompt, emit):\n    emit("sum", sum(prompt.encode()))\n');
    const run = (more: Readonly<Record<string, string>>) =>
      runStep(action, runner, { with: { launcher: own.ssh(), ...more }, event });
    const stored = await run({ mode: 'refresh', reason: 'first one' });
    assert.equal(stored.exitCode, 0, stored.log);
    const same = await run({});
    assert.equal(same.outputs['conclusion'], 'reproduced', same.log);
    const report = await reportOf(same);
    const { declared, ambient } = report.environment.fingerprint;
    assert.deepEqual([ambient.runtime, declared.image.certainty], ['launcher', 'declared']);
    assert.equal(relationOf(report, 'baseline').status, 'held');
    assert.match(same.summary, /What the machine and the image there are, that side told itself/);
  });

  tried(
    'launcher, led to another host',
    'another machine at the address, or a launcher that checks no key',
    'the key is checked, and options that weaken this are refused: nothing is sent',
    async (t) => {
      const own = ssh(t);
      if (own === undefined) return;
      await using runner = await runnerWith('def run(prompt, emit):\n    emit("sum", 1)\n');
      const run = (launcher: string) => runStep(action, runner, { with: { launcher }, event });
      await assertFault(await run(own.ssh({ knownHosts: 'known-otherwise' })), runner, {
        code: 'launcher-untrusted',
        says: /not known to be who it says.*Host key verification failed/s,
        advises: /known_hosts/,
      });
      await assertFault(await run(own.ssh().replace(' -F', ' -o StrictHostKeyChecking=no -F')), runner, {
        code: 'input-invalid',
        says: /`launcher` is no command: `StrictHostKeyChecking=no` is refused/,
        advises: /Correct them/,
      });
    },
  );

  test('is one of a fleet: each has a record, who differs is explained, who is gone is named', async (t) => {
    const own = ssh(t);
    if (own === undefined) return;
    await using runner = await runnerWith(`import os
def run(prompt, emit):
    emit("threads", os.environ.get("OMP_NUM_THREADS", "all"))
`);
    const far = (name: string, launcher: string, more = '') =>
      `  - { name: ${name}, launcher: ${JSON.stringify(launcher)}${more} }\n`;
    await runner.write(
      'fleet.yml',
      `apiVersion: deterministic-ml/v1
suite: determinism.yml
launchers:
${far('one', own.ssh())}${far('two', own.ssh())}${far('other', `${own.ssh()} env OMP_NUM_THREADS=3`)}${far('stranger', own.ssh({ knownHosts: 'known-nobody' }), ', optional: true')}`,
    );
    const { stdout, stderr, exitCode } = await execa(
      process.execPath,
      [join(action.path, 'dist/cli.js'), 'fleet', 'fleet.yml', '--json', '--record-path', 'out'],
      { cwd: runner.workspace, env: { HOME: runner.home }, reject: false },
    );
    assert.equal(exitCode, 0, stderr);
    const { families, fleet } = ExplainAnswer.parse(JSON.parse(stdout));
    const [family] = families;
    const [whole] = family?.groupings ?? [];
    const names = (cases: readonly number[]) => cases.map((at) => family?.cases[at]?.name);
    assert.deepEqual(
      whole?.groups.map(({ cases }) => names(cases)),
      [['one', 'two'], ['other']],
    );
    assert.match(JSON.stringify(whole?.explanation?.sets), /OMP_NUM_THREADS/);
    assert.deepEqual(
      [fleet?.verdict, fleet?.absent.map(({ name, code }) => [name, code])],
      ['warn', [['stranger', 'launcher-untrusted']]],
    );
    assert.match(stderr, /^one: measured in /m);
    for (const name of ['one', 'two', 'other'])
      assert.ok((await readdir(join(runner.workspace, 'out', name))).includes('record.json'), name);
    assert.match(
      await readFile(join(runner.workspace, 'out/explanation.html'), 'utf8'),
      /stranger gave nothing, which it may/,
    );
  });

  test('is gone when the run is cancelled, and when the line breaks', async (t) => {
    const own = ssh(t);
    if (own === undefined) return;
    const mark = randomUUID();
    await using runner = await runnerWith(`import subprocess, sys
def run(prompt, emit):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600) # ${mark}"], start_new_session=True).wait()
`);
    const atWork = async () => (await processesWith(mark)).length > 0;
    const over = async (how: (step: Step) => void | Promise<void>) => {
      await using step = await Step.start(action, runner, 'main', {
        with: { launcher: own.ssh() },
        event,
      });
      await until(atWork, 'the program runs there');
      await how(step);
      const outcome = await step.ended;
      await until(async () => !(await atWork()), 'the far side has ended what it ran', 10);
      return outcome;
    };
    const cancelled = await over((step) => step.kill('SIGINT'));
    assert.equal(cancelled.outputs['error-code'], 'cancelled', cancelled.log);
    const cut = await over(async () => {
      for (const pid of await own.sessions()) process.kill(pid, 'SIGKILL');
    });
    await assertFault(cut, runner, {
      code: 'launcher-lost',
      says: /The line to the far side broke in the middle of its work/,
      advises: /nothing of this engine start is used/,
    });
  });
});
