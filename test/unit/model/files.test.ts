import assert from 'node:assert/strict';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { execa } from 'execa';
import { digestFolder } from '../../../src/model/digest.ts';
import { identityOf, modelFiles, needed } from '../../../src/model/files.ts';
import { recallDigests, rememberDigests } from '../../../src/model/memory.ts';
import { odd } from '../../support/odd.ts';
import { temporaryFolder } from '../support/folder.ts';

describe('the files of a model', () => {
  test('are those that an engine may read', () => {
    const names = [
      'model.safetensors',
      'pytorch_model.bin',
      'README.md',
      'config.json',
      '.cache/x.json',
      'a/tok.model',
    ];
    assert.deepEqual(needed(names), ['a/tok.model', 'config.json', 'model.safetensors']);
    assert.deepEqual(needed(['pytorch_model.bin']), ['pytorch_model.bin']);
  });

  test('are found through links, which the hub client’s cache is made of', async () => {
    await using folder = await temporaryFolder();
    const [blobs, snapshot] = [join(folder.path, 'blobs'), join(folder.path, 'snapshot')];
    await mkdir(join(blobs, 'deep'), { recursive: true });
    await mkdir(join(snapshot, '.git'), { recursive: true });
    await writeFile(join(blobs, 'abc'), '{}');
    await writeFile(join(blobs, 'deep/code.py'), 'pass');
    await writeFile(join(snapshot, '.git/config.json'), '{}');
    await symlink('../blobs/abc', join(snapshot, 'config.json'));
    await symlink('../blobs/deep', join(snapshot, 'code'));
    await symlink('nowhere', join(snapshot, 'README.md'));
    assert.deepEqual(await modelFiles(snapshot), ['code/code.py', 'config.json']);
    const [link, file] = [
      await identityOf(join(snapshot, 'config.json')),
      await identityOf(join(blobs, 'abc')),
    ];
    assert.deepEqual(link, file);
  });

  test('are of another identity when they were written or replaced, and of none that Python does not see', async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, 'config.json');
    await writeFile(path, '{}');
    const first = await identityOf(path);
    const { stdout } = await execa('python3', [
      '-c',
      'import os, sys; s = os.stat(sys.argv[1]); print(f"{s.st_dev}:{s.st_ino}:{s.st_size}:{s.st_mtime_ns}:{s.st_ctime_ns}")',
      path,
    ]);
    assert.equal(first.identity, stdout, 'the harness and this program speak of the same');
    await writeFile(`${path}.new`, '{}');
    await rename(`${path}.new`, path);
    assert.notEqual((await identityOf(path)).identity, first.identity);
  });

  for (const [what, code, message, make] of [
    ['no folder', 'model-missing', /does not exist/, async () => {}],
    ['a file', 'model-missing', /is a file/, (path: string) => writeFile(path, '{}')],
    ['a folder of something else', 'model-missing', /no config\.json/, (path: string) => mkdir(path)],
  ] as const)
    test(`are refused of ${what}`, async () => {
      await using folder = await temporaryFolder();
      const path = join(folder.path, 'model');
      await make(path);
      await assert.rejects(modelFiles(path), { code, message });
    });
});

odd(
  'a pipe, or a device, among the files of a model',
  '`model-unreadable`, which names it: reading it could take forever',
  async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    await writeFile(join(path, 'config.json'), '{}');
    await execa('mkfifo', [join(path, 'model.safetensors')]);
    const { signal } = new AbortController();
    await assert.rejects(digestFolder(path, { stateFolder: path, signal, onProgress: () => {} }), {
      code: 'model-unreadable',
      message: /model\.safetensors is no file/,
    });
  },
);

