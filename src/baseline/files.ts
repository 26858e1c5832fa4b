import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { privateFolder } from '../machine/scratch.ts';
import { plain } from './foreign.ts';
import {
  type BaselineKey,
  type BaselineQuery,
  type BaselineStore,
  formatKey,
  type Lookup,
  type Proof,
  parseKey,
  parseMeta,
  type StoreKind,
} from './port.ts';
import { copyError, copyTree, hasCode, TREE_LIMITS, type TreeLimits, UnfitTree } from './tree.ts';

export const filesStore: StoreKind = {
  name: 'files',
  what: 'files of the repository below `baseline.path`: merging them approves them',
  open: createFilesStore,
};

export interface FilesStoreOptions {
  /** Absolute path of the checkout. */
  readonly workspace: string;
  /** Folder of the baselines, relative to the workspace: `baseline.path` of the suite. */
  readonly path: string;
  /** Where private copies go: `RUNNER_TEMP`. */
  readonly tempFolder: string;
  readonly log: (line: string) => void;
  readonly limits?: TreeLimits;
}

/**
 * Baselines as files of the repository, in `<path>/<suite>/<hardware class>/`: merging them approves them. One of a
 * kind is kept; its history is git's.
 * @throws UserError `suite-invalid` for a path that leaves the workspace
 */
export function createFilesStore(options: FilesStoreOptions): BaselineStore {
  const { workspace, tempFolder, log } = options;
  const limits = options.limits ?? TREE_LIMITS;
  const root = partsOf(options.path);
  const shown = (...parts: readonly string[]) => [...root, ...parts].join('/');

  return {
    kind: filesStore.name,
    inCheckout: true,
    // Merging is what makes it count.
    branches: 'any',
    remedyOf: () => 'Restore it from git, or delete its folder.',

    async find(query: BaselineQuery, wanted?: string): Promise<Lookup> {
      const { suite, hardwareClass } = checked(query);
      try {
        const shelf = await open(workspace, [...root, suite]);
        const place = shelf === undefined ? undefined : await current(shelf, hardwareClass);
        if (place === undefined) return await absent(shelf, query);
        await using owned = new AsyncDisposableStack();
        const copy = owned.use(await privateFolder(tempFolder).catch(noCopy));
        const name = shown(suite, hardwareClass);
        await copyTree(place, copy.path, limits).catch((error: unknown) => {
          throw error instanceof UnfitTree ? invalid(name, error.message, error) : error;
        });
        const key = await keyIn(copy.path, name);
        const parsed = parseKey(key);
        if (parsed?.suite !== suite || parsed.hardwareClass !== hardwareClass)
          throw invalid(name, `it belongs elsewhere: its own key is ${key}`);
        // Older ones are git's to keep.
        if (wanted !== undefined && key !== wanted) return await absent(shelf, query);
        const kept = owned.move();
        return {
          ...{ kind: 'found', key, folder: copy.path, proof: MERGED },
          [Symbol.asyncDispose]: () => kept.disposeAsync(),
        };
      } catch (error) {
        throw unreadable(error);
      }
    },

    async classes(suite: string): Promise<readonly string[]> {
      if (!SUITE.test(suite)) throw new Error(`no name of a suite: ${suite}`);
      try {
        return await classesIn(await open(workspace, [...root, suite]));
      } catch (error) {
        throw unreadable(error);
      }
    },

    // Whoever took one away had it merged; a change that does so is seen by its base branch.
    remembers: async () => ({ kind: 'never' }),

    assertWritable() {
      // A checkout that cannot be written to is told by the system, in the place where it matters.
    },

    async save(key: BaselineKey, folder: string, replaces: string | undefined): Promise<string> {
      const { suite, hardwareClass } = checked(key);
      const name = formatKey(key);
      const held = await keyIn(folder, folder);
      if (parseKey(name) === undefined || held !== name)
        throw new Error(`${folder} holds the baseline ${held} and cannot be stored as ${name}`);
      const place = shown(suite, hardwareClass);
      try {
        const shelf = await make(workspace, [...root, suite]);
        const { target, old, fresh } = placesOf(shelf, hardwareClass);
        await finishInterrupted(shelf, hardwareClass);
        const before = (await isThere(target)) ? await keyIn(target, place) : undefined;
        if (before !== undefined && before !== replaces) throw overtaken(place, before);
        try {
          await copyTree(folder, fresh, limits);
          // Node has no exchange of two folders; between the two renames the old one counts (see `current`).
          if (await isThere(target)) await rename(target, old);
          await rename(fresh, target);
        } finally {
          await finishInterrupted(shelf, hardwareClass);
        }
        const stored = await keyIn(target, place);
        if (stored !== name) throw new UserError('store-refused', `${place} now holds ${stored}.`, RACE);
      } catch (error) {
        const known = copyError(error, folder);
        throw isOfSystem(known) ? notStored(place, known) : known;
      }
      log(`Stored in ${place}. Commit it: merging it is what approves it.`);
      return name;
    },
  };

  function noCopy(error: unknown): never {
    const known = copyError(error, tempFolder);
    if (!isOfSystem(known)) throw known;
    throw new UserError(
      'store-unavailable',
      `The baseline is there, and no copy of it can be made below ${tempFolder}: ${plain(known.message)}.`,
      'Let this user write there: it is the folder of temporary files (`RUNNER_TEMP` on a runner, `.deterministic-ml` elsewhere).',
      { cause: error },
    );
  }

  function unreadable(error: unknown): unknown {
    if (error instanceof UserError || !isOfSystem(error)) return error;
    return new UserError(
      'store-unavailable',
      `The baselines in ${shown()} cannot be read: ${plain(error.message)}.`,
      'Whether there is a baseline is unknown. Let this user read the checkout, and check it out before this action (actions/checkout).',
      { cause: error },
    );
  }

  async function absent(shelf: string | undefined, query: BaselineQuery): Promise<Lookup> {
    const others = await classesIn(shelf);
    return {
      kind: 'absent',
      otherClasses: others,
      explanation: [
        `Looked for ${shown(query.suite, query.hardwareClass, 'baseline.json')} in the checkout: it is not there.`,
        others.length > 0
          ? `Of the same suite there are baselines of other hardware: ${others.join(', ')}.`
          : `${shown(query.suite)} holds no baseline of any hardware class.`,
        'Only what is checked out counts: a baseline on a branch that is not merged yet is not seen.',
      ],
    };
  }
}

