import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const Memory = z.record(z.string().max(256), z.string().regex(/^[0-9a-f]{64}$/));

/** Most identities that are kept: newer ones push older ones out. */
const MAX_ENTRIES = 100_000;

/**
 * File identity (`dev:ino:size:mtime:ctime`) -> SHA-256, kept between runs on one machine: hashing the weights
 * of a large model at each check would cost more than the check. A memory that cannot be read is an empty one.
 */
export async function recallDigests(stateFolder: string): Promise<Record<string, string>> {
  try {
    return Memory.parse(JSON.parse(await readFile(path(stateFolder), 'utf8')));
  } catch {
    return {};
  }
}

/** Adds to the memory; failing to remember only costs time at the next run, so it is not an error. */
export async function rememberDigests(
  stateFolder: string,
  digests: Readonly<Record<string, string>>,
): Promise<void> {
  const known = await recallDigests(stateFolder);
  if (Object.keys(digests).every((identity) => known[identity] === digests[identity])) return;
  const merged = Object.fromEntries(Object.entries({ ...known, ...digests }).slice(-MAX_ENTRIES));
  try {
    await mkdir(stateFolder, { recursive: true });
    const partial = `${path(stateFolder)}.${process.pid}`;
    await writeFile(partial, JSON.stringify(merged), { flush: true });
    await rename(partial, path(stateFolder));
  } catch {
    // See above.
  }
}

const path = (stateFolder: string) => join(stateFolder, 'digests.json');
