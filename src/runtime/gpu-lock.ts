import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { chmod, type FileHandle, mkdir, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../errors.ts';

/** Where things are; tests have their own. */
export interface GpuPlaces {
  /** A folder a card, as NVIDIA's driver has it. */
  readonly driver: string;
  /** Shared by all runners of the machine, whoever they run as. */
  readonly locks: string;
}

export const PLACES: GpuPlaces = { driver: '/proc/driver/nvidia/gpus', locks: '/tmp/deterministic-ml-gpus' };

export interface GpuRequest {
  readonly gpus: 'none' | number;
  /** UUIDs or indices, in order; empty: the machine's first ones. */
  readonly devices: readonly string[];
  /** How long another run is waited for. */
  readonly limitSeconds: number;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/**
 * Takes the cards that a run will use, so that no other run of this machine computes on them meanwhile: it would take
 * memory and time, and be told that a stranger uses its GPU. The kernel keeps the locks and drops them however this process
 * ends, so that none is ever stale.
 *
 * @throws UserError `gpu-unavailable` where another run keeps one for too long
 */
export async function lockGpus(request: GpuRequest, places = PLACES): Promise<AsyncDisposable> {
  await using owned = new AsyncDisposableStack();
  // In one order for all: two runs with two cards each must not wait for one another.
  for (const uuid of await wanted(request, places)) {
    try {
      owned.use(await lock(uuid, request, places));
    } catch (error) {
      request.signal.throwIfAborted();
      if (error instanceof UserError) throw error;
      request.log(unlockable(uuid, error));
    }
  }
  return owned.move();
}

/**
 * Takes cards that nobody uses now, all of them or none: nobody is waited for.
 *
 * @param uuids in whatever order: who gets one of them and not the other keeps neither
 */
export async function lockFree(
  uuids: readonly string[],
  { signal, log }: Pick<GpuRequest, 'signal' | 'log'>,
  places = PLACES,
): Promise<AsyncDisposable | undefined> {
  await using owned = new AsyncDisposableStack();
  for (const uuid of uuids.toSorted()) {
    try {
      const handle = await openFolder(places.locks, uuid);
      owned.defer(() => handle.close());
      if (!(await flock(handle, ['--nonblock'], signal))) return undefined;
    } catch (error) {
      signal.throwIfAborted();
      log(unlockable(uuid, error));
    }
  }
  return owned.move();
}

/** UUIDs of the machine's cards as nvidia-smi counts them; undefined for one that does not tell. */
export async function cardsOf({
  driver,
}: Pick<GpuPlaces, 'driver'> = PLACES): Promise<(string | undefined)[]> {
  const cards = await readdir(driver).catch(() => []);
  // The driver counts them by their place on the bus.
  return await Promise.all(
    cards.sort().map(async (card) => {
      const text = await readFile(join(driver, card, 'information'), 'utf8').catch(() => '');
      return /^GPU UUID:\s*(GPU-[0-9a-f-]+)$/im.exec(text)?.[1];
    }),
  );
}

const unlockable = (uuid: string, error: unknown) =>
  `Another run on this machine could use ${uuid} too, it cannot be locked: ${String(error)}`;

/** UUIDs of the cards; empty where the driver of this machine does not tell: it has none, or they are elsewhere. */
async function wanted({ gpus, devices }: GpuRequest, places: GpuPlaces): Promise<string[]> {
  if (gpus === 'none') return [];
  const known = await cardsOf(places);
  const named = devices.length === 0 ? known : devices.map((device) => uuidOf(device, known));
  return [...new Set(named.slice(0, gpus).filter((uuid) => uuid !== undefined))].sort();
}

/** Of an index, or a UUID that may be cut short, as CUDA takes both; undefined for what is neither. */
export function uuidOf(device: string, known: readonly (string | undefined)[]): string | undefined {
  if (/^\d+$/.test(device)) return known[Number(device)];
  if (!/^(GPU|MIG)-[0-9a-f-]+$/i.test(device)) return undefined;
  return known.find((uuid) => uuid?.startsWith(device)) ?? device;
}

async function lock(uuid: string, request: GpuRequest, { locks }: GpuPlaces): Promise<AsyncDisposable> {
  const { limitSeconds, signal, log } = request;
  const handle = await openFolder(locks, uuid);
  try {
    if (!(await flock(handle, ['--nonblock'], signal))) {
      log(`Another run on this machine uses ${uuid}: waiting for it, ${limitSeconds} s at most.`);
      if (!(await flock(handle, ['--wait', String(limitSeconds)], signal)))
        throw new UserError(
          'gpu-unavailable',
          `Another run on this machine has used ${uuid} for ${limitSeconds} s and longer.`,
          'Give each runner of the machine cards of its own (`gpu-devices`), or let such jobs wait for each other: `concurrency` in the workflow. The `inactivity-minutes` input says how long a card is waited for.',
        );
    }
    return { [Symbol.asyncDispose]: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** A folder, since a file of another user in such a place is not opened by everybody (fs.protected_regular). */
async function openFolder(locks: string, uuid: string): Promise<FileHandle> {
  const folder = join(locks, uuid);
  await mkdir(folder, { recursive: true });
  // Whoever comes first makes it; another user's cards have their own folder in it.
  await chmod(locks, 0o1777).catch(() => {});
  return await open(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

/** Node has no call for it, but a child can lock an open file for both: the lock belongs to what they share. */
async function flock(handle: FileHandle, how: readonly string[], signal: AbortSignal): Promise<boolean> {
  signal.throwIfAborted();
  const child = spawn('flock', [...how, '0'], { stdio: [handle.fd, 'ignore', 'ignore'] });
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  try {
    const [code] = await once(child, 'exit');
    signal.throwIfAborted();
    return code === 0;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
