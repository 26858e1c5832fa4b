import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HarnessFingerprint } from '../../../src/fingerprint/schema.ts';
import type { Tools } from '../../../src/job/tools.ts';
import { makePlan } from '../../../src/run/plan.ts';
import { startRun } from '../../../src/run/start.ts';
import { Job } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

/** Two engine starts of a run, the second of which sees something else. */
async function twice(other: Partial<HarnessFingerprint>, kind: 'launcher' | 'process' = 'launcher') {
  const job = new Job();
  const machines = [job.tools(), job.tools({ fingerprint: other })];
  const engines = await Promise.all(
    machines.map(({ open }) => open.runtime({ gpus: 'none', shm: '1GiB' }, false, { planned: 1, most: 1 })),
  );
  let starts = 0;
  const [first, second] = engines;
  if (first === undefined || second === undefined) throw new Error('no engines');
  const tools: Tools = {
    ...job.tools(),
    open: {
      ...job.tools().open,
      runtime: async () => ({
        ...first,
        ...{ kind, description: '', image: first.image, exposed: undefined, caches: undefined },
        ...{ slot: undefined, slots: 1, beside: async () => [], indexOf: () => undefined },
        provideModel: (model) => first.provideModel(model),
        start: (boot) => (starts++ === 0 ? first : second).start(boot),
        [Symbol.asyncDispose]: async () => {},
      }),
    },
  };
  const loaded = await tools.open.suite('suite.yml');
  const plan = { ...makePlan(loaded, 'check'), lifetimes: 2 };
  await using run = await startRun(loaded, plan, job.settings(), tools);
  await using lifetimes = await run.begin(new Map());
  await lifetimes.planned();
}

describe('where a launcher takes the engine starts of a run', () => {
  test('may be one machine', () => twice({}));

  test('cannot be two: what is other there is named', async () => {
    const { code, message } = await rejectedBy(twice({ kernel: '6.8.0-elsewhere' }));
    assert.equal(code, 'launcher-moved');
    assert.match(message, /the kernel there was .*, and is 6\.8\.0-elsewhere\.$/);
  });

  test('is no matter where none is', () => twice({ kernel: '6.8.0-elsewhere' }, 'process'));
});
