import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Caches } from '../../../src/record/schema.ts';
import type { Report } from '../../../src/report/schema.ts';
import { refresh } from '../../../src/use-cases/refresh.ts';
import type { Computes, Load } from '../support/engine.ts';
import { ASKS, Job, SUITE } from '../support/job.ts';

const [KERNEL, OTHER] = ['a1'.repeat(32), 'b2'.repeat(32)];

/** A job whose suite has its caches kept, and a machine whose engine compiles one kernel where it finds none. */
function aJob(suite = SUITE): { readonly job: Job; readonly compiles: (load: Load) => Computes } {
  const job = new Job();
  job.suite = suite.replace('{ name: vllm }', '{ name: vllm, caches: kept }');
  return {
    job,
    compiles: () => {
      job.caches.folder['triton/kernel.cubin'] ??= KERNEL;
      return job.caches.folder['triton/kernel.cubin'] === KERNEL ? {} : { nats: -0.5 };
    },
  };
}

/** What each lifetime of a run's record found and left: kind, files before, files after. */
const cachesIn = (job: Job, path: string): readonly Caches[] =>
  job.disk.folders.get(path)?.record?.record.lifetimes.flatMap(({ caches }) => caches ?? []) ?? [];

const told = (caches: readonly Caches[]) =>
  caches.map(({ kind, before, after }) => [kind, before.files, after?.files ?? null]);

const titles = ({ context }: Report) => context.notices.map(({ title }) => title);

describe('a suite whose caches are kept', () => {
  test('is refreshed by one engine start that compiles, whose caches the others find', async () => {
    const { job, compiles } = aJob();
    const report = await job.refreshed(compiles);
    assert.equal(report.verdict, 'pass');
    assert.deepEqual(told(cachesIn(job, '/record-1')), [
      ['fresh', 0, 1],
      ['kept', 1, 1],
      ['kept', 1, 1],
      ['kept', 1, 1],
    ]);
    assert.equal(job.caches.kept.size, 1);
  });

  test('is refreshed anew with what is kept, and by one start that compiles all the same', async () => {
    const { job, compiles } = aJob();
    await job.refreshed(compiles);
    await job.refreshed(compiles, { reason: 'once more', storeUnchanged: true });
    assert.deepEqual(
      cachesIn(job, '/record-2').map(({ kind }) => kind),
      ['kept', 'fresh', 'kept', 'kept'],
    );
  });

  test('keeps nothing of a branch that nobody has merged, whose baseline is a diff', async () => {
    const { job, compiles } = aJob(SUITE.replace('relations:', 'baseline: { store: files }\nrelations:'));
    const settings = job.settings('workflow_dispatch', { ref: 'refs/heads/feature' });
    const report = await refresh({ ...settings, ...ASKS.refresh }, job.tools({ computes: compiles }));
    assert.equal(report.context.baseline.kind, 'stored');
    assert.equal(job.caches.kept.size, 0);
    assert.ok(job.lines.some((line) => /this is not the default branch/.test(line)));
  });

  test('keeps what a baseline stands on, whatever the start that compiles all the same has left', async () => {
    const { job, compiles } = aJob(SUITE.replace('relations:', 'baseline: { lifetimes: 2 }\nrelations:'));
    // No two compilations leave the same file, and all of them compute the same.
    const leaves = (log: string) => (load: Load) => {
      job.caches.folder['triton/log'] ??= log;
      return compiles(load);
    };
    await job.refreshed(leaves(KERNEL));
    const before = [...job.caches.kept.values()];
    await job.refreshed(leaves(OTHER), { reason: 'once more', storeUnchanged: true });
    assert.deepEqual([...job.caches.kept.values()], before);
  });

  test('starts twice at least, so that a compilation that does not repeat is seen', async () => {
    const { job, compiles } = aJob(SUITE.replace('relations:', 'baseline: { lifetimes: 1 }\nrelations:'));
    const report = await job.refreshed((load) =>
      load.start === 1 ? { ...compiles(load), nats: -2 } : compiles(load),
    );
    assert.deepEqual([report.conclusion, report.verdict], ['unstable', 'fail']);
    assert.ok(titles(report).includes('What was compiled anew gives other bits'));
    assert.equal(job.caches.kept.size, 0, 'nothing is kept that is not trusted');
  });

  test('is checked with what the refresh kept, and a check keeps nothing', async () => {
    const { job, compiles } = aJob();
    await job.refreshed(compiles);
    const before = [...job.caches.kept.values()];
    const report = await job.checked((load) => {
      job.caches.folder['triton/more.cubin'] = OTHER;
      return compiles(load);
    });
    assert.equal(report.verdict, 'pass');
    assert.deepEqual(told(cachesIn(job, '/record-2')), [['kept', 1, 2]]);
    assert.match(JSON.stringify(report.context.notices), /lifetime-1 found 1 file and left 2 files/);
    assert.deepEqual([...job.caches.kept.values()], before);
    assert.deepEqual(report.changes, []);
  });

  test('drifts by a changed kept cache, and the report says that it is another', async () => {
    const { job, compiles } = aJob();
    await job.refreshed(compiles);
    for (const key of job.caches.kept.keys()) job.caches.kept.set(key, { 'triton/kernel.cubin': OTHER });
    const report = await job.checked(compiles);
    assert.equal(report.conclusion, 'drift');
    assert.deepEqual(report.changes, [
      {
        ...{ half: 'ambient', field: 'kept caches', before: '1 file' },
        after: '1 file; 1 of 1 differ: triton/kernel.cubin',
      },
    ]);
  });

  test('is told where none are kept, or those that are were refused', async () => {
    const { job, compiles } = aJob();
    await job.refreshed(compiles);
    job.caches.refusal = '1 of 1 files are not what was kept';
    const refused = await job.checked(compiles);
    assert.ok(titles(refused).includes('Kept caches were refused'));
    assert.match(JSON.stringify(refused.changes), /kept caches.*none; 1 of 1 differ/);
    const none = await job.checked(compiles);
    assert.ok(titles(none).includes('No kept caches'));
    assert.equal(none.verdict, 'pass', 'it was measured, and gave the same bits');
  });

  test('is told where what an engine left cannot be kept', async () => {
    const { job, compiles } = aJob();
    job.caches.unfit = 'has inductor/x, which is a link';
    const report = await job.refreshed(compiles);
    assert.ok(titles(report).includes('Caches could not be kept'));
    assert.equal(cachesIn(job, '/record-1')[0]?.after, null);
    assert.equal(job.caches.kept.size, 0);
  });
});

test('a suite that says nothing of caches starts each engine with none, and its record says nothing of them', async () => {
  const job = new Job();
  await job.refreshed();
  assert.deepEqual(cachesIn(job, '/record-1'), []);
});
