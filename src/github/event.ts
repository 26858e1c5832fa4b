import { readFile } from 'node:fs/promises';
import { z } from 'zod';

const Payload = z.object({ repository: z.object({ default_branch: z.string().min(1).max(255) }) });

/** The repository's default branch as the event's payload names it; undefined where it names none. */
export async function defaultBranch(eventPath: string | undefined): Promise<string | undefined> {
  if (eventPath === undefined) return undefined;
  try {
    return Payload.parse(JSON.parse(await readFile(eventPath, 'utf8'))).repository.default_branch;
  } catch {
    // Not to know it is an answer too: what depends on it then refuses.
    return undefined;
  }
}
