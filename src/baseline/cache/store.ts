import { tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { UserError } from '../../errors.ts';
import { privateFolder } from '../../machine/scratch.ts';
import { plain } from '../foreign.ts';
import {
  type BaselineKey,
  type BaselineQuery,
  type BaselineStore,
  type CacheListing,
  formatKey,
  keyPrefix,
  type ListedEntry,
  type Lookup,
  type Marks,
  type Memory,
  type ParsedKey,
  type Proof,
  parseKey,
  type StoreKind,
} from '../port.ts';
import { TREE_LIMITS, type TreeLimits } from '../tree.ts';
import {
  denied,
  foreign,
  hidden,
  notStored,
  overtaken,
  readable,
  superseded,
  taken,
  withheld,
  writable,
} from './errors.ts';
import { markStored, remembered } from './mark.ts';
import { isOf, isSame, newerRun, passedOver, shadows, type TrustedEntry, trustedEntries } from './scopes.ts';
import {
  type CacheEntry,
  type CacheService,
  COMPRESSIONS,
  cacheService,
  download,
  type Environment,
  lookUp,
  type Patience,
  seconds,
} from './service.ts';
import { upload } from './upload.ts';

export const cacheStore: StoreKind = {
  name: 'cache',
  what: 'the cache of GitHub Actions, or of whatever speaks its protocol: what the default branch stored is trusted',
  open: ({ environment, ...options }) => createCacheStore({ ...options, env: environment }),
};

/** What the store needs from the outside; the deadlines and limits have defaults. */
export interface CacheStoreOptions {
  /** The job's environment, which says where the cache service is and how to get there. */
  readonly env: Environment;
  /** Where private copies go: `RUNNER_TEMP`. */
  readonly tempFolder: string;
  readonly log: (line: string) => void;
  /** Tells on which branch each entry lies; undefined where nobody can be asked. */
  readonly listing?: CacheListing | undefined;
  /** Tells on which branches a refresh left its mark; undefined where nobody can be asked. */
  readonly marks?: Marks | undefined;
  /** As `StoreOptions` has them. */
  readonly trustedRefs: readonly string[];
  /** `GITHUB_REF` of this run, whose entries the service gives before all others. */
  readonly ownRef: string;
  /** Aborted when the job is cancelled; the store then throws its reason. */
  readonly signal?: AbortSignal;
  readonly patience?: Partial<Omit<Patience, 'signal'> & { readonly saveMs: number }>;
  readonly limits?: TreeLimits;
}

const PATIENCE = {
  lookupMs: 30_000,
  downloadMs: 300_000,
  saveMs: 300_000,
  retryDelaysMs: [500, 2_000, 5_000],
};

/** Baselines in the cache of GitHub Actions, or of whatever speaks its protocol. */
export function createCacheStore(options: CacheStoreOptions): BaselineStore {
  const { listing, trustedRefs, ownRef } = options;
  const patience = { ...PATIENCE, ...options.patience, signal: options.signal };
  const limits = options.limits ?? TREE_LIMITS;

  return {
    kind: cacheStore.name,
    inCheckout: false,
    branches: 'default',
    remedyOf: (key) => `Delete it: \`gh cache delete ${key}\`.`,

    async find(query: BaselineQuery, wanted?: string): Promise<Lookup> {
      const service = readable(cacheService(options.env));
      const prefix = keyPrefix(query.suite, query.hardwareClass);
      const trust = await trustIn(prefix);
      const located =
        trust.kind === 'list'
          ? await locateListed(service, query, wanted, trust.entries)
          : await locateSeen(service, query, wanted, trust.proof);
      if (located.kind === 'absent') return located;
      await using owned = new AsyncDisposableStack();
      const { path: folder } = owned.use(await privateFolder(options.tempFolder));
      await download(service, located.entry, folder, limits, patience);
      const proof = await located.prove();
      const kept = owned.move();
      const { runId, runAttempt, record16 } = located.parsed;
      // In the query's own letters: a server that folds the case of keys gives other ones back.
      const key = `${prefix}${runId}-${runAttempt}-${record16}`;
      return { kind: 'found', key, folder, proof, [Symbol.asyncDispose]: () => kept.disposeAsync() };
    },

    async classes(suite: string): Promise<readonly string[]> {
      const prefix = keyPrefix(suite);
      const answer = trustedRefs.length === 0 ? undefined : await listing?.list(prefix);
      if (answer?.kind === 'listed') return classesOf(trustedEntries(answer.entries, suite, trustedRefs));
      const service = readable(cacheService(options.env));
      const newest = await lookUpAll(service, prefix, patience);
      return classesOf(newest.filter(({ parsed }) => parsed !== undefined && isSame(parsed.suite, suite)));
    },

    async remembers(query: BaselineQuery): Promise<Memory> {
      return (
        (await remembered(query, 'the cache', options)) ?? {
          kind: 'unknown',
          why: 'This server, or this run, has no memory of baselines that the cache has lost.',
          remedy: 'Keep baselines in the repository: `baseline: { store: files }` in the suite.',
        }
      );
    },

    assertWritable() {
      writable(cacheService(options.env));
    },

    async save(key: BaselineKey, folder: string, replaces: string | undefined): Promise<string> {
      const name = formatKey(key);
      if (parseKey(name) === undefined) throw new Error(`this is no key of a baseline: ${name}`);
      const service = writable(cacheService(options.env));
      if (await exists(service, name, patience)) throw taken(name);
      const before = await newestKey(service, key, patience);
      // An old one that was evicted meanwhile is nobody's newer one.
      if (before !== undefined && before !== replaces) throw overtaken(before, replaces);
      await using workshop = await privateFolder(withoutSpace(options.tempFolder));
      const { env, log, signal } = options;
      const result = await upload(name, folder, {
        ...{ env, log, signal, limits },
        workshop: workshop.path,
        deadlineMs: patience.saveMs,
      });
      switch (result.kind) {
        case 'saved': {
          // The library says so, which is no proof: a service can accept an entry and lose it.
          if (!(await exists(service, name, patience, patience.retryDelaysMs)))
            throw notStored(service, name, 'accepted it, but does not have it now');
          const after = await newestKey(service, key, patience);
          if (after === undefined) throw notStored(service, name, 'took it, but does not have it any more');
          if (after !== name) throw superseded(name, after);
          await markStored(key, 'the cache', env, log, patience);
          return name;
        }
        case 'exists':
          // One that was never finished counts as existing too, and is not there.
          if (await exists(service, name, patience)) throw taken(name);
          throw notStored(service, name, 'says that it is being stored already, but does not have it');
        case 'denied':
          throw denied(service, name, result.why);
        case 'quota':
          throw new UserError(
            'store-refused',
            `The baseline was not stored: the cache of this repository has no room for it (${result.why}).`,
            'Delete caches that nobody needs (`gh cache list`, `gh cache delete`), or keep baselines in the repository: `baseline: { store: files }` in the suite.',
          );
        case 'disk-full':
          throw new UserError(
            'disk-full',
            `The baseline was not stored: the disk is full (${result.why}).`,
            "Free space in the runner's temporary folder and refresh anew.",
          );
        case 'overdue':
          throw notStored(service, name, `did not take it within ${seconds(patience.saveMs)}`);
        case 'failed':
          throw notStored(service, name, `did not take it (${result.why})`);
      }
    },
  };

  /** How it can be known that nobody but a trusted branch made an entry under this prefix. */
  async function trustIn(prefix: string): Promise<Trust> {
    const seesTrustedOnly = trustedRefs.includes(ownRef);
    const bySight: Trust = {
      kind: 'sight',
      proof: { kind: 'proven', how: `this run sees only entries of ${trustedRefs.join(' and ')}` },
    };
    if (seesTrustedOnly && trustedRefs.length === 1) return bySight;
    if (trustedRefs.length === 0)
      return unprovable(
        'Nobody told this run which branch is the default one, so an entry of any branch may have been taken.',
        "Start it by an event whose payload names the repository's default branch; GitHub's own do.",
      );
    const answer = await listing?.list(prefix);
    if (answer?.kind === 'listed') return { kind: 'list', entries: answer.entries };
    if (seesTrustedOnly) return bySight;
    return answer === undefined
      ? unprovable(
          'Nobody could be asked on which branch this baseline lies, and a pull request can put entries of its own before it.',
          "Give the action the job's token, with `permissions: { actions: read }`.",
        )
      : unprovable(answer.why, answer.remedy);
  }

  /** The newest entry of the first trusted branch that has any, whatever others lie before it; or there the one that is wanted. */
  async function locateListed(
    service: CacheService,
    query: BaselineQuery,
    wanted: string | undefined,
    entries: readonly ListedEntry[],
  ): Promise<Located> {
    const prefix = keyPrefix(query.suite, query.hardwareClass);
    const near = passedOver(entries, prefix, trustedRefs);
    const found = trustedEntries(entries, query.suite, trustedRefs).find(
      ({ listed, parsed }) => isOf(parsed, query) && (wanted === undefined || isSame(listed.key, wanted)),
    );
    if (found === undefined) return wanted === undefined ? await absentFromList(query, near) : gone(wanted);
    if (wanted === undefined) for (const line of near) options.log(line);
    const { listed, parsed, compression } = found;
    refuseShadows(listed, entries);
    const entry = await lookUp(service, listed.key, compression, patience);
    if (entry === undefined) throw withheld(service, listed);
    // Its own key is a prefix too in the service's eyes, and a longer one on the run's own branch comes first.
    if (!isSame(entry.key, listed.key))
      throw hidden(listed, entry.key, entries.find(({ key }) => isSame(key, entry.key))?.ref);
    return {
      kind: 'located',
      entry,
      parsed,
      async prove() {
        // What was downloaded was looked up in between.
        const again = await listing?.list(listed.key);
        if (again?.kind !== 'listed')
          return {
            kind: 'unproven',
            why: again?.why ?? 'The list of cache entries is gone.',
            remedy: again?.remedy ?? 'Re-run the job.',
          };
        refuseShadows(listed, again.entries);
        return {
          kind: 'proven',
          how: `the repository's list has it on ${plain(listed.ref)}, and nothing of its name on a branch that is not trusted`,
        };
      },
    };
  }

  function refuseShadows(listed: ListedEntry, entries: readonly ListedEntry[]): void {
    const [shadow] = shadows(entries, listed.key, trustedRefs);
    if (shadow !== undefined) throw hidden(listed, shadow.key, shadow.ref);
  }

  async function absentFromList(query: BaselineQuery, near: readonly string[]): Promise<Lookup & Absent> {
    const suitePrefix = keyPrefix(query.suite);
    const answer = await listing?.list(suitePrefix);
    const entries = answer?.kind === 'listed' ? answer.entries : [];
    const others = classesOf(trustedEntries(entries, query.suite, trustedRefs)).filter(
      (hardwareClass) => !isSame(hardwareClass, query.hardwareClass),
    );
    const where = trustedRefs.map((ref) => plain(ref)).join(' and ');
    return {
      kind: 'absent',
      otherClasses: others,
      explanation: [
        `Asked the repository's list of cache entries for those under "${keyPrefix(query.suite, query.hardwareClass)}" on ${where}: there is none that this action wrote.`,
        ...near,
        others.length === 0
          ? `Nothing under "${suitePrefix}" there either: no hardware class of this suite has a baseline.`
          : `Of the same suite there are baselines of other hardware: ${others.join(', ')}.`,
        `Only entries of ${where} count; those unused for 7 days are evicted.`,
      ],
    };
  }

  /** The newest entry that the service gives this run, or the one that is wanted. */
  async function locateSeen(
    service: CacheService,
    query: BaselineQuery,
    wanted: string | undefined,
    proof: Proof,
  ): Promise<Located> {
    const prefix = keyPrefix(query.suite, query.hardwareClass);
    const seen = await lookUpAll(service, wanted ?? prefix, patience);
    const found = wanted === undefined ? newestOf(seen) : seen.find(({ entry }) => isSame(entry.key, wanted));
    if (found === undefined) return wanted === undefined ? absent(service, query, patience) : gone(wanted);
    const { entry, parsed } = found;
    if (parsed === undefined || !isOf(parsed, query)) throw foreign(entry.key, prefix);
    return { kind: 'located', entry, parsed, prove: async () => proof };
  }
}

type Trust =
  | { readonly kind: 'list'; readonly entries: readonly ListedEntry[] }
  /** The service is asked for what this run can see. */
  | { readonly kind: 'sight'; readonly proof: Proof };

function unprovable(why: string, remedy: string): Trust {
  return { kind: 'sight', proof: { kind: 'unproven', why, remedy } };
}

type Absent = { readonly kind: 'absent' };

const gone = (key: string): Lookup & Absent => ({
  kind: 'absent',
  otherClasses: [],
  explanation: [`The cache does not keep "${plain(key)}" any more: entries unused for 7 days are evicted.`],
});

type Located =
  | (Lookup & Absent)
  | {
      readonly kind: 'located';
      readonly entry: CacheEntry;
      readonly parsed: ParsedKey;
      /** After the download: whether what was downloaded can be another one. */
      prove(): Promise<Proof>;
    };

function classesOf(found: readonly (Match | TrustedEntry)[]): readonly string[] {
  return [...new Set(found.flatMap(({ parsed }) => parsed?.hardwareClass ?? []))].sort();
}

/** An entry and what its name says; undefined for a name that this action did not give. */
interface Match {
  readonly entry: CacheEntry;
  readonly parsed: ParsedKey | undefined;
}

/** One question for each compression: an entry packed in another way on another runner is the same baseline. */
async function lookUpAll(service: CacheService, key: string, patience: Patience): Promise<readonly Match[]> {
  const entries = await Promise.all(
    COMPRESSIONS.map((compression) => lookUp(service, key, compression, patience)),
  );
  return entries.flatMap((entry) => (entry === undefined ? [] : [{ entry, parsed: parseKey(entry.key) }]));
}

/** A foreign name counts as the newest: what it hides is unknown. */
function newestOf(matches: readonly Match[]): Match | undefined {
  return matches.find(({ parsed }) => parsed === undefined) ?? matches.toSorted(newestFirst).at(0);
}

function newestFirst(a: Match, b: Match): number {
  const created = ({ entry }: Match) => Date.parse(entry.created ?? '');
  // NaN, when the service did not say, is no difference.
  return created(b) - created(a) || newerRun(a.parsed, b.parsed);
}

/** Key of the newest entry that the service gives this run, in the letters of the query. */
async function newestKey(
  service: CacheService,
  query: BaselineQuery,
  patience: Patience,
): Promise<string | undefined> {
  const prefix = keyPrefix(query.suite, query.hardwareClass);
  const newest = newestOf(await lookUpAll(service, prefix, patience));
  if (newest === undefined) return undefined;
  const { entry, parsed } = newest;
  if (parsed === undefined || !isOf(parsed, query)) throw foreign(entry.key, prefix);
  return `${prefix}${parsed.runId}-${parsed.runAttempt}-${parsed.record16}`;
}

async function absent(
  service: CacheService,
  query: BaselineQuery,
  patience: Patience,
): Promise<Lookup & Absent> {
  const prefix = keyPrefix(query.suite, query.hardwareClass);
  const suitePrefix = keyPrefix(query.suite);
  const near = await lookUpAll(service, suitePrefix, patience);
  const others = near.filter(
    ({ parsed }) => parsed !== undefined && isSame(parsed.suite, query.suite) && !isOf(parsed, query),
  );
  const mode = service.mode === '' ? '' : `, mode ${plain(service.mode)}`;
  return {
    kind: 'absent',
    otherClasses: classesOf(others),
    explanation: [
      `Asked the cache service at ${service.host} (protocol ${service.protocol}${mode}) for the newest entry under "${prefix}", packed with zstd or gzip: it has none that this run may see.`,
      ...(near.length === 0
        ? [`Nothing under "${suitePrefix}" either: no hardware class of this suite has a baseline there.`]
        : near.map(({ entry }) =>
            others.some((other) => other.entry === entry)
              ? `Of the same suite on other hardware, the newest is "${plain(entry.key)}". The service names no others.`
              : `Under "${suitePrefix}" there is "${plain(entry.key)}", which is no baseline of another hardware class.`,
          )),
      'A run sees entries of its own branch, of its base branch and of the default branch; those unused for 7 days are evicted.',
    ],
  };
}

/** The key is a prefix too in the service's eyes, so only the very same key counts. */
async function exists(
  service: CacheService,
  key: string,
  patience: Patience,
  again: readonly number[] = [],
): Promise<boolean> {
  const matches = await lookUpAll(service, key, patience);
  if (matches.some(({ entry }) => isSame(entry.key, key))) return true;
  const [pause, ...later] = again;
  if (pause === undefined) return false;
  await delay(pause, undefined, { signal: patience.signal }).catch(() => patience.signal?.throwIfAborted());
  return exists(service, key, patience, later);
}

/** The library's tar command line breaks at a space (tar.js joins it unquoted). */
function withoutSpace(folder: string): string {
  return /^[\w./\\:~+@-]+$/.test(folder) ? folder : tmpdir();
}
