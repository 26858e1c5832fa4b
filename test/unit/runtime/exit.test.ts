import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { exitOf } from '../../../src/runtime/exit.ts';

const never = () => false;

describe('how a process ended', () => {
  for (const [code, signal, expected] of [
    [0, null, null],
    [1, null, null],
    [127, null, null],
    [132, null, 'SIGILL'],
    [137, null, 'SIGKILL'],
    [139, null, 'SIGSEGV'],
    [255, null, null],
    [null, 'SIGABRT', 'SIGABRT'],
    [null, null, null],
  ] as const)
    test(`code ${code}, signal ${signal}: ${expected}`, () => {
      assert.deepEqual(exitOf(code, signal, never), { code, signal: expected, outOfMemory: false });
    });

  test('the proof of a lack of memory is asked with the signal', () => {
    assert.equal(exitOf(137, null, (signal) => signal === 'SIGKILL').outOfMemory, true);
  });
});
