import { type BaselineQuery, type BaselineStore, type Link, MAX_CHAIN } from '../baseline/port.ts';
import { UserError } from '../errors.ts';
import type { IsIn } from '../github/port.ts';
import type { RunSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import { differences } from '../report/environment.ts';
import type { Standing } from '../report/notices.ts';
import { rootsOf } from '../report/roots.ts';
import { branchOf } from './base-suite.ts';
import { type FoundTrusted, findTrusted, type Trusted } from './baseline.ts';
import type { Ruled } from './judge.ts';

/*
 * A cached baseline is of a branch, and the commit that is measured may be older: a run that was started again, or a
 * change that is behind. What that branch accepted meanwhile is no drift of this commit.
 */

/** The baseline that the measured commit is held to. */
export interface Placed {
  readonly trusted: Trusted;
  /** Undefined where the measured commit has all that was accepted. */
  readonly standing: Standing | undefined;
}

/** What a run goes by, and what it would replace. */
export interface Based extends Placed {
  /** Key of the newest baseline, which need not be the one that is compared with. */
  readonly newest: string | undefined;
}

/**
 * The baseline of a run: of a check the one that its commit is held to. A refresh replaces the newest, whatever is
 * measured, but for a branch that has none of its own yet.
 *
 * @param owned keeps the baseline's files
 * @throws UserError what `findTrusted` and `forCommit` throw
 */
export async function basedOn(
  { permission, branches }: Pick<Ruled, 'permission' | 'branches'>,
  store: BaselineStore,
  query: BaselineQuery,
  settings: Pick<RunSettings, 'situation' | 'job'>,
  tools: Pick<Tools, 'open' | 'records' | 'console'>,
  owned: AsyncDisposableStack,
): Promise<Based> {
  const trusted = await findTrusted(store, query, tools.records, owned);
  const newest = trusted.kind === 'found' ? trusted.key : undefined;
  const isOwn = trusted.kind === 'found' && trusted.meta.provenance.ref === settings.situation.ref;
  return permission.stores !== 'nothing' && isOwn
    ? { trusted, newest, standing: undefined }
    : { newest, ...(await forCommit(trusted, store, query, { ...settings, branches }, tools, owned)) };
}

/** Commits that GitHub is asked about, at most: one that is further behind has to be brought up to date anyhow. */
const MAX_ASKED = 20;

/**
 * The newest baseline whose commit the measured one has among its ancestors, by what the newest one says it replaced.
 * Where nothing else was accepted since, or nothing that a commit could bring, that is the newest itself.
 *
 * @param owned keeps the baseline's files
 * @throws UserError `github-unavailable`; `store-unavailable`, `baseline-invalid` of the older one
 */
export async function forCommit(
  newest: Trusted,
  store: BaselineStore,
  query: BaselineQuery,
  { situation, job, branches }: Pick<RunSettings, 'situation' | 'job'> & Pick<Ruled, 'branches'>,
  { open, records, console }: Pick<Tools, 'open' | 'records' | 'console'>,
  owned: AsyncDisposableStack,
): Promise<Placed> {
  const asIs = (standing?: Standing): Placed => ({ trusted: newest, standing });
  // Files of the checkout are of the very commit that is measured. On a terminal nobody can be asked.
  if (newest.kind !== 'found' || store.inCheckout || situation.door === 'terminal') return asIs();
  const { repository, commit, ref } = newest.meta.provenance;
  const head = (await open.checkout().commit()) ?? situation.commit;
  if (repository !== job.repository || ![commit, head].every(isCommit)) return asIs();

  const history = [linkOf(newest), ...newest.meta.chain];
  const github = open.github();
  const place = await placeOf(
    history.map(({ provenance }) => provenance.commit),
    { head, branch: branchOf(ref) },
    (of, within) => github.isIn(of, within),
  );
  if (place.kind === 'unknown') return asIs(place);
  const index = place.kind === 'beyond' ? history.length : place.index;
  const older = history[index];
  if (older?.record === newest.meta.record)
    return asIs(place.kind === 'first' ? { kind: 'younger', made: older.provenance } : undefined);

  // Of what came after it the newest that brought other bits.
  const since = history.slice(0, index).filter(({ record }, at) => record !== history[at + 1]?.record);
  const [last] = since;
  if (last === undefined) throw new Error('another record, and none that was accepted');
  const own = situation.base ?? branches[0] ?? last.provenance.ref;
  const lacks = {
    kind: 'lacks',
    apart: own === last.provenance.ref ? null : branchOf(own),
    accepted: last.provenance,
    more: since.length - 1,
    newest: newest.key,
  } as const;
  const found = older === undefined ? undefined : await findTrusted(store, query, records, owned, older.key);
  if (older === undefined || found?.kind !== 'found') {
    const explanation = [
      `The newest baseline, ${newest.key}, is of ${commit}, which the measured commit does not have.`,
      ...(found?.kind === 'absent' || found?.kind === 'incomparable'
        ? found.explanation
        : ['Nor has it those of the ones before.']),
    ];
    return { trusted: { kind: 'absent', explanation }, standing: { ...lacks, isKept: false } };
  }
  if (found.metaSha256 !== older.baseline)
    throw new UserError(
      'baseline-invalid',
      `The baseline ${found.key} is not the one that the newest, ${newest.key}, says it has replaced. Nothing was compared.`,
      `${store.remedyOf(found.key)} Find out who can write to the store.`,
    );
  if (!isOfRepository(found, newest)) return asIs({ kind: 'younger', made: last.provenance });
  console.info(
    `Not compared with the newest baseline, ${newest.key}: it is of ${last.provenance.commit}, which the measured commit ${head} does not have.`,
  );
  return { trusted: found, standing: { ...lacks, isKept: true } };
}

/** Where in a history of commits, newest first, the measured one is. */
export type Place =
  /** This one and those behind it are its ancestors. */
  | { readonly kind: 'after'; readonly index: number }
  /** It has none of all: before the first nothing was accepted, so that this one stands for it. */
  | { readonly kind: 'first'; readonly index: number }
  /** It has none of those that were looked at. */
  | { readonly kind: 'beyond' }
  | Extract<Standing, { readonly kind: 'unknown' }>;

/**
 * @param commits of all baselines that are known, newest first
 * @param branch that the newest one is of
 */
export async function placeOf(
  commits: readonly string[],
  { head, branch }: { readonly head: string; readonly branch: string },
  isIn: (commit: string, head: string) => Promise<IsIn>,
): Promise<Place> {
  const lacking = new Set<string>();
  for (const [index, commit] of commits.entries()) {
    if (commit === head) return { kind: 'after', index };
    if (lacking.has(commit)) continue;
    if (lacking.size === MAX_ASKED) return { kind: 'beyond' };
    const answer = await isIn(commit, head);
    switch (answer.kind) {
      case 'yes':
        return { kind: 'after', index };
      case 'unknown':
        return { kind: 'unknown', why: `GitHub does not tell whether it has ${commit} (${answer.why})` };
      case 'no':
        lacking.add(commit);
        // Nobody can be behind a branch that was written anew.
        if (index === 0 && (await isIn(commit, branch)).kind !== 'yes')
          return {
            kind: 'unknown',
            why: `${branch} does not have the newest baseline’s commit ${commit} any more`,
          };
    }
  }
  return commits.length > MAX_CHAIN ? { kind: 'beyond' } : { kind: 'first', index: commits.length - 1 };
}

/** Whether what was accepted can have come with a commit: what the runner alone decides is so for old commits too. */
const isOfRepository = (before: FoundTrusted, after: FoundTrusted) =>
  rootsOf(differences(before.side.record, after.side.record).changes).length > 0;

const isCommit = (text: string) => /^[0-9a-f]{40}$/.test(text);

const linkOf = ({ key, meta, metaSha256 }: FoundTrusted): Link => ({
  ...{ baseline: metaSha256, key, record: meta.record, provenance: meta.provenance },
});
