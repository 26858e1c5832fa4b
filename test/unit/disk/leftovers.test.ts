import assert from 'node:assert/strict';
import { mkdir, readdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { findLeftovers } from '../../../src/disk/leftovers.ts';
import { temporaryFolder } from '../support/folder.ts';

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

test('models by their manifest, what was never whole, and scratch folders: nothing else', async () => {
  await using folder = await temporaryFolder();
  const state = join(folder.path, 'state');
  const temporary = join(folder.path, 'tmp');
  const model = join(state, 'models/octo/models/org--tiny/0123abc');
  await write(join(model, 'config.json'), '{}');
  await write(join(model, 'nested/model.safetensors'), 'x'.repeat(100));
  await write(`${model}.json`, '{}');
  const used = new Date('2026-10-01T00:00:00Z');
  await utimes(`${model}.json`, used, used);
  const partial = join(state, 'models/@terminal/org--tiny/0123abc.partial');
  await write(join(partial, 'model.safetensors'), 'xx');
  const scratch = join(temporary, 'deterministic-ml-Ab12Cd');
  await write(join(scratch, 'harness.py'), 'x');
  // Somebody else's, a file, and a link to what is not to be deleted.
  const mine = join(folder.path, 'mine');
  await write(join(mine, 'precious'), 'x');
  await write(join(temporary, 'deterministic-ml-notes.txt'), 'x');
  await write(join(temporary, 'deterministic-ml-Ab12Ce'), 'x');
  await write(join(temporary, 'other/x'), 'x');
  await symlink(mine, join(temporary, 'deterministic-ml-Ab12Cf'));
  await symlink(mine, join(scratch, 'link'));

  const found = await findLeftovers(state, [temporary, temporary, join(folder.path, 'none')]);

  assert.deepEqual(
    found.map(({ what, path, bytes }) => [what, path, bytes]),
    [
      ['unfinished model', partial, 2],
      ['model', model, 102],
      ['scratch folder', scratch, 1],
    ],
  );
  assert.equal(found[1]?.usedAt.getTime(), used.getTime());

  for (const one of found) await one.remove();
  assert.deepEqual(await readdir(dirname(model)), []);
  assert.deepEqual(await readdir(mine), ['precious']);
  assert.deepEqual(await findLeftovers(state, [temporary]), []);
});

test('a machine on which nothing ever ran has none', async () => {
  await using folder = await temporaryFolder();
  assert.deepEqual(await findLeftovers(join(folder.path, 'state'), [folder.path]), []);
});
