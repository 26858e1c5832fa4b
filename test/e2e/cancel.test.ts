import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { ensureCpuImage, ensureTinyImage } from '../../scripts/setup/image.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { ensureShallowModel } from '../../scripts/setup/shallow-model.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { bytesBelow } from '../support/cache-baseline.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { fault } from '../support/fault.ts';
import { until } from '../support/runtimes.ts';
import { type Action, builtAction } from './support/action.ts';
import { cancelInMidGeneration, GENERATING } from './support/cancel.ts';
import { assertNothingLeft } from './support/faults.ts';
import { aRunner, type Runner, runStep, Step } from './support/spawn.ts';
import {
  BASELINES,
  checkout,
  containersOf,
  processesOf,
  realSuite,
  type SuiteOptions,
  suite,
} from './support/suites.ts';

let scripted: Action;
let real: Action;

before(async () => {
  [scripted, real] = await Promise.all([builtAction('scripted'), builtAction('vllm')]);
});
after(async () => {
  await scripted[Symbol.asyncDispose]();
  await real[Symbol.asyncDispose]();
});

const SLOW = { args: { on_step: 'time.sleep(0.05)' }, maxTokens: 10_000 } as const;
const PROCESS = { with: { runtime: 'process' } } as const;

async function containers(t: TestContext) {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return undefined;
  const { imageId } = await ensureTinyImage(daemon);
  const env = { DOCKER_HOST: daemon.host };
  const slow = { ...SLOW, runtime: { image: imageId, shm: '8MiB' } } as const satisfies SuiteOptions;
  return { daemon, env, slow, docker: await connect(env) };
}

describe('SIGINT in the middle of a pass', () => {
  // Twenty tries of the same are in docs/evidence: `npm run evidence`.
  fault(
    'run cancelled in a pass',
    'SIGINT while vLLM generates in its container',
    'all is gone within 5 s, and nothing is left',
    async (t) => {
      const bench = await containers(t);
      if (bench === undefined) return;
      const [{ imageId }, model] = await Promise.all([ensureCpuImage(bench.daemon), ensureShallowModel()]);
      await using runner = await aRunner();
      await runner.write(
        'determinism.yml',
        realSuite({ model, runtime: { image: imageId }, maxTokens: 500 }),
      );
      await cancelInMidGeneration(real, runner, { env: bench.env }, bench.docker);
    },
  );

  test('real vLLM in a process: no Python is left', async () => {
    const [{ python }, model] = await Promise.all([ensureEngine(), ensureShallowModel()]);
    await using runner = await aRunner();
    await runner.write('determinism.yml', realSuite({ model, maxTokens: 500 }));
    await cancelInMidGeneration(real, runner, { with: { runtime: 'process', python } });
  });

  test('a refresh: the old baseline stays, byte for byte', async (t) => {
    const bench = await containers(t);
    if (bench === undefined) return;
    await using runner = await checkout({});
    const refresh = { mode: 'refresh', reason: 'new driver' } as const;
    const event = 'workflow_dispatch';
    const first = await runStep(scripted, runner, {
      with: { ...PROCESS.with, ...refresh, 'record-path': '../first' },
      event,
    });
    assert.equal(first.exitCode, 0, first.log);
    const old = await bytesBelow(join(runner.workspace, BASELINES));
    await runner.write('determinism.yml', suite(bench.slow));
    await cancelInMidGeneration(scripted, runner, { with: refresh, env: bench.env, event }, bench.docker);
    assert.deepEqual(await bytesBelow(join(runner.workspace, BASELINES)), old);
  });

  test('an engine that blocks every signal and never stops printing', async (t) => {
    const bench = await containers(t);
    if (bench === undefined) return;
    const stubborn = `import signal
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
if step == 1:
    while True: os.write(2, b"busy " * 1000 + b"\\n")`;
    await using runner = await checkout({ ...bench.slow, args: { on_step: stubborn } });
    await cancelInMidGeneration(scripted, runner, { env: bench.env }, bench.docker);
  });

  test('an engine that is still loading, in a process', async () => {
    await using runner = await checkout({ args: { on_load: 'while True: pass' } });
    await cancelInMidGeneration(scripted, runner, PROCESS, undefined, /^load: /m);
  });

  test('SIGTERM on top, as the runner sends it after 7.5 s', async () => {
    await using runner = await checkout(SLOW);
    await using step = await Step.start(scripted, runner, 'main', PROCESS);
    await step.sees(GENERATING);
    step.kill('SIGINT');
    step.kill('SIGTERM');
    const { outputs, exitCode } = await step.ended;
    assert.deepEqual([exitCode, outputs['error-code']], [1, 'cancelled']);
    await assertNothingLeft(runner);
  });
});

