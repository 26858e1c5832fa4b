import type Docker from 'dockerode';
import { z } from 'zod';
import { ask } from './calls.ts';

/** Bytes that a container may use; undefined where the daemon can set no limit. */
export interface Bounds {
  readonly memory: number | undefined;
  /** Of its /tmp, which lies in memory and counts as such. */
  readonly tmp: number;
}

const GIB = 1024 ** 3;
/** Where nobody says otherwise: the machine must stay alive beside an engine that eats what it gets. */
const PART_OF_MACHINE = 0.9;
/** Compiled kernels are far below it, and what fills it meets a full disk before its engine is killed for memory. */
const PART_FOR_TMP = 0.25;
const TMP_WITHOUT_LIMIT = 4 * GIB;

const Info = z.object({ MemTotal: z.number().positive(), MemoryLimit: z.literal(true) });

/** @param asked bytes that the suite sets; undefined: of the daemon's machine, and told */
export async function boundsOf(
  docker: Docker,
  asked: number | undefined,
  { signal, log }: { readonly signal: AbortSignal; readonly log: (line: string) => void },
): Promise<Bounds> {
  if (asked !== undefined) return { memory: asked, tmp: Math.floor(asked * PART_FOR_TMP) };
  const info = Info.safeParse(await ask('tell of its machine', docker.info(), { signal })).data;
  if (info === undefined) {
    log('The Docker daemon sets no limits of memory: the engine may use all that the machine has.');
    return { memory: undefined, tmp: TMP_WITHOUT_LIMIT };
  }
  const memory = Math.floor(info.MemTotal * PART_OF_MACHINE);
  const tmp = Math.floor(memory * PART_FOR_TMP);
  const told = (bytes: number) => `${(bytes / GIB).toFixed(1)} GiB`;
  log(
    `The container may use ${told(memory)} of memory, nine tenths of its machine's, and ${told(tmp)} of that for /tmp; \`runtime.memory\` in the suite sets another limit.`,
  );
  return { memory, tmp };
}

/** Of each of several containers that run at once. What a suite sets is each one's own. */
export const sharedBy = (engines: number, { memory, tmp }: Bounds, asked: number | undefined): Bounds =>
  asked !== undefined || engines === 1
    ? { memory, tmp }
    : {
        memory: memory === undefined ? undefined : Math.floor(memory / engines),
        tmp: Math.floor(tmp / engines),
      };
