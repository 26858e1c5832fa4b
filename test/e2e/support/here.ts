import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getInput, setFailed } from '@actions/core';
import { runAction } from '../../../src/front/action.ts';
import { tellError } from '../../../src/front/failure.ts';
import { parseInputs } from '../../../src/front/inputs.ts';
import { folderOfProcess } from '../../support/folders.ts';
import type { Action } from './action.ts';
import {
  commandFiles,
  environment,
  type Outcome,
  type Runner,
  type StepOptions,
  toldBy,
  writeEvent,
} from './spawn.ts';

/** @actions/core looks for this file once in a process. */
const SUMMARY = join(folderOfProcess(), 'summary.md');
let busy = false;

/**
 * A step from its start to its end, as `src/main.ts` does it, in this process: for what comes of a run and not of its process,
 * at half the price of a Node of its own. Its engines are processes as ever. One at a time: the environment, the standard
 * output and the exit code are this process's.
 */
export async function stepHere(action: Action, runner: Runner, options: StepOptions = {}): Promise<Outcome> {
  assert.ok(!busy, 'one step at a time');
  busy = true;
  const files = { ...(await commandFiles(runner)), GITHUB_STEP_SUMMARY: SUMMARY };
  await Promise.all([writeFile(SUMMARY, ''), writeEvent(runner, options)]);
  const own = { env: process.env, exitCode: process.exitCode, write: process.stdout.write };
  let log = '';
  process.env = { ...environment(action, runner, options), ...files };
  process.exitCode = undefined;
  // What a step prints is text; what tells of tests is bytes.
  process.stdout.write = (part: string | Uint8Array, ...rest: never[]) => {
    if (typeof part !== 'string') return own.write.call(process.stdout, part, ...rest);
    log += part;
    return true;
  };
  try {
    try {
      const inputs = parseInputs(getInput, 'action', process.env, join(action.path, 'docker/harness'));
      const failure = await runAction(inputs, new AbortController().signal);
      if (failure !== undefined) setFailed(failure);
    } catch (error) {
      await tellError(error);
    }
    return { exitCode: Number(process.exitCode ?? 0), signal: null, ...(await toldBy(log, files)) };
  } finally {
    process.env = own.env;
    process.exitCode = own.exitCode;
    process.stdout.write = own.write;
    busy = false;
  }
}