describe('`kill -9` of the action', () => {
  fault(
    'action killed, its engine in a container',
    '`kill -9` of the action in the middle of a pass',
    'the container ends with its stdin, and the next start takes it away',
    async (t) => {
      const bench = await containers(t);
      if (bench === undefined) return;
      const { docker, env, slow } = bench;
      await using other = await checkout(slow);
      await using neighbour = await Step.start(scripted, other, 'main', { env });
      await using killed = await checkout(slow);
      await using step = await Step.start(scripted, killed, 'main', { env });
      await Promise.all([neighbour.sees(GENERATING), step.sees(GENERATING)]);

      step.kill('SIGKILL');
      await step.ended;
      const states = async (runner: Runner) => (await containersOf(docker, runner)).map(({ State }) => State);
      await until(
        async () => (await states(killed)).join() === 'exited',
        'the container has ended by itself',
        5,
      );

      await using next = await checkout({ ...slow, args: {}, maxTokens: 4 }, killed.name);
      const { log } = await runStep(scripted, next, { env });
      assert.match(
        log,
        new RegExp(`Removed the container \\w{12} that run ${killed.runId} of octo/models left`),
      );
      assert.deepEqual(await states(killed), []);
      assert.deepEqual(await states(other), ['running'], 'another runner’s container is at work');

      await using post = await Step.start(scripted, next, 'post', { env });
      assert.equal((await post.ended).exitCode, 0);
      assert.deepEqual(await states(other), ['running'], 'post takes its own job’s away, and no other');
      neighbour.kill('SIGINT');
      assert.equal((await neighbour.ended).outputs['error-code'], 'cancelled');
      await assertNothingLeft(other, docker);
    },
  );

  test('post takes away what main left running', async (t) => {
    const bench = await containers(t);
    if (bench === undefined) return;
    const { docker, env, slow } = bench;
    // Stopped, the harness and its watcher do not see the end of stdin: as a machine out of memory would not let them.
    const stop = 'import signal; os.killpg(0, signal.SIGSTOP)';
    await using runner = await checkout({ ...slow, args: { on_step: `if step == 3: ${stop}` } });
    await using step = await Step.start(scripted, runner, 'main', { env });
    await step.sees(GENERATING);
    step.kill('SIGKILL');
    await step.ended;
    const [left] = await containersOf(docker, runner);
    assert.equal(left?.State, 'running');
    await using post = await Step.start(scripted, runner, 'post', { env });
    const { exitCode, log } = await post.ended;
    assert.equal(exitCode, 0);
    assert.match(log, /Removed 1 container\(s\) of this run/);
    assert.deepEqual(await containersOf(docker, runner), []);
  });

  fault(
    'action killed, its engine in a process',
    '`kill -9` of the action in the middle of a pass',
    'the engine ends with its stdin: no Python is left',
    async () => {
      await using runner = await checkout(SLOW);
      await using step = await Step.start(scripted, runner, 'main', PROCESS);
      await step.sees(GENERATING);
      // The action, what made the namespaces, the first process in them, the harness and its watcher.
      assert.equal((await processesOf(runner)).length, 5);
      step.kill('SIGKILL');
      await step.ended;
      await until(async () => (await processesOf(runner)).length === 0, 'no process is left', 5);
    },
  );
});
