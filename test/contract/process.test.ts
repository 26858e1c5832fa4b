import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { chooseRuntime } from '../../src/runtime/choose.ts';
import { runtimeOptions, temporaryFolder } from '../support/runtimes.ts';
import { runtimeContract } from './runtime.ts';

runtimeContract('process', async () => ({ choice: 'process' }));

describe('process runtime', () => {
  test('a Python that is not there is named, and nothing is left behind', async () => {
    await using folder = await temporaryFolder();
    const environment = { ...runtimeOptions().environment, TMPDIR: folder.path };
    await using runtime = await chooseRuntime(
      runtimeOptions({ choice: 'process', python: 'venv/bin/python', workspace: folder.path, environment }),
    );
    await assert.rejects(runtime.start('pass'), {
      code: 'runtime-unavailable',
      message: new RegExp(join(folder.path, 'venv/bin/python')),
    });
    assert.deepEqual(await readdir(folder.path), []);
  });

  test('a file that is not a program is named', async () => {
    await using folder = await temporaryFolder();
    await using runtime = await chooseRuntime(runtimeOptions({ choice: 'process', python: folder.path }));
    await assert.rejects(runtime.start('pass'), { code: 'runtime-unavailable', message: /EACCES/ });
  });

  test('its caches go with it', async () => {
    await using folder = await temporaryFolder();
    const environment = { ...runtimeOptions().environment, TMPDIR: folder.path };
    await using runtime = await chooseRuntime(runtimeOptions({ choice: 'process', environment }));
    {
      await using peer = await runtime.start(`import os, sys
os.makedirs(os.environ["TRITON_CACHE_DIR"])
print("made", flush=True)
sys.stdin.read()`);
      peer.stdin.end();
      assert.equal(await text(peer.stdout), 'made\n');
      assert.notDeepEqual(await readdir(folder.path), []);
    }
    assert.deepEqual(await readdir(folder.path), []);
  });

  test('sees the devices that it was given, and none for a suite without GPUs', async () => {
    const seen = async (overrides: Parameters<typeof runtimeOptions>[0]) => {
      await using runtime = await chooseRuntime(runtimeOptions({ choice: 'process', ...overrides }));
      await using peer = await runtime.start('import os; print(os.environ["CUDA_VISIBLE_DEVICES"])');
      return (await text(peer.stdout)).trim();
    };
    assert.equal(
      await seen({ runtime: { gpus: 2, shm: '1GiB' }, devices: ['GPU-a', 'GPU-b'] }),
      'GPU-a,GPU-b',
    );
    assert.equal(await seen({ runtime: { gpus: 'none', shm: '1GiB' }, devices: ['GPU-a'] }), '');
  });

  test('modules of the checkout are not what its Python imports', async () => {
    await using runtime = await chooseRuntime(runtimeOptions({ choice: 'process' }));
    await using peer = await runtime.start('import os; print(os.listdir("."))');
    assert.equal(await text(peer.stdout), '[]\n');
  });
});
