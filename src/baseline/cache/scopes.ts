import { plain } from '../foreign.ts';
import { type BaselineQuery, type ListedEntry, type ParsedKey, parseKey } from '../port.ts';
import { COMPRESSIONS, type Compression, cacheVersion } from './service.ts';

/*
 * A cache entry belongs to the branch whose run made it, and a run is given entries of its own branch first: on a pull
 * request those of the pull request, which anybody could have made. What the repository's list of entries says of
 * their branches decides here what may be taken.
 */

/** An entry of the list that is a baseline, on a branch that is trusted. */
export interface TrustedEntry {
  readonly listed: ListedEntry;
  readonly parsed: ParsedKey;
  readonly compression: Compression;
}

/** Those of a suite: by their branch in the order of `refs`, there the newest first. */
export function trustedEntries(
  entries: readonly ListedEntry[],
  suite: string,
  refs: readonly string[],
): readonly TrustedEntry[] {
  return entries
    .flatMap((listed): TrustedEntry[] => {
      const parsed = parseKey(listed.key);
      const compression = compressionOf(listed);
      return parsed === undefined || compression === undefined || !refs.includes(listed.ref)
        ? []
        : [{ listed, parsed, compression }];
    })
    .filter(({ parsed }) => isSame(parsed.suite, suite))
    .toSorted((a, b) => {
      const branch = ({ listed }: TrustedEntry) => refs.indexOf(listed.ref);
      const created = ({ listed }: TrustedEntry) => Date.parse(listed.createdAt);
      return branch(a) - branch(b) || created(b) - created(a) || newerRun(a.parsed, b.parsed);
    });
}

/** Entries that the cache service may give in place of the one with this key, which no trusted branch made. */
export function shadows(
  entries: readonly ListedEntry[],
  key: string,
  refs: readonly string[],
): readonly ListedEntry[] {
  return entries.filter(
    (entry) => isSame(entry.key, key) && compressionOf(entry) !== undefined && !refs.includes(entry.ref),
  );
}

const MAX_TOLD = 5;

/** What lies under the prefix and was not taken, with the reason: lines for the log. */
export function passedOver(
  entries: readonly ListedEntry[],
  prefix: string,
  refs: readonly string[],
): readonly string[] {
  const near = entries.flatMap((entry) => {
    const why = unfit(entry, refs);
    return why === undefined || !entry.key.toLowerCase().startsWith(prefix.toLowerCase())
      ? []
      : [`Near, but not taken: "${plain(entry.key)}", since ${why}.`];
  });
  const more = near.length - MAX_TOLD;
  return more <= 0 ? near : [...near.slice(0, MAX_TOLD), `And ${more} more that were not taken.`];
}

function unfit(entry: ListedEntry, refs: readonly string[]): string | undefined {
  if (!refs.includes(entry.ref)) return `it lies on ${plain(entry.ref)}`;
  if (parseKey(entry.key) === undefined) return 'this action gives no such name';
  if (compressionOf(entry) === undefined)
    return 'it was packed on another operating system, or by another action';
  return undefined;
}

function compressionOf({ version }: ListedEntry): Compression | undefined {
  return COMPRESSIONS.find((compression) => cacheVersion(compression) === version);
}

/** For sorting, the newer one first: run ids grow. */
export function newerRun(a: ParsedKey | undefined, b: ParsedKey | undefined): number {
  return (
    Number(b?.runId) - Number(a?.runId) ||
    Number(b?.runAttempt) - Number(a?.runAttempt) ||
    // NaN, for run ids that are no numbers, is no difference.
    0
  );
}

/**
 * Without regard to case, since a cache server may fold it (act does, and actions/cache compares so too); that the
 * baseline inside is of this very suite is for its reader to see.
 */
export function isOf(key: BaselineQuery, query: BaselineQuery): boolean {
  return isSame(key.suite, query.suite) && isSame(key.hardwareClass, query.hardwareClass);
}

export function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
