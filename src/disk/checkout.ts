import { lstat, readFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { UserError } from '../errors.ts';
import { systemCode } from './errors.ts';
import { writeText } from './report-file.ts';

/** The repository as it lies in a folder. */
export function openCheckout(workspace: string): {
  read(path: string): Promise<string | undefined>;
  write(path: string, text: string): Promise<void>;
  defaultBranch(): Promise<string>;
  commit(): Promise<string | undefined>;
} {
  const read = async (path: string) => {
    try {
      return await readFile(join(workspace, path), 'utf8');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  };
  return {
    read,
    async write(path, text) {
      await refuseLinksTo(path, workspace);
      await writeText(join(workspace, path), text);
    },
    async defaultBranch() {
      for (const file of ['.git/refs/remotes/origin/HEAD', '.git/HEAD']) {
        const head = await read(file).catch(() => undefined);
        const branch = /^ref: refs\/(?:remotes\/origin|heads)\/([\w./-]{1,200})\s*$/.exec(head ?? '')?.[1];
        if (branch !== undefined) return branch;
      }
      return 'main';
    },
    async commit() {
      const head = await read('.git/HEAD').catch(() => undefined);
      // As actions/checkout leaves a pull request's. Of a branch, the event names the commit.
      return /^([0-9a-f]{40})\s*$/.exec(head ?? '')?.[1];
    },
  };
}

/** A folder, or the file itself, that is a link leads elsewhere. */
async function refuseLinksTo(path: string, workspace: string): Promise<void> {
  for (let one = join(workspace, path); relative(workspace, one) !== ''; one = dirname(one)) {
    const found = await lstat(one).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (found?.isSymbolicLink() === true)
      throw new UserError(
        'file-exists',
        `${relative(workspace, one).split(sep).join('/')} is a link, and may lead anywhere.`,
        'Put a folder or a file of its own there.',
      );
  }
}
