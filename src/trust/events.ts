import type { BaselineStore } from '../baseline/port.ts';
import { UserError } from '../errors.ts';
import type { Asks, SuiteNeed } from '../job/settings.ts';
import type { Situation } from '../job/situation.ts';

/** What a run may do. */
export interface Permission {
  /** Whose suite judges: policy, relations, depth, store. */
  readonly judge: 'checkout' | 'base';
  /** `fork`: only in a container, with runtime, model and engine of the base's suite. */
  readonly limits: 'none' | 'fork';
  /** What may be stored: anything with a reason, only what did not change, only what the suite accepts, nothing. */
  readonly stores: 'reasoned' | 'unchanged' | 'accepted' | 'nothing';
}

/**
 * Events that may start an engine, and whose suite judges there: the change's own where somebody with write access
 * has put it into the repository, the base branch's where somebody still has to say yes. A list of who may, so that
 * an event which GitHub invents tomorrow may not.
 */
const JUDGES: ReadonlyMap<string, Permission['judge']> = new Map([
  ['pull_request', 'base'],
  ['pull_request_review', 'base'],
  ['merge_group', 'base'],
  ['push', 'checkout'],
  ['schedule', 'checkout'],
  ['workflow_dispatch', 'checkout'],
  ['repository_dispatch', 'checkout'],
  ['release', 'checkout'],
]);

interface Writer {
  readonly stores: Permission['stores'];
  /** Stores from which branch: any, the default one, or that one for the cache alone. */
  readonly branch: 'any' | 'default' | 'default-for-cache';
}

/**
 * Events that may write a baseline. A dispatch brings a person and a reason; a push only what the merged suite
 * accepts, with the reason that is in it; a schedule brings neither. In the `files` store the merge of the diff is
 * the approval, wherever it was made.
 */
const WRITERS: ReadonlyMap<string, Writer> = new Map([
  ['workflow_dispatch', { stores: 'reasoned', branch: 'default-for-cache' }],
  ['push', { stores: 'accepted', branch: 'default' }],
  ['schedule', { stores: 'unchanged', branch: 'default' }],
]);

/** Whoever types on a machine could do by hand whatever is done here. */
const TERMINAL: Writer = { stores: 'reasoned', branch: 'any' };

/** Why these do not, more plainly than that they are not on the list. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  [
    'pull_request_target',
    'it runs with the rights, secrets and caches of the base branch, on a change that anybody may have sent',
  ],
  [
    'workflow_run',
    'it runs with the rights of the default branch after a workflow that a stranger may have started, so that it may only show what that one measured (mode `report`)',
  ],
  [
    'issue_comment',
    'whoever may comment starts it, with the rights of the default branch, and the change may be another one than that which was commented on',
  ],
  ['pull_request_review_comment', 'whoever may comment starts it, as often as they like'],
]);

/**
 * Which event may do what; called before anything is started.
 * @param branches where the suite's store may store
 * @param own the branch of this run, where it keeps baselines of its own
 * @throws UserError `event-refused`, `refresh-not-allowed`
 */
export function permit(
  { name, needs }: Asks<SuiteNeed>['mode'],
  situation: Situation,
  branches: BaselineStore['branches'],
  own: readonly string[] = [],
): Permission {
  switch (needs) {
    case 'store':
      return { judge: 'checkout', limits: 'none', stores: mayStore(name, situation, branches, own) };
    case 'look':
      return mayLook(situation);
    case 'long': {
      const permission = mayLook(situation);
      if (permission.limits === 'fork') throw longOnFork(name);
      return permission;
    }
  }
}

/**
 * Which event may show the reports of other jobs: whatever may measure, and `workflow_run`, which is made for it. It
 * starts nothing and reads no checkout. The head that it tells about is the event's, never the report's.
 * @throws UserError `event-refused`
 */
export function permitReport({ door, event }: Situation): void {
  if (door === 'action' && !JUDGES.has(event) && event !== 'workflow_run') throw refused(event);
}

function mayLook({ door, event, base, fork }: Situation): Permission {
  const usual = door === 'terminal' ? 'checkout' : JUDGES.get(event);
  if (usual === undefined) throw refused(event);
  // What a stranger sent is never its own judge.
  const judge = fork ? 'base' : usual;
  if (judge === 'base' && base === undefined) throw noBase(event);
  return { judge, limits: fork ? 'fork' : 'none', stores: 'nothing' };
}

