import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { assess } from '../../../src/health/policy.ts';
import { withStrangers } from '../../../src/health/strangers.ts';
import { uuidHash } from '../../../src/runtime/groups.ts';
import { strangersHere } from '../../../src/runtime/strangers.ts';
import { folderOfProcess } from '../../support/folders.ts';
import { type gpuHealth, healthReading, readingOf } from '../support/health.ts';

const UUID = 'GPU-9e07aaaa-1111-2222-3333-444455556666';
const OTHER = 'GPU-1e8aaaaa-1111-2222-3333-444455556666';
const signal = new AbortController().signal;

let scripts = 0;
/** A program in the place of nvidia-smi. */
async function smi(body: string): Promise<string> {
  const program = join(folderOfProcess(), `nvidia-smi-${++scripts}`);
  await writeFile(program, `#!/bin/sh\n${body}\n`);
  await chmod(program, 0o755);
  return program;
}

describe('who computes on the GPUs of this machine', () => {
  test('is told by card, whatever a process calls itself', async () => {
    const program = await smi(
      `cat <<'T'\n${UUID}, 4242, 17408, /usr/bin/python3 -c a, b\n${OTHER}, 7, [N/A], \u001b[31mred\nMIG-x, 1, 2, slice\nnonsense\nT`,
    );
    assert.deepEqual(await strangersHere(process.env, signal, { program }), [
      { card: uuidHash(UUID), pid: 4242, mib: 17_408, name: '/usr/bin/python3 -c a, b' },
      { card: uuidHash(OTHER), pid: 7, mib: null, name: '\\u{1b}[31mred' },
    ]);
  });

  for (const [what, body] of [
    ['there is no such program', undefined],
    ['it fails', `echo "${UUID}, 4242, 1, x"; exit 9`],
    ['it does not answer in time', 'exec sleep 1000'],
    ['it never stops writing', 'exec yes'],
  ] as const)
    test(`is not told where ${what}`, async () => {
      const began = performance.now();
      const program = body === undefined ? '/nowhere/nvidia-smi' : await smi(body);
      assert.deepEqual(await strangersHere(process.env, signal, { program, seconds: 0.5 }), []);
      assert.ok(performance.now() - began < 20_000);
    });

  test('is not waited for by a run that is cancelled', async () => {
    const stop = new AbortController();
    const asked = strangersHere(process.env, stop.signal, { program: await smi('exec sleep 1000') });
    stop.abort(new Error('cancelled'));
    await assert.rejects(asked, /cancelled/);
  });
});

describe('a reading of the engine’s own container', () => {
  const stranger = { card: uuidHash(UUID), pid: 4242, mib: 17_408, name: 'python3' };
  const card = { uuidHash: uuidHash(UUID), migMode: 'Disabled' };
  const signsOf = (change: Partial<ReturnType<typeof gpuHealth>>, at: 'before' | 'after' = 'before') => {
    const reading = withStrangers(healthReading(at, readingOf({ ...card, ...change })), [stranger]);
    return assess([{ lifetime: 'lifetime-1', ...reading }]).signs;
  };

  test('names who else computes there, as unhealthy as one that it sees itself', () => {
    const [sign, ...more] = signsOf({});
    assert.deepEqual([sign?.sign, sign?.level, more], ['foreign-process', 'unhealthy', []]);
    assert.equal(sign?.reason, 'is used by python3 (process 4242, 17408 MiB)');
  });

  test('names nobody twice, nobody of another card or slice, and after the run nobody', () => {
    const processes = [{ pid: 4242, name: 'python3', mib: 17_408, whose: 'other' as const }];
    assert.equal(signsOf({ processes })[0]?.reason.match(/4242/g)?.length, 1);
    assert.deepEqual(signsOf({ uuidHash: uuidHash(OTHER) }), []);
    assert.deepEqual(
      signsOf({ migMode: 'Enabled', migPending: 'Enabled' }).map(({ sign }) => sign),
      [],
    );
    assert.deepEqual(signsOf({}, 'after'), []);
  });
});
