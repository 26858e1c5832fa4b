import { UserError } from '../errors.ts';
import type { Tools } from '../job/tools.ts';
import { parseSuite } from '../suite/parse.ts';
import type { Suite } from '../suite/schema.ts';

/** `main` of `refs/heads/main`. */
export const branchOf = (ref: string): string => ref.replace(/^refs\/heads\//, '');

export interface BranchSuite {
  /** Undefined where the branch has none, or one that this version cannot read. */
  readonly found: Suite | undefined;
  /** Commit that it was read at. */
  readonly sha: string;
}

/**
 * A branch's suite as it has it now: the commit that an event names is as old as the change's last push.
 *
 * @param ref `refs/heads/…`
 * @param path of the suite, in the repository
 * @throws UserError `github-unavailable`
 */
export async function suiteAt(
  ref: string,
  path: string,
  { console, open, suiteSchema }: Pick<Tools, 'console' | 'open' | 'suiteSchema'>,
): Promise<BranchSuite> {
  const branch = branchOf(ref);
  const github = open.github();
  const sha = await github.tipOf(branch);
  const source = await github.fileAt(path, sha);
  if (source === undefined) return { found: undefined, sha };
  try {
    return { found: parseSuite(source, path, suiteSchema).suite, sha };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.info(`The suite of ${branch} cannot be read: ${error.message}`);
    return { found: undefined, sha };
  }
}