const CLASS = /^[a-z0-9][a-z0-9._-]{0,127}$/;
const SUITE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const RACE =
  'Another refresh stored its baseline at the same time: look which one you want, and run one alone.';

const MERGED: Proof = {
  kind: 'proven',
  how: 'it lies in the checkout, and whoever merged it approved it',
};

/** Hardware classes that have a baseline in a suite's folder, sorted. */
async function classesIn(shelf: string | undefined): Promise<readonly string[]> {
  const classes: string[] = [];
  for (const entry of shelf === undefined ? [] : await readdir(shelf, { withFileTypes: true }))
    if (entry.isDirectory() && CLASS.test(entry.name)) classes.push(entry.name);
  return classes.sort();
}

function overtaken(place: string, found: string): UserError {
  return new UserError(
    'store-refused',
    `The baseline was not stored: ${place} now holds ${found}, which it did not when this run began.`,
    RACE,
  );
}

/** Both become names of folders; the suite's schema and the fingerprint make no others. */
function checked<Query extends BaselineQuery>(query: Query): Query {
  if (!SUITE.test(query.suite) || !CLASS.test(query.hardwareClass))
    throw new Error(`no names of a suite and a hardware class: ${query.suite}, ${query.hardwareClass}`);
  return query;
}

function partsOf(path: string): readonly string[] {
  const parts = path.replace(/\/+$/, '').split('/');
  const isPlain = (part: string) => /^[^\\:\p{Cc}]+$/u.test(part) && !/^(?:\.{1,2}|\.git)$/i.test(part);
  if (parts.every(isPlain)) return parts;
  throw new UserError(
    'suite-invalid',
    `The folder of the baselines, "${plain(path)}", is no folder inside the repository.`,
    'Give `baseline.path` in the suite as a relative path without `..`, such as `determinism-baselines`.',
  );
}

