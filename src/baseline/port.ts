import { z } from 'zod';
import { Digest } from '../record/schema.ts';

export const BASELINE_SCHEMA = 'deterministic-ml/baseline/v1';

/** Who trusts a record, why, and from which run it comes. All of it is shown with every comparison. */
export const Provenance = z.strictObject({
  repository: z.string().max(256),
  commit: z.string().max(64),
  ref: z.string().max(512),
  workflow: z.string().max(256),
  runId: z.string().max(32),
  runAttempt: z.string().max(8),
  runUrl: z.string().max(512),
  actor: z.string().max(128),
  event: z.string().max(64),
  reason: z.string().min(1).max(1000),
  createdAt: z.iso.datetime(),
  tool: z.string().max(64),
  /** Reference of the engine's image with its digest; empty where the engine ran in a process. */
  image: z.string().max(1024),
  /** SHA-256 over names and digests of the model's files. */
  model: Digest,
  /** That brought the accepted drift, where a push stored it. */
  pullRequest: z.number().int().positive().nullable(),
});
export type Provenance = z.infer<typeof Provenance>;

/** How far a known change moves this model: what a drift is measured beside. */
export const Yardstick = z.strictObject({
  /** Of a perturbation, e.g. `fp8-kv-cache`. */
  id: z.string().max(64),
  what: z.string().max(256),
  /** Pooled over the top k of all scored positions, in nats. */
  rmsNats: z.number().nonnegative(),
});
export type Yardstick = z.infer<typeof Yardstick>;

/** A baseline that another one replaced. */
export const Link = z.strictObject({
  /** SHA-256 of its `baseline.json`. */
  baseline: Digest,
  key: z.string().max(512),
  record: Digest,
  provenance: Provenance,
});
export type Link = z.infer<typeof Link>;

/** A run of the merged pull request: its engine starts gave the baseline's outcome before the merge. */
export const RunBefore = z.strictObject({
  runId: z.string().max(32),
  runAttempt: z.string().max(8),
  /** SHA-256 of its `record.json`. */
  recordFile: Digest,
  lifetimes: z.number().int().min(1).max(100),
});
export type RunBefore = z.infer<typeof RunBefore>;

/** Replaced baselines that one names; of a longer history the oldest fall out. */
export const MAX_CHAIN = 100;

/** `baseline.json`, beside `record.json` in the same folder. */
export const BaselineMeta = z.strictObject({
  schema: z.literal(BASELINE_SCHEMA),
  suite: z.string().max(64),
  hardwareClass: z.string().max(128),
  /** Digest of the record's outcomes (see `outcomeDigest`). */
  record: Digest,
  /** SHA-256 of the bytes of `record.json`, which `record` covers in part only: fingerprint and witnesses too. */
  recordFile: Digest,
  provenance: Provenance,
  /** What it replaced, the last one first: outlives the old ones, which a cache evicts. */
  chain: z.array(Link).max(MAX_CHAIN),
  /** Outcome of each honest lifetime, in their order. An engine that repeats exactly has one digest in all places. */
  envelope: z.strictObject({ lifetimes: z.number().int().min(1), digests: z.array(Digest).min(1).max(100) }),
  /** Runs whose engine starts count as this record's own; absent where there are none. */
  beforeMerge: z.array(RunBefore).min(1).max(16).optional(),
  /** Empty unless the refresh was asked for it. */
  yardstick: z.array(Yardstick).max(100),
});
export type BaselineMeta = z.infer<typeof BaselineMeta>;

/**
 * Reads the bytes of a `baseline.json`: nothing else does.
 * @throws SyntaxError, ZodError for what this version does not write
 */
export const parseMeta = (bytes: Buffer | string): BaselineMeta =>
  BaselineMeta.parse(JSON.parse(bytes.toString()));

export interface BaselineQuery {
  readonly suite: string;
  readonly hardwareClass: string;
}

/** A folder that holds a baseline: `baseline.json`, `record.json`, `bodies/`. Not yet validated. */
export interface FoundBaseline extends AsyncDisposable {
  readonly kind: 'found';
  readonly key: string;
  /** Absolute path. Disposing removes it where it is a private copy. */
  readonly folder: string;
  readonly proof: Proof;
}

/** Whether nobody but the default or the base branch can have put it there. */
export type Proof =
  | { readonly kind: 'proven'; readonly how: string }
  /** `why` is a sentence, and `remedy` another. */
  | { readonly kind: 'unproven'; readonly why: string; readonly remedy: string };

/** What the repository's own list says of a cache entry. */
export interface ListedEntry {
  readonly key: string;
  /** e.g. `refs/heads/main` or `refs/pull/7/merge`. */
  readonly ref: string;
  /** Of paths and compression, as the cache service knows it. */
  readonly version: string;
  readonly createdAt: string;
}

/** The repository's list of its cache entries, or why it may not be read. */
export interface CacheListing {
  /**
   * All entries whose key begins with this, on any branch.
   * @throws UserError `github-unavailable` when GitHub did not answer
   */
  list(
    prefix: string,
  ): Promise<
    | { readonly kind: 'listed'; readonly entries: readonly ListedEntry[] }
    | { readonly kind: 'denied'; readonly why: string; readonly remedy: string }
  >;
}

/** What the repository remembers of a name: on which branches runs left their mark. */
export interface Marks {
  /** @throws UserError `github-unavailable` when GitHub did not answer */
  marks(
    name: string,
  ): Promise<
    | { readonly kind: 'listed'; readonly marks: readonly Mark[] }
    | { readonly kind: 'denied'; readonly why: string; readonly remedy: string }
  >;
}

