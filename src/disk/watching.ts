import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cancelled, UserError } from '../errors.ts';
import { isBelow } from './confined.ts';
import { systemCode } from './errors.ts';

/** Milliseconds without a further write until several are one save, and how long that is waited for at most. */
const QUIET_MS = 100;
const LONGEST_MS = 2000;

/** What lies in a folder that is watched and is nobody's work: of editors, of Python, of git. */
const NOISE = /^(?:\..*|__pycache__|4913|.*~|.*\.(?:pyc|pyo|sw[a-z]|tmp))$/;

/** As `Tools` has it. */
interface Watching extends AsyncDisposable {
  at(paths: readonly string[]): Promise<void>;
  changed(): Promise<readonly string[]>;
}

/** A folder whose entries are looked at; `inode` is another once another folder has its name. */
interface Watched {
  readonly inode: bigint;
  readonly watcher: FSWatcher;
}

/**
 * Looks at files and folders, by the folders that they lie in: an editor that writes beside a file and renames it is seen.
 * What is not there yet is seen once it comes.
 *
 * @param apart folders below which nothing counts, such as where the program itself writes
 */
export function openWatching(signal: AbortSignal, apart: readonly string[]): Watching {
  let paths: readonly string[] = [];
  /** Paths -> how they were when that was last told. */
  const known = new Map<string, string>();
  const watched = new Map<string, Watched>();
  /** Folders of `paths` in which something happened. */
  const touched = new Set<string>();
  let stirred = Promise.withResolvers<void>();
  let lastly = Number.NEGATIVE_INFINITY;

  const stir = (folder: string, isDeep: boolean, name: string | null) => {
    if (name !== null) {
      if (name.split(sep).some((part) => NOISE.test(part)) && !isNamed(join(folder, name))) return;
      if (apart.some((one) => isBelow(one, join(folder, name)))) return;
    }
    if (isDeep) touched.add(folder);
    lastly = performance.now();
    stirred.resolve();
  };
  /** A prompt may have whatever name it likes. */
  const isNamed = (path: string) => paths.includes(path);

  async function arm(): Promise<void> {
    const wanted = new Map<string, boolean>();
    for (const path of paths) {
      const found = await stat(path, { bigint: true }).catch(() => undefined);
      if (found?.isDirectory() === true) wanted.set(path, true);
      const folder = await nearest(dirname(path));
      if (wanted.get(folder) === undefined) wanted.set(folder, false);
    }
    for (const [folder, isDeep] of wanted) {
      const { ino: inode } = await stat(folder, { bigint: true });
      const held = watched.get(folder);
      if (held?.inode === inode) continue;
      held?.watcher.close();
      watched.set(folder, { inode, watcher: begin(folder, isDeep) });
    }
    for (const [folder, { watcher }] of watched)
      if (!wanted.has(folder)) {
        watcher.close();
        watched.delete(folder);
      }
  }

  function begin(folder: string, isDeep: boolean): FSWatcher {
    try {
      const watcher = watch(folder, { recursive: isDeep, persistent: true });
      watcher.on('change', (_, name) => stir(folder, isDeep, name === null ? null : String(name)));
      // The folder has gone: what comes in its place is looked at anew.
      watcher.on('error', () => stir(folder, isDeep, null));
      return watcher;
    } catch (cause) {
      throw new UserError(
        'input-invalid',
        `${folder} cannot be watched (${systemCode(cause) ?? String(cause)}).`,
        'Watch fewer folders. On Linux, `sysctl fs.inotify.max_user_watches fs.inotify.max_user_instances` say how many there can be at once.',
        { cause },
      );
    }
  }

  const unlessAborted = async (stirring: Promise<void>) => {
    const ended = Promise.withResolvers<never>();
    const end = () => ended.reject(cancelled());
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
    try {
      await Promise.race([stirring, ended.promise]);
    } finally {
      signal.removeEventListener('abort', end);
    }
  };

  /** Until nothing has happened for a moment: saves in quick succession are one, and a file is whole by then. */
  async function quiet(): Promise<void> {
    const began = performance.now();
    do {
      stirred = Promise.withResolvers();
      await unlessAborted(Promise.race([stirred.promise, delay(QUIET_MS)]));
    } while (performance.now() - lastly < QUIET_MS && performance.now() - began < LONGEST_MS);
  }

  async function differing(): Promise<string[]> {
    const now = await Promise.all(paths.map(async (path) => [path, await stampOf(path)] as const));
    const changed = now.filter(([path, stamp]) => touched.has(path) || known.get(path) !== stamp);
    touched.clear();
    for (const [path, stamp] of now) known.set(path, stamp);
    return changed.map(([path]) => path);
  }

  return {
    async at(wanted) {
      paths = [...new Set(wanted)];
      await arm();
      // What was looked at already keeps what it was known as: it may have been saved in between.
      for (const path of paths) if (!known.has(path)) known.set(path, await stampOf(path));
      for (const path of known.keys()) if (!paths.includes(path)) known.delete(path);
    },
    async changed() {
      for (;;) {
        if (performance.now() - lastly < QUIET_MS) await quiet();
        const changed = await differing();
        if (changed.length > 0) return changed;
        await unlessAborted(stirred.promise);
        await quiet();
        // A folder that was made, or took another's place.
        await arm();
      }
    },
    async [Symbol.asyncDispose]() {
      for (const { watcher } of watched.values()) watcher.close();
    },
  };
}

/** A folder tells by what happens in it, not by itself. */
async function stampOf(path: string): Promise<string> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  if (found === undefined) return 'not there';
  if (found.isDirectory()) return 'a folder';
  return [found.dev, found.ino, found.size, found.mtimeNs].join(':');
}

/** The folder, or the nearest one above it that is there. */
async function nearest(folder: string): Promise<string> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory() === true || basename(folder) === '') return folder;
  return await nearest(dirname(folder));
}
