import { createHash } from 'node:crypto';
import { totalmem } from 'node:os';
import { uuidOf } from './gpu-lock.ts';

/** What one engine start has for itself. */
export interface Group {
  /** As people know it: `GPU 1`, `CPUs 8-15`. */
  readonly name: string;
  /** As CUDA and Docker take them: UUIDs, or indices; empty for none, or for the machine's first ones. */
  readonly gpus: readonly string[];
  /** UUIDs of the cards, by which they are locked. */
  readonly cards: readonly string[];
  /** As `taskset` and Docker take them; undefined: all. */
  readonly cpus: string | undefined;
}

export interface Grouped {
  /** Of one engine. */
  readonly gpus: 'none' | number;
  /** UUIDs or indices of the GPUs that this runner may use, in order; empty: all that its driver shows. */
  readonly devices: readonly string[];
  /** Sets of CPUs that its owner names, one for each engine that runs at a time; empty: all CPUs for one. */
  readonly cpuSets: readonly string[];
}

/** How many engines the devices are enough for. */
export function groupsOf(
  { gpus, devices, cpuSets }: Grouped,
  known: readonly (string | undefined)[],
): number {
  if (gpus === 'none') return Math.max(1, cpuSets.length);
  const cards = devices.length > 0 ? devices : known.filter((uuid) => uuid !== undefined);
  return Math.max(1, Math.floor(cards.length / gpus));
}

/**
 * Groups for engines beside a first one, which has the first of what is named. All have as many GPUs.
 *
 * @param known UUIDs of the machine's cards as nvidia-smi counts them; undefined for one that does not tell
 * @param used hashes of the UUIDs that the first one says it uses: CUDA may count otherwise than nvidia-smi
 */
export function groupsBeside(
  { gpus, devices, cpuSets }: Grouped,
  known: readonly (string | undefined)[],
  used: readonly string[],
): Group[] {
  if (gpus === 'none')
    return cpuSets.slice(1).map((cpus) => ({ name: `CPUs ${cpus}`, gpus: [], cards: [], cpus }));
  // Without a list the cards are named by their UUIDs, so that no two groups can mean one.
  const named = devices.length > 0 ? devices.slice(gpus) : known.flatMap((uuid) => uuid ?? []);
  const free = new Map<string, string>();
  for (const device of named) {
    const uuid = uuidOf(device, known);
    if (uuid !== undefined && !used.includes(uuidHash(uuid)) && !free.has(uuid)) free.set(uuid, device);
  }
  const cards = [...free];
  return Array.from({ length: Math.floor(cards.length / gpus) }, (_, at): Group => {
    const mine = cards.slice(at * gpus, (at + 1) * gpus);
    const names = mine.map(([uuid]) => nameOf(uuid, known));
    return {
      name: `${mine.length === 1 ? 'GPU' : 'GPUs'} ${names.join(', ')}`,
      gpus: mine.map(([, device]) => device),
      cards: mine.map(([uuid]) => uuid),
      cpus: undefined,
    };
  });
}

/** As the harness tells it in a fingerprint. */
export const uuidHash = (uuid: string) =>
  createHash('sha256').update(uuid.toLowerCase()).digest('hex').slice(0, 16);

function nameOf(uuid: string, known: readonly (string | undefined)[]): string {
  const index = known.indexOf(uuid);
  // As the record calls it, which holds no serial number.
  return index < 0 ? uuidHash(uuid).slice(0, 8) : String(index);
}

const GIB = 1024 ** 3;
const PART_OF_MACHINE = 0.9;
/** Where the suite sets no limit: an engine keeps little more than its weights there, and those on a GPU but in passing. */
const ROOM = 8 * GIB;

/** How many engines the memory of this machine has room for at once. @param asked bytes of each, where that is said */
export const roomFor = (asked: number | undefined, total = totalmem()) =>
  Math.max(1, Math.floor((total * PART_OF_MACHINE) / (asked ?? ROOM)));
