import assert from 'node:assert/strict';
import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { fault } from '../../support/fault.ts';
import { folderOfProcess } from '../../support/folders.ts';
import { temporaryFolder } from '../support/folder.ts';
import { WRITERS } from '../support/written.ts';

/** As the writer says it. */
const QUIET = 'the disk’s refusal is kept quiet';

const PROGRAM = fileURLToPath(new URL('../support/writer.ts', import.meta.url));
const run = (what: string, folder: string, version: string, killAt: number, ...states: readonly string[]) =>
  execa(process.execPath, [PROGRAM, what, folder, version, String(killAt), ...states], { reject: false });

/** Where the n-th of so many operations had not begun. */
const statesIn = (folder: string, operations: number) =>
  Array.from({ length: operations }, (_, index) => join(folder, String(index + 1)));

/** The old version and the new one of a thing, and what was there before each operation that made it new: made once. */
const MADE = new Map<string, ReturnType<typeof make>>();
const versionsOf = (name: string) => {
  const made = MADE.get(name) ?? make(name);
  MADE.set(name, made);
  return made;
};

const folder = folderOfProcess();

async function make(name: string) {
  const [before, after, states] = ['before', 'after', 'states'].map((part) => join(folder, name, part)) as [
    string,
    string,
    string,
  ];
  assert.equal((await run(name, before, 'old', 0)).exitCode, 0);
  await cp(before, after, { recursive: true });
  const whole = await run(name, after, 'new', 0, states);
  const operations = Number(whole.stdout);
  assert.ok(operations >= 3, `${whole.stdout}${whole.stderr}`);
  return { before, after, states: statesIn(states, operations) };
}

describe('wherever its process is killed', () => {
  fault(
    'process killed at each write',
    '`kill -9` before each single operation on the disk: of a record, a baseline, a report, the memory of digests',
    'the old one or the new one is there, whole',
    async (t) => {
      for (const { name, read } of WRITERS)
        await t.test(name, async () => {
          await using temporary = await temporaryFolder();
          const { before, after, states } = await versionsOf(name);
          const [operations, killed] = [states.length, join(temporary.path, 'killed')];
          await cp(before, killed, { recursive: true });
          const expected = new Set([await read(before), await read(after)]);
          assert.equal(expected.size, 2, 'the two versions differ');
          for (const [index, state] of states.entries())
            assert.ok(
              expected.has(await read(state)),
              `operation ${index + 1} of ${operations} left something else`,
            );

          // One that is really killed, half-way, leaves no more and no less.
          const half = Math.ceil(operations / 2);
          assert.equal((await run(name, killed, 'new', half)).signal, 'SIGKILL');
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
          await using temporary = await temporaryFolder();
          const { before, after } = await versionsOf(name);
          const states = join(temporary.path, 'states');
          const [old, made] = [await read(before), await read(after)];
          const { stdout, stderr } = await execa(
            process.execPath,
            [PROGRAM, name, before, 'new', 'full', states],
            { reject: false },
          );
          const codes = JSON.parse(stdout || 'null') as (string | null)[];
          assert.ok(codes.length > 2, stderr);
          for (const [at, code] of codes.entries()) {
            const found = await read(join(states, String(at + 1)));
            const what = found === old ? 'the old one' : found === made ? 'the new one' : 'neither';
            // What is remembered of digests can be counted again, and ends no run.
            const isTold = code === 'disk-full' || (name === 'memory of digests' && code === QUIET);
            assert.ok(
              isTold ? what !== 'neither' : code === null && what === 'the new one',
              `operation ${at + 1}: ${code}, and what is there is ${what}`,
            );
          }
        });
    },
    { timeout: 600_000 },
  );

  test('a first record is whole or absent', async () => {
    await using temporary = await temporaryFolder();
    const [never, states, killed] = ['never', 'states', 'killed'].map((part) =>
      join(temporary.path, part),
    ) as [string, string, string];
    const operations = Number((await run('record', never, 'new', 0, states)).stdout);
    const [record] = WRITERS;
    assert.ok(operations >= 18 && record !== undefined);
    const half = Math.ceil(operations / 2);
    assert.equal((await run('record', killed, 'new', half)).signal, 'SIGKILL');
    for (const folder of [...statesIn(states, operations), killed]) {
      const left = await readdir(folder).catch((): string[] => []);
      if (left.includes('place')) await record.read(folder);
    }
  });
});
