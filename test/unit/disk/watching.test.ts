import assert from 'node:assert/strict';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { filesOfSuite } from '../../../src/disk/suite-file.ts';
import { openWatching } from '../../../src/disk/watching.ts';
import { cancelled } from '../../../src/errors.ts';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import { temporaryFolder } from '../../support/runtimes.ts';
import { rejectedBy } from '../support/suites.ts';

const never = new AbortController().signal;

test('saves of any kind are seen, those in quick succession as one', async () => {
  await using folder = await temporaryFolder();
  const [suite, prompt, later] = ['suite.yml', 'prompt.txt', 'new/later.txt'].map((name) =>
    join(folder.path, name),
  ) as [string, string, string];
  await writeFile(suite, 'one');
  await writeFile(prompt, 'one');
  await using files = openWatching(never, []);
  await files.at([suite, prompt, later]);

  await writeFile(suite, 'two');
  await writeFile(prompt, 'two');
  await writeFile(suite, 'three');
  assert.deepEqual(await files.changed(), [suite, prompt]);

  // As editors write: beside it, and then over it.
  const waited = files.changed();
  await writeFile(join(folder.path, '.suite.yml.swp'), 'four');
  await rename(join(folder.path, '.suite.yml.swp'), suite);
  assert.deepEqual(await waited, [suite]);

  // What was not there when it was looked at first, nor its folder.
  await mkdir(join(folder.path, 'new'));
  await writeFile(later, 'one');
  assert.deepEqual(await files.changed(), [later]);

  // While nobody asks.
  await writeFile(prompt, 'three');
  await files.at([prompt]);
  await writeFile(suite, 'nobody looks at it any more');
  assert.deepEqual(await files.changed(), [prompt]);
});

test('of a folder all counts that lies below it, but for what the program and its tools leave there', async () => {
  await using folder = await temporaryFolder();
  const source = join(folder.path, 'kernels');
  await mkdir(join(source, 'deep'), { recursive: true });
  await mkdir(join(source, '__pycache__'));
  await mkdir(join(source, 'records'));
  const beside = join(folder.path, 'suite.yml');
  await using files = openWatching(never, [join(source, 'records')]);
  await files.at([source, beside]);
  for (const noise of [
    '__pycache__/kernel.cpython-312.pyc',
    '.kernel.py.swp',
    'kernel.py~',
    'records/1.json',
  ])
    await writeFile(join(source, noise), 'x');
  await writeFile(beside, 'x');
  assert.deepEqual(await files.changed(), [beside]);
  await writeFile(join(source, 'deep/kernel.py'), 'x');
  assert.deepEqual(await files.changed(), [source]);
  await rm(join(source, 'deep/kernel.py'));
  assert.deepEqual(await files.changed(), [source]);
});

test('whoever waits is told that the run was cancelled', async () => {
  await using folder = await temporaryFolder();
  const abort = new AbortController();
  await using files = openWatching(abort.signal, []);
  await files.at([join(folder.path, 'suite.yml')]);
  const waited = rejectedBy(files.changed());
  abort.abort(cancelled());
  assert.equal((await waited).code, 'cancelled');
  assert.equal((await rejectedBy(files.changed())).code, 'cancelled');
});

test('a suite’s files are itself, its prompts, its model and its program; of a broken one itself', async () => {
  await using folder = await temporaryFolder();
  const write = (text: string) => writeFile(join(folder.path, 'suite.yml'), text);
  const files = async () =>
    (await filesOfSuite('suite.yml', folder.path, SUITE_SCHEMA)).map((path) =>
      path.replace(`${folder.path}/`, ''),
    );
  await write(`apiVersion: deterministic-ml/v1
name: s
model: { path: ../model }
engine: { name: vllm }
sampling: { max_tokens: 1 }
prompts:
  - { id: a, file: prompts/a.txt }
  - { id: b, text: x }
score: [{ id: c, file: missing.txt }]
`);
  assert.deepEqual(await files(), [
    'suite.yml',
    'prompts/a.txt',
    'missing.txt',
    join(folder.path, '../model'),
  ]);
  await write(`apiVersion: deterministic-ml/v1
name: s
engine: { name: script, args: { file: own.py, files: [lib.py] } }
prompts: [{ id: b, text: x }]
`);
  assert.deepEqual(await files(), ['suite.yml', 'own.py', 'lib.py']);
  await write('name: [');
  assert.deepEqual(await files(), ['suite.yml']);
});
