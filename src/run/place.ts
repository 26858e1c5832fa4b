import { UserError } from '../errors.ts';
import type { HarnessFingerprint } from '../fingerprint/schema.ts';
import { excerpt } from '../inert.ts';

/** Where an engine start was, as far as its harness tells: what one machine says alike each time, whichever of its cards it has. */
export type Place = Readonly<Record<string, string>>;

export const placeOf = (seen: HarnessFingerprint): Place => ({
  GPUs: seen.gpus.map(({ name, smCount }) => `${name} (${smCount} SMs)`).join(', '),
  driver: seen.driver,
  CPU: [seen.cpu.model, seen.cpu.level, `${seen.cpu.cores} cores`].join(', '),
  memory: String(seen.memoryBytes),
  'operating system': seen.os,
  kernel: seen.kernel,
  engine: `${seen.engine.name} ${seen.engine.version}`,
  libraries: textOf(Object.entries(seen.libraries)),
  model: textOf(seen.files.map(({ path, sha256 }) => [path, sha256])),
});

const textOf = (pairs: readonly (readonly [string, string])[]) =>
  pairs
    .map(([name, value]) => `${name} ${value}`)
    .toSorted()
    .join(', ');

const MAX_SHOWN = 120;

/**
 * A record is of one machine, and a launcher may take each engine start to another one.
 *
 * @throws UserError `launcher-moved`
 */
export function refuseMoved(first: Place, now: Place): void {
  const what = Object.keys(first).find((name) => first[name] !== now[name]);
  if (what === undefined) return;
  const shown = (place: Place) => excerpt(place[what] ?? '', MAX_SHOWN);
  throw new UserError(
    'launcher-moved',
    `The launcher took a later engine start to another place than the first one: the ${what} there was ${shown(first)}, and is ${shown(now)}.`,
    'Let it name one machine (`srun --nodelist=…`, one pod), or make an allocation for the whole run and start in that.',
  );
}
