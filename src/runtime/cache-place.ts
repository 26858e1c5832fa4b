import { createHash } from 'node:crypto';
import { lstat, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { CacheFolder } from '../engine/caches.ts';
import { UserError } from '../errors.ts';
import { alone } from '../machine/alone.ts';
import { claim, openScratch } from '../machine/scratch.ts';

type OwnFolder = CacheFolder & AsyncDisposable;

interface Context {
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/**
 * A folder for caches in one and the same place for all runs that keep theirs in the same: compiled caches hold paths, and
 * elsewhere are made anew. Such runs of a machine come one after another.
 *
 * @throws UserError `runtime-unavailable` where somebody else has put something there
 */
export async function onePlace(parent: string, kept: string, { signal, log }: Context): Promise<OwnFolder> {
  const name = createHash('sha256').update(kept).digest('hex').slice(0, 8);
  const folder = join(parent, `deterministic-ml-${name}`);
  await using owned = new AsyncDisposableStack();
  owned.use(
    await alone(folder, signal, () =>
      log('Another run on this machine has its kept caches in use: waiting for it.'),
    ),
  );
  await refuseForeign(folder);
  await rm(folder, { recursive: true, force: true });
  // Fails where somebody was faster: nobody else's folder is used.
  await mkdir(folder, { mode: 0o700 });
  owned.use(await claim(folder, log));
  const caches = await below(folder);
  const held = owned.move();
  return { host: caches, inside: caches, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** A folder of a run's own, which an engine sees elsewhere. */
export async function ownPlace(
  kept: string,
  inside: string,
  log: (line: string) => void,
): Promise<OwnFolder> {
  await mkdir(kept, { recursive: true, mode: 0o700 });
  await using owned = new AsyncDisposableStack();
  const { path } = owned.use(await openScratch(kept, log));
  const host = await below(path);
  const held = owned.move();
  return { host, inside, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

/** What an engine is given, beside what says whose it is. */
async function below(scratch: string): Promise<string> {
  const folder = join(scratch, 'caches');
  await mkdir(folder, { mode: 0o700 });
  return folder;
}

/** One that a killed run has left is this user's. */
async function refuseForeign(folder: string): Promise<void> {
  const found = await lstat(folder).catch(() => undefined);
  const own = process.getuid?.() ?? 0;
  if (found === undefined || own === 0 || (found.isDirectory() && found.uid === own)) return;
  throw new UserError(
    'runtime-unavailable',
    `The engine’s kept caches belong into ${folder}, and somebody else has put something there.`,
    'Remove it, or let the suite start with `engine: { caches: fresh }`.',
  );
}
