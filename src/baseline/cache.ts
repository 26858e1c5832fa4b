import { tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { UserError } from '../errors.ts';
import {
  type CacheEntry,
  type CacheService,
  COMPRESSIONS,
  cacheService,
  download,
  type Environment,
  lookUp,
  nameOf,
  type Patience,
  remedy,
  seconds,
} from './cache-service.ts';
import { upload } from './cache-upload.ts';
import { plain } from './foreign.ts';
import {
  type BaselineKey,
  type BaselineQuery,
  type BaselineStore,
  formatKey,
  keyPrefix,
  type Lookup,
  type ParsedKey,
  parseKey,
} from './store.ts';
import { privateFolder, TREE_LIMITS, type TreeLimits } from './tree.ts';

/** What the store needs from the outside; the deadlines and limits have defaults. */
export interface CacheStoreOptions {
  /** The job's environment, which says where the cache service is and how to get there. */
  readonly env: Environment;
  /** Where private copies go: `RUNNER_TEMP`. */
  readonly tempFolder: string;
  readonly log: (line: string) => void;
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
  const patience = { ...PATIENCE, ...options.patience, signal: options.signal };
  const limits = options.limits ?? TREE_LIMITS;

  return {
    kind: 'cache',

    async find(query: BaselineQuery): Promise<Lookup> {
      const service = readable(cacheService(options.env));
      const prefix = keyPrefix(query.suite, query.hardwareClass);
      const newest = newestOf(await lookUpAll(service, prefix, patience));
      if (newest === undefined) return absent(service, query, patience);
      const { entry, parsed } = newest;
      if (parsed === undefined || !isOf(parsed, query)) throw shadowed(entry.key, prefix);
      await using owned = new AsyncDisposableStack();
      const { path: folder } = owned.use(await privateFolder(options.tempFolder));
      await download(service, entry, folder, limits, patience);
      const kept = owned.move();
      // In the query's own letters: a server that folds the case of keys gives other ones back.
      const key = `${prefix}${parsed.runId}-${parsed.runAttempt}-${parsed.record16}`;
      return { kind: 'found', key, folder, [Symbol.asyncDispose]: () => kept.disposeAsync() };
    },

    async save(key: BaselineKey, folder: string): Promise<string> {
      const name = formatKey(key);
      if (parseKey(name) === undefined) throw new Error(`this is no key of a baseline: ${name}`);
      const service = writable(cacheService(options.env));
      if (await exists(service, name, patience)) throw taken(name);
      await using workshop = await privateFolder(withoutSpace(options.tempFolder));
      const { env, log, signal } = options;
      const result = await upload(name, folder, {
        ...{ env, log, signal, limits },
        workshop: workshop.path,
        deadlineMs: patience.saveMs,
      });
      switch (result.kind) {
        case 'saved':
          // The library says so, which is no proof: a service can accept an entry and lose it.
          if (await exists(service, name, patience, patience.retryDelaysMs)) return name;
          throw notStored(service, name, 'accepted it, but does not have it now');
        case 'exists':
          throw taken(name);
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
  return (
    // NaN, when the service did not say, is no difference; then run ids, which grow.
    created(b) - created(a) ||
    Number(b.parsed?.runId) - Number(a.parsed?.runId) ||
    Number(b.parsed?.runAttempt) - Number(a.parsed?.runAttempt) ||
    0
  );
}

/**
 * Without regard to case, since a cache server may fold it (act does, and actions/cache compares so too); that the
 * baseline inside is of this very suite is for its reader to see.
 */
function isOf(key: BaselineQuery, query: BaselineQuery): boolean {
  return isSame(key.suite, query.suite) && isSame(key.hardwareClass, query.hardwareClass);
}

function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

async function absent(service: CacheService, query: BaselineQuery, patience: Patience): Promise<Lookup> {
  const prefix = keyPrefix(query.suite, query.hardwareClass);
  const suitePrefix = keyPrefix(query.suite);
  const near = await lookUpAll(service, suitePrefix, patience);
  const others = near.filter(
    ({ parsed }) => parsed !== undefined && isSame(parsed.suite, query.suite) && !isOf(parsed, query),
  );
  const mode = service.mode === '' ? '' : `, mode ${plain(service.mode)}`;
  return {
    kind: 'absent',
    otherClasses: [...new Set(others.flatMap(({ parsed }) => parsed?.hardwareClass ?? []))].sort(),
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

function readable(service: CacheService): CacheService {
  if (service.mayRead) return service;
  throw new UserError(
    'store-unavailable',
    `This job may not read caches (ACTIONS_CACHE_MODE is "${plain(service.mode)}").`,
    'Whether there is a baseline is unknown. Let the job read caches, or keep baselines in the repository: `baseline: { store: files }` in the suite.',
  );
}

const WHO_MAY_WRITE =
  'GitHub makes the cache read-only for runs that outsiders can start (pull_request_target, issue_comment, workflow_run of a fork): refresh by `workflow_dispatch`, `schedule` or `push` on the default branch.';

/** Reading is needed too, to see that what was saved is there. */
function writable(service: CacheService): CacheService {
  if (service.mayWrite && service.mayRead) return service;
  throw new UserError(
    'store-refused',
    `The baseline was not stored: this job may not both write and read caches (ACTIONS_CACHE_MODE is "${plain(service.mode)}").`,
    WHO_MAY_WRITE,
  );
}

function denied(service: CacheService, key: string, why: string): UserError {
  return new UserError(
    'store-refused',
    `The baseline was not stored: the cache service at ${service.host} denied this job to write "${plain(key)}" (${why}).`,
    WHO_MAY_WRITE,
  );
}

function taken(key: string): UserError {
  return new UserError(
    'store-refused',
    `The baseline was not stored: the cache has an entry "${plain(key)}" already, and entries cannot be replaced.`,
    'This very run has stored this very baseline before, or another one did so at the same time: there is nothing left to do. Run the refresh anew (not only its failed jobs) if you want another.',
  );
}

function notStored(service: CacheService, key: string, happened: string): UserError {
  return new UserError(
    'store-unavailable',
    `The baseline was not stored as "${plain(key)}". ${nameOf(service)} ${happened}.`,
    remedy(service),
  );
}

function shadowed(key: string, prefix: string): UserError {
  return new UserError(
    'baseline-invalid',
    `The newest cache entry under "${prefix}" is "${plain(key)}", a name that this action does not give. It hides what is behind it, so whether there is a baseline is unknown.`,
    'Find out which workflow writes it and let it use another name. Then delete it: `gh cache delete` with that key.',
  );
}

/** The library's tar command line breaks at a space (tar.js joins it unquoted). */
function withoutSpace(folder: string): string {
  return /^[\w./\\:~+@-]+$/.test(folder) ? folder : tmpdir();
}
