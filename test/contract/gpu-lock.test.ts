import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { cardsOf, type GpuRequest, lockFree, lockGpus } from '../../src/runtime/gpu-lock.ts';
import { fault } from '../support/fault.ts';
import { temporaryFolder } from '../support/runtimes.ts';

const UUIDS = [
  'GPU-aaaaaaaa-0000-0000-0000-000000000000',
  'GPU-bbbbbbbb-0000-0000-0000-000000000000',
] as const;

/** A machine with two cards, as its driver shows them. */
async function machine() {
  const folder = await temporaryFolder();
  const places = { driver: join(folder.path, 'gpus'), locks: join(folder.path, 'locks') };
  for (const [index, uuid] of UUIDS.entries()) {
    const card = join(places.driver, `0000:0${index + 1}:00.0`);
    await mkdir(card, { recursive: true });
    await writeFile(join(card, 'information'), `Model: \t\t NVIDIA H100\nIRQ: 1\nGPU UUID: \t ${uuid}\n`);
  }
  const lines: string[] = [];
  const take = (change: Partial<GpuRequest> = {}) =>
    lockGpus(
      {
        ...{ gpus: 1, devices: [], limitSeconds: 0.05, log: (line) => lines.push(line) },
        signal: new AbortController().signal,
        ...change,
      },
      places,
    );
  return { places, lines, take, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

const TAKEN = { code: 'gpu-unavailable', message: new RegExp(`Another run .* ${UUIDS[0]}`) } as const;

describe('cards that are free', () => {
  const free = async ({ places, lines }: Awaited<ReturnType<typeof machine>>, ...uuids: readonly string[]) =>
    await lockFree(uuids, { signal: new AbortController().signal, log: (line) => lines.push(line) }, places);

  test('are taken without waiting: all of them, or none', async () => {
    await using given = await machine();
    const [a, b] = UUIDS;
    {
      await using _first = await given.take();
      assert.equal(await free(given, b, a), undefined);
      await using both = await free(given, b);
      assert.ok(both, 'who does not get the other keeps none');
      assert.equal(await free(given, b), undefined);
      await assert.rejects(given.take({ devices: ['1'] }), { code: 'gpu-unavailable' });
    }
    await using again = await free(given, a, b);
    assert.ok(again);
    assert.deepEqual(
      given.lines.filter((line) => line.includes('cannot be locked')),
      [],
    );
  });

  test('that cannot be locked are used all the same, and that is told', async () => {
    await using given = await machine();
    await writeFile(given.places.locks, 'a file');
    await using one = await free(given, UUIDS[1]);
    assert.ok(one);
    assert.match(given.lines.join(), /could use GPU-bbbbbbbb.* too, it cannot be locked/);
  });

  test('are known in the order in which nvidia-smi counts them', async () => {
    await using given = await machine();
    assert.deepEqual(await cardsOf(given.places), [...UUIDS]);
    assert.deepEqual(await cardsOf({ driver: '/nowhere' }), []);
  });
});

describe('a card', () => {
  fault(
    'card wanted by two runners',
    'two runs of one machine that name the same card, by number, by name or not at all',
    'one has it, the other waits, and says for what and how long',
    async () => {
      await using given = await machine();
      const { take, lines } = given;
      {
        await using _first = await take();
        for (const name of [[], ['0'], [UUIDS[0]], ['GPU-aaaa']])
          await assert.rejects(take({ devices: name }), TAKEN);
        assert.match(lines[0] ?? '', /uses GPU-aaaaaaaa.*waiting for it, 0\.05 s at most/);
        await using _other = await take({ devices: ['1'] });
      }
      await using _again = await take({ gpus: 2 });
    },
  );

  test('is waited for', async () => {
    await using given = await machine();
    const first = await given.take();
    const { promise: told, resolve } = Promise.withResolvers<void>();
    const second = given.take({ limitSeconds: 60, log: () => resolve() });
    await told;
    await first[Symbol.asyncDispose]();
    await using _second = await second;
  });

  test('is not waited for by a run that is cancelled', async () => {
    await using given = await machine();
    await using _first = await given.take();
    const abort = new AbortController();
    const reason = new Error('cancelled by the user');
    const log = () => abort.abort(reason);
    await assert.rejects(given.take({ limitSeconds: 60, signal: abort.signal, log }), reason);
  });

  test('of two is not kept by who does not get the other', async () => {
    await using given = await machine();
    {
      await using _second = await given.take({ devices: ['1'] });
      await assert.rejects(given.take({ gpus: 2 }), { code: 'gpu-unavailable' });
      await using _first = await given.take();
    }
  });

  fault(
    'card whose run was killed',
    '`kill -9` of a run that has a card for itself',
    'the lock goes with the process',
    async () => {
      await using given = await machine();
      const lock = new URL('../../src/runtime/gpu-lock.ts', import.meta.url);
      const program = `const { lockGpus } = await import(${JSON.stringify(String(lock))});
const signal = new AbortController().signal;
await lockGpus({ gpus: 1, devices: [], limitSeconds: 1, signal, log: () => {} }, ${JSON.stringify(given.places)});
console.log('held');
setInterval(() => {}, 1000);`;
      const holder = spawn(process.execPath, ['--input-type=module', '-e', program], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(holder.stdout, 'data');
      await assert.rejects(given.take(), TAKEN);
      holder.kill('SIGKILL');
      await once(holder, 'exit');
      await using _next = await given.take();
    },
  );

  test('that cannot be locked is used all the same, and that is told', async () => {
    await using given = await machine();
    await writeFile(given.places.locks, 'a file');
    await using _one = await given.take();
    assert.match(given.lines.join(), /could use GPU-aaaaaaaa.* too, it cannot be locked/);
  });

  fault(
    'card of a driver that tells nothing',
    'a machine whose driver does not show its cards, wanted by two runs',
    'not held: nobody can tell that it is the same card, and both use it',
    async () => {
      await using given = await machine();
      const nowhere = { ...given.places, driver: '/nowhere' };
      const request = { gpus: 1, devices: [], limitSeconds: 0.05, log: () => {} };
      const { signal } = new AbortController();
      await using _one = await lockGpus({ ...request, signal }, nowhere);
      await using _two = await lockGpus({ ...request, signal }, nowhere);
      await using _none = await lockGpus({ ...request, gpus: 'none', signal }, nowhere);
    },
  );
});
