import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { aloneNow } from './alone.ts';
import { isGone, isNameGone, ownerMark, ownerName } from './owner.ts';

/** A folder of this process; disposing removes it with all that is in it, and a sweep does if this process is killed. */
export interface Scratch extends AsyncDisposable {
  readonly path: string;
}

type Log = (line: string) => void;

/** What all scratch folders of this program are called, those of a far side too (docker/harness/far.py). */
export const SCRATCH_NAME = /^deterministic-ml-[A-Za-z0-9_]{6,8}$/;

/** Until one whose owner cannot be told is nobody's any more: longer than a job may take. */
const FORGOTTEN_MS = 7 * 24 * 3600 * 1000;
const PARTIAL = /^(?:\.[a-z.]+)?\.partial-([0-9a-f.]+)-[0-9a-f]{8}$/;
const OWNER = 'owner';
const MAX_MARK_BYTES = 256;

/**
 * A folder that others may pass through and nobody but this user may write to: what an engine writes to is made in it.
 *
 * @param log told what could not be removed; without it, that is an error of the disposal
 */
export async function openScratch(parent: string, log?: Log): Promise<Scratch> {
  await mkdir(parent, { recursive: true });
  return await claim(await mkdtemp(join(parent, 'deterministic-ml-')), log);
}

/** The same, where only this user may enter. */
export async function privateFolder(parent: string = tmpdir()): Promise<Scratch> {
  const scratch = await openScratch(parent);
  const path = join(scratch.path, 'own');
  await mkdir(path, { mode: 0o700 });
  return { path, [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose]() };
}

/** Makes a new folder that has its name already a scratch folder of this process. */
export async function claim(path: string, log?: Log): Promise<Scratch> {
  const dispose = () => removeFolder(path, log);
  try {
    await mark(path);
    await chmod(path, 0o711);
  } catch (error) {
    await dispose();
    throw error;
  }
  return { path, [Symbol.asyncDispose]: dispose };
}

/** @param log as of `openScratch` */
export async function removeFolder(path: string, log?: Log): Promise<void> {
  try {
    // Killed processes may still be closing their files.
    await rm(path, { recursive: true, force: true, maxRetries: 5 });
  } catch (error) {
    // An error of a disposal would hide the one that the user has to see.
    if (log === undefined) throw error;
    log(`The folder ${path} could not be removed: ${String(error)}`);
  }
}

/** Says in a new folder whose it is. */
async function mark(path: string): Promise<void> {
  const owner = ownerMark();
  if (owner !== undefined) await writeFile(join(path, OWNER), owner, { flag: 'wx', mode: 0o644 });
}

/** A name beside a folder or a file, for what becomes it once it is whole. It says which process it is of. */
export const partialOf = (path: string) => `${path}.partial-${ownerName()}-${randomBytes(4).toString('hex')}`;

/** Removes what processes that were killed have left of a folder, and of what is called after it: its report, its baseline. */
export async function sweepBeside(folder: string): Promise<void> {
  const [parent, beginning] = [dirname(folder), basename(folder)];
  for (const name of await namesIn(parent)) {
    const [, owner] = (name.startsWith(beginning) && PARTIAL.exec(name.slice(beginning.length))) || [];
    // What cannot be removed now is tried again by the next run, which must not fail of it either.
    if (owner === undefined) continue;
    const path = join(parent, name);
    if (isNobodys(await seen(path), isNameGone(owner))) await removeFolder(path, () => {});
  }
}

/** Where the runs of this machine make theirs, by the environment of one of them; and `more`. */
export function scratchPlaces(
  environment: Readonly<Record<string, string | undefined>>,
  ...more: readonly (string | undefined)[]
): string[] {
  const { TMPDIR: own, RUNNER_TEMP: temporary } = environment;
  // Sockets have a limit that some places are too deep for: those lie in /tmp, whatever is set.
  return [...new Set(['/tmp', own, temporary, ...more])].flatMap((place) => place || []);
}

/**
 * Removes scratch folders of this user whose process was killed. One of a process that lives is left alone, and so is,
 * for a week, one that does not say.
 *
 * @param parents folders that runs make theirs in
 * @returns how many were removed
 */
export async function sweepScratch(parents: readonly string[], log: Log): Promise<number> {
  let removed = 0;
  for (const parent of new Set(parents))
    for (const name of await namesIn(parent))
      if (SCRATCH_NAME.test(name) && (await sweepOne(join(parent, name), log))) removed += 1;
  return removed;
}

/** Of a folder that is not there: none. */
const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

async function sweepOne(path: string, log: Log): Promise<boolean> {
  try {
    if (!(await isLeft(path))) return false;
    // A folder that has its name for good may be somebody's again meanwhile.
    await using place = await aloneNow(path);
    if (place === undefined || !(await isLeft(path))) return false;
    await rm(path, { recursive: true, force: true, maxRetries: 5 });
    log(`Removed the folder ${path} that a killed run left behind.`);
    return true;
  } catch (error) {
    log(`The folder ${path} of a killed run could not be removed: ${String(error)}`);
    return false;
  }
}

async function isLeft(path: string): Promise<boolean> {
  const found = await seen(path);
  return found?.isDirectory() === true && isNobodys(found, isGone(await markIn(path)));
}

const seen = (path: string): Promise<Stats | undefined> => lstat(path).catch(() => undefined);

/** Only of this user's own: in another's, a link could take the place of a folder while it is being removed. */
function isNobodys(found: Stats | undefined, gone: boolean | undefined): boolean {
  if (found === undefined || found.uid !== process.getuid?.()) return false;
  return gone ?? Date.now() - found.mtimeMs > FORGOTTEN_MS;
}

async function markIn(path: string): Promise<string> {
  try {
    await using file = await open(
      join(path, OWNER),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_MARK_BYTES), 0, MAX_MARK_BYTES, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } catch {
    return '';
  }
}
