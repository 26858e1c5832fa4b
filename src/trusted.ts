import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type BaselineMeta,
  type BaselineQuery,
  type BaselineStore,
  parseKey,
  BaselineMeta as Schema,
} from './baseline/store.ts';
import type { Side } from './compare/types.ts';
import { damage } from './damage.ts';
import { type OpenedRecord, openRecord } from './disk/record-folder.ts';
import { UserError } from './errors.ts';
import { digestJson, sha256 } from './record/digest.ts';
import { outcomeDigest, outcomeDigests } from './record/outcome.ts';
import { observationsOf } from './record/select.ts';
import type { BaselineView } from './report/model.ts';
import type { KnownTokens } from './requests.ts';

export interface FoundTrusted {
  readonly kind: 'found';
  readonly key: string;
  readonly folder: string;
  readonly meta: BaselineMeta;
  /** SHA-256 of the bytes of `baseline.json`. */
  readonly metaSha256: string;
  readonly side: OpenedRecord;
}

/** What the store had, checked: a baseline that can be compared with, or why there is none. */
export type Trusted =
  | FoundTrusted
  | Extract<BaselineView, { readonly kind: 'incomparable' | 'absent' | 'not-asked' }>;

/** What a report shows of it. */
export function view(trusted: Trusted, store: BaselineStore): BaselineView {
  return trusted.kind === 'found'
    ? { kind: 'found', key: trusted.key, store: store.kind, provenance: trusted.meta.provenance }
    : trusted;
}

/**
 * Finds the newest baseline and checks that it is what its key says. `owned` keeps its files until the
 * comparison is done.
 *
 * @throws UserError `baseline-invalid` for a damaged or foreign one, `store-unavailable` when the store did not answer
 */
export async function findTrusted(
  store: BaselineStore,
  query: BaselineQuery,
  owned: AsyncDisposableStack,
): Promise<Trusted> {
  const lookup = await store.find(query);
  switch (lookup.kind) {
    case 'found': {
      owned.use(lookup);
      const { key, folder } = lookup;
      return { kind: 'found', key, folder, ...(await readBaseline(folder, key, query)) };
    }
    case 'absent': {
      const { otherClasses, explanation } = lookup;
      return otherClasses.length > 0
        ? { kind: 'incomparable', otherClasses, explanation }
        : { kind: 'absent', explanation };
    }
  }
}

async function readBaseline(
  folder: string,
  key: string,
  query: BaselineQuery,
): Promise<Pick<FoundTrusted, 'meta' | 'metaSha256' | 'side'>> {
  const invalid = (why: string, cause?: unknown) =>
    new UserError(
      'baseline-invalid',
      `The baseline ${key} ${why}. Nothing was compared.`,
      'Refresh the baseline. If nobody damaged it by accident, find out who can write to the store.',
      { cause },
    );
  let meta: BaselineMeta;
  let metaSha256: string;
  let side: OpenedRecord;
  try {
    const bytes = await readFile(join(folder, 'baseline.json'));
    meta = Schema.parse(JSON.parse(bytes.toString('utf8')));
    metaSha256 = sha256(bytes);
    side = await openRecord(folder);
  } catch (cause) {
    throw invalid(
      `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`.slice(0, 2000),
      cause,
    );
  }
  const { record } = side;
  const outcome = outcomeDigest(record);
  if (meta.record !== outcome) throw invalid(`claims the outcome ${meta.record} but holds ${outcome}`);
  if (parseKey(key)?.record16 !== outcome.slice(0, 16))
    throw invalid(`holds another outcome, ${outcome}, than its key names`);
  for (const found of [meta.suite, record.suite.name])
    if (found !== query.suite) throw invalid(`belongs to the suite \`${found}\``);
  for (const found of [meta.hardwareClass, record.hardwareClass])
    if (found !== query.hardwareClass) throw invalid(`belongs to the hardware class \`${found}\``);
  if (digestJson(meta.envelope.digests) !== digestJson(outcomeDigests(record)))
    throw invalid('has an envelope of other outcomes than its record holds');
  if (record.lifetimes.some(({ perturbed }) => perturbed !== null))
    throw invalid('was made of a model that was changed on purpose');
  for await (const problem of damage(side)) throw invalid(problem);
  return { meta, metaSha256, side };
}

/** The baseline's own tokens of each prompt that is still asked the same: what force and score are given. */
export async function knownTokens(
  { record, readBody }: Side,
  prompts: readonly { readonly id: string; readonly digest: string }[],
): Promise<KnownTokens> {
  const known = new Map<string, Uint32Array>();
  const observations = observationsOf(record, { kind: 'generate', arrangement: 'alone' });
  for (const { id, digest } of prompts) {
    const found = observations.find(({ prompt, input }) => prompt === id && input === digest);
    if (found !== undefined) known.set(id, (await readBody(found.body)).tokens);
  }
  return known;
}
