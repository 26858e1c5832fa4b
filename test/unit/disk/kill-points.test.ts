import assert from 'node:assert/strict';
import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { temporaryFolder } from '../support/folder.ts';
import { WRITERS } from '../support/written.ts';

const PROGRAM = fileURLToPath(new URL('../support/writer.ts', import.meta.url));
const run = (what: string, folder: string, version: string, killAt: number) =>
  execa(process.execPath, [PROGRAM, what, folder, version, String(killAt)], { reject: false });

describe('wherever its process is killed, there is the old one or the new one, whole:', () => {
  for (const { name, read } of WRITERS)
    test(name, { timeout: 180_000 }, async () => {
      await using temporary = await temporaryFolder();
      const [before, after] = ['before', 'after'].map((part) => join(temporary.path, part)) as [
        string,
        string,
      ];
      assert.equal((await run(name, before, 'old', 0)).exitCode, 0);
      await cp(before, after, { recursive: true });
      const whole = await run(name, after, 'new', 0);
      const operations = Number(whole.stdout);
      assert.ok(operations >= 3, `${whole.stdout}${whole.stderr}`);
      const expected = new Set([await read(before), await read(after)]);
      assert.equal(expected.size, 2, 'the two versions differ');

      const killed = async (killAt: number) => {
        const folder = join(temporary.path, `killed-${killAt}`);
        await cp(before, folder, { recursive: true });
        assert.equal((await run(name, folder, 'new', killAt)).signal, 'SIGKILL', `operation ${killAt}`);
        const found = await read(folder);
        assert.ok(expected.has(found), `operation ${killAt} of ${operations} left something else`);
        await rm(folder, { recursive: true, force: true });
      };
      const steps = Array.from({ length: operations }, (_, i) => i + 1);
      while (steps.length > 0) await Promise.all(steps.splice(0, 4).map(killed));
    });

  test('a first record is whole or absent', { timeout: 120_000 }, async () => {
    await using temporary = await temporaryFolder();
    const operations = Number((await run('record', join(temporary.path, 'never'), 'new', 0)).stdout);
    const [record] = WRITERS;
    assert.ok(operations >= 18 && record !== undefined);
    const killed = async (killAt: number) => {
      const folder = join(temporary.path, `killed-${killAt}`);
      assert.equal((await run('record', folder, 'new', killAt)).signal, 'SIGKILL');
      const left = await readdir(folder).catch((): string[] => []);
      if (left.includes('place')) await record.read(folder);
    };
    const steps = Array.from({ length: operations }, (_, i) => i + 1);
    while (steps.length > 0) await Promise.all(steps.splice(0, 4).map(killed));
  });
});
