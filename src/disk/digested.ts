import { hash } from 'node:crypto';
import { readPlain, whyUnread } from './plain.ts';

/** A file's bytes with their SHA-256. */
export type Digested =
  | { readonly bytes: Uint8Array<ArrayBuffer>; readonly digest: string }
  /** The system's code, or what was thrown. */
  | { readonly failed: string };

export function readDigested(path: string): Digested {
  try {
    const read = readPlain(path);
    // Of one that became shorter as it was read, memory is left over.
    const bytes = read.length === read.buffer.byteLength ? read : Uint8Array.from(read);
    return { bytes, digest: hash('sha256', bytes) };
  } catch (error) {
    return { failed: whyUnread(error) };
  }
}
