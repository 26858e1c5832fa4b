import type { Runtime, Slot } from '../engine/runtime.ts';
import { type GpuPlaces, lockFree } from './gpu-lock.ts';
import { type Grouped, groupsBeside, uuidHash } from './groups.ts';
import type { On, Starter } from './options.ts';
import { strangersHere } from './strangers.ts';

/** Engines that a run has work for at one time. */
export interface AtOnce {
  /** From its beginning. */
  readonly planned: number;
  /** Later on. */
  readonly most: number;
}

interface Machine extends AtOnce {
  /** UUIDs of its cards as nvidia-smi counts them; undefined for one that does not tell. */
  readonly known: readonly (string | undefined)[];
  readonly places: GpuPlaces;
}

/** What of a runtime starts engines, and tells where several can run at once. */
export function slotsOf(
  starter: Starter,
  grouped: Grouped,
  { known, places, most, planned }: Machine,
  options: {
    readonly environment: Readonly<Record<string, string | undefined>>;
    readonly signal: AbortSignal;
    readonly log: (line: string) => void;
  },
): Pick<Runtime, 'start' | 'slot' | 'slots' | 'beside' | 'indexOf' | 'strangers'> {
  const [cpus] = grouped.gpus === 'none' ? grouped.cpuSets : [];
  let engines = planned;
  const on = ({ gpus, cpus }: Pick<On, 'gpus' | 'cpus'>): On => ({ gpus, cpus, engines });
  return {
    slot: cpus === undefined ? undefined : `CPUs ${cpus}`,
    slots: most,
    start: (boot, lives = 1) => starter.start(boot, lives, on({ gpus: grouped.devices, cpus })),
    async beside(count, used) {
      await using owned = new AsyncDisposableStack();
      const found: Slot[] = [];
      for (const group of groupsBeside(grouped, known, used)) {
        if (found.length >= Math.min(count, most - 1)) break;
        const lock = await lockFree(group.cards, options, places);
        if (lock === undefined) continue;
        owned.use(lock);
        found.push({
          name: group.name,
          cpus: group.cpus,
          start: (boot) => starter.start(boot, 1, on(group)),
          [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose](),
        });
      }
      owned.move();
      engines = 1 + found.length;
      return found;
    },
    ...(grouped.gpus !== 'none' && { strangers: () => strangersHere(options.environment, options.signal) }),
    indexOf(hash) {
      const index = known.findIndex((uuid) => uuid !== undefined && uuidHash(uuid) === hash);
      return index < 0 ? undefined : index;
    },
  };
}
