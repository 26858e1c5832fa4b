import {
  type BaselineMeta,
  type BaselineQuery,
  type BaselineStore,
  type Proof,
  type Provenance,
  parseKey,
  parseMeta,
} from '../baseline/port.ts';
import { UserError } from '../errors.ts';
import type { Records, Tools } from '../job/tools.ts';
import { digestJson, sha256 } from '../record/digest.ts';
import { damage } from '../record/intact.ts';
import { outcomeDigest, outcomeDigests } from '../record/outcome.ts';
import type { OpenedRecord, Side } from '../record/side.ts';
import type { Evidence } from '../report/make.ts';
import type { BaselineView, Digests, Rules } from '../report/schema.ts';
import type { KnownTokens } from '../run/requests.ts';
import type { LoadedSuite } from '../suite/loaded.ts';

export interface FoundTrusted {
  readonly kind: 'found';
  readonly key: string;
  readonly folder: string;
  readonly meta: BaselineMeta;
  /** SHA-256 of the bytes of `baseline.json`. */
  readonly metaSha256: string;
  readonly side: OpenedRecord;
  readonly proof: Proof;
}

/** What the store had, checked: a baseline that can be compared with, or why there is none. */
export type Trusted =
  | FoundTrusted
  | Extract<BaselineView, { readonly kind: 'incomparable' | 'absent' | 'not-asked' }>;

/**
 * What a report shows of it.
 * @param newer key of the newest one, where the measured commit is held to an older one
 */
export function view(trusted: Trusted, store: BaselineStore, newer?: string): BaselineView {
  if (trusted.kind !== 'found') return trusted;
  const { key, meta, proof } = trusted;
  return {
    kind: 'found',
    key,
    store: store.kind,
    provenance: meta.provenance,
    replaced: meta.chain.length,
    proof: proof.kind === 'proven' ? proof.how : null,
    ...(newer === undefined ? {} : { newer }),
  };
}

/**
 * Finds the newest baseline, or the one of a key, and checks that it is what its key says. `owned` keeps its files
 * until the comparison is done.
 *
 * @throws UserError `baseline-invalid` for a damaged or foreign one, `store-unavailable` when the store did not answer
 */
export async function findTrusted(
  store: BaselineStore,
  query: BaselineQuery,
  records: Pick<Records, 'open' | 'metaOf'>,
  owned: AsyncDisposableStack,
  wanted?: string,
): Promise<Trusted> {
  const lookup = await store.find(query, wanted);
  switch (lookup.kind) {
    case 'found': {
      owned.use(lookup);
      const { key, folder, proof } = lookup;
      const read = await readBaseline(folder, key, query, store, records);
      return { kind: 'found', key, folder, proof, ...read };
    }
    case 'absent': {
      const { otherClasses, explanation } = lookup;
      return otherClasses.length > 0
        ? { kind: 'incomparable', otherClasses, explanation }
        : { kind: 'absent', explanation };
    }
  }
}

