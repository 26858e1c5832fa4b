import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../../../src/errors.ts';
import type { HarnessFingerprint } from '../../../src/fingerprint/schema.ts';
import type { RunRecord } from '../../../src/record/schema.ts';
import { makePlan } from '../../../src/run/plan.ts';
import { startRun } from '../../../src/run/start.ts';
import { check } from '../../../src/use-cases/check.ts';
import { refresh } from '../../../src/use-cases/refresh.ts';
import { type EngineOptions, GPU_HASHES } from '../support/engine.ts';
import { readingOf } from '../support/health.ts';
import { ASKS, Job, SUITE } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

type Gpu = HarnessFingerprint['gpus'][number];

const card = (index: number, change: Partial<Gpu> = {}): Pick<HarnessFingerprint, 'gpus'> => ({
  gpus: [
    {
      ...{
        name: 'NVIDIA H100 80GB HBM3',
        uuidHash: GPU_HASHES[index] ?? 'unknown',
        computeCapability: '9.0',
      },
      ...{ smCount: 132, memoryBytes: 85_000_000_000 },
      ...change,
    },
  ],
});

/** A machine with three cards: an engine at its own place, and two beside it. */
const THREE: EngineOptions = {
  fingerprint: card(0),
  beside: { 'GPU 1': card(1), 'GPU 2': card(2) },
};

const GPU_SUITE = SUITE.replace(
  'sampling:',
  'runtime: { gpus: 1 }\nbaseline: { lifetimes: 3 }\npolicy: { confirm: 2 }\nsampling:',
);

async function refreshed(options: EngineOptions = THREE) {
  const job = new Job();
  job.suite = GPU_SUITE;
  const settings = { ...job.settings('workflow_dispatch'), ...ASKS.refresh };
  const report = await refresh(settings, job.tools(options));
  return { job, report, record: recordOf(job, settings.recordPath) };
}

function recordOf(job: Job, path: string): RunRecord {
  const record = job.disk.folders.get(path)?.record?.record;
  assert.ok(record);
  return record;
}

const placesOf = ({ lifetimes }: RunRecord) =>
  lifetimes.map(({ lifetime, devices }) => [lifetime, devices?.gpus.map(({ index }) => index)]);

describe('where a runner has GPUs for several engines', () => {
  test('the lifetimes of a refresh run side by side, and the record says where each did', async () => {
    let running = 0;
    const job = new Job();
    job.suite = GPU_SUITE;
    const all = Promise.withResolvers<void>();
    const settings = { ...job.settings('workflow_dispatch'), ...ASKS.refresh };
    const report = await refresh(
      settings,
      job.tools({
        ...THREE,
        // No engine answers before all three are there: one after the other they never would be.
        hold: async () => {
          running += 1;
          if (running === 3) all.resolve();
          await all.promise;
        },
      }),
    );
    assert.equal(report.verdict, 'pass');
    const record = recordOf(job, settings.recordPath);
    assert.deepEqual(placesOf(record), [
      ['lifetime-1', [0]],
      ['lifetime-2', [1]],
      ['lifetime-3', [2]],
    ]);
    assert.deepEqual([job.engine.running, job.engine.held, job.engine.disposed], [0, 0, true]);
    assert.ok(
      job.lines.includes('Engines, lifetime-1 to lifetime-3 side by side on GPU 0; GPU 1; GPU 2'),
      job.lines.join('\n'),
    );
  });

  test('the record is that of a run of one after the other, but for times and places', async () => {
    const [apart, alone] = [await refreshed(), await refreshed({ fingerprint: card(0) })];
    const bare = ({ digest, observations, known, lifetimes, vocabulary }: RunRecord) => ({
      ...{ digest, observations, known, vocabulary },
      passes: lifetimes.map(({ lifetime, passes }) => [lifetime, passes.map(({ pass }) => pass)]),
    });
    assert.deepEqual(bare(apart.record), bare(alone.record));
    assert.equal(apart.report.outcome, alone.report.outcome);
  });

  test('all are measured on the tokens that the first one generates, however late those come', async () => {
    const { job } = await refreshed({
      ...THREE,
      // What it would have to be measured on, had it not waited.
      computes: ({ where }) => (where === undefined ? {} : { shift: 7 }),
    }).catch((error: unknown) => assert.fail(String(error)));
    const given = (kind: string) =>
      new Set(
        job.engine.passes
          .filter((pass) => pass.kind === kind)
          .flatMap(({ requests }) => requests.filter(({ id }) => id === 'sky').map(({ tokens }) => tokens)),
      );
    assert.deepEqual([given('force').size, given('score').size], [1, 1]);
    assert.ok(![...given('force')].includes(null));
  });

  test('a check starts one engine, and those that confirm a drift run side by side', async () => {
    const { job } = await refreshed();
    const settings = { ...job.settings(), ...ASKS.check };
    const report = await check(settings, job.tools({ ...THREE, computes: () => ({ nats: -0.5, shift: 0 }) }));
    assert.equal(report.conclusion, 'drift');
    assert.deepEqual(placesOf(recordOf(job, settings.recordPath)), [
      ['lifetime-1', [0]],
      ['lifetime-2', [0]],
      ['lifetime-3', [1]],
    ]);
  });
});

