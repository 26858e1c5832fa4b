import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { parse } from 'yaml';
import { z } from 'zod';
import { temporaryFolder } from './support/folder.ts';
import { SUITE } from './support/job.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** With the Node that runs this. */
const PATH = `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`;
const Hooks = z.tuple([
  z.object({
    entry: z.string(),
    args: z.array(z.string()),
    files: z.string(),
    language: z.literal('script'),
  }),
]);

test('the pre-commit hook validates the suite of the repository that it runs in, started by its path', async () => {
  const [{ entry, args, files }] = Hooks.parse(
    parse(await readFile(join(root, '.pre-commit-hooks.yaml'), 'utf8')),
  );
  const [suite = ''] = args;
  assert.match(suite, new RegExp(files));
  await using folder = await temporaryFolder();
  const [program = '', ...words] = entry.split(' ');
  // As pre-commit does: the entry's path is of the hook's repository, the folder is the user's.
  const hook = () =>
    execa(join(root, program), [...words, ...args], { cwd: folder.path, reject: false, env: { PATH } });
  assert.match((await hook()).stderr, /^suite-missing: /);
  await writeFile(join(folder.path, suite), SUITE);
  const { exitCode, stdout, stderr } = await hook();
  assert.equal(exitCode, 0, stderr);
  assert.match(stdout, /determinism\.yml is a suite: /);
  await writeFile(join(folder.path, suite), 'name: other\n');
  const wrong = await hook();
  assert.equal(wrong.exitCode, 2);
  assert.match(wrong.stderr, /^suite-invalid: determinism\.yml has \d+ problems/);
});
