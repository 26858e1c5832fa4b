import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import type Docker from 'dockerode';
import type { ErrorCode } from '../../../src/errors.ts';
import type { Outcome, Runner } from './spawn.ts';
import { containersOf, processesOf } from './suites.ts';

/** What a failed step must show, and what it must not leave. */
export interface Fault {
  readonly code: ErrorCode;
  /** Cause and place. */
  readonly says: RegExp;
  /** The remedy. */
  readonly advises: RegExp;
}

export async function assertFault(
  outcome: Outcome,
  runner: Runner,
  { code, says, advises }: Fault,
  docker?: Docker,
): Promise<void> {
  const { exitCode, outputs, commands, log } = outcome;
  assert.equal(exitCode, 1, log);
  assert.equal(outputs['error-code'], code, log);
  assert.equal(outputs['conclusion'] ?? '', '', 'an error is no conclusion');
  assert.equal(outputs['verdict'] ?? '', '');
  const failure = commands.findLast(
    ({ command, properties }) => command === 'error' && !('file' in properties),
  );
  assert.ok(failure, log);
  assert.ok(failure.data.startsWith(`${code}: `), failure.data);
  assert.match(failure.data, says);
  assert.match(failure.data, advises);
  assert.doesNotMatch(log, /^\s+at .*\.js:\d+/m, 'a stack is for bugs');
  assert.deepEqual([outcome.env, outcome.path], ['', '']);
  await assertNothingLeft(runner, docker);
}

/** No process, no container, no record, whole or half. */
export async function assertNothingLeft(runner: Runner, docker?: Docker): Promise<void> {
  const left = await processesOf(runner);
  const commands = left.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => 'gone since'));
  assert.deepEqual(await Promise.all(commands), [], 'no process is left');
  if (docker !== undefined) assert.deepEqual(await containersOf(docker, runner), [], 'no container is left');
  assert.deepEqual(await leftovers(runner), []);
}

/** What a run wrote into the machine's and the runner's temporary folder besides its log; the runner itself writes two folders. */
export async function leftovers({ temp, scratch }: Runner): Promise<string[]> {
  const entries = await readdir(temp, { recursive: true });
  return [...(await readdir(scratch)), ...entries].filter(
    (path) =>
      !/^((_runner_file_commands|_github_workflow)(\/.*)?|deterministic-ml|deterministic-ml\/record-[\w-]+\.log)$/.test(
        path,
      ),
  );
}
