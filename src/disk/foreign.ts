import { lstat, open, readdir } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { UserError } from '../errors.ts';
import { systemCode, unread } from './errors.ts';

/** Bytes of one file: what some 10,000 answers with log-probabilities need. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Of one folder and all below it. */
const MAX_FILES = 200_000;
const MAX_DEPTH = 32;

export interface ForeignFolder {
  readonly path: string;
  readonly files: readonly string[];
  read(name: string): Promise<{ readonly text: string } | { readonly failed: string }>;
}

/**
 * A folder and all below it that hold files, by their paths; or one file. Links are not followed and names that begin with
 * a dot are left out.
 *
 * @throws UserError `records-missing` for what is not there, `import-invalid` for more than can be read
 */
export async function foreignFolders(path: string): Promise<ForeignFolder[]> {
  const folders: ForeignFolder[] = [];
  let files = 0;
  const walk = async (folder: string, depth: number) => {
    if (depth > MAX_DEPTH) throw tooMuch(path, `is nested deeper than ${MAX_DEPTH} folders`);
    const entries = (await readdir(folder, { withFileTypes: true }))
      .filter(({ name }) => !name.startsWith('.'))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const own = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    files += own.length;
    if (files > MAX_FILES) throw tooMuch(path, `holds more than ${MAX_FILES} files`);
    if (own.length > 0) folders.push(folderOf(path, folder, own));
    for (const entry of entries) if (entry.isDirectory()) await walk(join(folder, entry.name), depth + 1);
  };
  try {
    if ((await lstat(path)).isFile()) return [folderOf(dirname(path), dirname(path), [basename(path)])];
    await walk(path, 0);
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'EACCES') throw error;
    throw new UserError(
      'records-missing',
      `${path} ${unread(error)}.`,
      'Name the folder that holds the results.',
      { cause: error },
    );
  }
  return folders;
}

const folderOf = (root: string, folder: string, files: readonly string[]): ForeignFolder => ({
  path: relative(root, folder).split(sep).join('/'),
  files,
  read: (name) => read(join(folder, name)),
});

async function read(path: string): ReturnType<ForeignFolder['read']> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > MAX_BYTES) return { failed: `is larger than ${MAX_BYTES} bytes` };
    const bytes = await file.readFile();
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch (error) {
    if (error instanceof TypeError) return { failed: 'is no UTF-8' };
    const code = systemCode(error);
    if (code === undefined) throw error;
    return { failed: unread(error) };
  }
}

const tooMuch = (path: string, why: string) =>
  new UserError('import-invalid', `${path} ${why}.`, 'Import its parts one by one.');
