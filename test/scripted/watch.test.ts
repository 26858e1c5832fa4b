import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { execa } from 'execa';
import { builtAction } from '../e2e/support/action.ts';
import { checkout, processesOf, suite } from '../e2e/support/suites.ts';
import { until } from '../support/runtimes.ts';

/* What of `check --watch` only a process shows: saves on a disk, the harness that stays, Ctrl-C. */

test('a save is a round on the engine that is loaded, and Ctrl-C gives it back', async () => {
  await using action = await builtAction('scripted');
  await using runner = await checkout();
  const child = execa(
    process.execPath,
    [join(action.path, 'dist/cli.js'), 'check', '--watch', '--runtime', 'process'],
    {
      ...{ cwd: runner.workspace, extendEnv: false, reject: false, buffer: false },
      env: {
        PATH: process.env['PATH'],
        HOME: runner.home,
        TMPDIR: runner.scratch,
        RUNNER_TRACKING_ID: runner.trackingId,
      },
    },
  );
  await using _ = { [Symbol.asyncDispose]: async () => void child.kill('SIGKILL') };
  const ended = once(child, 'close');
  let shown = '';
  const streams = [child.stdout, child.stderr];
  for (const stream of streams)
    stream.setEncoding('utf8').on('data', (text: string) => {
      shown += text;
    });
  /** What was shown until it waits; from then on it begins anew. */
  const round = async (): Promise<string> => {
    while (!shown.includes('Waiting for the next save')) {
      await Promise.race([ended, ...streams.map((stream) => once(stream, 'data'))]);
      assert.equal(child.exitCode, null, shown);
    }
    const lines = shown;
    shown = '';
    return lines;
  };
  const save = async (text: string) => {
    const beside = join(runner.workspace, '.saving');
    await writeFile(beside, text);
    await rename(beside, join(runner.workspace, 'determinism.yml'));
  };

  assert.match(await round(), /^Engine: cold, in a process of its own: /m);
  const engines = await processesOf(runner);
  assert.ok(engines.length > 1, 'the engine stays');
  await save(suite({ prompts: [{ id: 'one', text: 'Another' }] }));
  const second = await round();
  assert.match(second, /^Saved: determinism\.yml\.$/m);
  assert.match(second, /^Engine: kept, loaded as it was: 0\.\d s until its passes/m);
  // What a round starts for a moment may just be ending, at either look.
  const stays = async () => {
    const left = await processesOf(runner);
    return left.length > 1 && left.every((pid) => engines.includes(pid));
  };
  await until(stays, 'no process that was not there before');
  await save('name: [');
  assert.match(await round(), /^suite-invalid: /m);
  child.kill('SIGINT');
  await ended;
  assert.equal(child.exitCode, 130);
  assert.deepEqual(await processesOf(runner), []);
});
