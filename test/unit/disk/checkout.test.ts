import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openCheckout } from '../../../src/disk/checkout.ts';
import { privateFolder } from '../../../src/machine/scratch.ts';

test('a checkout tells the commit that it is of, as actions/checkout leaves a pull request’s, and of a branch none', async () => {
  await using folder = await privateFolder();
  const { commit } = openCheckout(folder.path);
  assert.equal(await commit(), undefined, 'no repository');
  await mkdir(join(folder.path, '.git'));
  const sha = 'c0ff'.repeat(10);
  for (const [head, told] of [
    [`${sha}\n`, sha],
    ['ref: refs/heads/main\n', undefined],
  ] as const) {
    await writeFile(join(folder.path, '.git/HEAD'), head);
    assert.equal(await commit(), told);
  }
});
