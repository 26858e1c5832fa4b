import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import { privateFolder } from '../../machine/scratch.ts';
import { unpack as unpackTar } from '../archive.ts';
import { copyTree, type TreeLimits, UnfitTree } from '../tree.ts';

/** A file that holds a baseline, packed. */
export interface Packed {
  readonly path: string;
  /** Of its bytes, 64 hex digits. */
  readonly sha256: string;
  readonly bytes: number;
}

const ROOT = 'baseline';

/**
 * Packs a baseline's folder into one file, `.tar.gz`: what is one object is there whole or not at all.
 *
 * @param workshop an empty folder
 * @throws UnfitTree
 */
export async function pack(folder: string, workshop: string, limits: TreeLimits): Promise<Packed> {
  await using copy = await privateFolder(workshop);
  // Nothing but plain files of plain names comes over.
  await copyTree(folder, copy.path, limits);
  const entries = await readdir(copy.path, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  // Only who stores one needs it.
  const { pack: tarPack } = await import('tar-stream');
  const archive = tarPack();
  const path = join(workshop, 'baseline.tar.gz');
  const digest = createHash('sha256');
  let bytes = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _, done) {
      digest.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  const written = pipeline(
    archive,
    zlib.createGzip(),
    counted,
    createWriteStream(path, { flags: 'wx', mode: 0o600 }),
  );
  const added = (async () => {
    for (const file of files.sort()) {
      const name = `${ROOT}/${file.slice(copy.path.length + 1)}`;
      archive.entry({ name, mtime: new Date(0), mode: 0o644 }, await readFile(file));
    }
    archive.finalize();
  })();
  await Promise.all([written, added]);
  return { path, sha256: digest.digest('hex'), bytes };
}

/**
 * Unpacks into an empty folder what came over a network.
 *
 * @param sha256 what the bytes must digest to
 * @throws UnfitTree for other bytes, or what is no baseline
 */
export async function unpack(
  source: AsyncIterable<Uint8Array>,
  sha256: string,
  workshop: string,
  folder: string,
  limits: TreeLimits,
): Promise<void> {
  const path = join(workshop, 'baseline.tar.gz');
  const digest = createHash('sha256');
  let bytes = 0;
  await pipeline(
    source,
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        bytes += chunk.length;
        if (bytes > limits.bytes) throw new UnfitTree(`it holds more than ${limits.bytes} bytes`);
        digest.update(chunk);
        yield chunk;
      }
    },
    createWriteStream(path, { flags: 'w', mode: 0o600 }),
  );
  const found = digest.digest('hex');
  // Nothing of it is looked at before.
  if (found !== sha256)
    throw new UnfitTree(`its bytes digest to sha256:${found}, and not to sha256:${sha256}`);
  try {
    await pipeline(createReadStream(path), zlib.createGunzip(), (content: AsyncIterable<Uint8Array>) =>
      unpackTar(content, ROOT, folder, limits),
    );
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw code.startsWith('Z_')
      ? new UnfitTree(`it cannot be decompressed (${code})`, { cause: error })
      : error;
  }
}
