import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { partialOf } from '../machine/scratch.ts';
import { diskError, systemCode, unread } from './errors.ts';

/** Many records that come all or not at all: they are written beside their place, and one rename puts them there. */
export async function recordBatch(
  folder: string,
): Promise<AsyncDisposable & { readonly folder: string; commit(): Promise<void> }> {
  await refuseFull(folder);
  const partial = partialOf(folder);
  return {
    folder: partial,
    async commit() {
      try {
        await mkdir(dirname(folder), { recursive: true });
        // What came meanwhile stays: an empty folder alone is replaced.
        await refuseFull(folder);
        await rm(folder, { recursive: true, force: true });
        await rename(partial, folder);
      } catch (error) {
        throw diskError(error, folder);
      }
    },
    [Symbol.asyncDispose]: () => rm(partial, { recursive: true, force: true }),
  };
}

/** @throws UserError `input-invalid` for a folder that holds anything */
async function refuseFull(folder: string): Promise<void> {
  try {
    if ((await readdir(folder)).length === 0) return;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    if (systemCode(error) !== 'ENOTDIR') throw error;
  }
  throw new UserError(
    'input-invalid',
    `The records cannot be written to ${folder}: it is not an empty folder.`,
    'Name a folder of their own with --record-path.',
  );
}

interface FoundRecord {
  readonly folder: string;
  readonly name: string;
}

const MAX_RECORDS = 100_000;
const MAX_DEPTH = 32;

/**
 * Folders of records at or below those that are named, by their paths. Links are not followed; copies of baselines that
 * checks leave beside their records are no records of their own.
 *
 * @throws UserError `records-missing` for what is not there, `input-invalid` for more than can be read
 */
export async function findRecords(paths: readonly string[]): Promise<FoundRecord[]> {
  const found = new Map<string, FoundRecord>();
  const walk = async (folder: string, name: string, depth: number): Promise<void> => {
    if (depth > MAX_DEPTH) return;
    const entries = await readdir(folder, { withFileTypes: true });
    if (entries.some((entry) => entry.isFile() && entry.name === 'record.json')) {
      found.set(folder, { folder, name });
      if (found.size > MAX_RECORDS)
        throw new UserError('input-invalid', `There are more than ${MAX_RECORDS} records.`, 'Name fewer.');
      return;
    }
    for (const entry of entries)
      if (entry.isDirectory() && !/^\.|\.baseline$|\.partial-/.test(entry.name))
        await walk(join(folder, entry.name), name === '' ? entry.name : `${name}/${entry.name}`, depth + 1);
  };
  for (const path of paths)
    try {
      // Of one folder the names below it say enough.
      await walk(path, paths.length === 1 ? '' : path, 0);
    } catch (error) {
      const code = systemCode(error);
      if (code === undefined) throw error;
      // A report's file may be named too: it is none of a record.
      if (code === 'ENOTDIR') continue;
      throw new UserError(
        'records-missing',
        `${path} ${unread(error)}.`,
        'Name a folder that holds records.',
        {
          cause: error,
        },
      );
    }
  return [...found.values()]
    .map(({ folder, name }) => ({ folder, name: name === '' ? folder : name }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
