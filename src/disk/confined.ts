import { lstat, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { UserError } from '../errors.ts';
import { systemCode } from './errors.ts';

/** By their names alone. */
export function isBelow(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way.split(sep)[0] !== '..' && !isAbsolute(way);
}

/** Git keeps in there what nobody reviews, and on some runners the job's token. */
export const isOfGit = (folder: string, path: string) =>
  relative(folder, path)
    .split(sep)
    .some((part) => part.toLowerCase() === '.git');

/**
 * Where a file of the checkout really is. A link may lead anywhere, and a change can bring one.
 * @throws Error with the end of a sentence that begins with the file's name, or the system's own
 */
export async function confined(path: string, workspace: string): Promise<string> {
  if (!isBelow(workspace, path)) throw new Error('lies outside the repository');
  const [real, root] = await Promise.all([realpath(path), realpath(workspace)]);
  if (!isBelow(root, real)) throw new Error('lies outside the repository');
  if (isOfGit(root, real)) throw new Error('lies in `.git`, which is no part of the repository’s content');
  return real;
}

/**
 * What is written below the checkout must stay there: a folder of the way to it that is a link leads elsewhere.
 * @throws UserError `input-invalid`
 */
export async function refuseLinks(path: string, workspace: string): Promise<void> {
  if (!isBelow(workspace, path)) return;
  const way = relative(workspace, dirname(path))
    .split(sep)
    .filter((part) => part !== '');
  let folder = workspace;
  for (const part of way) {
    folder = join(folder, part);
    const found = await lstat(folder).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (found === undefined) return;
    if (found.isSymbolicLink())
      throw new UserError(
        'input-invalid',
        `Nothing can be written to ${path}: ${relative(workspace, folder)} is a link of the checkout, and may lead anywhere.`,
        'Give the input that names it a path without links. An empty `record-path` is the runner’s temporary folder.',
      );
  }
}
