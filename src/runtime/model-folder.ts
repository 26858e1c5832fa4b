import { access, constants, readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { UserError } from '../errors.ts';

/**
 * Checks that a folder looks like a model and can be read.
 *
 * @throws UserError `model-missing`, `model-unreadable`
 */
export async function checkModelFolder(path: string): Promise<void> {
  const kind = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw fileError(path, error);
  });
  if (!kind.isDirectory())
    throw new UserError(
      'model-missing',
      `The model path ${path} is a file, not a folder.`,
      'Name the folder that holds config.json, the weights and the tokenizer.',
    );
  await access(path, constants.R_OK | constants.X_OK).catch((error: NodeJS.ErrnoException) => {
    throw fileError(path, error);
  });
  await access(join(path, 'config.json'), constants.R_OK).catch((error: NodeJS.ErrnoException) => {
    throw fileError(join(path, 'config.json'), error);
  });
}

function fileError(path: string, error: NodeJS.ErrnoException): UserError {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR')
    return new UserError(
      'model-missing',
      `The model is not there: ${path} does not exist on this machine.`,
      'Correct `model.path` in the suite (it is relative to the suite), or put the model there in an earlier step.',
      { cause: error },
    );
  return new UserError(
    'model-unreadable',
    `The model cannot be read: ${path}: ${error.code ?? error.message}.`,
    `Make it readable for the user of this runner: \`chmod -R a+rX ${path}\`.`,
    { cause: error },
  );
}

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
 * @throws UserError `model-missing`, `model-unreadable`
 */
export async function modelMount(path: string): Promise<ModelMount> {
  await checkModelFolder(path);
  const folder = await realpath(path);
  const repository = dirname(dirname(folder));
  let source = folder;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isSymbolicLink()) continue;
    const link = join(entry.parentPath, entry.name);
    const target = await realpath(link).catch((error: NodeJS.ErrnoException) => {
      throw fileError(link, error);
    });
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
