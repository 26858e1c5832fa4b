import { readdir, realpath } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { UserError } from '../errors.ts';

/** A folder to mount, and where below it the model is. */
export interface ModelMount {
  readonly source: string;
  /** Relative to `source`; empty when it is the model's folder itself. */
  readonly inside: string;
}

/**
 * The folder that must be mounted so that the model's links lead somewhere: a snapshot in the hub client's
 * cache is made of links into `../../blobs`, which a mount of the snapshot alone would cut.
 *
 * @throws UserError `model-unreadable`
 */
export async function modelMount(path: string): Promise<ModelMount> {
  const folder = await realpath(path);
  const repository = dirname(dirname(folder));
  let source = folder;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isSymbolicLink()) continue;
    const link = join(entry.parentPath, entry.name);
    // One that leads nowhere is no file that is needed: those were read.
    const target = await realpath(link).catch(() => link);
    if (isBelow(target, folder)) continue;
    if (!isBelow(target, join(repository, 'blobs')))
      throw new UserError(
        'model-unreadable',
        `The model file ${link} is a link to ${target}, outside the model's folder: a container would not see it.`,
        `Copy the files instead of linking them: \`cp -rL ${path} <folder>\`.`,
      );
    source = repository;
  }
  return { source, inside: relative(source, folder) };
}

const isBelow = (path: string, folder: string) => path === folder || path.startsWith(folder + sep);
