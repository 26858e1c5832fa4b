import { realpathSync } from 'node:fs';
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Lock, lock } from './lock.ts';
import { type Note, step } from './step.ts';

/** The repository's own folder. */
export const repository = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Everything that setup makes lies below this ignored folder. Behind a link, where it really lies: what is made there
 * is made for that path, and checkouts that share one need not make it in turns.
 */
export const cache = realOf(join(repository, '.cache'));

function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** What is to be made, where, and the key that tells one version of it from another. */
export interface Making {
  readonly title: string;
  readonly path: string;
  readonly key: string;
  readonly make: (note: Note, lock: Lock) => Promise<void>;
}

/**
 * Makes a folder unless it is there already, one process at a time. The marker beside it holds the key and is
 * written last, so that what was interrupted half-way, or made for another key, is made anew.
 */
export async function madeOnce({ title, path, key, make }: Making): Promise<void> {
  const marker = `${path}.made`;
  const isMade = async () => (await exists(path)) && (await readFile(marker, 'utf8').catch(() => '')) === key;

  if (await isMade()) return;
  await using alone = await lock(`${path}.lock`);
  if (await isMade()) return;
  await step(title, async (note) => {
    await rm(marker, { force: true });
    await rm(path, { recursive: true, force: true });
    await mkdir(dirname(path), { recursive: true });
    await make(note, alone);
    await writeFile(marker, key);
  });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
