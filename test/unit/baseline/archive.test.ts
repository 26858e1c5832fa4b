import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { unpack } from '../../../src/baseline/archive.ts';
import { UnfitTree } from '../../../src/baseline/tree.ts';
import { privateFolder } from '../../../src/machine/scratch.ts';
import { bytesBelow } from '../../support/cache-baseline.ts';

const limits = { bytes: 1_000_000, files: 10 };
const prefix = '.deterministic-ml/baseline';

/** As @actions/cache calls it. */
function tar(cwd: string): Buffer {
  const { status, stdout } = spawnSync('tar', ['--posix', '-cf', '-', '-P', '-C', cwd, prefix], {
    maxBuffer: 2 ** 24,
  });
  assert.equal(status, 0);
  return stdout;
}

async function* pieces(archive: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < archive.length; at += size) yield archive.subarray(at, at + size);
}

async function withArchive(work: (archive: Buffer, source: string, target: string) => Promise<void>) {
  await using source = await privateFolder();
  await using target = await privateFolder();
  const inside = join(source.path, prefix);
  await mkdir(join(inside, 'bodies'), { recursive: true });
  await writeFile(join(inside, 'baseline.json'), '{}');
  await writeFile(join(inside, 'empty'), '');
  await writeFile(join(inside, 'bodies', 'a'.repeat(120)), Buffer.alloc(1025, 7));
  await work(tar(source.path), inside, target.path);
}

describe('unpacking', () => {
  for (const size of [1, 511, 512, 100_000])
    test(`what GNU tar packed, arriving in pieces of ${size} bytes`, () =>
      withArchive(async (archive, source, target) => {
        await unpack(pieces(archive, size), prefix, target, limits);
        assert.deepEqual(await bytesBelow(target), await bytesBelow(source));
      }));

  test('ends with an error wherever the archive is cut short', () =>
    withArchive(async (archive) => {
      const end = archive.findLastIndex((byte) => byte !== 0);
      for (let length = 0; length <= end; length += 256) {
        await using target = await privateFolder();
        await assert.rejects(
          unpack(pieces(archive.subarray(0, length), 4096), prefix, target.path, limits),
          UnfitTree,
        );
      }
    }));

  test('ends with an error when a byte of a header is another', () =>
    withArchive(async (archive, _, target) => {
      archive[0] = (archive[0] ?? 0) ^ 1;
      await assert.rejects(
        unpack(pieces(archive, 4096), prefix, target, limits),
        /no tar archive, or a damaged one/,
      );
    }));

  test('ends with an error when something follows after the end', () =>
    withArchive(async (archive, _, target) => {
      const longer = Buffer.concat([archive, Buffer.from('more')]);
      await assert.rejects(unpack(pieces(longer, 4096), prefix, target, limits), /follows after its end/);
    }));

  test('ends at either limit', () =>
    withArchive(async (archive) => {
      for (const [limit, says] of [
        [{ ...limits, bytes: 1000 }, /more than 1000 bytes/],
        [{ ...limits, files: 2 }, /more than 2 files/],
      ] as const) {
        await using target = await privateFolder();
        await assert.rejects(unpack(pieces(archive, 4096), prefix, target.path, limit), says);
      }
    }));

  test('writes nothing of a file that says to be too large', () =>
    withArchive(async (archive, _, target) => {
      await assert.rejects(
        unpack(pieces(archive, 4096), prefix, target, { ...limits, bytes: 1000 }),
        UnfitTree,
      );
      const written = Object.keys(await bytesBelow(target));
      assert.ok(!written.some((path) => path.startsWith('bodies/')), written.join(', '));
    }));
});
