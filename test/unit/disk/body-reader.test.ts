import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { BodyReader } from '../../../src/disk/body-reader.ts';
import { sha256 } from '../../../src/record/digest.ts';
import { temporaryFolder } from '../../support/runtimes.ts';

for (const [how, worthAThread] of [
  ['here', undefined],
  ['in another thread', 0],
] as const)
  test(`files that are read ${how} come with their digests, each to who asked for it, and one that is not there hides no other`, async () => {
    await using folder = await temporaryFolder();
    const contents = ['one', '', 'three'.repeat(100_000)];
    const paths = contents.map((_, at) => join(folder.path, `${at}`));
    for (const [at, text] of contents.entries()) await writeFile(paths[at] ?? '', text);

    const reader = new BodyReader(worthAThread);
    const [one, missing, empty, three] = await Promise.all(
      [paths[0], join(folder.path, 'none'), paths[1], paths[2]].map((path = '') => reader.read(path)),
    );

    assert.deepEqual(missing, { failed: 'ENOENT' });
    for (const [answer, text = ''] of [
      [one, contents[0]],
      [empty, contents[1]],
      [three, contents[2]],
    ] as const) {
      assert.ok(answer !== undefined && 'bytes' in answer);
      assert.equal(Buffer.from(answer.bytes).toString(), text);
      assert.equal(answer.digest, sha256(text));
    }
  });
