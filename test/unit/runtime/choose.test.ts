import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { chooseRuntime } from '../../../src/runtime/choose.ts';
import { runtimeOptions } from '../../support/runtimes.ts';

const IMAGE = `engine@sha256:${'ab'.repeat(32)}`;
const FORM = { gpus: 'none', shm: '64MiB' } as const;
const NO_DOCKER = { ...runtimeOptions().environment, DOCKER_HOST: 'unix:///nowhere.sock' };

describe('choosing a runtime', () => {
  test('a suite without an image runs in a Python of this machine, and that is told', async () => {
    await using runtime = await chooseRuntime(runtimeOptions());
    assert.equal(runtime.kind, 'process');
    assert.match(runtime.description, /python3 .*because the suite names no image/);
    assert.deepEqual(runtime.image, { reference: 'none', digest: 'none', certainty: 'unknown' });
  });

  test('a suite with an image is never measured without it, but for an explicit `process`', async () => {
    const runtime = { ...FORM, image: IMAGE };
    await assert.rejects(chooseRuntime(runtimeOptions({ runtime, environment: NO_DOCKER })), {
      code: 'docker-unavailable',
    });
    await using chosen = await chooseRuntime(
      runtimeOptions({ runtime, environment: NO_DOCKER, choice: 'process' }),
    );
    assert.equal(chosen.kind, 'process');
    assert.match(chosen.description, /`runtime: process` was asked for/);
    assert.notEqual(chosen.image.certainty, 'verified');
  });

  test('in a pod the suite’s image is what the workflow states, unchecked', async () => {
    await using chosen = await chooseRuntime(
      runtimeOptions({
        choice: 'process',
        runtime: { ...FORM, image: IMAGE },
        environment: { ...NO_DOCKER, KUBERNETES_SERVICE_HOST: '10.0.0.1' },
      }),
    );
    assert.deepEqual(chosen.image, {
      reference: IMAGE,
      digest: IMAGE.slice('engine@'.length),
      certainty: 'declared',
    });
    assert.match(chosen.description, /unchecked/);
  });

  test('Docker needs an image, and one that is pinned, which is said before there is a daemon', async () => {
    const open = (image?: string) =>
      chooseRuntime(
        runtimeOptions({
          choice: 'docker',
          environment: NO_DOCKER,
          runtime: { ...FORM, ...(image === undefined ? {} : { image }) },
        }),
      );
    await assert.rejects(open(), { code: 'image-not-pinned', message: /names no image/ });
    await assert.rejects(open('engine:latest'), { code: 'image-not-pinned', message: /engine:latest/ });
  });

  test('fewer devices than the suite wants are refused up front', async () => {
    await assert.rejects(
      chooseRuntime(runtimeOptions({ runtime: { gpus: 2, shm: '1GiB' }, devices: ['GPU-a'] })),
      { code: 'input-invalid', message: /2 GPUs.*names 1/ },
    );
  });
});
