import type { BaselineStore } from '../baseline/port.ts';
import type { SuiteSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import { suiteAt } from './base-suite.ts';

/**
 * The branch of this run, as `refs/heads/…`, if it keeps baselines of its own: nothing else is in the list. Its own suite
 * must ask for it, so that nobody else pays for the question, and that of the default branch decides: no branch makes
 * itself trusted.
 *
 * @throws UserError `github-unavailable`
 */
export async function ownBranch(
  { situation }: Pick<SuiteSettings, 'situation'>,
  { suite, places }: LoadedSuite,
  store: Pick<BaselineStore, 'branches'>,
  tools: Pick<Tools, 'console' | 'open' | 'suiteSchema'>,
): Promise<readonly string[]> {
  const { door, ref, base, fork, defaultBranch } = situation;
  const [, branch] = /^refs\/heads\/(.+)$/.exec(ref) ?? [];
  // Of a change the base branch is asked, and trusted anyhow.
  if (door === 'terminal' || fork || base !== undefined || store.branches === 'any') return [];
  if (branch === undefined || defaultBranch === undefined || branch === defaultBranch) return [];
  if (!isAmong(branch, suite.baseline.branches)) return [];
  const { found } = await suiteAt(`refs/heads/${defaultBranch}`, places.file, tools);
  return found !== undefined && isAmong(branch, found.baseline.branches) ? [ref] : [];
}

export const isAmong = (branch: string, patterns: readonly string[]): boolean =>
  patterns.some((pattern) => expression(pattern).test(branch));

/** Beside stars the schema lets in no other sign than a dot that would mean something here. */
const expression = (pattern: string) =>
  new RegExp(
    `^${pattern.replaceAll('.', '\\.').replaceAll(/\*+/g, (stars) => (stars === '*' ? '[^/]*' : '.*'))}$`,
  );