odd(
  'a folder of a model with pointers of Git LFS, without one of its shards, or of an adapter alone',
  '`model-missing`, which names the files; `validate` warns of it where the folder is',
  async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    const put = (name: string, text: string) => writeFile(join(path, name), text);
    await put('adapter_config.json', '{}');
    await assert.rejects(modelFiles(path), { code: 'model-missing', message: /is an adapter, and no model/ });
    await put('config.json', '{}');
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'a1'.repeat(32)}\nsize 9\n`;
    await put('model-1.safetensors', pointer);
    await assert.rejects(modelFiles(path), {
      code: 'model-missing',
      message: /model-1\.safetensors is a pointer of Git LFS/,
      hint: /`lfs: true`/,
    });
    await put('model-1.safetensors', 'no weights');
    const index = (...shards: readonly string[]) =>
      put(
        'model.safetensors.index.json',
        JSON.stringify({ weight_map: Object.fromEntries(shards.map((name, at) => [`layer.${at}`, name])) }),
      );
    await index('model-1.safetensors', 'model-2.safetensors', 'model-2.safetensors');
    await assert.rejects(modelFiles(path), {
      code: 'model-missing',
      message: /names model-2\.safetensors, which is not there/,
    });
    // The same weights may lie there under other names, for an engine that is told to read those.
    await index('shard-1.safetensors');
    assert.equal((await modelFiles(path)).length, 4);
    await put('model.safetensors.index.json', 'no JSON');
    assert.equal((await modelFiles(path)).length, 4);
  },
);

odd(
  'weights whose end an interrupted download or a full disk took',
  '`model-missing`, with the bytes that are there and those that should be, before an engine starts',
  async () => {
    await using folder = await temporaryFolder();
    const { path } = folder;
    await writeFile(join(path, 'config.json'), '{}');
    const header = JSON.stringify({
      __metadata__: { format: 'pt' },
      a: { dtype: 'F32', shape: [4], data_offsets: [0, 16] },
      b: { dtype: 'F32', shape: [2], data_offsets: [16, 24] },
    });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const whole = Buffer.concat([length, Buffer.from(header), Buffer.alloc(24)]);
    const put = (bytes: Buffer) => writeFile(join(path, 'model.safetensors'), bytes);
    await put(whole);
    assert.equal((await modelFiles(path)).length, 2);
    for (const has of [0, 7, 8, 20, whole.length - 24, whole.length - 1]) {
      await put(whole.subarray(0, has));
      const wants = has < 8 ? 8 : has < whole.length - 24 ? whole.length - 24 : whole.length;
      await assert.rejects(modelFiles(path), {
        code: 'model-missing',
        message: `The model is not there: in ${path}, the end is lacking of model.safetensors (${has} bytes, where at least ${wants} belong).`,
      });
    }
    // What is no safetensors file at all, the engine says.
    for (const other of ['no header', JSON.stringify([1, null, { data_offsets: 'x' }])]) {
      await put(Buffer.concat([length, Buffer.from(other.padEnd(header.length + 30))]));
      assert.equal((await modelFiles(path)).length, 2);
    }
  },
);

describe('the memory of digests', () => {
  test('never changes what it knows of an identity', async () => {
    await using folder = await temporaryFolder();
    await rememberDigests(folder.path, new Map([['1:2', 'a1'.repeat(32)]]));
    await rememberDigests(
      folder.path,
      new Map([
        ['1:2', 'b2'.repeat(32)],
        ['1:3', 'c3'.repeat(32)],
      ]),
    );
    assert.deepEqual(Object.fromEntries(await recallDigests(folder.path)), {
      '1:2': 'a1'.repeat(32),
      '1:3': 'c3'.repeat(32),
    });
  });

  test('that is lost is an empty one', async () => {
    await using folder = await temporaryFolder();
    await rm(folder.path, { recursive: true });
    assert.equal((await recallDigests(folder.path)).size, 0);
    await rememberDigests(join(folder.path, 'state'), new Map([['1:2', 'a1'.repeat(32)]]));
    assert.equal((await recallDigests(join(folder.path, 'state'))).size, 1);
  });
});
