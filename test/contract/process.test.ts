import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import type { Runtime, Slot } from '../../src/engine/runtime.ts';
import { chooseRuntime } from '../../src/runtime/choose.ts';
import { uuidHash } from '../../src/runtime/groups.ts';
import { runtimeOptions, temporaryFolder } from '../support/runtimes.ts';
import { tried } from '../support/tried.ts';
import { runtimeContract } from './runtime.ts';

runtimeContract('process', async () => ({ choice: 'process' }));

describe('process runtime', () => {
  test('a Python that is not there is named, and nothing is left behind', async () => {
    await using folder = await temporaryFolder();
    const environment = { ...runtimeOptions().environment, TMPDIR: folder.path };
    {
      await using runtime = await chooseRuntime(
        runtimeOptions({ choice: 'process', python: 'venv/bin/python', workspace: folder.path, environment }),
      );
      await assert.rejects(runtime.start('pass'), {
        code: 'runtime-unavailable',
        message: new RegExp(join(folder.path, 'venv/bin/python')),
      });
    }
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
    const below = async () => await readdir(folder.path, { recursive: true });
    await using owned = new AsyncDisposableStack();
    const runtime = owned.use(await chooseRuntime(runtimeOptions({ choice: 'process', environment })));
    const before = await below();
    {
      await using peer = await runtime.start(`import os, sys
os.makedirs(os.environ["TRITON_CACHE_DIR"])
print("made", flush=True)
sys.stdin.read()`);
      peer.stdin.end();
      assert.equal(await text(peer.stdout), 'made\n');
      assert.notDeepEqual(await below(), before);
    }
    assert.deepEqual(await below(), before);
    await owned.disposeAsync();
    assert.deepEqual(await below(), []);
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

  test('runs engines side by side, each on the CPUs that its slot names', async (t) => {
    if (availableParallelism() < 2) return t.skip('NEEDS two CPUs');
    await using runtime = await chooseRuntime(
      runtimeOptions({
        ...{ choice: 'process', cpuSets: ['0', '1'] },
        ...{ runtime: { gpus: 'none', shm: '64MiB', memory: '1MiB' }, atOnce: { planned: 3, most: 3 } },
      }),
    );
    assert.deepEqual([runtime.slot, runtime.slots], ['CPUs 0', 2]);
    const [slot, ...none] = await runtime.beside(2, []);
    assert.deepEqual([slot?.name, slot?.cpus, none], ['CPUs 1', '1', []]);
    const program = 'import os, sys; print(*os.sched_getaffinity(0), flush=True); sys.stdin.read()';
    await using own = await runtime.start(program);
    await using beside = await slot?.start(program);
    // Both are there before one of them ends.
    own.stdin.end();
    beside?.stdin.end();
    assert.deepEqual([await text(own.stdout), await text(beside?.stdout ?? own.stdout)], ['0\n', '1\n']);
  });

  test('has one engine at a time where nothing is set apart for another', async () => {
    await using runtime = await chooseRuntime(
      runtimeOptions({ choice: 'process', atOnce: { planned: 3, most: 3 } }),
    );
    assert.deepEqual([runtime.slot, runtime.slots, await runtime.beside(2, [])], [undefined, 1, []]);
  });

  test('gives engines beside the first one cards that are free, by name, and locks them', async () => {
    await using folder = await temporaryFolder();
    const gpuPlaces = { driver: join(folder.path, 'gpus'), locks: join(folder.path, 'locks') };
    const uuids = ['a', 'b', 'c'].map((one) => `GPU-${one.repeat(8)}-0000-0000-0000-000000000000`);
    for (const [index, uuid] of uuids.entries()) {
      const card = join(gpuPlaces.driver, `0000:0${index + 1}:00.0`);
      await mkdir(card, { recursive: true });
      await writeFile(join(card, 'information'), `GPU UUID: \t ${uuid}\n`);
    }
    const opened = () =>
      chooseRuntime(
        runtimeOptions({
          ...{ choice: 'process', gpuPlaces, inactivitySeconds: 0.05 },
          ...{ runtime: { gpus: 1, shm: '64MiB', memory: '1MiB' }, atOnce: { planned: 3, most: 3 } },
        }),
      );
    await using runtime = await opened();
    const hash = (uuid = '') => uuidHash(uuid);
    assert.deepEqual(
      [runtime.slots, runtime.indexOf(hash(uuids[2])), runtime.indexOf('x')],
      [3, 2, undefined],
    );
    const seen = async (slot: Pick<Runtime, 'start'> | Slot | undefined) => {
      await using peer = await slot?.start('import os; print(os.environ["CUDA_VISIBLE_DEVICES"])');
      return peer === undefined ? undefined : (await text(peer.stdout)).trim();
    };
    {
      await using held = new AsyncDisposableStack();
      const slots = await runtime.beside(2, [hash(uuids[0])]);
      for (const slot of slots) held.use(slot);
      assert.deepEqual(
        slots.map(({ name }) => name),
        ['GPU 1', 'GPU 2'],
      );
      assert.deepEqual(
        [await seen(runtime), await seen(slots[0]), await seen(slots[1])],
        ['0', uuids[1], uuids[2]],
      );
      assert.deepEqual(await runtime.beside(2, [hash(uuids[0])]), [], 'somebody has them');
    }
    const [again, ...more] = await runtime.beside(1, [hash(uuids[0])]);
    await using _ = again;
    assert.deepEqual([again?.name, more], ['GPU 1', []]);
  });

  tried(
    'Python’s modules, from the checkout',
    'a module of the checkout that is called like one of the engine’s',
    'the engine starts in a folder of its own, which is empty',
    async () => {
      await using runtime = await chooseRuntime(runtimeOptions({ choice: 'process' }));
      await using peer = await runtime.start('import os; print(os.listdir("."))');
      assert.equal(await text(peer.stdout), '[]\n');
    },
  );
});
