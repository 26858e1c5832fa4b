import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What a repository needs to check, to refresh and to accept; the other examples are for who wants more. */
const NAMES = ['check.yml', 'refresh.yml', 'accept.yml'] as const;

/** The documented workflows, which lie beside the program, by their names. */
export async function readWorkflows(folder: string): Promise<ReadonlyMap<string, string>> {
  return new Map(
    await Promise.all(NAMES.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)),
  );
}
