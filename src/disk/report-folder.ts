import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { REPORT_SUFFIX } from '../report/paths.ts';
import { systemCode } from './errors.ts';

/** More than any matrix has legs: GitHub's limit is 256. */
const MAX_REPORTS = 256;
/** Of all of them: each becomes some ten times as much memory. */
const MAX_BYTES = 256 * 1024 * 1024;

/**
 * Reports below a folder, as several jobs' artifacts lie after their download, or the one that a path names. Links are
 * not followed: whoever filled the folder may be a stranger.
 *
 * @throws UserError `reports-missing` for fewer than expected, `report-invalid` for more than can be shown
 */
export async function findReports(path: string, expected: number): Promise<string[]> {
  const paths = await reportsBelow(path);
  if (paths.length < expected)
    throw new UserError(
      'reports-missing',
      `${path} holds ${paths.length} of ${expected} reports (files that end with \`${REPORT_SUFFIX}\`).`,
      'A job that ended in an error leaves no report: see its log. Else compare what the jobs upload (`report-path`) with what this one downloads and names as `reports`.',
    );
  if (paths.length > MAX_REPORTS)
    throw tooMuch(path, `holds ${paths.length} reports; ${MAX_REPORTS} can be shown`);
  let bytes = 0;
  for (const one of paths) bytes += (await lstat(one)).size;
  if (bytes > MAX_BYTES)
    throw tooMuch(path, `holds reports of ${bytes} bytes in all; ${MAX_BYTES} can be shown`);
  return paths;
}

async function reportsBelow(path: string): Promise<string[]> {
  try {
    if ((await lstat(path)).isFile()) return [path];
    const entries = await readdir(path, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && entry.name.endsWith(REPORT_SUFFIX))
      .map(({ parentPath, name }) => join(parentPath, name))
      .sort();
  } catch (error) {
    // Nothing was downloaded: as many as in an empty folder.
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return [];
    throw error;
  }
}

const tooMuch = (path: string, why: string) =>
  new UserError('report-invalid', `${path} ${why}.`, 'Download only the artifacts of this run’s jobs.');
