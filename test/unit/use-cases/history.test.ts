import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseMeta } from '../../../src/baseline/port.ts';
import { sha256 } from '../../../src/record/digest.ts';
import { log, logFolder } from '../../../src/use-cases/history.ts';
import { refresh } from '../../../src/use-cases/refresh.ts';
import { ASKS, Job } from '../support/job.ts';
import { FINGERPRINT } from '../support/records.ts';
import { rejectedBy } from '../support/suites.ts';

const told = (job: Job) => log({ ...job.settings(), ...ASKS.log }, job.tools());

describe('the history of a suite', () => {
  test('is what is trusted and what that replaced, newest first, without an engine', async () => {
    const job = new Job();
    await job.refreshed();
    const [first] = job.store.saved;
    await job.refreshed(() => ({ shift: 1 }), { reason: 'a new driver' });
    const [history, ...others] = await told(job);
    assert.deepEqual(others, []);
    assert.deepEqual([history?.suite, history?.hardwareClass], ['suite', 'cpu-genuineintel-x86-64-v4']);
    assert.deepEqual(
      history?.baselines.map(({ key, provenance }) => [key, provenance.reason]),
      [
        [job.store.saved[1]?.key, 'a new driver'],
        [first?.key, 'first baseline'],
      ],
    );
    const newest = job.disk.folders.get(job.store.saved[1]?.key ?? '')?.meta ?? Buffer.alloc(0);
    assert.equal(history?.baselines[0]?.baseline, sha256(newest));
    assert.equal(history?.baselines[0]?.record, parseMeta(newest).record);
    assert.deepEqual([job.engine.starts, job.store.open], [[], 0]);
  });

  test('tells for a page what each changed, as far as the store still has its record', async () => {
    const job = new Job();
    await job.refreshed();
    await job.refreshed(() => ({ shift: 1 }), { reason: 'a new driver' });
    await job.refreshed(() => ({ shift: 2 }), { reason: 'another one' });
    const forPage = () =>
      log({ ...job.settings(), documents: { html: '/page.html' }, ...ASKS.log }, job.tools());
    const [whole] = await forPage();
    assert.deepEqual(
      whole?.since?.map((one) => (one.kind === 'compared' ? [one.outcome, one.differ > 0] : one.kind)),
      [
        ['differs', true],
        ['differs', true],
      ],
    );
    assert.equal((await told(job))[0]?.since, undefined);

    job.disk.folders.delete(job.store.saved[0]?.key ?? '');
    const [rest] = await forPage();
    assert.deepEqual(
      rest?.since?.map(({ kind }) => kind),
      ['compared', 'unknown'],
    );
    assert.equal(job.store.open, 0);
  });

  test('has every hardware class, each by itself', async () => {
    const job = new Job();
    await job.refreshed();
    const cpu = { ...FINGERPRINT.ambient.cpu, vendor: 'AuthenticAMD', level: 'x86-64-v3' };
    await refresh(
      { ...job.settings('workflow_dispatch'), ...ASKS.refresh },
      job.tools({ fingerprint: { cpu } }),
    );
    assert.deepEqual(
      (await told(job)).map(({ hardwareClass, baselines }) => [hardwareClass, baselines.length]),
      [
        ['cpu-authenticamd-x86-64-v3', 1],
        ['cpu-genuineintel-x86-64-v4', 1],
      ],
    );
  });

  test('of a suite that nobody refreshed is empty', async () => {
    assert.deepEqual(await told(new Job()), []);
  });

  test('does not pass for empty where the store names one and does not give it', async () => {
    const job = new Job();
    job.store.classes = async () => ['cpu-genuineintel-x86-64-v4'];
    const error = await rejectedBy(told(job));
    assert.equal(error.code, 'store-unavailable');
    assert.match(error.message, /baseline of suite on cpu-genuineintel-x86-64-v4/);
  });

  test('tells no damaged baseline', async () => {
    const job = new Job();
    await job.refreshed();
    const [kept] = job.store.baselines.values();
    job.disk.folders.set(kept?.folder ?? '', { meta: Buffer.from('{}') });
    assert.equal((await rejectedBy(told(job))).code, 'baseline-invalid');
    assert.equal(job.store.open, 0);
  });
});

describe('the history of a folder', () => {
  test('such as the copy that a check leaves is what its baseline.json tells', async () => {
    const job = new Job();
    await job.refreshed();
    const settings = job.settings();
    await job.checked(undefined, settings);
    const folder = `${settings.recordPath}.baseline`;
    const [history] = await logFolder(folder, { records: job.disk });
    const [stored] = await told(job);
    assert.deepEqual(history, {
      ...stored,
      // It does not say where it was.
      baselines: stored?.baselines.map((link) => ({ ...link, key: folder })),
    });
  });

  test('that holds none, or what this version does not read, says so', async () => {
    const job = new Job();
    job.disk.folders.set('/other', { meta: Buffer.from('{"schema":"deterministic-ml/baseline/v0"}') });
    for (const folder of ['/nowhere', '/other']) {
      const error = await rejectedBy(logFolder(folder, { records: job.disk }));
      assert.equal(error.code, 'baseline-invalid');
      assert.match(error.message, new RegExp(`^${folder}/baseline\\.json is no baseline of this version: `));
    }
  });
});
