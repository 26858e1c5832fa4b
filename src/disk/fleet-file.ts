import { relative, resolve, sep } from 'node:path';
import { UserError } from '../errors.ts';
import { type Fleet, parseFleet } from '../suite/fleet.ts';
import { readText } from './text-file.ts';

/**
 * @param path relative to `workspace`
 * @throws UserError `fleet-invalid`
 */
export async function readFleet(path: string, workspace: string): Promise<Fleet> {
  const file = relative(workspace, resolve(workspace, path)).split(sep).join('/');
  const source = await readText(file, workspace, workspace).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UserError(
      'fleet-invalid',
      `There is no fleet to read: ${why}.`,
      'Name a file of the repository, e.g. `deterministic-ml fleet fleet.yml`; docs/fleet.md has an example.',
      { cause },
    );
  });
  return parseFleet(source, file);
}
