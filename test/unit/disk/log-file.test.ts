import assert from 'node:assert/strict';
import { lstat, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { LogFile } from '../../../src/disk/log-file.ts';
import { ownerName } from '../../../src/machine/owner.ts';
import { temporaryFolder } from '../support/folder.ts';
import { rejectedBy } from '../support/suites.ts';

describe('the log of an engine', () => {
  test('replaces what lies in its place, and follows no link there', async () => {
    await using temporary = await temporaryFolder();
    const { path } = temporary;
    await writeFile(join(path, 'victim'), 'the owner’s');
    for (const kind of ['link', 'dangling link', 'older log'] as const) {
      const place = join(path, `${kind}.log`);
      if (kind === 'older log') await writeFile(place, 'older and much longer');
      else await symlink(kind === 'link' ? 'victim' : 'nowhere', place);
      {
        await using log = await LogFile.create(place, path);
        log.add('said');
      }
      assert.ok((await lstat(place)).isFile());
      assert.equal(await readFile(place, 'utf8'), 'said\n');
    }
    assert.equal(await readFile(join(path, 'victim'), 'utf8'), 'the owner’s');
    assert.ok(!(await readdir(path)).includes('nowhere'));
  });

  test('comes with a sweep of the half records that killed runs have left of the same', async () => {
    await using temporary = await temporaryFolder();
    const { path } = temporary;
    const own = ownerName();
    const gone = own.replace(/^\d+/, '4194305');
    const kept = [
      `other.partial-${gone}-00000001`,
      `record.partial-${own}-00000002`,
      'record.partial-7.7.0123abcd-00000003',
      'record.partial-notes',
    ];
    const left = ['', '.baseline', '.report.json'].map((end) => `record${end}.partial-${gone}-00000001`);
    for (const name of [...kept, ...left])
      if (name.includes('.json')) await writeFile(join(path, name), '{');
      else await mkdir(join(path, name));
    await using _ = await LogFile.create(join(path, 'record.log'), path);
    assert.deepEqual((await readdir(path)).sort(), [...kept, 'record.log'].sort());
  });

  test('goes through no folder of the checkout that is a link, and makes none behind it', async () => {
    await using temporary = await temporaryFolder();
    const workspace = join(temporary.path, 'workspace');
    for (const name of ['workspace/real', 'outside'])
      await mkdir(join(temporary.path, name), { recursive: true });
    await symlink('../outside', join(workspace, 'out'));
    await symlink('../../outside', join(workspace, 'real/out'));
    for (const way of ['out/record.log', 'out/deep/record.log', 'real/out/record.log']) {
      const error = await rejectedBy(LogFile.create(join(workspace, way), workspace));
      assert.equal(error.code, 'input-invalid');
      assert.match(error.message, /(?:real\/)?out is a link of the checkout/);
      assert.match(error.hint, /record-path/);
    }
    assert.deepEqual(await readdir(join(temporary.path, 'outside')), []);
    await using _ = await LogFile.create(join(workspace, 'real/deep/record.log'), workspace);
    // What the runner's owner named outside of the checkout may be a link of theirs.
    await symlink('outside', join(temporary.path, 'theirs'));
    await using __ = await LogFile.create(join(temporary.path, 'theirs/record.log'), workspace);
  });

  test('cannot be made where a folder is called like it', async () => {
    await using temporary = await temporaryFolder();
    await mkdir(join(temporary.path, 'record.log'));
    const error = await rejectedBy(LogFile.create(join(temporary.path, 'record.log'), temporary.path));
    assert.equal(error.code, 'input-invalid');
  });
});
