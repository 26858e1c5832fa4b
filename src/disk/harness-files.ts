import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { Harness } from '../engine/session.ts';

/** Reads the harness as it is delivered over stdin: every Python file below `folder`. */
export async function readHarness(folder: string): Promise<Harness> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.py'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const files = await Promise.all(
    paths.map(
      async (path) => [relative(folder, path).split(sep).join('/'), await readFile(path, 'utf8')] as const,
    ),
  );
  const { 'boot.py': boot = '', ...rest } = Object.fromEntries(files);
  return { boot, files: rest };
}
