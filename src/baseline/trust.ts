import { UserError } from '../errors.ts';
import type { BaselineStore } from './store.ts';

/** What tells whether a run may write a baseline. */
export interface Author {
  /** Name of the event that started the run; `cli` on a terminal. */
  readonly event: string;
  /** e.g. `refs/heads/main`. */
  readonly ref: string;
  /** Undefined where the event's payload does not tell. */
  readonly defaultBranch: string | undefined;
  readonly reason: string;
}

/**
 * Who may write a baseline. A pull request must never approve itself, and a cache entry of another branch than the
 * default one is one that no pull request can read. In the `files` store the merge of the diff is the approval.
 *
 * @throws UserError `refresh-not-allowed`, `input-invalid`
 */
export function mayRefresh(
  { event, ref, defaultBranch, reason }: Author,
  store: BaselineStore['kind'],
): void {
  if (event !== 'workflow_dispatch' && event !== 'cli')
    throw new UserError(
      'refresh-not-allowed',
      `Mode \`refresh\` was started by the event \`${event}\`: only \`workflow_dispatch\` may write a baseline.`,
      'Move the refresh into a workflow with `on: workflow_dispatch`; examples/workflows/refresh.yml is one.',
    );
  if (reason.trim() === '')
    throw new UserError(
      'input-invalid',
      'A refresh needs a `reason`.',
      'Say why: it is shown with every later comparison.',
    );
  if (event === 'workflow_dispatch' && store === 'cache' && ref !== `refs/heads/${defaultBranch}`)
    throw new UserError(
      'refresh-not-allowed',
      `The refresh runs on \`${ref}\`, and the default branch is ${defaultBranch === undefined ? 'not told by the event' : `\`${defaultBranch}\``}: pull requests cannot read the caches of other branches.`,
      'Merge first, then run the refresh workflow on the default branch; or keep baselines in the repository: `baseline: { store: files }` in the suite.',
    );
}