/** The folder, link by link: undefined if it is not there. No part of it may be a link, which could lead anywhere. */
async function open(workspace: string, parts: readonly string[]): Promise<string | undefined> {
  let path = await realpath(workspace);
  for (const part of parts) {
    path = join(path, part);
    if (!(await isThere(path))) return undefined;
  }
  return path;
}

async function make(workspace: string, parts: readonly string[]): Promise<string> {
  let path = await realpath(workspace);
  for (const part of parts) {
    path = join(path, part);
    if (!(await isThere(path))) await mkdir(path, { mode: 0o755 });
  }
  return path;
}

/** @throws UserError `baseline-invalid` for anything there but a folder */
async function isThere(folder: string): Promise<boolean> {
  try {
    const found = await lstat(folder);
    if (found.isDirectory()) return true;
    const kind = found.isSymbolicLink()
      ? 'a symbolic link, which could lead out of the repository'
      : 'a file';
    throw invalid(folder, `it is ${kind}, and not a folder`);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

function placesOf(shelf: string, hardwareClass: string) {
  return {
    target: join(shelf, hardwareClass),
    old: join(shelf, `.${hardwareClass}.old`),
    fresh: join(shelf, `.${hardwareClass}.new-${randomBytes(4).toString('hex')}`),
  };
}

/** Where the baseline is: after a save that was killed between its two renames, still in the old one's place. */
async function current(shelf: string, hardwareClass: string): Promise<string | undefined> {
  const { target, old } = placesOf(shelf, hardwareClass);
  if (await isThere(target)) return target;
  return (await isThere(old)) ? old : undefined;
}

/** Puts the old one back if the new one did not come into its place, and removes what else a save left behind. */
async function finishInterrupted(shelf: string, hardwareClass: string): Promise<void> {
  const { target, old } = placesOf(shelf, hardwareClass);
  if ((await isThere(old)) && !(await isThere(target))) await rename(old, target);
  for (const name of await readdir(shelf))
    if (name === `.${hardwareClass}.old` || name.startsWith(`.${hardwareClass}.new-`))
      await rm(join(shelf, name), { recursive: true, force: true });
}

const MAX_META_BYTES = 1024 ** 2;

/** The key that a baseline's own provenance gives it. */
async function keyIn(folder: string, shown: string): Promise<string> {
  const path = join(folder, 'baseline.json');
  try {
    if ((await stat(path)).size > MAX_META_BYTES) throw invalid(shown, 'its baseline.json is too large');
    const meta = parseMeta(await readFile(path));
    const { runId, runAttempt } = meta.provenance;
    const key = formatKey({ ...meta, runId, runAttempt });
    if (parseKey(key) === undefined) throw invalid(shown, `its baseline.json gives no key: ${plain(key)}`);
    return key;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) throw invalid(shown, 'it has no baseline.json', error);
    if (error instanceof UserError || isOfSystem(error)) throw error;
    const why = plain(error instanceof Error ? error.message : String(error));
    throw invalid(shown, `its baseline.json is not what this version writes: ${why}`, error);
  }
}

function invalid(shown: string, why: string, cause?: unknown): UserError {
  return new UserError(
    'baseline-invalid',
    `${shown} is no baseline: ${why}.`,
    'Restore it from git as the refresh wrote it, or delete it and refresh the baseline.',
    { cause },
  );
}

function notStored(place: string, error: Error): UserError {
  const happened = `The baseline was not stored in ${place}: ${plain(error.message)}.`;
  return hasCode(error, 'EACCES', 'EPERM', 'EROFS')
    ? new UserError(
        'store-refused',
        happened,
        'Let this user write to the checkout. The old baseline is untouched.',
        { cause: error },
      )
    : new UserError('store-unavailable', happened, 'The old baseline is untouched. Refresh anew.', {
        cause: error,
      });
}

/** An error of a system call, as node:fs throws it. */
function isOfSystem(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error;
}