/**
 * Whether what an engine compiled may be kept for later runs: as code that they load, without anybody's merge in between. In
 * the `files` store a refresh may be made on any branch, and counts once it is merged; this would count at once.
 */
export const mayKeepCaches = ({ door, ref, defaultBranch }: Situation): boolean =>
  door === 'terminal' || (defaultBranch !== undefined && ref === `refs/heads/${defaultBranch}`);

function mayStore(
  mode: string,
  { door, event, ref, defaultBranch, fork }: Situation,
  branches: BaselineStore['branches'],
  own: readonly string[],
): Permission['stores'] {
  const writer = fork ? undefined : door === 'terminal' ? TERMINAL : WRITERS.get(event);
  if (writer === undefined) throw noWriter(mode, event);
  const { stores, branch } = writer;
  const onDefault = defaultBranch !== undefined && ref === `refs/heads/${defaultBranch}`;
  if (onDefault || branch === 'any' || own.includes(ref)) return stores;
  if (branch === 'default') throw notOnDefault(event, ref, defaultBranch);
  if (branches === 'default') throw notForCache(ref, defaultBranch);
  return stores;
}

function refused(event: string): UserError {
  const why =
    REFUSED.get(event) ??
    `engines are started on ${listed([...JUDGES.keys()])} only, since on no other it is clear whose change is measured and who judges it`;
  return new UserError(
    'event-refused',
    `The event ${named(event)} starts nothing here: ${why}.`,
    'Use `on: pull_request` for changes; examples/workflows/check.yml is one.',
  );
}

const noBase = (event: string) =>
  new UserError(
    'event-refused',
    `The event's payload does not say into which branch the change of this ${named(event)} is to go, and so not whose suite may judge it.`,
    `Start it again from GitHub; a runner of your own, such as act, needs ${event === 'merge_group' ? '`merge_group.base_ref`' : '`pull_request.base.ref`'} in the payload.`,
  );

const longOnFork = (mode: string) =>
  new UserError(
    'event-refused',
    `Mode \`${mode}\` starts more engines than a check, and this pull request comes from another repository: a stranger must not keep the GPU busy that long.`,
    `Run it by \`workflow_dispatch\` on a branch of this repository, or on the runner itself: \`deterministic-ml ${mode}\`.`,
  );

const noWriter = (mode: string, event: string) =>
  new UserError(
    'refresh-not-allowed',
    `Mode \`${mode}\` was started by the event ${named(event)}, which may not write a baseline: no change approves itself. Only \`workflow_dispatch\` with a reason may, and on the default branch \`push\` for accepted drift and \`schedule\` for what did not change.`,
    'Move the refresh into a workflow with `on: workflow_dispatch`; examples/workflows/refresh.yml is one.',
  );

const notOnDefault = (event: string, ref: string, defaultBranch: string | undefined) =>
  new UserError(
    'refresh-not-allowed',
    `The refresh was started by ${named(event)} on \`${ref}\`, and ${told(defaultBranch)}: nobody has approved what is on another branch.`,
    event === 'push' && defaultBranch !== undefined
      ? `Limit the workflow to \`on: { push: { branches: [${defaultBranch}] } }\`, and merge first. ${ownWords(defaultBranch)}`
      : 'Merge first; on another branch only `workflow_dispatch` may refresh, into the `files` store.',
  );

const notForCache = (ref: string, defaultBranch: string | undefined) =>
  new UserError(
    'refresh-not-allowed',
    `The refresh runs on \`${ref}\`, and ${told(defaultBranch)}: pull requests do not see what other branches have stored.`,
    `Merge first, then run the refresh workflow on the default branch; or keep baselines in the repository: \`baseline: { store: files }\` in the suite. ${ownWords(defaultBranch)}`,
  );

const ownWords = (defaultBranch: string | undefined) =>
  `A branch that is kept, such as a release’s, may have baselines of its own: name it in \`baseline: { branches: […] }\`, in its suite and in that of ${defaultBranch ?? 'the default branch'}.`;

const told = (defaultBranch: string | undefined) =>
  `the default branch is ${defaultBranch === undefined ? 'not told by the event' : `\`${defaultBranch}\``}`;

const named = (event: string) => (event === '' ? 'without a name' : `\`${event}\``);

const listed = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ');
