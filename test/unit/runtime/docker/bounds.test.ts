import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import Docker from 'dockerode';
import { boundsOf, sharedBy } from '../../../../src/runtime/docker/bounds.ts';

const GIB = 1024 ** 3;

async function bounds(info: unknown, asked?: number) {
  const docker = new Docker({ socketPath: '/nowhere' });
  mock.method(docker, 'info', async () => info);
  const lines: string[] = [];
  const { signal } = new AbortController();
  return { ...(await boundsOf(docker, asked, { signal, log: (line) => lines.push(line) })), lines };
}

describe('what a container may use', () => {
  test('is nine tenths of its machine’s memory, a quarter of that in /tmp, and is told', async () => {
    const { memory, tmp, lines } = await bounds({ MemTotal: 40 * GIB, MemoryLimit: true });
    assert.deepEqual([memory, tmp], [36 * GIB, 9 * GIB]);
    assert.match(lines.join(), /36\.0 GiB of memory.*9\.0 GiB of that for \/tmp; `runtime\.memory`/);
  });

  test('is what the suite says, and then nothing needs telling', async () => {
    assert.deepEqual(await bounds(undefined, 8 * GIB), { memory: 8 * GIB, tmp: 2 * GIB, lines: [] });
  });

  test('is bounded in /tmp alone where the daemon can limit no memory', async () => {
    const { memory, tmp, lines } = await bounds({ MemTotal: 40 * GIB, MemoryLimit: false });
    assert.deepEqual([memory, tmp], [undefined, 4 * GIB]);
    assert.match(lines.join(), /sets no limits of memory/);
  });

  test('is shared by containers that run at once, and what the suite says is each one’s own', () => {
    const whole = { memory: 36 * GIB, tmp: 9 * GIB };
    assert.deepEqual(sharedBy(3, whole, undefined), { memory: 12 * GIB, tmp: 3 * GIB });
    assert.deepEqual(sharedBy(1, whole, undefined), whole);
    assert.deepEqual(sharedBy(3, whole, 36 * GIB), whole);
    assert.deepEqual(sharedBy(3, { memory: undefined, tmp: 3 * GIB }, undefined), {
      memory: undefined,
      tmp: GIB,
    });
  });
});
