import { rename, rm } from 'node:fs/promises';
import { systemCode } from './errors.ts';

/**
 * Puts a folder in another one's place. Node has no exchange of two folders: between the two renames the old one lies
 * beside its place, and `finishReplace` brings it back if the process was killed there.
 */
export async function replaceFolder(fresh: string, place: string): Promise<void> {
  const old = oldOf(place);
  // Removed where it stands, the old one would be a damaged one for as long as that takes.
  await renameIfThere(place, old);
  await rename(fresh, place);
  await rm(old, { recursive: true, force: true });
}

/** Ends what a killed `replaceFolder` left: the old folder is in its place again, or gone if the new one is there. */
export async function finishReplace(place: string): Promise<void> {
  const old = oldOf(place);
  try {
    await rename(old, place);
  } catch (error) {
    switch (systemCode(error)) {
      case 'ENOENT':
        return;
      // The new one is there.
      case 'ENOTEMPTY':
      case 'EEXIST':
        await rm(old, { recursive: true, force: true });
        return;
      default:
        throw error;
    }
  }
}

const oldOf = (place: string) => `${place}.old`;

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw error;
  });
}
