import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { systemCode } from './errors.ts';

/** No file of a record is larger than this, in bytes. */
export const MAX_FILE_BYTES = 256 * 1024 * 1024;

class NotPlain extends Error {}

/** Why `readPlain` has read nothing, to be put in brackets. */
export const whyUnread = (error: unknown): string =>
  error instanceof NotPlain ? error.message : (systemCode(error) ?? String(error));

/** Gives memory for a file of so many bytes. */
export type Memory = (bytes: number) => Buffer<ArrayBuffer>;

/** Nobody else's. */
const own: Memory = (bytes) => Buffer.allocUnsafeSlow(bytes);

const SHARED_BYTES = 4 * 1024 * 1024;
let memory: Buffer<ArrayBuffer> | undefined;

/**
 * The same for every file, for those that are parsed at once: what was read before is gone. The system gives fresh
 * memory page by page, which costs more than the reading (measured: 1 ms for a megabyte).
 */
export const shared: Memory = (bytes) => {
  if (bytes > SHARED_BYTES) return own(bytes);
  memory ??= own(SHARED_BYTES);
  return memory.subarray(0, bytes);
};

/**
 * Reads a file of a folder that may be anybody's. A link leads anywhere, a pipe never ends, and a device has no end.
 *
 * @throws Error for anything but a file of at most `MAX_FILE_BYTES`: `whyUnread` tells it
 */
export function readPlain(path: string, into: Memory = own): Buffer<ArrayBuffer> {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const found = fstatSync(file);
    if (!found.isFile()) throw new NotPlain('not a file');
    if (found.size > MAX_FILE_BYTES) throw new NotPlain(`more than ${MAX_FILE_BYTES} bytes`);
    const bytes = into(found.size);
    let length = 0;
    while (length < bytes.length) {
      const read = readSync(file, bytes, length, bytes.length - length, null);
      // Somebody made it shorter meanwhile.
      if (read === 0) break;
      length += read;
    }
    return bytes.subarray(0, length);
  } finally {
    closeSync(file);
  }
}