export interface Mark {
  /** That its run was of, in this very repository. */
  readonly branch: string;
  readonly createdAt: string;
}

/** What GitHub remembers of baselines, for places that forget what they lose. */
export interface Marker {
  /**
   * Undefined where this server, or this run, knows no marks.
   * @param place that has lost it, e.g. `the bucket b`
   */
  remembered(query: BaselineQuery, place: string): Promise<Memory | undefined>;
  /** That there is a baseline now: where that cannot be left, the log says what it means. */
  stored(query: BaselineQuery, place: string): Promise<void>;
}

/** Whether there ever was a baseline, by what no pull request can write or push out. */
export type Memory =
  | { readonly kind: 'never' }
  /** `what` is a sentence. */
  | { readonly kind: 'once'; readonly what: string }
  /** `why` is a sentence, and `remedy` another. */
  | { readonly kind: 'unknown'; readonly why: string; readonly remedy: string };

export type Lookup =
  | FoundBaseline
  | {
      /** The store answered, and has none for this hardware class. An outage is thrown, never this. */
      readonly kind: 'absent';
      /** Hardware classes of the same suite that do have one. */
      readonly otherClasses: readonly string[];
      /** What was asked, what was near and why it was not taken: lines for the log. */
      readonly explanation: readonly string[];
    };

/** A place for baselines, as a suite names it. */
export interface StoreKind {
  readonly name: string;
  /** Where it keeps them, for the docs. */
  readonly what: string;
  /** Nothing is asked of it yet. @throws UserError `suite-invalid` for a place that cannot be one */
  open(options: StoreOptions): BaselineStore;
}

/** What a store may need of the outside. */
export interface StoreOptions {
  /** `baseline.path` of the suite, relative to the checkout. */
  readonly path: string;
  /** Absolute path of the checkout. */
  readonly workspace: string;
  /** Absolute folder of private copies. */
  readonly tempFolder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly listing: CacheListing;
  readonly marks: Marks;
  readonly marker: Marker;
  /**
   * Whose baselines count, the first that has any: the base branch or a run's own, then the default one, e.g.
   * `refs/heads/main`. Empty where they are unknown.
   */
  readonly trustedRefs: readonly string[];
  /** `GITHUB_REF` of this run. */
  readonly ownRef: string;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface BaselineStore {
  /** Name of its kind. */
  readonly kind: string;
  /** Its baselines are files of the checkout: a change may bring its own, and one counts once it is merged. */
  readonly inCheckout: boolean;
  /** On which branches a run may store one, where no suite says more: a merged change must not find another's. */
  readonly branches: 'default' | 'any';
  /** How a damaged one is got rid of. */
  remedyOf(key: string): string;
  /**
   * Newest baseline of the suite on this hardware class.
   * @param key of an older one, as a newer one names it: that one alone
   * @throws UserError `store-unavailable` when the store did not answer
   */
  find(query: BaselineQuery, key?: string): Promise<Lookup>;
  /** Hardware classes that have a baseline of the suite, sorted. @throws UserError `store-unavailable` */
  classes(suite: string): Promise<readonly string[]>;
  /** Whether it ever had one for this. Asked where it has none, and a policy would let that pass. */
  remembers(query: BaselineQuery): Promise<Memory>;
  /** Before an engine is started for nothing. @throws UserError `store-refused` where this run may not store */
  assertWritable(): void;
  /**
   * Stores a whole folder under a new key, looks it up again and gives the key back.
   * @param replaces key of the newest baseline when the run began; undefined when there was none
   * @throws UserError `store-unavailable`; `store-refused`, also when another refresh stored one in the meantime
   */
  save(key: BaselineKey, folder: string, replaces: string | undefined): Promise<string>;
}

export interface BaselineKey extends BaselineQuery {
  readonly runId: string;
  readonly runAttempt: string;
  /** Outcome digest, 64 hex digits. */
  readonly record: string;
}

const PREFIX = 'deterministic-ml-v1';

/** Prefix of all keys of a suite on a hardware class, or of the suite on any; ends with a slash. */
export function keyPrefix(suite: string, hardwareClass?: string): string {
  return hardwareClass === undefined ? `${PREFIX}/${suite}/` : `${PREFIX}/${suite}/${hardwareClass}/`;
}

/** `deterministic-ml-v1/<suite>/<hardware class>/<run id>-<attempt>-<record digest 16>`: written once. */
export function formatKey(key: BaselineKey): string {
  return `${keyPrefix(key.suite, key.hardwareClass)}${key.runId}-${key.runAttempt}-${key.record.slice(0, 16)}`;
}

export interface ParsedKey extends BaselineQuery {
  readonly runId: string;
  readonly runAttempt: string;
  /** First 16 hex digits of the outcome digest. */
  readonly record16: string;
}

/** Undefined for anything that `formatKey` could not have made. */
export function parseKey(key: string): ParsedKey | undefined {
  const match =
    /^deterministic-ml-v1\/([A-Za-z0-9._-]{1,64})\/([a-z0-9][a-z0-9._-]{0,127})\/([0-9a-z]{1,32})-([0-9]{1,8})-([0-9a-f]{16})$/.exec(
      key,
    );
  if (match === null) return undefined;
  const [, suite = '', hardwareClass = '', runId = '', runAttempt = '', record16 = ''] = match;
  return { suite, hardwareClass, runId, runAttempt, record16 };
}
