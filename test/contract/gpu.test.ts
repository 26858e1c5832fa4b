import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { execa } from 'execa';
import { ensureTinyImage } from '../../scripts/setup/image.ts';
import { chooseRuntime } from '../../src/runtime/choose.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { copyImage, DAEMON_PATH, startGpuDocker } from '../support/gpu-docker.ts';
import { runtimeOptions } from '../support/runtimes.ts';

test('a Docker that can give GPUs gives those that were asked for, and none to who asks for none', async (t) => {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return;
  if (
    process.getuid?.() !== 0 ||
    (await execa('dockerd', ['--version'], { env: { PATH: DAEMON_PATH }, reject: false })).failed
  )
    return t.skip('a second Docker daemon needs root and dockerd');
  const { imageId } = await ensureTinyImage(daemon);
  await using docker = await startGpuDocker();
  await copyImage(imageId, daemon.host, docker.host);

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
});
