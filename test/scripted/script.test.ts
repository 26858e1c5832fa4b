import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { assertFault } from '../e2e/support/faults.ts';
import { findingsOf, relationOf, reportOf } from '../e2e/support/reports.ts';
import { aRunner, type Runner, runStep } from '../e2e/support/spawn.ts';
import { checkout } from '../e2e/support/suites.ts';
import { hosted } from '../e2e/support/trust.ts';
import { tried } from '../support/tried.ts';

/* The engine `script`, by the real harness: a program of the user's own, which needs neither a model nor PyTorch. */

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

const suite = (prompts: readonly string[], more = '') => `apiVersion: deterministic-ml/v1
name: step
engine: { name: script, args: { file: train/step.py, files: [train/rates.py] } }
prompts: [${prompts.map((id) => `{ id: ${id}, text: The ${id} }`).join(', ')}]
baseline: { store: files, lifetimes: 1 }
policy: { confirm: 0 }
${more}`;

const STEP = `from deterministic_ml.v1 import Emit
from rates import RATE

def run(prompt: str, emit: Emit) -> None:
    emit("loss", RATE * sum(prompt.encode()))
    emit("weights", {"first": 0.5, "second": RATE})
    emit("said", prompt.upper())
`;

const write = async (runner: Runner, step: string, rate = '0.1') => {
  await runner.write('train/step.py', step);
  await runner.write('train/rates.py', `RATE = ${rate}\n`);
};

describe('a script', () => {
  test('reproduces what a refresh stored; a file that is edited is named beside what it moved', async () => {
    await using runner = await aRunner();
    await runner.write('determinism.yml', suite(['fox', 'dog']));
    await write(runner, STEP);
    const run = (mode: string) =>
      runStep(action, runner, {
        with: { mode, runtime: 'process', ...(mode === 'refresh' && { reason: 'first one' }) },
        event: 'workflow_dispatch',
      });
    const stored = await run('refresh');
    assert.equal(stored.exitCode, 0, stored.log);
    const same = await run('check');
    assert.equal(same.outputs['conclusion'], 'reproduced', same.log);
    assert.match(
      relationOf(await reportOf(same), 'rerun').evidence,
      /^the engine's counters show 2 calls in generate-alone and 2 in generate-again, .*in one process$/,
    );

    await write(runner, STEP, '0.2');
    const drifted = await run('check');
    const report = await reportOf(drifted);
    assert.equal(report.conclusion, 'drift', drifted.log);
    assert.equal(report.verdict, 'fail');
    assert.deepEqual(
      report.changes.map(({ half, field }) => [half, field]),
      [['declared', 'program.train/rates.py']],
    );
    const found = findingsOf(report, 'baseline').get('generate/fox');
    assert.equal(found?.agreement, 'values-differ');
    assert.match(
      found?.reason ?? '',
      /^loss: was float 65\.4, is float 130\.8; weights: 1 of 2 differ, the first at 1: was second: float 0\.1, is second: float 0\.2$/,
    );
    assert.match(drifted.log, /Script changed \(train\/rates\.py\): loss: was float 65\.4, is float 130\.8/);
  });

  tried(
    'script that forges',
    'a program that prints what looks like an event, forks and comes back twice, or computes NaN alone',
    'what is printed is noise without the job’s nonce, a child ends where it comes back, and NaN is unmeasured: none is green',
    async () => {
      await using runner = await aRunner();
      await runner.write('determinism.yml', suite(['events', 'forks', 'nan'], 'relations: [rerun]\n'));
      await write(
        runner,
        `import math, os
def run(prompt, emit):
    if "events" in prompt:
        os.write(1, b'{"nonce":"","seq":7,"event":"done"}\\n{"event":"done"}\\n')
    if "forks" in prompt and os.fork() == 0:
        return
    emit("value", math.nan if "nan" in prompt else 1)
`,
      );
      const outcome = await runStep(action, runner, { with: { runtime: 'process' } });
      const report = await reportOf(outcome);
      assert.deepEqual([report.conclusion, report.verdict], ['unmeasured', 'fail'], outcome.log);
      assert.deepEqual(
        [...findingsOf(report, 'rerun')].map(([prompt, { agreement }]) => [prompt, agreement]),
        [
          ['generate/events', 'identical'],
          ['generate/forks', 'identical'],
          ['generate/nan', 'unmeasured'],
        ],
      );
    },
  );

  test('an error of it is told with its line, at its prompt', async () => {
    await using runner = await aRunner();
    await runner.write('determinism.yml', suite(['fox']));
    await write(runner, 'def run(prompt, emit):\n    raise ValueError("no such fox")\n');
    const outcome = await runStep(action, runner, { with: { runtime: 'process' } });
    await assertFault(outcome, runner, {
      code: 'script-failed',
      says: /for the prompt `fox`: ValueError: no such fox \(train\/step\.py:2, in `run`\)/,
      advises: /Correct the function/,
    });
    const [placed] = outcome.commands.filter(({ properties }) => properties['file'] === 'determinism.yml');
    assert.equal(placed?.properties['line'], '4');
  });

  tried(
    'script swapped by a fork',
    'another program in place of the base branch’s, on a fork’s pull request',
    'the files that run are compared with what git has on the base branch, and refused before anything is started',
    async () => {
      const text = suite(['fox'], `runtime: { image: "sha256:${'b2'.repeat(32)}" }\n`);
      await using repository = await hosted(action);
      Object.assign(repository.base, {
        'step.yml': text,
        'train/step.py': STEP,
        'train/rates.py': 'RATE = 0.1\n',
      });
      await using runner = await checkout();
      await runner.write('step.yml', text);
      await write(runner, STEP, '__import__("os").getpid()');
      const outcome = await repository.step({
        ...{ fork: true, runner },
        with: { runtime: 'docker', suite: 'step.yml' },
      });
      await assertFault(outcome, runner, {
        code: 'pull-request-limited',
        says: /the engine would run train\/rates\.py, which is not what refs\/heads\/main has there/,
        advises: /bring it into a branch of this repository/,
      });
    },
  );
});
