import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, statfs, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { CacheContent, CacheKey, CachesOfRun, Found, Given, KeptCaches } from '../engine/caches.ts';
import { UserError } from '../errors.ts';
import { alone } from '../machine/alone.ts';
import { contentOf, differing, EMPTY, Unfit } from './content.ts';

export interface CachesOptions {
  /** Absolute folder of what outlives a run on this machine. */
  readonly stateFolder: string;
  /** Whose runs share what is kept: `owner/name`. */
  readonly repository: string;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/**
 * The kept caches of this machine, apart for each repository, suite, image, engine and hardware class. Nothing but this
 * program writes there: an engine has a copy, and what it makes of that is taken back only once it has gone.
 */
export const openCaches = (options: CachesOptions): KeptCaches => ({
  open: (key) => new OfRun(placeOf(options, key), key, options),
});

const Manifest = z.strictObject({
  key: z.json(),
  digest: z.string(),
  files: z.number().int(),
  bytes: z.number(),
  list: z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/)),
});

interface Place {
  readonly folder: string;
  /** What the files must be: there is nothing kept without it. */
  readonly manifest: string;
  /** This run's alone. */
  readonly partial: string;
}

function placeOf({ stateFolder, repository }: CachesOptions, key: CacheKey): Place {
  // No owner on GitHub begins with `@`: what a terminal keeps is nobody's else.
  const owner = /^[\w-][\w.-]*\/[\w.-]*[\w-][\w.-]*$/.test(repository)
    ? repository.split('/')
    : ['@terminal'];
  const name = createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 16);
  const folder = join(stateFolder, 'caches', ...owner, name);
  return { folder, manifest: `${folder}.json`, partial: `${folder}.${process.pid}.partial` };
}

class OfRun implements CachesOfRun {
  readonly #place: Place;
  readonly #key: CacheKey;
  readonly #options: CachesOptions;
  /** What this run took last: it lies in the partial folder. */
  #taken: CacheContent | undefined;

  constructor(place: Place, key: CacheKey, options: CachesOptions) {
    this.#place = place;
    this.#key = key;
    this.#options = options;
  }

  async give(folder: string, kept: boolean): Promise<Given> {
    return await this.#orFull(folder, async () => {
      await empty(folder).catch((error: unknown) => {
        throw notCleared(folder, error);
      });
      if (!kept) return { content: EMPTY, refused: undefined };
      if (this.#taken !== undefined)
        return await this.#filled(folder, this.#place.partial, this.#taken, async () => {
          this.#taken = undefined;
        });
      await using _ = await this.#alone();
      const { manifest, folder: source } = this.#place;
      const told = await readManifest(manifest);
      const throwAway = async () => {
        await rm(manifest, { force: true });
        await rm(source, { recursive: true, force: true });
      };
      switch (told) {
        case 'none':
          return { content: EMPTY, refused: undefined };
        case 'broken':
          await throwAway();
          return { content: EMPTY, refused: 'nothing readable says what was kept' };
        default:
          return await this.#filled(folder, source, told, throwAway);
      }
    });
  }

  async look(folder: string, take: boolean): Promise<Found> {
    try {
      return await this.#orFull(this.#place.partial, async () => {
        if (!take) return { content: await contentOf(folder, undefined, 'to-keep') };
        this.#taken = undefined;
        await rm(this.#place.partial, { recursive: true, force: true });
        await mkdir(this.#place.partial, { recursive: true, mode: 0o700 });
        this.#taken = await contentOf(folder, this.#place.partial, 'to-keep');
        return { content: this.#taken };
      });
    } catch (error) {
      if (error instanceof Unfit) return { unfit: error.message };
      const code = codeOf(error);
      // As another user's files may be, where a daemon gives its containers other users.
      if (code !== undefined) return { unfit: `cannot be read (${code})` };
      throw error;
    }
  }

  async keep(): Promise<void> {
    const content = this.#taken;
    if (content === undefined) return;
    const { folder, manifest, partial } = this.#place;
    await this.#orFull(folder, async () => {
      await using _ = await this.#alone();
      const unfinished = `${manifest}.${process.pid}`;
      await writeFile(unfinished, JSON.stringify({ key: this.#key, ...content }), {
        flush: true,
        mode: 0o600,
      });
      // Between the two renames what lies there is not what the manifest says: whoever comes then refuses it.
      await rm(manifest, { force: true });
      await rm(folder, { recursive: true, force: true });
      await rename(partial, folder);
      await rename(unfinished, manifest);
      this.#taken = undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#place.partial, { recursive: true, force: true }).catch(() => {});
  }

  async #filled(
    folder: string,
    source: string,
    told: CacheContent,
    throwAway: () => Promise<void>,
  ): Promise<Given> {
    const { bavail, bsize } = await statfs(folder);
    if (told.bytes > bavail * bsize) throw full(folder);
    const refused = await contentOf(source, folder, 'for-an-engine').then(
      (content) =>
        content.digest === told.digest
          ? undefined
          : `${differing(told.list, content.list)} of ${told.files} files are not what was kept`,
      (error: unknown) => {
        if (isFull(error)) throw error;
        return error instanceof Error ? error.message : String(error);
      },
    );
    if (refused === undefined) {
      const now = new Date();
      // When they were last used, for whoever clears up.
      await utimes(this.#place.manifest, now, now).catch(() => {});
      return { content: told, refused };
    }
    this.#options.log(`The kept caches in ${source} are refused, and thrown away: ${refused}.`);
    await empty(folder);
    await throwAway();
    return { content: EMPTY, refused };
  }

  /** A copy is not made while another run of this machine puts others in its place. */
  async #alone(): Promise<AsyncDisposable> {
    return await alone(this.#place.folder, this.#options.signal, () =>
      this.#options.log('Another run on this machine is at the kept caches: waiting for it.'),
    );
  }

  async #orFull<T>(folder: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw isFull(error) ? full(folder, error) : error;
    }
  }
}

/** `none`: nothing is kept; `broken`: it does not say what is. */
async function readManifest(path: string): Promise<CacheContent | 'none' | 'broken'> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? 'none' : 'broken';
  }
  try {
    const { digest, files, bytes, list } = Manifest.parse(JSON.parse(text));
    return { digest, files, bytes, list };
  } catch {
    return 'broken';
  }
}

async function empty(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
}

/** The system's own; undefined for whatever else was thrown. */
const codeOf = (error: unknown) =>
  error instanceof Error && !(error instanceof UserError) && 'code' in error ? String(error.code) : undefined;

const isFull = (error: unknown) => ['ENOSPC', 'EDQUOT'].includes(codeOf(error) ?? '');

const notCleared = (folder: string, cause: unknown) =>
  new UserError(
    'runtime-unavailable',
    `The engine's caches in ${folder} cannot be cleared for the next engine start: ${codeOf(cause) ?? String(cause)}.`,
    'A Docker daemon that gives its containers other users may leave such files. Let the suite start with `engine: { caches: fresh }`.',
    { cause },
  );

const full = (folder: string, cause?: unknown) =>
  new UserError(
    'disk-full',
    `The disk is full: the kept caches do not fit into ${folder}.`,
    'Free space there: `deterministic-ml clean 30` deletes what was not used for 30 days. Or let the suite start with `engine: { caches: fresh }`.',
    { cause },
  );
