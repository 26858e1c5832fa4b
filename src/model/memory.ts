import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const Memory = z.record(z.string().max(256), z.string().regex(/^[0-9a-f]{64}$/));

/** Most identities that are kept: newer ones push older ones out. */
const MAX_ENTRIES = 100_000;

/**
 * File identity (`dev:ino:size:mtime:ctime`) -> SHA-256, kept between runs on one machine: hashing the weights
 * of a large model at each check would cost more than the check. Only what this program itself has read is in it. A
 * memory that cannot be read is an empty one.
 */
export async function recallDigests(stateFolder: string): Promise<ReadonlyMap<string, string>> {
  try {
    return new Map(Object.entries(Memory.parse(JSON.parse(await readFile(path(stateFolder), 'utf8')))));
  } catch {
    return new Map();
  }
}

/**
 * Adds to the memory; what is known of an identity never changes. Failing to remember only costs time at the next run,
 * so it is not an error.
 */
export async function rememberDigests(
  stateFolder: string,
  digests: ReadonlyMap<string, string>,
): Promise<void> {
  const known = await recallDigests(stateFolder);
  const added = [...digests].filter(([identity]) => !known.has(identity));
  if (added.length === 0) return;
  const all = Object.fromEntries([...known, ...added].slice(-MAX_ENTRIES));
  try {
    await mkdir(stateFolder, { recursive: true });
    const partial = `${path(stateFolder)}.${process.pid}`;
    await writeFile(partial, JSON.stringify(all), { flush: true });
    await rename(partial, path(stateFolder));
  } catch {
    // See above.
  }
}

/** Not the file of earlier versions, `digests.json`, which believed what images told. */
const path = (stateFolder: string) => join(stateFolder, 'file-digests.json');