/** A refresh meets a damaged one too, and goes on only without it. */
async function readBaseline(
  folder: string,
  key: string,
  query: BaselineQuery,
  store: Pick<BaselineStore, 'remedyOf'>,
  records: Pick<Records, 'open' | 'metaOf'>,
): Promise<Pick<FoundTrusted, 'meta' | 'metaSha256' | 'side'>> {
  const invalid = (why: string, cause?: unknown) =>
    new UserError(
      'baseline-invalid',
      `The baseline ${key} ${why}. Nothing was compared.`,
      `${store.remedyOf(key)} Then refresh the baseline. If nobody damaged it by accident, find out who can write to the store.`,
      { cause },
    );
  let meta: BaselineMeta;
  let metaSha256: string;
  let side: OpenedRecord;
  try {
    const bytes = await records.metaOf(folder);
    meta = parseMeta(bytes);
    metaSha256 = sha256(bytes);
    side = await records.open(folder);
  } catch (cause) {
    throw invalid(
      `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`.slice(0, 2000),
      cause,
    );
  }
  const { record } = side;
  const outcome = outcomeDigest(record);
  if (meta.record !== outcome) throw invalid(`claims the outcome ${meta.record} but holds ${outcome}`);
  if (meta.recordFile !== side.sha256)
    throw invalid(`names another record.json (sha256:${meta.recordFile}) than lies beside it`);
  const named = parseKey(key);
  if (named?.record16 !== outcome.slice(0, 16))
    throw invalid(`holds another outcome, ${outcome}, than its key names`);
  const { runId, runAttempt } = meta.provenance;
  if (named.runId !== runId || named.runAttempt !== runAttempt)
    throw invalid(`was made by run ${runId}, attempt ${runAttempt}, and not by the one that its key names`);
  for (const found of [meta.suite, record.suite.name])
    if (found !== query.suite) throw invalid(`belongs to the suite \`${found}\``);
  for (const found of [meta.hardwareClass, record.hardwareClass])
    if (found !== query.hardwareClass) throw invalid(`belongs to the hardware class \`${found}\``);
  if (digestJson(meta.envelope.digests) !== digestJson(outcomeDigests(record)))
    throw invalid('has an envelope of other outcomes than its record holds');
  if (record.lifetimes.some(({ perturbed }) => perturbed !== null))
    throw invalid('was made of a model that was changed on purpose');
  for await (const problem of damage(side)) throw invalid(problem);
  return { meta, metaSha256, side: { ...side, startsBeforeMerge: startsBeforeMerge(meta) } };
}

/** Engine starts that count as the baseline's, and stand in other records. */
export const startsBeforeMerge = ({ beforeMerge = [] }: Pick<BaselineMeta, 'beforeMerge'>): number =>
  beforeMerge.reduce((sum, { lifetimes }) => sum + lifetimes, 0);

/** SHA-256 of what a report is made from. */
export function digestsOf(side: OpenedRecord, before: FoundTrusted | undefined): Digests {
  return {
    record: side.sha256,
    baselineRecord: before?.side.sha256 ?? null,
    baselineMeta: before?.metaSha256 ?? null,
  };
}

/**
 * Baselines in files come with the checkout, and so with the change itself: whether its base branch has another one.
 * Undefined where it has the same, or where no change is being judged.
 */
export async function replacedByChange(
  trusted: Trusted,
  { suite }: LoadedSuite,
  store: Pick<BaselineStore, 'inCheckout'>,
  query: BaselineQuery,
  rules: Rules,
  { open }: Pick<Tools, 'open'>,
): Promise<Evidence['replacedByChange']> {
  const { path } = suite.baseline;
  if (!store.inCheckout || rules.kind !== 'base' || trusted.kind === 'not-asked') return undefined;
  // The store takes no path with other oddities than slashes at its end.
  const place = `${path.replace(/\/+$/, '')}/${query.suite}/${query.hardwareClass}/baseline.json`;
  const text = await open.github().fileAt(place, rules.sha);
  const isThere = trusted.kind === 'found';
  if (text === undefined) return isThere ? { how: 'brought', before: null } : undefined;
  if (isThere && sha256(text) === trusted.metaSha256) return undefined;
  return { how: isThere ? 'brought' : 'removed', before: provenanceIn(text) };
}

/** Null where the base branch holds what this version does not read. */
function provenanceIn(text: string): Provenance | null {
  try {
    return parseMeta(text).provenance;
  } catch {
    return null;
  }
}

/**
 * The baseline's known tokens of each prompt that is still asked the same: what force and score are given. A refresh
 * takes them over too, so that its outcome is the one that a check of the same commit would give.
 */
export async function knownTokens(
  { record, readTokens }: Side,
  prompts: readonly { readonly id: string; readonly digest: string }[],
): Promise<KnownTokens> {
  const asked = new Map(record.suite.prompts.map(({ id, input }) => [id, input]));
  const known = new Map<string, Uint32Array>();
  for (const { id, digest } of prompts) {
    const found = record.known.find(({ prompt }) => prompt === id);
    if (found !== undefined && asked.get(id) === digest) known.set(id, await readTokens(found.sha256));
  }
  return known;
}
