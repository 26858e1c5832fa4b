import {
  chmod,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { HubModel, ModelFile, Models, OnProgress, ProvidedModel } from '../engine/runtime.ts';
import { UserError } from '../errors.ts';
import { alone } from '../machine/alone.ts';
import { Hiccup, type Patience, patiently } from '../network/patience.ts';
import { type DigestContext, digestFolder } from './digest.ts';
import { download } from './download.ts';
import { needed } from './files.ts';
import { Hub, type HubFile, type HubOptions } from './hub.ts';

export interface ModelsOptions {
  /** Absolute folder of what outlives a run on this machine. */
  readonly stateFolder: string;
  /** Whose runs share what was fetched: `owner/name`. */
  readonly repository: string;
  readonly hub: HubOptions;
  readonly deadlineSeconds: number;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  readonly onProgress: OnProgress;
}

/**
 * The models of this machine: digested here, and fetched here. A fetched one lies below the state folder, apart for each
 * repository, and nothing but this program writes there: no image has a hand in what the next run takes for the model.
 */
export function openModels(options: ModelsOptions): Models {
  const { stateFolder, onProgress } = options;
  return {
    digest: (folder) => digestFolder(folder, options),
    async list(model) {
      const limit = AbortSignal.timeout(options.deadlineSeconds * 1000);
      const signal = AbortSignal.any([options.signal, limit]);
      const hub = new Hub(options.hub, model, signal);
      const patience = { what: 'the list of files', signal, log: options.log };
      const files = await wantedFiles(hub, model, patience);
      return {
        base: hub.address,
        files: files.map(({ path, bytes, digest: { kind, hex } }) => ({ path, bytes, kind, hex })),
      };
    },
    async fetch(model) {
      const place = placeOf(stateFolder, options.repository, model);
      // Two would write to the same files.
      await using _ = await alone(place.folder, options.signal, () =>
        options.log(`Another run on this machine is at ${nameOf(model)}: waiting for it.`),
      );
      const kept = await whatIsKept(place, model, options);
      if (kept !== undefined) return kept;
      await fetchInto(place, model, options, onProgress);
      const fetched = await whatIsKept(place, model, options);
      if (fetched !== undefined) return fetched;
      throw new UserError(
        'model-fetch-failed',
        `${nameOf(model)} was fetched, and something changed ${place.folder} at once.`,
        'See what else writes there, and run again.',
      );
    },
  };
}

/** Enough to fill a line, few enough for the hub's rate limits. */
const DOWNLOADS = 4;

/** Where a fetched model lies: a folder with its needed files and nothing else. */
interface Place {
  /** There once all of it is. */
  readonly folder: string;
  /** What has been fetched until then. */
  readonly partial: string;
  /** What the files must be, by the hub's word when they were fetched. */
  readonly manifest: string;
}

const Manifest = z.strictObject({
  model: z.string(),
  revision: z.string(),
  files: z.array(
    z.strictObject({ path: z.string(), bytes: z.number(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  ),
});
type Manifest = z.infer<typeof Manifest>;

function placeOf(stateFolder: string, repository: string, { id, revision }: HubModel): Place {
  // No owner on GitHub begins with `@`: what a terminal fetches is nobody's else.
  const owner = /^[\w-][\w.-]*\/[\w.-]*[\w-][\w.-]*$/.test(repository)
    ? repository.split('/')
    : ['@terminal'];
  const folder = join(stateFolder, 'models', ...owner, id.replace('/', '--'), revision);
  return { folder, partial: `${folder}.partial`, manifest: `${folder}.json` };
}

const nameOf = ({ id, revision }: HubModel) => `${id} at ${revision}`;

/** The model if it is there whole, every file what the hub said when it was fetched. */
async function whatIsKept(
  { folder, manifest }: Place,
  model: HubModel,
  options: DigestContext & Pick<ModelsOptions, 'log'>,
): Promise<ProvidedModel | undefined> {
  const wanted = await readManifest(manifest, model);
  const isThere = await stat(join(folder, 'config.json')).then(
    () => true,
    () => false,
  );
  if (wanted === undefined || !isThere) return undefined;
  const files = await digestFolder(folder, options);
  if (!isSame(wanted.files, files)) {
    options.log(`${folder} is not what was fetched from the hub any more: what changed is fetched anew.`);
    return undefined;
  }
  const now = new Date();
  // When it was last used, for whoever clears up.
  await utimes(manifest, now, now).catch(() => {});
  return { folder, files };
}

function isSame(wanted: Manifest['files'], files: readonly ModelFile[]): boolean {
  const digests = new Map(files.map(({ path, sha256 }) => [path, sha256]));
  return wanted.length === files.length && wanted.every(({ path, sha256 }) => digests.get(path) === sha256);
}

async function readManifest(path: string, { id, revision }: HubModel): Promise<Manifest | undefined> {
  try {
    const manifest = Manifest.parse(JSON.parse(await readFile(path, 'utf8')));
    return manifest.model === id && manifest.revision === revision ? manifest : undefined;
  } catch {
    return undefined;
  }
}

/** Whole and verified, or not at all. */
async function fetchInto(
  place: Place,
  model: HubModel,
  options: ModelsOptions,
  onProgress: OnProgress,
): Promise<void> {
  const { hub: access, deadlineSeconds, signal: cancel, log } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([cancel, AbortSignal.timeout(deadlineSeconds * 1000), stop.signal]);
  try {
    const hub = new Hub(access, model, signal);
    const files = await wantedFiles(hub, model, { what: 'the list of files', signal, log });
    await makePartial(place, files);
    const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    log(`Fetching ${nameOf(model)} into ${place.folder}.`);
    let done = 0;
    const onBytes = (count: number) => {
      done += count;
      onProgress('fetch', done, total);
    };
    const fetched: Manifest['files'] = [];
    const wrong: string[] = [];
    const queue = [...files];
    const worker = async () => {
      for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
        const { path, bytes } = file;
        const sha256 = await download(file, join(place.partial, path), { hub, signal, log, onBytes });
        if (sha256 === undefined) wrong.push(path);
        else fetched.push({ path, bytes, sha256 });
      }
    };
    const stopOthers = (error: unknown) => {
      stop.abort(error);
      throw error;
    };
    const ends = await Promise.allSettled(
      Array.from({ length: DOWNLOADS }, () => worker().catch(stopOthers)),
    );
    signal.throwIfAborted();
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    if (wrong.length > 0)
      throw new UserError(
        'model-fetch-failed',
        `${nameOf(model)}: ${wrong.join(', ')} arrived corrupted: not what the hub says they are. Deleted, the rest is kept.`,
        'Run again; if it happens once more, something between this machine and the hub changes files.',
      );
    await putInPlace(place, { model: model.id, revision: model.revision, files: fetched });
  } catch (error) {
    throw toldError(error, model, place, cancel, deadlineSeconds);
  }
}

async function wantedFiles(hub: Hub, model: HubModel, patience: Patience): Promise<HubFile[]> {
  const files = new Map((await patiently(() => hub.list(), patience)).map((file) => [file.path, file]));
  const wanted = needed(files.keys()).flatMap((path) => files.get(path) ?? []);
  if (!wanted.some(({ path }) => path === 'config.json'))
    throw new UserError(
      'model-fetch-failed',
      `${nameOf(model)} has no config.json.`,
      'Name a model that an engine can load as it is: with config.json, weights and tokenizer.',
    );
  return wanted;
}

/** What is there of the model, and nothing else: a file that it does not have would change it. */
async function makePartial({ folder, partial, manifest }: Place, files: readonly HubFile[]): Promise<void> {
  await rm(manifest, { force: true });
  await mkdir(join(partial, '..'), { recursive: true });
  // One that was changed: what is still right in it need not come again.
  await rename(folder, partial).catch(() => rm(folder, { recursive: true, force: true }));
  await mkdir(partial, { recursive: true });
  const wanted = new Set(files.map(({ path }) => path));
  let there = 0;
  for (const entry of await readdir(partial, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && wanted.has(path.slice(partial.length + 1))) there += (await stat(path)).size;
    else await rm(path);
  }
  const missing = files.reduce((sum, { bytes }) => sum + bytes, 0) - there;
  const { bavail, bsize } = await statfs(partial);
  if (missing > bavail * bsize)
    throw new UserError(
      'disk-full',
      `The model needs ${missing} bytes more, and the disk of ${partial} has ${bavail * bsize} free.`,
      `Free space there; what earlier runs have fetched lies below ${join(partial, '../../../..')}, and \`deterministic-ml clean 30\` deletes what was not used for 30 days.`,
    );
}

/** The word of the hub first, then the folder in one step: there is no model without both. */
async function putInPlace({ folder, partial, manifest }: Place, content: Manifest): Promise<void> {
  const unfinished = `${manifest}.${process.pid}`;
  await writeFile(unfinished, `${JSON.stringify(content, null, 2)}\n`, { flush: true });
  await rename(unfinished, manifest);
  await openToAll(partial);
  await rename(partial, folder);
}

async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isDirectory()) await chmod(join(entry.parentPath, entry.name), 0o755);
}

function toldError(
  error: unknown,
  model: HubModel,
  { folder }: Place,
  cancel: AbortSignal,
  deadlineSeconds: number,
): unknown {
  if (cancel.aborted) return cancel.reason;
  if (error instanceof UserError) return error;
  if (error instanceof Hiccup)
    return new UserError(
      'model-fetch-failed',
      `${nameOf(model)}: ${error.message}.`,
      'Check the network of this machine, its proxy (HTTPS_PROXY) and HF_ENDPOINT, and run again: what has arrived is kept.',
      { cause: error },
    );
  if (error instanceof DOMException && error.name === 'TimeoutError')
    return new UserError(
      'deadline-exceeded',
      `${nameOf(model)} was not fetched after ${deadlineSeconds} s.`,
      'Raise the `timeout-minutes` input, or run again: what has arrived is kept.',
    );
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new UserError(
      'disk-full',
      `The disk is full: ${nameOf(model)} could not be fetched into ${folder}.`,
      'Free space there and run again: what has arrived is kept.',
      { cause: error },
    );
  if (code !== '')
    return new UserError(
      'model-fetch-failed',
      `${nameOf(model)} could not be written to ${folder}: ${code}.`,
      'See that the user of this runner may write there, and that the disk is well.',
      { cause: error },
    );
  return error;
}
