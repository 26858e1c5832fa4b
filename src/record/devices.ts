import type { Lifetime } from './schema.ts';

/** On what a lifetime ran. */
export type Devices = NonNullable<Lifetime['devices']>;

/** As people know them: `GPU 1`, `GPUs 0, 1`, `CPUs 8-15`; undefined where nothing was set apart. */
export function devicesName({ gpus, cpus }: Devices): string | undefined {
  if (gpus.length === 0) return cpus === null ? undefined : `CPUs ${cpus}`;
  const names = gpus.map(({ index, uuidHash }) => (index === null ? uuidHash.slice(0, 8) : String(index)));
  return `${gpus.length === 1 ? 'GPU' : 'GPUs'} ${names.join(', ')}`;
}

/** The same for the same devices alone; undefined where they cannot be told apart. */
export function devicesKey({ gpus, cpus }: Devices): string | undefined {
  if (gpus.length === 0) return cpus ?? undefined;
  return gpus.some(({ uuidHash }) => uuidHash === 'unknown')
    ? undefined
    : gpus.map(({ uuidHash }) => uuidHash).join(' ');
}
