import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { share, type Worker } from '../../../src/run/share.ts';

/** Ends when the test says so. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { promise, open: resolve };
}

describe('jobs', () => {
  test('are done by whoever is free, each once', async () => {
    const slow = gate();
    const done: string[] = [];
    const first: Worker<number> = async (job) => {
      await slow.promise;
      done.push(`first ${job}`);
      return 'done';
    };
    const second: Worker<number> = async (job) => {
      done.push(`second ${job}`);
      if (job === 3) slow.open();
      return 'done';
    };
    await share([1, 2, 3], [first, second], () => assert.fail('nothing failed'));
    assert.deepEqual(done, ['second 2', 'second 3', 'first 1']);
  });

  test('that a worker cannot do are done by the first one, even when it had ended already', async () => {
    const ended = gate();
    const done: number[] = [];
    const first: Worker<number> = async (job) => {
      done.push(job);
      if (job === 1) ended.open();
      return 'done';
    };
    const unfit: Worker<number> = async () => {
      await ended.promise;
      await new Promise(setImmediate);
      return 'unfit';
    };
    await share([1, 2], [first, unfit], () => {});
    assert.deepEqual(done, [1, 2]);
  });

  test('are given up at the first failure, which is the one that is told', async () => {
    const stopped = gate();
    const taken: number[] = [];
    const first: Worker<number> = async (job) => {
      taken.push(job);
      await stopped.promise;
      throw new Error('was stopped');
    };
    const second: Worker<number> = async (job) => {
      taken.push(job);
      throw new Error('the cause');
    };
    let stops = 0;
    const stop = () => {
      stops += 1;
      stopped.open();
    };
    await assert.rejects(share([1, 2, 3], [first, second], stop), /the cause/);
    assert.deepEqual([taken, stops], [[1, 2], 1]);
  });
});
