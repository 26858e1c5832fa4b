import { createHash } from 'node:crypto';
import { constants, type Dirent } from 'node:fs';
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CacheContent } from '../engine/caches.ts';
import { excerpt } from '../inert.ts';

/** What caches may come to; an engine fills them, and may be anybody's. */
export const LIMITS = { files: 10_000, bytes: 8 * 1024 ** 3, path: 256 } as const;

/** Content that cannot be kept: the message is the end of a sentence about it. */
export class Unfit extends Error {}

/** Python's own, which it makes anew with the times of its files in them; and what only says who is at work. */
const PASSING = /(?:^|\/)__pycache__(?:\/|$)|\.(?:lock|tmp)$|(?:^|\/)(?:locks|tmp\.[^/]+)\//;

/**
 * Reads a folder's files and their digests, and copies them where `to` names a folder. Every digest is of the bytes that
 * were copied. Whoever changes the folder meanwhile leads it nowhere else: no link is followed, at any depth.
 *
 * @throws Unfit for a link, a special file, or more than may be kept; Error with the system's code
 */
export async function contentOf(folder: string, to: string | undefined, copy: Mode): Promise<CacheContent> {
  const list: [string, string][] = [];
  let bytes = 0;
  await walk(folder, '', async (source, path) => {
    if (list.length >= LIMITS.files) throw new Unfit(`has more than ${LIMITS.files} files`);
    if (path.length > LIMITS.path) throw tooLong();
    const { size } = await source.stat();
    bytes += size;
    if (bytes > LIMITS.bytes) throw new Unfit(`has more than ${LIMITS.bytes / 1024 ** 3} GiB`);
    list.push([path, await digested(source, size, to === undefined ? undefined : join(to, path), copy)]);
  });
  list.sort(([a], [b]) => (a < b ? -1 : 1));
  return { digest: digestOf(list), files: list.length, bytes, list: Object.fromEntries(list) };
}

/** Of a copy: what an engine writes to, or what nobody does. */
export type Mode = 'for-an-engine' | 'to-keep';
const MODES: Readonly<Record<Mode, { readonly folder: number; readonly file: number }>> = {
  // It may be another user: the folder above is closed to all but that one.
  'for-an-engine': { folder: 0o777, file: 0o777 },
  'to-keep': { folder: 0o700, file: 0o600 },
};

export const EMPTY: CacheContent = { digest: digestOf([]), files: 0, bytes: 0, list: {} };

/** How many files of two lists are not the same in both. */
export function differing(left: CacheContent['list'], right: CacheContent['list']): number {
  const [a, b] = [new Map(Object.entries(left)), new Map(Object.entries(right))];
  return [...new Set([...a.keys(), ...b.keys()])].filter((path) => a.get(path) !== b.get(path)).length;
}

function digestOf(list: readonly (readonly [string, string])[]): string {
  return createHash('sha256').update(JSON.stringify(list)).digest('hex');
}

const tooLong = () => new Unfit(`has a path of more than ${LIMITS.path} characters`);

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** A pipe must not make whoever opens it wait. */
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Every file below a folder, opened. Each is reached from its open folder: a path could be turned aside by a link. */
async function walk(
  folder: string,
  below: string,
  onFile: (file: FileHandle, path: string) => Promise<void>,
): Promise<void> {
  if (below.length > LIMITS.path) throw tooLong();
  await using opened = await open(folder, FOLDER);
  const here = `/proc/self/fd/${opened.fd}`;
  for (const entry of await readdir(here, { withFileTypes: true })) {
    const path = `${below}${entry.name}`;
    const place = `${here}/${entry.name}`;
    if (PASSING.test(entry.isDirectory() ? `${path}/` : path)) continue;
    if (entry.isDirectory()) await walk(place, `${path}/`, onFile);
    else await withFile(place, entry, path, onFile);
  }
}

async function withFile(
  place: string,
  entry: Dirent,
  path: string,
  onFile: (file: FileHandle, path: string) => Promise<void>,
): Promise<void> {
  const is = entry.isSymbolicLink() ? 'a link' : 'no file';
  if (!entry.isFile()) throw new Unfit(`has ${excerpt(path, 80)}, which is ${is}`);
  await using file = await open(place, FILE);
  if (!(await file.stat()).isFile()) throw new Unfit(`has ${excerpt(path, 80)}, which is no file`);
  await onFile(file, path);
}

const BLOCK_BYTES = 4 * 1024 * 1024;

/** Reads as many bytes as the file had when it was opened: one that grows while it is read ends. */
async function digested(
  source: FileHandle,
  size: number,
  to: string | undefined,
  copy: Mode,
): Promise<string> {
  const hash = createHash('sha256');
  const block = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, Math.max(size, 1)));
  if (to !== undefined) await makeFolders(dirname(to), MODES[copy].folder);
  await using target = to === undefined ? undefined : await open(to, 'wx', MODES[copy].file);
  for (let left = size; left > 0; ) {
    const { bytesRead } = await source.read(block, 0, Math.min(block.length, left));
    if (bytesRead === 0) throw new Unfit('changed while it was read');
    const part = block.subarray(0, bytesRead);
    hash.update(part);
    await target?.writeFile(part);
    left -= bytesRead;
  }
  if (target !== undefined) {
    await target.chmod(MODES[copy].file);
    if (copy === 'to-keep') await target.sync();
  }
  return hash.digest('hex');
}

async function makeFolders(folder: string, mode: number): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode });
  if (first === undefined) return;
  // The process's own mask has taken rights away.
  for (let one = folder; one.length >= first.length; one = dirname(one)) {
    await using opened = await open(one, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    await opened.chmod(mode);
  }
}
