import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { confined } from './confined.ts';
import { systemCode, unread } from './errors.ts';

/** Largest accepted file that a suite names, in bytes. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;

/**
 * A file that a suite names, relative to its folder.
 *
 * @throws Error that says why there is no text
 */
export async function readText(file: string, folder: string, workspace: string): Promise<string> {
  let bytes: Buffer;
  try {
    const real = await confined(join(folder, file), workspace).catch((error: unknown) => {
      if (systemCode(error) !== undefined || !(error instanceof Error)) throw error;
      throw new Error(`\`${file}\` ${error.message}`, { cause: error });
    });
    const found = await stat(real);
    // Reading a pipe could take forever.
    if (!found.isFile()) throw new Error(`\`${file}\` is not a file`);
    if (found.size === 0) throw new Error(`\`${file}\` is empty`);
    if (found.size > MAX_TEXT_BYTES) throw new Error(`\`${file}\` is larger than ${MAX_TEXT_BYTES} bytes`);
    bytes = await readFile(real);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    throw new Error(`\`${file}\` ${unread(error)}`, { cause: error });
  }
  const text = utf8(bytes);
  if (text === undefined) throw new Error(`\`${file}\` is not valid UTF-8`);
  return text;
}

/** Undefined for bytes that are no UTF-8: a replacement character would be another prompt. */
export function utf8(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
