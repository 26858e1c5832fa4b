import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseMeta } from '../../../src/baseline/port.ts';
import { UserError } from '../../../src/errors.ts';
import type { RefreshSettings } from '../../../src/job/settings.ts';
import { StoreAnswer } from '../../../src/report/answers.ts';
import { reportDigest } from '../../../src/report/make.ts';
import type { Report } from '../../../src/report/schema.ts';
import { check } from '../../../src/use-cases/check.ts';
import { refresh } from '../../../src/use-cases/refresh.ts';
import { store } from '../../../src/use-cases/store.ts';
import type { Computes, EngineOptions } from '../support/engine.ts';
import { ASKS, Job, SUITE } from '../support/job.ts';
import { FINGERPRINT } from '../support/records.ts';
import { rejectedBy } from '../support/suites.ts';

const OTHER: Computes = { shift: 1, nats: -0.5 };
const HERE = 'cpu-genuineintel-x86-64-v4';
const THERE = 'cpu-authenticamd-x86-64-v4';
/** A machine of the second class. */
const AMD: EngineOptions = {
  fingerprint: { cpu: { ...FINGERPRINT.ambient.cpu, vendor: 'AuthenticAMD' } },
};

/** A dispatch with a leg on each class, and the job that stores what they made. */
class Bulk {
  readonly job = new Job();
  readonly #run: RefreshSettings['job'] = { ...this.job.settings().job, run: '900' };
  #legs = 0;