describe('nothing is measured beside, and the run goes on without,', () => {
  const measuredOn = async (beside: NonNullable<EngineOptions['beside']>) => {
    const { job, record } = await refreshed({ fingerprint: card(0), beside });
    assert.deepEqual([record.lifetimes.length, job.engine.running, job.engine.held], [3, 0, 0]);
    const told = job.lines.filter((line) => line.startsWith('Nothing is measured'));
    return { places: new Set(placesOf(record).map(([, gpus]) => String(gpus))), told };
  };

  test('on other hardware than the run is of', async () => {
    const { places, told } = await measuredOn({ 'GPU 1': card(1, { name: 'NVIDIA A100', smCount: 108 }) });
    assert.deepEqual([...places], ['0']);
    assert.deepEqual(told, [
      'Nothing is measured on GPU 1: it is nvidia-a100-cc9.0-sm108-x1, and this run is of nvidia-h100-80gb-hbm3-cc9.0-sm132-x1.',
    ]);
  });

  test('where the engine sees the card that it was to leave alone', async () => {
    const { places, told } = await measuredOn({ 'GPU 1': card(0) });
    assert.deepEqual([...places], ['0']);
    assert.deepEqual(told, ['Nothing is measured on GPU 1: it is the same GPU as GPU 0.']);
  });

  test('where it is not told which card it is', async () => {
    const { told } = await measuredOn({ 'GPU 1': card(1, { uuidHash: 'unknown' }) });
    assert.deepEqual(told, ['Nothing is measured on GPU 1: its GPU does not tell which it is.']);
  });

  test('with kept caches, which two engines would share', async () => {
    const job = new Job();
    job.suite = GPU_SUITE.replace('{ name: vllm }', '{ name: vllm, caches: kept }');
    const settings = { ...job.settings('workflow_dispatch'), ...ASKS.refresh };
    await refresh(settings, job.tools(THREE));
    assert.deepEqual(new Set(placesOf(recordOf(job, settings.recordPath)).map(String)).size, 3);
    assert.ok(job.engine.loads.every(({ where }) => where === undefined));
  });
});

describe('of engines that run side by side', () => {
  test('one that dies ends the run with its name, and the others are stopped', async () => {
    const job = new Job();
    job.suite = GPU_SUITE;
    const settings = { ...job.settings('workflow_dispatch'), ...ASKS.refresh };
    const run = refresh(
      settings,
      job.tools({
        ...THREE,
        // The others would never end.
        hold: ({ where }) => (where === 'GPU 1' ? Promise.resolve() : new Promise(() => {})),
        computes: ({ where }) =>
          where === 'GPU 1' ? { error: { code: 'engine-failed', message: 'no kernel' } } : {},
      }),
    );
    const error = await rejectedBy(run);
    assert.equal(error.code, 'engine-failed');
    assert.match(error.message, /^lifetime-2 \(GPU 1\): no kernel/);
    assert.deepEqual([job.engine.running, job.engine.held, job.engine.disposed], [0, 0, true]);
    assert.equal(job.disk.folders.size, 0, 'no half a record');
  });

  test('all are stopped when the run is cancelled', async () => {
    const job = new Job();
    job.suite = GPU_SUITE;
    let loading = 0;
    const run = refresh(
      { ...job.settings('workflow_dispatch'), ...ASKS.refresh },
      job.tools({
        ...THREE,
        hold: () => {
          loading += 1;
          if (loading === 3) job.abort.abort(new UserError('cancelled', 'The run was cancelled.', ''));
          return new Promise(() => {});
        },
      }),
    );
    assert.equal((await rejectedBy(run)).code, 'cancelled');
    assert.deepEqual([job.engine.running, job.engine.held], [0, 0]);
  });

  test('an unhealthy GPU of one of them stops all, and the record says which', async () => {
    const job = new Job();
    job.suite = GPU_SUITE;
    await refreshed();
    const settings = { ...job.settings(), ...ASKS.check };
    const held = makePlan(await job.tools().open.suite('suite.yml'), 'refresh');
    const loaded = await job.tools().open.suite('suite.yml');
    const tools = job.tools({
      ...THREE,
      hold: () => new Promise(() => {}),
      health: (_, start) =>
        readingOf({
          uuidHash: GPU_HASHES[start - 1] ?? null,
          remapFailure: start === 3,
        }),
    });
    await using run = await startRun(loaded, held, settings, tools);
    await using lifetimes = await run.begin(new Map());
    await lifetimes.planned();
    assert.equal(lifetimes.health?.state, 'unhealthy');
    assert.equal(lifetimes.health?.signs[0]?.seen, 'before lifetime-3');
    assert.equal(job.engine.running, 0);
  });
});
