import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { describe, type TestContext, test } from 'node:test';
import type Docker from 'dockerode';
import { ensureTinyImage } from '../../scripts/setup/image.ts';
import { chooseRuntime, type RuntimeOptions } from '../../src/runtime/choose.ts';
import { later } from '../../src/runtime/clock.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { jobLabels, LABEL, spanLabels } from '../../src/runtime/docker/labels.ts';
import { removeRun, sweep } from '../../src/runtime/docker/sweep.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { fault } from '../support/fault.ts';
import { runtimeOptions, until } from '../support/runtimes.ts';

interface Bench {
  readonly docker: Docker;
  readonly image: string;
  readonly options: RuntimeOptions;
}

async function bench(t: TestContext): Promise<Bench | undefined> {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return undefined;
  const { imageId } = await ensureTinyImage(daemon);
  const options = runtimeOptions({
    choice: 'docker',
    runtime: { gpus: 'none', shm: '64MiB', image: imageId },
    environment: { ...runtimeOptions().environment, DOCKER_HOST: daemon.host },
  });
  return { docker: await connect(options.environment), image: imageId, options };
}

/** A container as a run that was killed leaves it; it goes with the test at the latest. */
async function leave(
  { docker, image, options }: Bench,
  how: { readonly run: boolean; readonly labels?: Record<string, string> },
): Promise<{ readonly id: string } & AsyncDisposable> {
  const hour = 3600;
  const labels = how.labels ?? {
    ...jobLabels(options.job),
    [LABEL.role]: 'engine',
    ...spanLabels({ made: options.now(), deadline: later(options.now(), hour) }),
  };
  const container = await docker.createContainer({
    Image: image,
    Entrypoint: ['python3', '-c', 'import time; time.sleep(600)'],
    Labels: labels,
  });
  if (how.run) await container.start();
  return {
    id: container.id,
    [Symbol.asyncDispose]: async () => {
      await container.remove({ force: true }).catch(() => {});
    },
  };
}

/** Somebody else's sweep may take it as soon as it has ended. */
async function end(docker: Docker, id: string): Promise<void> {
  await docker.getContainer(id).kill();
  const isRunning = async () => (await docker.listContainers()).some(({ Id }) => Id === id);
  await until(async () => !(await isRunning()), 'the container has ended');
}

const isThere = async (docker: Docker, id: string) =>
  (await docker.listContainers({ all: true })).some(({ Id }) => Id === id);

describe('sweeping after killed runs', () => {
  fault(
    'container that a killed run left',
    '`kill -9` of a runner, whose container has ended',
    'the next start takes it away; another runner’s and everybody else’s stay',
    async (t) => {
      const given = await bench(t);
      if (given === undefined) return;
      const { docker, options } = given;
      await using ended = await leave(given, { run: true });
      await end(docker, ended.id);
      await using alive = await leave(given, { run: true });
      await using foreign = await leave(given, { run: false, labels: { 'com.example.ours': 'no' } });

      await sweep(docker, { log: () => {}, now: options.now() });

      assert.equal(await isThere(docker, ended.id), false);
      assert.equal(await isThere(docker, alive.id), true);
      assert.equal(await isThere(docker, foreign.id), true);
    },
  );

  test('takes what is past its deadline though it runs', async (t) => {
    const given = await bench(t);
    if (given === undefined) return;
    const labels = {
      ...jobLabels(given.options.job),
      [LABEL.role]: 'engine',
      ...spanLabels({ made: given.options.now(), deadline: later(given.options.now(), -2) }),
    };
    await using late = await leave(given, { run: true, labels });
    await sweep(given.docker, { log: () => {}, now: given.options.now() });
    assert.equal(await isThere(given.docker, late.id), false);
  });

  fault(
    'clock of the machine is hours off',
    'the time of day jumps while containers are there',
    'no sweep goes by the time of day: nothing that is wanted is taken',
    async (t) => {
      const given = await bench(t);
      if (given === undefined) return;
      await using alive = await leave(given, { run: true });
      await using starting = await leave(given, { run: false });
      t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 5 * 3_600_000 });
      await sweep(given.docker, { log: () => {}, now: given.options.now() });
      t.mock.timers.reset();
      assert.equal(await isThere(given.docker, alive.id), true);
      assert.equal(await isThere(given.docker, starting.id), true);
    },
  );

  test('leaves what another runner is just about to start', async (t) => {
    const given = await bench(t);
    if (given === undefined) return;
    await using starting = await leave(given, { run: false });
    await sweep(given.docker, { log: () => {}, now: given.options.now() });
    assert.equal(await isThere(given.docker, starting.id), true);
  });

  test('the next start sweeps', async (t) => {
    const given = await bench(t);
    if (given === undefined) return;
    await using ended = await leave(given, { run: true });
    await end(given.docker, ended.id);
    await using _runtime = await chooseRuntime(
      runtimeOptions({ ...given.options, job: runtimeOptions().job }),
    );
    assert.equal(await isThere(given.docker, ended.id), false);
  });

  test('post removes its own job’s containers alone, running or not', async (t) => {
    const given = await bench(t);
    if (given === undefined) return;
    const { docker, options } = given;
    // Another leg of the same matrix, on another runner of the same machine.
    const beside: Bench = {
      ...given,
      options: { ...options, job: { ...options.job, runner: `other ${randomUUID()}` } },
    };
    await using other = await leave(beside, { run: true });
    await using stuck = await leave(given, { run: true });
    await using created = await leave(given, { run: false });
    await using runtime = await chooseRuntime(options);
    await using peer = await runtime.start('import time; print("up", flush=True); time.sleep(600)');
    await once(peer.stdout, 'readable');

    assert.equal(await removeRun(docker, options.job), 3);
    assert.equal(await isThere(docker, stuck.id), false);
    assert.equal(await isThere(docker, created.id), false);
    assert.equal(await isThere(docker, other.id), true);
    await peer.exit;
    assert.equal(await removeRun(docker, options.job), 0);
  });
});
