import { readFile, stat } from 'node:fs/promises';

/** GitHub sends no larger ones. */
const MAX_PAYLOAD_BYTES = 25 * 1024 * 1024;

/** What an event brought, as the runner left it in a file. Undefined when there is none that can be read. */
export async function readPayload(path: string | undefined): Promise<unknown> {
  if (path === undefined || path === '') return undefined;
  try {
    if ((await stat(path)).size > MAX_PAYLOAD_BYTES) return undefined;
    return JSON.parse(await readFile(path, 'utf8'));
  } catch {
    // Not to know it is an answer too: what depends on it then refuses.
    return undefined;
  }
}
