import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packRecord } from '../../src/record/parse.ts';
import type { RunRecord } from '../../src/record/schema.ts';

/** Puts a record into a folder in the place of the one there, whatever it is worth. Gives the text of its `record.json`. */
export async function rewriteRecord(folder: string, record: RunRecord): Promise<string> {
  const { text, passes } = packRecord(record);
  const names = record.lifetimes.flatMap((lifetime) => lifetime.passes.map(({ digest }) => digest));
  for (const [at, bytes] of passes.entries()) await writeFile(join(folder, 'bodies', names[at] ?? ''), bytes);
  await writeFile(join(folder, 'record.json'), text);
  return text;
}
