import * as core from '@actions/core';
import { jobIdentity } from './front/inputs.ts';
import { logLine } from './inert.ts';
import { scratchPlaces, sweepScratch } from './machine/scratch.ts';

/*
 * Runs after the job's other steps, also when it was cancelled: removes what this run left behind. It fails no
 * job: what it could not do, the next start sweeps.
 */
const log = (line: string) => core.info(logLine(line));
await sweepScratch(scratchPlaces(process.env), log);
try {
  const [{ connect }, { removeRun, sweep }, { thisMoment }] = await Promise.all([
    import('./runtime/docker/daemon.ts'),
    import('./runtime/docker/sweep.ts'),
    import('./runtime/clock.ts'),
  ]);
  const docker = await connect(process.env);
  const removed = await removeRun(docker, jobIdentity(process.env));
  if (removed > 0) log(`Removed ${removed} container(s) of this run.`);
  await sweep(docker, { log, now: thisMoment() });
} catch (error) {
  // The process runtime needs no Docker.
  core.debug(`Nothing was cleaned up: ${String(error)}`);
}
process.exit();
