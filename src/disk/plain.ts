import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { systemCode } from './errors.ts';

/** No file of a record is larger than this, in bytes. */
export const MAX_FILE_BYTES = 256 * 1024 * 1024;

class NotPlain extends Error {}

/** Why `readPlain` has read nothing, to be put in brackets. */
export const whyUnread = (error: unknown): string =>
  error instanceof NotPlain ? error.message : (systemCode(error) ?? String(error));

/**
 * Reads a file of a folder that may be anybody's. A link leads anywhere, a pipe never ends, and a device has no end.
 *
 * @throws Error for anything but a file of at most `MAX_FILE_BYTES`: `whyUnread` tells it
 */
export function readPlain(path: string): Buffer<ArrayBuffer> {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const found = fstatSync(file);
    if (!found.isFile()) throw new NotPlain('not a file');
    if (found.size > MAX_FILE_BYTES) throw new NotPlain(`more than ${MAX_FILE_BYTES} bytes`);
    return readFileSync(file);
  } finally {
    closeSync(file);
  }
}
