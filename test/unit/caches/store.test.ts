import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openCaches } from '../../../src/caches/store.ts';
import type { CacheKey, CachesOfRun } from '../../../src/engine/caches.ts';
import { temporaryFolder } from '../../support/runtimes.ts';

const KEY: CacheKey = {
  ...{ suite: 's', image: 'none', engine: { name: 'vllm', version: '1' }, libraries: { torch: '2' } },
  ...{ hardwareClass: 'cpu', place: '/caches' },
};

interface Machine extends AsyncDisposable {
  readonly state: string;
  /** The folder of the engine that runs. */
  readonly folder: string;
  readonly lines: string[];
  open(key?: Partial<CacheKey>, repository?: string): CachesOfRun;
  write(path: string, content: string): Promise<void>;
}

async function machine(): Promise<Machine> {
  const temporary = await temporaryFolder();
  const [state, folder] = [join(temporary.path, 'state'), join(temporary.path, 'engine')];
  await mkdir(folder);
  const lines: string[] = [];
  const signal = new AbortController().signal;
  return {
    ...{ state, folder, lines },
    open: (key = {}, repository = 'acme/models') =>
      openCaches({ stateFolder: state, repository, signal, log: (line) => lines.push(line) }).open({
        ...KEY,
        ...key,
      }),
    async write(path, content) {
      await mkdir(join(folder, path, '..'), { recursive: true });
      await writeFile(join(folder, path), content);
    },
    [Symbol.asyncDispose]: () => temporary[Symbol.asyncDispose](),
  };
}

/** What a run leaves that compiled one kernel. */
async function keptBy(one: Machine, content = 'kernel'): Promise<void> {
  await using run = one.open();
  await run.give(one.folder, true);
  await one.write('triton/abc/kernel.cubin', content);
  await run.look(one.folder, true);
  await run.keep();
}

/** Folder of what is kept. */
async function placeOf({ state }: Machine): Promise<string> {
  const parent = join(state, 'caches/acme/models');
  const [name = ''] = (await readdir(parent)).filter((one) => !/\.(json|partial)$/.test(one));
  return join(parent, name);
}

describe('kept caches', () => {
  test('are given to a later run, file by file as they were', async () => {
    await using one = await machine();
    await keptBy(one);
    await using run = one.open();
    const { content, refused } = await run.give(one.folder, true);
    assert.deepEqual([content.files, content.bytes, refused], [1, 6, undefined]);
    assert.equal(await readFile(join(one.folder, 'triton/abc/kernel.cubin'), 'utf8'), 'kernel');
    assert.ok(
      (await stat(join(one.folder, 'triton/abc'))).mode & 0o002,
      'whoever the engine is may write there',
    );
  });

  test('are none for a start that is to compile anew, nor what an earlier start left in the folder', async () => {
    await using one = await machine();
    await keptBy(one);
    await using run = one.open();
    assert.equal((await run.give(one.folder, false)).content.files, 0);
    assert.deepEqual(await readdir(one.folder), []);
  });

  test('are what a run took last for its own later starts, and nobody else’s until it keeps them', async () => {
    await using one = await machine();
    await using run = one.open();
    await run.give(one.folder, true);
    await one.write('inductor/a.py', 'a');
    await run.look(one.folder, true);
    assert.equal((await run.give(one.folder, true)).content.files, 1);
    await using other = one.open();
    assert.equal((await other.give(one.folder, true)).content.files, 0);
  });

  test('are apart for each repository, suite, image, hardware class and version of what computes', async () => {
    await using one = await machine();
    await keptBy(one);
    const others = [
      one.open({}, 'acme/other'),
      one.open({ suite: 'other' }),
      one.open({ image: 'sha256:1' }),
      one.open({ hardwareClass: 'gpu' }),
      one.open({ libraries: { torch: '3' } }),
      one.open({ engine: { name: 'vllm', version: '2' } }),
      one.open({ place: '/elsewhere' }),
    ];
    for (const run of others) {
      await using _ = run;
      assert.equal((await run.give(one.folder, true)).content.files, 0);
    }
  });

  for (const [what, tamper, why] of [
    [
      'a file that was changed',
      (place: string) => writeFile(join(place, 'triton/abc/kernel.cubin'), 'kerneL'),
      /^1 of 1 files are not/,
    ],
    ['a file more', (place: string) => writeFile(join(place, 'evil.py'), 'x'), /^1 of 1 files are not/],
    ['a link', (place: string) => symlink('/etc/passwd', join(place, 'link')), /has link, which is a link/],
    ['no readable list', (place: string) => writeFile(`${place}.json`, '{}'), /nothing readable/],
  ] as const)
    test(`with ${what} are refused and thrown away, and the next are kept again`, async () => {
      await using one = await machine();
      await keptBy(one);
      await tamper(await placeOf(one));
      await using run = one.open();
      const { content, refused = '' } = await run.give(one.folder, true);
      assert.match(refused, why);
      assert.equal(content.files, 0);
      assert.deepEqual(await readdir(one.folder), [], 'nothing of it reaches an engine');
      assert.deepEqual(await run.give(one.folder, true), { content, refused: undefined }, 'it is gone');
      await keptBy(one);
      assert.equal((await run.give(one.folder, true)).content.files, 1);
    });

  test('that an engine left a link in are not taken', async () => {
    await using one = await machine();
    await using run = one.open();
    await run.give(one.folder, true);
    await symlink('/etc', join(one.folder, 'etc'));
    assert.deepEqual(await run.look(one.folder, true), { unfit: 'has etc, which is a link' });
    await run.keep();
    assert.equal((await run.give(one.folder, true)).content.files, 0);
  });

  test('that lie deeper than a path may be long are not taken', async () => {
    await using one = await machine();
    await using run = one.open();
    await run.give(one.folder, true);
    await one.write(`${'deep/'.repeat(60)}x`, 'x');
    assert.deepEqual(await run.look(one.folder, true), { unfit: 'has a path of more than 256 characters' });
  });

  test('leave out what Python makes anew, and locks', async () => {
    await using one = await machine();
    await using run = one.open();
    await run.give(one.folder, true);
    await one.write('inductor/__pycache__/a.pyc', 'x');
    await one.write('inductor/locks/a', 'x');
    await one.write('vllm/a.lock', 'x');
    await one.write('vllm/b', 'x');
    const found = await run.look(one.folder, true);
    assert.deepEqual('content' in found && Object.keys(found.content.list), ['vllm/b']);
  });

  test('of two runs at once: each has its own copy, and the last that keeps is what is kept', async () => {
    await using one = await machine();
    await keptBy(one, 'first');
    await using run = one.open();
    const copies = await Promise.all(
      Array.from({ length: 8 }, async (_, at) => {
        const folder = join(one.state, `engine-${at}`);
        await mkdir(folder, { recursive: true });
        if (at === 4) await keptBy(one, 'second');
        const { content, refused } = await one.open().give(folder, true);
        return [content.files, refused];
      }),
    );
    assert.deepEqual(copies, Array(8).fill([1, undefined]), 'never half of one and half of the other');
    await run.give(one.folder, true);
    assert.equal(await readFile(join(one.folder, 'triton/abc/kernel.cubin'), 'utf8'), 'second');
  });
});
