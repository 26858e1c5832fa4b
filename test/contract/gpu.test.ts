import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, type TestContext, test } from 'node:test';
import { execa } from 'execa';
import { ensureTinyImage } from '../../scripts/setup/image.ts';
import type { Runtime } from '../../src/engine/runtime.ts';
import { chooseRuntime } from '../../src/runtime/choose.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { uuidHash } from '../../src/runtime/groups.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { copyImage, DAEMON_PATH, startGpuDocker } from '../support/gpu-docker.ts';
import { runtimeOptions, temporaryFolder } from '../support/runtimes.ts';
import { tried } from '../support/tried.ts';

const owned = new AsyncDisposableStack();
after(() => owned.disposeAsync());
let started: Promise<{ readonly host: string; readonly imageId: string }> | undefined;

/** A Docker that gives GPUs until this file has ended, and its image; undefined where this machine cannot have one. */
async function gpuDocker(t: TestContext) {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return undefined;
  if (
    process.getuid?.() !== 0 ||
    (await execa('dockerd', ['--version'], { env: { PATH: DAEMON_PATH }, reject: false })).failed
  ) {
    t.skip('a second Docker daemon needs root and dockerd');
    return undefined;
  }
  started ??= (async () => {
    const { imageId } = await ensureTinyImage(daemon);
    const { host } = owned.use(await startGpuDocker());
    await copyImage(imageId, daemon.host, host);
    return { host, imageId };
  })();
  return await started;
}

tried(
  'devices, taken by an image',
  'an image that wants all GPUs of the machine by its own variables',
  'a container has the cards that its suite asks for, and none where it asks for none',
  async (t) => {
    const docker = await gpuDocker(t);
    if (docker === undefined) return;
    const { imageId } = docker;

    const seen = async (gpus: 'none' | number, devices: readonly string[]) => {
      await using runtime = await chooseRuntime(
        runtimeOptions({
          choice: 'docker',
          runtime: { gpus, shm: '64MiB', image: imageId },
          devices,
          environment: { ...runtimeOptions().environment, DOCKER_HOST: docker.host },
        }),
      );
      await using peer = await runtime.start(`import shutil, subprocess
print(subprocess.check_output(["nvidia-smi"], text=True) if shutil.which("nvidia-smi") else "no nvidia-smi")`);
      const [out] = await Promise.all([text(peer.stdout), text(peer.stderr)]);
      return out.trim();
    };
    assert.equal(await seen(1, ['GPU-11111111-2222']), 'devices: GPU-11111111-2222');
    assert.equal(await seen(2, []), 'devices: 0,1');
    assert.equal(await seen('none', ['GPU-11111111-2222']), 'no nvidia-smi');
  },
);

test('containers side by side have cards of their own, their part of the memory, and CPUs where those are parted', async (t) => {
  const docker = await gpuDocker(t);
  if (docker === undefined) return;
  await using folder = await temporaryFolder();
  const gpuPlaces = { driver: join(folder.path, 'gpus'), locks: join(folder.path, 'locks') };
  const uuids = ['a', 'b', 'c'].map((one) => `GPU-${one.repeat(8)}-0000-0000-0000-000000000000`);
  for (const [index, uuid] of uuids.entries()) {
    const card = join(gpuPlaces.driver, `0000:0${index + 1}:00.0`);
    await mkdir(card, { recursive: true });
    await writeFile(join(card, 'information'), `GPU UUID: \t ${uuid}\n`);
  }
  const opened = (gpus: 'none' | number, cpuSets: readonly string[]) =>
    chooseRuntime(
      runtimeOptions({
        ...{ choice: 'docker', gpuPlaces, cpuSets, atOnce: { planned: 2, most: 2 } },
        runtime: { gpus, shm: '64MiB', image: docker.imageId },
        environment: { ...runtimeOptions().environment, DOCKER_HOST: docker.host },
      }),
    );
  const program = `import os, shutil, subprocess, sys
print(subprocess.check_output(["nvidia-smi"], text=True).strip() if shutil.which("nvidia-smi") else "no nvidia-smi")
print(*os.sched_getaffinity(0), flush=True)
sys.stdin.read()`;
  /** Of two that are there at once. */
  const both = async (runtime: Runtime, used: readonly string[]) => {
    await using held = new AsyncDisposableStack();
    const [slot] = await runtime.beside(1, used);
    assert.ok(slot);
    held.use(slot);
    const peers = [held.use(await runtime.start(program)), held.use(await slot.start(program))];
    const daemon = await connect({ DOCKER_HOST: docker.host });
    const containers = await Promise.all(
      (await daemon.listContainers()).map(({ Id }) => daemon.getContainer(Id).inspect()),
    );
    const memory = containers.map(({ HostConfig }) => HostConfig.Memory ?? 0);
    for (const peer of peers) peer.stdin.end();
    const told = await Promise.all(
      peers.map(async (peer) => (await Promise.all([text(peer.stdout), text(peer.stderr)]))[0]),
    );
    return { name: slot.name, memory, told: told.map((one) => one.trim().split('\n')) };
  };
  {
    await using runtime = await opened(1, []);
    const { name, memory, told } = await both(runtime, [uuidHash(uuids[0] ?? '')]);
    assert.equal(name, 'GPU 1');
    assert.deepEqual(
      told.map(([devices]) => devices),
      ['devices: 0', `devices: ${uuids[1]}`],
    );
    const [own = 0, other = 0, ...more] = memory;
    assert.deepEqual([own, more], [other, []]);
    assert.ok(own > 0 && own + other <= totalmem() * 0.9, 'both together leave the machine its tenth');
  }
  if (availableParallelism() < 2) return t.diagnostic('NEEDS two CPUs: that CPUs are parted was not tried');
  await using runtime = await opened('none', ['0', '1']);
  const { name, told } = await both(runtime, []);
  assert.deepEqual(
    [name, told.map(([smi, cpus]) => [smi, cpus])],
    [
      'CPUs 1',
      [
        ['no nvidia-smi', '0'],
        ['no nvidia-smi', '1'],
      ],
    ],
  );
});
