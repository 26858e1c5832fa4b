import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Records } from '../../../src/job/tools.ts';
import { check } from '../../../src/use-cases/check.ts';
import { refresh } from '../../../src/use-cases/refresh.ts';
import { verify } from '../../../src/use-cases/verify.ts';
import { fault } from '../../support/fault.ts';
import type { EngineOptions } from '../support/engine.ts';
import { readingOf } from '../support/health.ts';
import { ASKS, Job } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

const BROKEN = readingOf({ remapFailure: true });
const DOUBTFUL = readingOf({ remapPending: true });

async function trusting(): Promise<Job> {
  const job = new Job();
  assert.equal((await job.refreshed()).verdict, 'pass');
  return job;
}

const checked = async (job: Job, health: NonNullable<EngineOptions['health']>) => {
  const settings = job.settings();
  return { settings, report: await check({ ...settings, ...ASKS.check }, job.tools({ health })) };
};

/** As a use-case takes them apart: methods alone. */
const inMemory = ({ disk }: Job): Records => ({
  ...disk,
  create: (folder) => disk.create(folder),
  missing: (folder) => disk.missing(folder),
  open: (folder) => disk.open(folder),
  metaOf: (folder) => disk.metaOf(folder),
  addMeta: (folder, meta) => disk.addMeta(folder, meta),
  keepCopy: (from, to) => disk.keepCopy(from, to),
});

describe('a check on an unhealthy GPU', () => {
  test('loads no engine, and says why, of which GPU and what to do', async () => {
    const job = await trusting();
    const { report, settings } = await checked(job, () => BROKEN);
    assert.deepEqual([report.conclusion, report.verdict], ['unhealthy-gpu', 'fail']);
    assert.deepEqual([job.engine.starts.length, job.engine.loads.length, job.engine.running], [1, 0, 0]);
    assert.equal(report.health?.state, 'unhealthy');
    const [notice] = report.context.notices;
    assert.match(
      notice?.message ?? '',
      /^GPU 0 \(NVIDIA H100 80GB HBM3\) could not replace a bad row of its memory \(before lifetime-1\)\. Take the runner out/,
    );
    const record = job.disk.folders.get(settings.recordPath)?.record?.record;
    assert.deepEqual(record?.lifetimes, []);
    assert.equal(record?.health.state, 'told');
  });

  fault(
    'GPU lost in the middle of a run',
    'a card that falls off the bus after the first engine start',
    'no further start; the conclusion is `unhealthy-gpu`, and nothing of the run counts',
    async () => {
      const job = await trusting();
      // The first start drifts, so that more are asked for; after it the GPU is lost.
      const settings = job.settings();
      const report = await check(
        { ...settings, ...ASKS.check },
        job.tools({
          computes: () => ({ shift: 1 }),
          health: (at) => (at === 'after' ? readingOf({ lost: true }) : readingOf()),
        }),
      );
      assert.deepEqual([report.conclusion, report.verdict], ['unhealthy-gpu', 'fail']);
      assert.equal(job.engine.starts.length, 1, 'none is started to confirm');
      assert.match(report.context.notices[0]?.message ?? '', /has fallen off the bus \(after lifetime-1\)/);
    },
  );

  test('stops before the next load where the GPU broke meanwhile', async () => {
    const job = await trusting();
    const report = await check(
      { ...job.settings(), ...ASKS.check },
      job.tools({
        computes: () => ({ shift: 1 }),
        health: (_, start) => (start === 2 ? BROKEN : readingOf()),
      }),
    );
    assert.equal(report.conclusion, 'unhealthy-gpu');
    assert.deepEqual([job.engine.starts.length, job.engine.loads.length], [2, 1]);
  });

  test('is told by `verify` from the record alone', async () => {
    const job = await trusting();
    for (const health of [() => BROKEN, () => readingOf()]) {
      const { report, settings } = await checked(job, health);
      const verified = await verify(
        { ...settings, ...ASKS.check, reportPath: report.context.reportPath },
        {
          reports: job.disk,
          records: inMemory(job),
        },
      );
      assert.deepEqual(verified.disagreements, []);
    }
  });
});

describe('a GPU in doubt', () => {
  test('is told in a check, which goes on', async () => {
    const job = await trusting();
    const { report } = await checked(job, () => DOUBTFUL);
    assert.deepEqual([report.conclusion, report.verdict], ['reproduced', 'pass']);
    assert.deepEqual(
      report.context.notices.map(({ level, title }) => [level, title]),
      [['warning', 'A GPU in doubt']],
    );
  });

  test('refuses a refresh before anything is loaded', async () => {
    const job = new Job();
    const tools = job.tools({ health: () => DOUBTFUL });
    const error = await rejectedBy(refresh({ ...job.settings('workflow_dispatch'), ...ASKS.refresh }, tools));
    assert.equal(error.code, 'gpu-in-doubt');
    assert.match(error.message, /replaces a bad row of its memory at the next reset \(before lifetime-1\)/);
    assert.match(error.hint, /reset/);
    assert.equal(job.engine.loads.length, 0);
    assert.equal(job.store.saved.length, 0);
  });

  test('that came up during a refresh refuses it too', async () => {
    const job = new Job();
    const tools = job.tools({ health: (at) => (at === 'after' ? DOUBTFUL : readingOf()) });
    assert.equal(
      (await rejectedBy(refresh({ ...job.settings('workflow_dispatch'), ...ASKS.refresh }, tools))).code,
      'gpu-in-doubt',
    );
    assert.equal(job.store.saved.length, 0);
  });
});

test('an unhealthy GPU makes no baseline, and a refresh says so', async () => {
  const job = new Job();
  const report = await refresh(
    { ...job.settings('workflow_dispatch'), ...ASKS.refresh },
    job.tools({ health: () => BROKEN }),
  );
  assert.deepEqual([report.conclusion, report.verdict], ['unhealthy-gpu', 'fail']);
  assert.equal(report.context.baseline.kind, 'not-stored');
  assert.equal(job.store.saved.length, 0);
});

test('GPUs that cannot be asked are told as such, and never as healthy', async () => {
  const job = await trusting();
  const { report } = await checked(job, () => ({ state: 'unreadable', why: 'exit code 9' }));
  assert.equal(report.conclusion, 'reproduced');
  assert.equal(report.health?.state, 'unreadable');
  assert.deepEqual(
    report.context.notices.map(({ level, message }) => [level, message.split('. ')[0]]),
    [['notice', 'Nobody knows how the GPUs are: exit code 9 (before lifetime-1)']],
  );
});
