import { lstat, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SCRATCH_NAME } from '../machine/scratch.ts';

/** What an earlier run keeps on this machine, or left there. */
export interface Leftover {
  readonly what: 'model' | 'unfinished model' | 'kept caches' | 'unfinished caches' | 'scratch folder';
  readonly path: string;
  readonly bytes: number;
  /** When it was last used, or changed. */
  readonly usedAt: Date;
  /** @throws Error with the system's code */
  remove(): Promise<void>;
}

/** Deepest that a fetched model lies: owner, repository, model, revision; and kept caches: owner, repository, key. */
const DEPTH = 4;
const CACHES_DEPTH = 3;

/**
 * Fetched models and kept caches below the state folder, and the private folders of runs that were killed. Those of a run that goes on
 * are among them: by their age they are told apart.
 *
 * @param temporary folders that runs make their own in
 */
export async function findLeftovers(stateFolder: string, temporary: readonly string[]): Promise<Leftover[]> {
  const found = [
    ...(await entries(join(stateFolder, 'models'), DEPTH, ['model', 'unfinished model'])),
    ...(await entries(join(stateFolder, 'caches'), CACHES_DEPTH, ['kept caches', 'unfinished caches'])),
  ];
  for (const folder of new Set(temporary))
    for (const name of await namesIn(folder))
      if (SCRATCH_NAME.test(name)) {
        const one = await leftover('scratch folder', join(folder, name));
        if (one !== undefined) found.push(one);
      }
  return found;
}

/** An entry is a folder with its manifest beside it, which each use touches; one that is not whole has none. */
async function entries(
  folder: string,
  depth: number,
  kinds: readonly [Leftover['what'], Leftover['what']],
): Promise<Leftover[]> {
  const [whole, unfinished] = kinds;
  const names = await namesIn(folder);
  const found: Leftover[] = [];
  for (const name of names) {
    const path = join(folder, name);
    const manifest = `${name}.json`;
    const one = name.endsWith('.partial')
      ? await leftover(unfinished, path)
      : names.includes(manifest)
        ? await leftover(whole, path, join(folder, manifest))
        : undefined;
    if (one !== undefined) found.push(one);
    else if (depth > 1) found.push(...(await entries(path, depth - 1, kinds)));
  }
  return found;
}

/** Undefined for what is no folder of this user: nothing else is anybody's to delete. */
async function leftover(
  what: Leftover['what'],
  path: string,
  manifest?: string,
): Promise<Leftover | undefined> {
  const own = process.getuid?.() ?? 0;
  const folder = await lstat(path).catch(() => undefined);
  if (folder === undefined || !folder.isDirectory() || (own !== 0 && folder.uid !== own)) return undefined;
  const used = manifest === undefined ? folder : await stat(manifest).catch(() => folder);
  return {
    ...{ what, path, bytes: await sizeOf(path), usedAt: used.mtime },
    async remove() {
      // First what says that it is whole.
      if (manifest !== undefined) await rm(manifest, { force: true });
      await rm(path, { recursive: true, force: true });
    },
  };
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []))
    if (entry.isFile())
      bytes += (await lstat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0;
  return bytes;
}

/** Of a folder that is not there, or no folder: none. */
const namesIn = async (folder: string): Promise<string[]> => (await readdir(folder).catch(() => [])).sort();
