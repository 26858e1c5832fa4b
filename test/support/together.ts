/**
 * Runs the files of tests that it is given in this one process, one after the other, each as a test of its file's name:
 * `node test/support/together.ts FILE…`. In a process for each file the same modules are read and compiled anew, which is
 * more work than most of them have.
 *
 * A file that leaves the process otherwise than it found it fails, so that no file hears of another.
 */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

/** Until a file counts as hung. */
const TIMEOUT_MS = 5 * 60_000;
/** How long what a file opened may take to close after its last test. */
const CLOSING_MS = 5000;

for (const file of process.argv.slice(2).map((path) => resolve(path)))
  test(file, { timeout: TIMEOUT_MS }, async () => {
    // What opens by itself at its first use is nobody's: the streams, and the timer with which Node's runner keeps a process
    // alive in which all rests.
    void [process.stdin, process.stdout, process.stderr];
    await sleep(1, undefined, { ref: false });
    const [before, variables, opened] = [setting(), { ...process.env }, open()];
    await import(file);
    // Runs last: after the file's tests, and after what the file itself asked for.
    after(async () => {
      assert.deepEqual(setting(), before, 'The file leaves the process otherwise than it found it');
      // By their names alone: some values are nobody's to read in a log.
      const names = Object.keys({ ...variables, ...process.env });
      const changed = names.filter((name) => variables[name] !== process.env[name]);
      assert.deepEqual(changed, [], 'The file leaves variables otherwise than it found them');
      const until = performance.now() + CLOSING_MS;
      while (more(open(), opened).length > 0 && performance.now() < until) await sleep(20);
      assert.deepEqual(more(open(), opened), [], 'The file leaves open what it opened');
    });
  });

/** What one file could spoil for the next. */
function setting() {
  const listeners = process.eventNames().map((name) => [name, process.listenerCount(name)] as const);
  return {
    directory: process.cwd(),
    exitCode: process.exitCode,
    listeners: listeners.filter(([name]) => name !== 'exit'),
    globals: { fetch, Date, setTimeout, log: console.log, write: process.stdout.write },
  };
}

/** What keeps this process alive, each by its kind. */
const open = () => process.getActiveResourcesInfo().sort();

/** What is in the one and not in the other, as often. */
function more(now: readonly string[], before: readonly string[]): string[] {
  const left = [...before];
  return now.filter((one) => {
    const at = left.indexOf(one);
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}
