import * as core from '@actions/core';
import { logLine } from './report/inert.ts';

/*
 * Runs after the job's other steps, also when it was cancelled: removes what this run left behind. It fails no
 * job: what it could not do, the next start sweeps.
 */
try {
  const { cleanUp } = await import('./wiring.ts');
  await cleanUp(process.env, (line) => core.info(logLine(line)));
} catch (error) {
  core.info(logLine(`Nothing was cleaned up: ${String(error)}`));
}
process.exit();
