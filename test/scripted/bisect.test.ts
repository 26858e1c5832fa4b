import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { BisectAnswer } from '../../src/report/answers.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { stepHere } from '../e2e/support/here.ts';
import { reportOf } from '../e2e/support/reports.ts';
import type { Runner } from '../e2e/support/spawn.ts';
import { checkout, type SuiteOptions, suite } from '../e2e/support/suites.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

const PROCESS = { runtime: 'process' } as const;

/** Other bits where all of these hold, for an engine that can look at its arguments and its environment. */
const movedBy = (...all: readonly string[]) => ({
  on_load: `import os\nargs["logprob"] = -0.5 if ${all.join(' and ')} else -0.25`,
});
const BLOCKS = 'args.get("block_size") == 32';
const THREADS = 'os.environ.get("OMP_NUM_THREADS") == "2"';

/** Five changes: another argument, one that is gone, one that is new, another variable and a new one. */
const old = (engine: object): SuiteOptions => ({
  args: { block_size: 16, swap_space: 1, ...engine },
  env: { OMP_NUM_THREADS: '1' },
});
const fresh = (engine: object): SuiteOptions => ({
  args: { block_size: 32, max_num_seqs: 8, ...engine },
  env: { OMP_NUM_THREADS: '2', MKL_DYNAMIC: 'FALSE' },
});

/** A runner with a baseline of the old suite, and the new one in the checkout. */
async function changed(engine: object, more: SuiteOptions = {}): Promise<Runner> {
  const runner = await checkout(old(engine));
  const stored = await stepHere(action, runner, {
    event: 'workflow_dispatch',
    with: { ...PROCESS, mode: 'refresh', reason: 'first one' },
  });
  assert.equal(stored.outputs['conclusion'], 'reproduced', stored.log);
  await runner.write('determinism.yml', suite({ ...fresh(engine), ...more }));
  return runner;
}

describe('five declared changes beside a drift', () => {
  test('of which one moves the bits: `bisect` on a terminal finds it', async () => {
    await using runner = await changed(movedBy(BLOCKS));
    const { stdout, stderr, exitCode } = await execa(
      process.execPath,
      [join(action.path, 'dist/cli.js'), 'bisect', 'determinism.yml', '--runtime', 'process', '--json'],
      {
        cwd: runner.workspace,
        reject: false,
        env: { GITHUB_EVENT_NAME: '', GITHUB_WORKSPACE: runner.workspace },
      },
    );
    assert.equal(exitCode, 0, stderr);
    const found = BisectAnswer.parse(JSON.parse(stdout));
    assert.equal(found.changes.length, 5);
    assert.deepEqual([found.result, found.cause], ['found', ['engine.args.block_size']]);
    assert.ok(found.tried.length <= 6);
    assert.match(stderr, /At most 8 engine starts \(`--budget`\), each about \d+ s/);
    assert.match(stderr, /Engine start 2 of at most 8: all changes put back/);
  });

  test('of which two move them only together: a check finds them, where its policy lets it', async () => {
    await using runner = await changed(movedBy(BLOCKS, THREADS), { policy: { bisect: 7 } });
    const outcome = await stepHere(action, runner, { with: PROCESS });
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'drift', outcome.log);
    const [notice] = report.context.notices;
    assert.equal(notice?.title, 'Which declared change it was');
    assert.match(
      notice?.message ?? '',
      /^Found, only together: engine\.args\.block_size and engine\.env\.OMP_NUM_THREADS\. .* [1-7] engine starts more/,
    );
    assert.match(outcome.log, /Found, only together/);
    assert.match(outcome.summary, /Found, only together/);
  });
});
