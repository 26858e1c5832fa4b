import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, opendir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { plain } from './foreign.ts';

/** How much a baseline may hold. Real ones hold a few MiB; the bounds keep a hostile one off the disk. */
export interface TreeLimits {
  readonly bytes: number;
  readonly files: number;
}

export const TREE_LIMITS: TreeLimits = { bytes: 1024 ** 3, files: 100_000 };

/** What was to be a baseline's folder is not one; the message says what is wrong with which part of it. */
export class UnfitTree extends Error {
  override readonly name = 'UnfitTree';
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const DEPTH = 4;

/**
 * Writes the files of a baseline below a folder that belongs to it alone. Whatever they are called, nothing is
 * written outside of the folder, no file twice, and not more than the limits allow.
 */
export class TreeWriter {
  readonly #root: string;
  readonly #limits: TreeLimits;
  #bytes = 0;
  #files = 0;

  constructor(root: string, limits: TreeLimits) {
    this.#root = root;
    this.#limits = limits;
  }

  /** @throws UnfitTree unless all parts of the path, which is parted by slashes, are plain names */
  async folder(path: string): Promise<void> {
    await mkdir(this.#place(path), { recursive: true, mode: 0o755 });
  }

  /**
   * @param size in bytes, where it is known: what is too large is refused before any of it is written
   * @throws UnfitTree for a path that is no plain one or was there before, and beyond the limits
   */
  async file(path: string, content: AsyncIterable<Uint8Array>, size = 0): Promise<void> {
    const place = this.#place(path);
    this.#files += 1;
    if (this.#files > this.#limits.files)
      throw new UnfitTree(`it holds more than ${this.#limits.files} files`);
    this.#within(this.#bytes + size);
    await mkdir(dirname(place), { recursive: true, mode: 0o755 });
    await using handle = await this.#create(place, path);
    for await (const chunk of content) {
      this.#bytes += chunk.byteLength;
      this.#within(this.#bytes);
      await handle.writeFile(chunk);
    }
  }

  #within(bytes: number): void {
    if (bytes > this.#limits.bytes) throw new UnfitTree(`it holds more than ${this.#limits.bytes} bytes`);
  }

  async #create(place: string, path: string): Promise<FileHandle> {
    try {
      return await open(place, 'wx', 0o644);
    } catch (error) {
      if (!hasCode(error, 'EEXIST', 'EISDIR', 'ENOTDIR')) throw error;
      throw new UnfitTree(`it holds ${plain(path)} twice`, { cause: error });
    }
  }

  #place(path: string): string {
    const parts = path.split('/');
    if (parts.length > DEPTH || !parts.every((part) => NAME.test(part)))
      throw new UnfitTree(`it holds "${plain(path)}", which is no name of a file of a baseline`);
    return join(this.#root, ...parts);
  }
}

/**
 * Copies a baseline's folder into an empty one. Only plain files and folders are copied, so that no link can bring
 * in what lies elsewhere on this machine.
 * @throws UnfitTree
 */
export async function copyTree(from: string, to: string, limits: TreeLimits): Promise<void> {
  const writer = new TreeWriter(to, limits);
  const walk = async (below: string): Promise<void> => {
    for await (const entry of await opendir(join(from, below))) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) {
        await writer.folder(path);
        await walk(path);
      } else if (entry.isFile()) {
        await copyFile(join(from, path), path, writer);
      } else {
        const kind = entry.isSymbolicLink() ? 'a symbolic link' : 'neither a file nor a folder';
        throw new UnfitTree(`"${plain(path)}" in it is ${kind}`);
      }
    }
  };
  if (!(await lstat(from)).isDirectory()) throw new UnfitTree('it is no folder');
  await walk('');
}

async function copyFile(place: string, path: string, writer: TreeWriter): Promise<void> {
  // NOFOLLOW and a second look at the open file: what the folder listed may have been swapped since.
  await using handle = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const found = await handle.stat();
  if (!found.isFile()) throw new UnfitTree(`"${plain(path)}" in it is no file`);
  await writer.file(path, handle.createReadStream({ autoClose: false }), found.size);
}

/** Whether an error of the operating system has one of these codes, such as `ENOENT`. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

/** Names what kept a baseline from being copied; everything else passes unchanged. */
export function copyError(error: unknown, from: string): unknown {
  const cause = { cause: error };
  if (error instanceof UnfitTree)
    return new UserError(
      'record-invalid',
      `${from} cannot be stored as a baseline: ${error.message}.`,
      'A record holds plain files only. Refresh anew, and leave the record as it was written.',
      cause,
    );
  if (hasCode(error, 'ENOSPC', 'EDQUOT'))
    return new UserError(
      'disk-full',
      `The disk is full: there is no room for ${from}.`,
      'Free space on the runner (its temporary folder and the checkout) and start again; nothing half-written was left.',
      cause,
    );
  return error;
}