  /** What a leg leaves: its record, report and baseline, as a download puts them. */
  async leg(options: EngineOptions, more: Partial<RefreshSettings> = {}): Promise<Report> {
    this.#legs += 1;
    const recordPath = `/reports/${this.#legs}/record`;
    const settings = this.job.settings('workflow_dispatch', { reason: 'a new image', dryRun: true, ...more });
    return await refresh(
      { ...settings, job: this.#run, recordPath, ...ASKS.refresh },
      this.job.tools(options),
    );
  }

  async both(computes: Computes = {}): Promise<void> {
    await this.leg({ computes: () => computes });
    await this.leg({ ...AMD, computes: () => computes });
  }

  async stored(expected = 2, event = 'workflow_dispatch') {
    const settings = this.job.settings(event, { reason: 'a new image' });
    const tools = this.job.tools();
    const answer = await store(
      { ...settings, job: this.#run, reports: '/reports', expected, ...ASKS.store },
      tools,
    );
    assert.deepEqual(
      [this.job.engine.starts, this.job.store.open],
      [[], 0],
      'no engine, and all is given back',
    );
    return { ...answer, value: StoreAnswer.parse(answer.value) };
  }

  /** Nothing is stored, and why. */
  async refused(expected = 2): Promise<UserError> {
    const before = [...this.job.store.baselines];
    const error = await rejectedBy(this.stored(expected));
    assert.deepEqual([...this.job.store.baselines], before);
    return error;
  }
}

describe('what several refreshes have measured', () => {
  test('is stored of all of them, with the reason, and each is what a check compares with', async () => {
    const bulk = new Bulk();
    await bulk.both();
    const { value, lines, verdict } = await bulk.stored();
    assert.equal(verdict, 'pass');
    assert.deepEqual(
      value.stored.map(({ hardwareClass }) => hardwareClass),
      [HERE, THERE],
    );
    assert.match(lines.at(-1) ?? '', /^Stored 2 baselines of 2 refreshes, for “a new image”\.$/);
    for (const { key } of value.stored) {
      const meta = parseMeta(bulk.job.disk.folders.get(key)?.meta ?? '');
      assert.deepEqual([meta.provenance.runId, meta.provenance.reason], ['900', 'a new image']);
      assert.equal(meta.envelope.lifetimes, 4);
    }
    for (const options of [{}, AMD]) {
      const report = await check({ ...bulk.job.settings(), ...ASKS.check }, bulk.job.tools(options));
      assert.deepEqual([report.conclusion, report.verdict], ['reproduced', 'pass']);
    }
  });

  test('replaces what each was compared with, and leaves what did not change', async () => {
    const bulk = new Bulk();
    await bulk.both();
    const first = await bulk.stored();
    bulk.job.disk.files.clear();
    await bulk.leg({ computes: () => OTHER });
    await bulk.leg(AMD);
    const { value, lines } = await bulk.stored();
    assert.deepEqual([value.stored.length, value.unchanged], [1, [{ suite: 'suite', hardwareClass: THERE }]]);
    const [, , last] = bulk.job.store.saved;
    assert.equal(last?.replaces, first.value.stored[0]?.key);
    assert.match(lines.join('\n'), /suite on cpu-authenticamd\S+: nothing changed, the old baseline stays/);
  });
});

describe('nothing is stored, of none of them,', () => {
  test('where one leg came to no baseline', async () => {
    const bulk = new Bulk();
    await bulk.leg({});
    await bulk.leg({ ...AMD, computes: ({ start }) => (start === 2 ? OTHER : {}) });
    const error = await bulk.refused();
    assert.equal(error.code, 'store-refused');
    assert.match(
      error.message,
      /^Nothing was stored.*suite on cpu-authenticamd\S+ came to none: `restart` is broken/,
    );
  });

  test('where a leg left nothing, is there twice, or has stored its own', async () => {
    const bulk = new Bulk();
    await bulk.leg({});
    assert.match((await bulk.refused()).code, /reports-missing/);
    await bulk.leg({});
    assert.match((await bulk.refused()).message, /is there twice/);
    const eager = new Bulk();
    await eager.leg({}, { dryRun: false });
    const error = await eager.refused(1);
    assert.match(error.message, /has stored its own already/);
    assert.match(error.hint, /dry-run: true/);
  });

  test('where another refresh stored one since', async () => {
    const bulk = new Bulk();
    await bulk.both();
    await bulk.job.refreshed(() => OTHER);
    const error = await bulk.refused();
    assert.match(
      error.message,
      /suite on cpu-genuineintel\S+ was compared with another baseline than there is now/,
    );
  });

  test('where a report was changed, does not follow from its record, or is of another run', async () => {
    const change = async (with_: (report: Report) => Report) => {
      const bulk = new Bulk();
      await bulk.both();
      const { files } = bulk.job.disk;
      const path = '/reports/2/record.report.json';
      files.set(path, JSON.stringify(with_(JSON.parse(files.get(path) ?? '') as Report)));
      return await bulk.refused();
    };
    const signed = (report: Report) => ({ ...report, sha256: reportDigest(report) });
    const changed = await change((report) => ({ ...report, outcome: 'a'.repeat(64) }));
    assert.match(changed.message, /was changed after it was written/);
    const forged = await change((report) => signed({ ...report, outcome: 'a'.repeat(64) }));
    assert.equal(forged.code, 'report-unverified');
    assert.match(
      forged.message,
      /record\.report\.json does not follow from its record: .* Nothing was stored/,
    );
    const foreign = await change((report) =>
      signed({ ...report, context: { ...report.context, run: { ...report.context.run, id: '1' } } }),
    );
    assert.match(foreign.message, /comes from run 1, attempt 1, and not from run 900/);
  });

  test('where the record is another one than the report is of', async () => {
    const bulk = new Bulk();
    await bulk.both();
    const { folders } = bulk.job.disk;
    folders.set('/reports/2/record', { ...folders.get('/reports/1/record') });
    assert.equal((await bulk.refused()).code, 'report-unverified');
  });

  test('where the suite is another one by now, or a check’s report lies there', async () => {
    const bulk = new Bulk();
    await bulk.both();
    bulk.job.suite = SUITE.replace('The sky is', 'The sea is');
    assert.equal((await bulk.refused()).code, 'suite-changed');
    const mixed = new Bulk();
    await mixed.leg({});
    const settings = mixed.job.settings('push', { recordPath: '/reports/9/record' });
    const run = { ...settings.job, run: '900' };
    await check({ ...settings, job: run, ...ASKS.check }, mixed.job.tools(AMD));
    assert.match((await mixed.refused()).message, /is of a check, which makes no baseline/);
  });

  test('on an event that brings no person’s reason', async () => {
    for (const event of ['push', 'schedule', 'pull_request']) {
      const bulk = new Bulk();
      await bulk.both();
      const error = await rejectedBy(bulk.stored(2, event));
      assert.equal(error.code, 'refresh-not-allowed', event);
      assert.equal(bulk.job.store.saved.length, 0);
    }
  });

  test('and an outage after the first says what is stored by then', async () => {
    const bulk = new Bulk();
    await bulk.both();
    const save = bulk.job.store.save.bind(bulk.job.store);
    bulk.job.store.save = async (...asked) => {
      if (bulk.job.store.saved.length > 0)
        throw new UserError('store-unavailable', 'It does not answer.', 'Wait.');
      return await save(...asked);
    };
    const error = await rejectedBy(bulk.stored());
    assert.equal(error.code, 'store-unavailable');
    assert.match(
      error.message,
      /It does not answer\. Until then 1 baseline of 2 had been stored: suite on cpu-genuineintel/,
    );
  });
});
