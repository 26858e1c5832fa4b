import assert from 'node:assert/strict';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { GENERATING } from '../e2e/support/cancel.ts';
import { leftovers } from '../e2e/support/faults.ts';
import { type Runner, runStep, Step } from '../e2e/support/spawn.ts';
import { checkout, processesOf, suite } from '../e2e/support/suites.ts';
import { until } from '../support/runtimes.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

/** An engine that leaves what vLLM leaves where nobody lets it end: a socket, a file to meet by, compiled code. */
const litter = ({ runId }: Runner) => ({
  on_load: `import socket, tempfile
socket.socket(socket.AF_UNIX).bind(f'{os.environ["VLLM_RPC_BASE_PATH"]}/${runId.padStart(36, '0')}')
open(f"{tempfile.gettempdir()}/vllm_dist_${runId}", "w")
os.makedirs(os.environ["TRITON_CACHE_DIR"])`,
});

/** All that a job of this runner can have left on the machine, its checkout apart. */
async function left(runner: Runner): Promise<object> {
  const places = await readFile('/proc/net/unix', 'utf8');
  return {
    files: await leftovers(runner),
    // Where an engine's own default would put it.
    temporary: (await readdir('/tmp')).filter((name) => name.includes(runner.runId)),
    processes: await processesOf(runner),
    sockets: places.split('\n').filter((line) => line.includes(runner.scratch)),
    state: (await readdir(runner.toolCache, { recursive: true })).sort(),
  };
}

test('after a normal end, a cancel and a `kill -9` with the next run’s sweep, all is as before', async (t) => {
  for (const [where, depth] of [
    ['a short TMPDIR', ''],
    ['one too deep for a socket', 'x'.repeat(60)],
  ] as const)
    await t.test(where, async () => {
      await using runner = await checkout();
      const args = litter(runner);
      await runner.write('determinism.yml', suite({ args }));
      const scratch = join(runner.scratch, depth);
      await mkdir(scratch, { recursive: true });
      const options = { with: { runtime: 'process' }, env: { TMPDIR: scratch } } as const;
      const first = await runStep(action, runner, options);
      assert.equal(first.outputs['conclusion'], 'no-baseline', first.log);
      const before = await left(runner);
      assert.deepEqual(before, { ...before, processes: [], sockets: [] });
      assert.deepEqual(await readdir(scratch), []);

      await runner.write(
        'determinism.yml',
        suite({ args: { ...args, on_step: 'time.sleep(0.05)' }, maxTokens: 10_000 }),
      );
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        await using step = await Step.start(action, runner, 'main', options);
        await step.sees(GENERATING);
        step.kill(signal);
        await step.ended;
        await until(async () => (await processesOf(runner)).length === 0, 'all processes are gone', 10);
        if (signal === 'SIGTERM') assert.deepEqual([signal, await left(runner)], [signal, before]);
      }
      const killed = await readdir(scratch);
      assert.equal(killed.length, 1, 'a killed run could not clear up');
      await runner.write('determinism.yml', suite({ args }));
      const { log } = await runStep(action, runner, options);
      assert.match(
        log,
        new RegExp(`Removed the folder ${scratch}/${killed[0]} that a killed run left behind`),
      );
      assert.deepEqual(await left(runner), before);
    });
});
