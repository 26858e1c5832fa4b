import type Docker from 'dockerode';
import type { JobIdentity } from '../../engine/runtime.ts';
import { isNameGone } from '../../machine/owner.ts';
import { type Moment, secondsSince } from '../clock.ts';
import { ask } from './calls.ts';
import { dockerError } from './daemon.ts';
import { jobLabels, LABEL, type Role } from './labels.ts';

/** A container of this age that was never started may still be on its way: another runner is between the two calls. */
const STARTING_SECONDS = 120;
/** The same for one of another machine, or from before this one was restarted: more than any clock is off. */
const FORGOTTEN_SECONDS = 7 * 24 * 3600;

const COPY: Role = 'copy';

type Listed = Pick<Docker.ContainerInfo, 'State' | 'Created' | 'Labels'>;

/**
 * Removes what killed runs left behind: containers of ours that have ended, were never started, or are past
 * their deadline. A container that is at work belongs to another runner of this machine and is left alone.
 *
 * @returns how many were removed
 */
export async function sweep(
  docker: Docker,
  {
    log,
    now,
    signal,
  }: {
    readonly log: (line: string) => void;
    readonly now: Moment;
    readonly signal?: AbortSignal;
  },
): Promise<number> {
  const listed = docker.listContainers({ all: true, filters: { label: [LABEL.role] } });
  const ours = await ask('list its containers', listed, { signal });
  const stale = ours.filter((container) => isStale(container, now));
  for (const { Id, Labels } of stale) {
    await removeContainer(docker, Id, signal);
    log(
      `Removed the container ${Id.slice(0, 12)} that run ${Labels[LABEL.run]} of ${Labels[LABEL.repository]} left behind.`,
    );
  }
  return stale.length;
}

/**
 * Whether nobody can want a container of ours any more. One that runs has the clock of the machine that made it to go by,
 * and no other: the time of day of this one may be hours off.
 */
export function isStale({ State, Created, Labels }: Listed, now: Moment): boolean {
  const late = secondsSince(Labels[LABEL.deadline], now);
  if (late !== undefined && late > 0) return true;
  switch (State) {
    case 'exited':
    case 'dead':
      return true;
    case 'created': {
      if (isNameGone(Labels[LABEL.owner] ?? '') === true) return true;
      const age = secondsSince(Labels[LABEL.made], now);
      if (age === undefined) return Date.now() / 1000 - Created > FORGOTTEN_SECONDS;
      // One that copies is never started; it has its deadline.
      return Labels[LABEL.role] !== COPY && age > STARTING_SECONDS;
    }
    default:
      // running, paused, restarting; and `removing`, which somebody else is busy with.
      return false;
  }
}

/**
 * Removes every container of one job, whatever it does. It goes by the labels alone and never by an id that
 * was kept somewhere, so that it cannot be talked into removing another's.
 *
 * @returns how many were removed
 */
export async function removeRun(docker: Docker, job: JobIdentity): Promise<number> {
  const label = [LABEL.role, ...Object.entries(jobLabels(job)).map(([name, value]) => `${name}=${value}`)];
  const ours = await ask('list its containers', docker.listContainers({ all: true, filters: { label } }));
  await Promise.all(ours.map(({ Id }) => removeContainer(docker, Id)));
  return ours.length;
}

/** Kills and removes a container with its anonymous volumes; one that is gone or going is fine. */
export async function removeContainer(docker: Docker, id: string, signal?: AbortSignal): Promise<void> {
  const container = docker.getContainer(id);
  // Forced or not, Podman first waits 10 s for a program that ignores SIGTERM.
  await unless([404, 409], ask('kill a container', container.kill(), { signal }));
  // 304 stopped already, 404 removed already, 409 somebody else is removing it.
  const removal = container.remove({ force: true, v: true });
  await unless([304, 404, 409], ask('remove a container', removal, { signal }));
}

async function unless(statusCodes: readonly number[], call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    const { statusCode } = dockerError(error);
    if (statusCode === undefined || !statusCodes.includes(statusCode)) throw error;
  }
}
