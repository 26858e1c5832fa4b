import assert from 'node:assert/strict';
import type Docker from 'dockerode';
import { until } from '../../support/runtimes.ts';
import type { Action } from './action.ts';
import { assertFault } from './faults.ts';
import { type Runner, Step, type StepOptions } from './spawn.ts';
import { containersOf, processesOf } from './suites.ts';

/** What a log shows once tokens are being generated. */
export const GENERATING = /^generate-alone: /m;

/** How long it took from the signal. */
export interface Cancelled {
  /** Until no container and no process of the job was left. */
  readonly goneMs: number;
  /** Until the action had exited. */
  readonly exitMs: number;
}

/** What the runner leaves an action between its first signal and the last: 7.5 s + 2.5 s. Half of the first is enough. */
export const LIMIT_MS = 5_000;

/** Starts the action, sends SIGINT in the middle of a pass and checks what is left. */
export async function cancelInMidGeneration(
  action: Action,
  runner: Runner,
  options: StepOptions,
  docker?: Docker,
  when: RegExp = GENERATING,
): Promise<Cancelled> {
  await using step = await Step.start(action, runner, 'main', options);
  await step.sees(when, 120);
  const atWork = async () =>
    (docker === undefined ? 0 : (await containersOf(docker, runner)).length) +
    (await processesOf(runner)).filter((pid) => pid !== step.pid).length;
  assert.notEqual(await atWork(), 0, 'an engine is at work');
  const began = performance.now();
  step.kill('SIGINT');
  const gone = until(async () => (await atWork()) === 0, 'the engine is gone', 30).then(
    () => performance.now() - began,
  );
  const exited = step.ended.then(() => performance.now() - began);
  const [goneMs, exitMs] = await Promise.all([gone, exited]);
  const fault = { code: 'cancelled', says: /The run was cancelled/, advises: /Start it again/ } as const;
  await assertFault(await step.ended, runner, fault, docker);
  assert.ok(goneMs < LIMIT_MS, `the engine was gone after ${Math.round(goneMs)} ms`);
  assert.ok(exitMs < LIMIT_MS, `the action had exited after ${Math.round(exitMs)} ms`);
  return { goneMs, exitMs };
}
