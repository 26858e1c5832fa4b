import assert from 'node:assert/strict';
import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { fault } from '../../support/fault.ts';
import { folderOfProcess } from '../../support/folders.ts';
import { temporaryFolder } from '../support/folder.ts';
import type { Made } from '../support/writer.ts';
import { WRITERS } from '../support/written.ts';

/** As the writer says it. */
const QUIET = 'the disk’s refusal is kept quiet';

const PROGRAM = fileURLToPath(new URL('../support/writer.ts', import.meta.url));

/** The thing that is written anew, killed before its n-th operation. */
const kill = (what: string, folder: string, n: number) =>
  execa(process.execPath, [PROGRAM, 'kill', what, folder, String(n)], { reject: false });

const folder = folderOfProcess();
let made: Readonly<Record<string, Made>>;
before(async () => {
  made = JSON.parse((await execa(process.execPath, [PROGRAM, folder])).stdout) as typeof made;
});

function madeOf(name: string) {
  const one = made[name];
  assert.ok(one !== undefined && one.operations >= 3, JSON.stringify(one));
  return { ...one, at: (...parts: readonly string[]) => join(folder, name, ...parts) };
}

/** One for each operation, from the first on. */
const numbers = (operations: number) => Array.from({ length: operations }, (_, index) => String(index + 1));

describe('wherever its process is killed', () => {
  fault(
    'process killed at each write',
    '`kill -9` before each single operation on the disk: of a record, a baseline, a report, the memory of digests',
    'the old one or the new one is there, whole',
    async (t) => {
      for (const { name, read } of WRITERS)
        await t.test(name, async () => {
          await using temporary = await temporaryFolder();
          const { at, operations } = madeOf(name);
          const killed = join(temporary.path, 'killed');
          await cp(at('before'), killed, { recursive: true });
          const expected = new Set([await read(at('before')), await read(at('after'))]);
          assert.equal(expected.size, 2, 'the two versions differ');
          for (const n of numbers(operations))
            assert.ok(
              expected.has(await read(at('states', n))),
              `operation ${n} of ${operations} left something else`,
            );

          // One that is really killed, half-way, leaves no more and no less.
          const half = Math.ceil(operations / 2);
          assert.equal((await kill(name, killed, half)).signal, 'SIGKILL');
          assert.ok(expected.has(await read(killed)), `killed at operation ${half} of ${operations}`);
        });
    },
    { timeout: 600_000 },
  );

  fault(
    'disk full at each write',
    'no more room from each single operation on: of a record, a baseline, a report, the memory of digests',
    '`disk-full`, and the old one or the new one is there, whole',
    async (t) => {
      for (const { name, read } of WRITERS)
        await t.test(name, async () => {
          const { at, full } = madeOf(name);
          const [old, anew] = [await read(at('before')), await read(at('after'))];
          assert.ok(full.length > 2);
          for (const [index, code] of full.entries()) {
            const found = await read(at('full', String(index + 1)));
            const what = found === old ? 'the old one' : found === anew ? 'the new one' : 'neither';
            // What is remembered of digests can be counted again, and ends no run.
            const isTold = code === 'disk-full' || (name === 'memory of digests' && code === QUIET);
            assert.ok(
              isTold ? what !== 'neither' : code === null && what === 'the new one',
              `operation ${index + 1}: ${code}, and what is there is ${what}`,
            );
          }
        });
    },
    { timeout: 600_000 },
  );

  test('a first record is whole or absent', async () => {
    await using temporary = await temporaryFolder();
    const killed = join(temporary.path, 'killed');
    const [record] = WRITERS;
    assert.ok(record !== undefined);
    const { at, first } = madeOf(record.name);
    assert.ok(first >= 18);
    assert.equal((await kill(record.name, killed, Math.ceil(first / 2))).signal, 'SIGKILL');
    for (const folder of [...numbers(first).map((n) => at('first-states', n)), killed]) {
      const left = await readdir(folder).catch((): string[] => []);
      if (left.includes('place')) await record.read(folder);
    }
  });
});
