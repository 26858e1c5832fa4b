import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BaselineMeta, parseMeta } from '../../../src/baseline/port.ts';
import { UserError } from '../../../src/errors.ts';
import type { RefreshSettings } from '../../../src/job/settings.ts';
import { sha256 } from '../../../src/record/digest.ts';
import { refresh } from '../../../src/use-cases/refresh.ts';
import type { Computes, EngineOptions } from '../support/engine.ts';
import { ASKS, Job, SUITE } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

const OTHER: Computes = { shift: 1, nats: -0.5 };

/** What is trusted now, and its bytes. */
function baselineOf(job: Job): { readonly key: string; readonly meta: BaselineMeta; readonly bytes: Buffer } {
  const [kept] = job.store.baselines.values();
  const bytes = job.disk.folders.get(kept?.folder ?? '')?.meta;
  assert.ok(kept !== undefined && bytes !== undefined, 'nothing is trusted');
  return { key: kept.key, bytes, meta: parseMeta(bytes) };
}

const refreshed = (job: Job, settings: RefreshSettings, options: EngineOptions = {}) =>
  refresh({ ...settings, ...ASKS.refresh }, job.tools(options));

const onPush = (job: Job, more: Partial<RefreshSettings> = {}) =>
  job.settings('push', { reason: '', ...more });
const onSchedule = (job: Job, more: Partial<RefreshSettings> = {}) =>
  job.settings('schedule', { reason: '', ...more });

function assertAllGivenBack({ engine, store, disk }: Job): void {
  assert.deepEqual(
    { running: engine.running, runtime: engine.disposed, baselines: store.open, records: disk.unfinished },
    { running: 0, runtime: true, baselines: 0, records: 0 },
  );
}

describe('a first refresh', () => {
  test('stores what the engine computes, with who trusts it and why', async () => {
    const job = new Job();
    const settings = job.settings('workflow_dispatch', { reason: 'the model is new' });
    const report = await refreshed(job, settings);
    const { key, meta } = baselineOf(job);
    assert.deepEqual(job.store.saved, [{ key, replaces: undefined }]);
    const { provenance, chain, envelope, yardstick } = meta;
    assert.deepEqual(
      [provenance.reason, provenance.actor, provenance.runId],
      ['the model is new', 'alice', '101'],
    );
    assert.equal(provenance.pullRequest, null);
    assert.deepEqual([chain, yardstick], [[], []]);
    assert.deepEqual(envelope, { lifetimes: 4, digests: Array.from({ length: 4 }, () => meta.record) });
    assert.equal(meta.recordFile, job.disk.folders.get(settings.recordPath)?.record?.sha256);
    assert.deepEqual(report.context.baseline, {
      ...{ kind: 'stored', key, store: 'cache', inCheckout: false, provenance, replaced: null },
    });
    assert.deepEqual([report.conclusion, report.verdict], ['reproduced', 'pass']);
    assert.deepEqual(JSON.parse(job.disk.files.get(report.context.reportPath) ?? ''), report);
    assertAllGivenBack(job);
  });

  test('starts no engine where it may not store', async () => {
    const job = new Job();
    job.store.writable = () => {
      throw new UserError('store-refused', 'The cache may only be read here.', '');
    };
    assert.equal((await rejectedBy(job.refreshed())).code, 'store-refused');
    assert.deepEqual(job.engine.starts, []);
    await job.refreshed(undefined, { dryRun: true });
    assert.equal(job.engine.loads.length, 4, 'a dry run stores nothing, and may');
  });

  test('starts no engine on an event that may not refresh', async () => {
    const job = new Job();
    const error = await rejectedBy(refreshed(job, job.settings('pull_request', { base: 'refs/heads/main' })));
    assert.equal(error.code, 'refresh-not-allowed');
    assert.deepEqual(job.engine.starts, []);
  });

  test('as a dry run does all of it, and says under which key it would have stored', async () => {
    const job = new Job();
    const { context } = await job.refreshed(undefined, { dryRun: true });
    assert.deepEqual([job.store.saved, job.store.baselines.size], [[], 0]);
    assert.equal(context.baseline.kind, 'dry-run');
    const { key } = context.baseline.kind === 'dry-run' ? context.baseline : { key: '' };
    assert.match(key, /^deterministic-ml-v1\/suite\/cpu-genuineintel-x86-64-v4\/101-1-[0-9a-f]{16}$/);
    await job.refreshed();
    assert.equal(baselineOf(job).key.slice(-16), key.slice(-16), 'of the outcome that is then stored');
  });

  test('of an engine that does not repeat is refused', async () => {
    for (const computes of [
      ({ start }: { readonly start: number }): Computes => (start === 2 ? OTHER : {}),
      (): Computes => ({ unavailable: { generate: 'it does not generate' } }),
    ]) {
      const job = new Job();
      const { context, verdict } = await job.refreshed(computes);
      assert.deepEqual([context.baseline.kind, verdict, job.store.saved], ['not-stored', 'fail', []]);
      assertAllGivenBack(job);
    }
  });

  test('traces a compiled engine by an eager start of its own', async () => {
    const job = new Job();
    job.suite = SUITE.replace('{ name: vllm }', '{ name: vllm, args: { enforce_eager: false } }');
    await job.refreshed();
    assert.deepEqual(
      job.engine.loads.map(({ args }) => args['enforce_eager']),
      [false, false, false, false, true],
    );
    assert.equal(baselineOf(job).meta.envelope.lifetimes, 4, 'a start that only traces has no outcome');
  });

  test('by a push or a schedule makes no baseline that nobody asked for', async () => {
    for (const settings of [onPush, onSchedule]) {
      const job = new Job();
      const { context } = await refreshed(job, settings(job));
      assert.deepEqual([context.baseline.kind, job.store.saved], ['absent', []]);
    }
  });
});

describe('a refresh of what is trusted', () => {
  async function trusting(): Promise<Job> {
    const job = new Job();
    await job.refreshed();
    return job;
  }

  test('names what it replaces, which names what that had replaced', async () => {
    const job = await trusting();
    const first = baselineOf(job);
    await job.refreshed(() => OTHER, { reason: 'a new driver' });
    const second = baselineOf(job);
    assert.deepEqual(job.store.saved[1], { key: second.key, replaces: first.key });
    const link = {
      ...{ baseline: sha256(first.bytes), key: first.key },
      ...{ record: first.meta.record, provenance: first.meta.provenance },
    };
    assert.deepEqual(second.meta.chain, [link]);
    const { context } = await job.refreshed(() => ({ shift: 2 }), { reason: 'another one' });
    assert.deepEqual(
      baselineOf(job).meta.chain.map(({ key }) => key),
      [second.key, first.key],
    );
    assert.equal(context.baseline.kind === 'stored' && context.baseline.replaced, second.key);
  });

  test('looks at the old one, whatever relations the suite names, and holds a person to itself alone', async () => {
    const job = await trusting();
    const { key } = baselineOf(job);
    job.suite = SUITE.replace('[rerun, baseline]', '[rerun]');
    const byHand = await job.refreshed(() => OTHER, { dryRun: true });
    const { baseline } = byHand.context;
    assert.equal(baseline.kind === 'dry-run' && baseline.replaced, key);
    const requirementOf = ({ asked }: typeof byHand) =>
      asked.claims.find(({ relation }) => relation === 'baseline')?.requirement;
    assert.equal(requirementOf(byHand), 'measure');
    const byPush = await refreshed(job, onPush(job), { computes: () => OTHER });
    assert.equal(requirementOf(byPush), 'identical');
  });

  test('keeps a copy of what it was compared with, and shows how it differs before it stores', async () => {
    const job = await trusting();
    const before = baselineOf(job);
    const settings = job.settings('workflow_dispatch', { reason: 'a new driver' });
    await refreshed(job, settings, { computes: () => OTHER });
    const copy = job.disk.folders.get(`${settings.recordPath}.baseline`);
    assert.deepEqual(copy?.meta, before.bytes);
    const shown = job.lines.findLastIndex((line) => /capital.*(tokens|bits)/.test(line));
    assert.ok(shown > 0 && shown < job.lines.lastIndexOf('Store'), job.lines.join('\n'));
  });

  test('forces the old baseline’s tokens, so that its outcome is the one that a check names', async () => {
    const job = await trusting();
    const checked = await job.checked(() => OTHER);
    await job.refreshed(() => OTHER, { reason: 'accepted by hand' });
    assert.equal(baselineOf(job).meta.record, checked.outcome);
    assert.equal((await job.checked(() => OTHER)).conclusion, 'reproduced');
  });

  test('of the same bits stores nothing, unless it is asked to', async () => {
    const job = await trusting();
    const { key } = baselineOf(job);
    const { context } = await job.refreshed();
    assert.deepEqual([context.baseline.kind, baselineOf(job).key], ['unchanged', key]);
    await refreshed(job, onSchedule(job, { storeUnchanged: true }));
    assert.notEqual(baselineOf(job).key, key);
    assert.equal(baselineOf(job).meta.provenance.reason, 'first baseline', 'with the old one’s reason');
  });

  test('on a schedule is red at other bits, and stores none', async () => {
    const job = await trusting();
    const { context, verdict } = await refreshed(job, onSchedule(job, { storeUnchanged: true }), {
      computes: () => OTHER,
    });
    assert.deepEqual([context.baseline.kind, verdict, job.store.saved.length], ['not-stored', 'fail', 1]);
  });

  test('by a push stores what the merged suite accepts, with the pull request that brought it', async () => {
    const job = await trusting();
    const { outcome } = await job.checked(() => OTHER);
    job.suite = `${SUITE}accept: [{ record: ${outcome}, reason: a new kernel }]\n`;
    job.pullRequest = 7;
    await refreshed(job, onPush(job), { computes: () => OTHER });
    const { reason, pullRequest } = baselineOf(job).meta.provenance;
    assert.deepEqual([reason, pullRequest], ['a new kernel', 7]);
  });

  test('loses no record because GitHub does not tell whose it is', async () => {
    const job = await trusting();
    const { outcome } = await job.checked(() => OTHER);
    job.suite = `${SUITE}accept: [{ record: ${outcome}, reason: a new kernel }]\n`;
    job.pullRequest = new UserError('github-unavailable', 'GitHub did not answer.', '');
    await refreshed(job, onPush(job), { computes: () => OTHER });
    assert.equal(baselineOf(job).meta.provenance.pullRequest, null);
    assert.ok(job.lines.some((line) => /stays unnamed: GitHub did not answer/.test(line)));
  });

  test('asks GitHub nothing where a person gives the reason', async () => {
    const job = await trusting();
    job.pullRequest = new Error('GitHub was asked');
    await job.refreshed(() => OTHER, { reason: 'a new driver' });
    assert.equal(baselineOf(job).meta.provenance.pullRequest, null);
  });

  test('of a bug is not hidden behind an unnamed pull request', async () => {
    const job = await trusting();
    const { outcome } = await job.checked(() => OTHER);
    job.suite = `${SUITE}accept: [{ record: ${outcome}, reason: a new kernel }]\n`;
    job.pullRequest = new Error('a bug');
    await assert.rejects(refreshed(job, onPush(job), { computes: () => OTHER }), /a bug/);
    job.pullRequest = new UserError('cancelled', 'The run was cancelled.', '');
    assert.equal(
      (await rejectedBy(refreshed(job, onPush(job), { computes: () => OTHER }))).code,
      'cancelled',
    );
  });

  test('by an old run that was started again is refused before a model is loaded', async () => {
    const job = await trusting();
    const old = job.settings('workflow_dispatch');
    const error = await rejectedBy(refreshed(job, { ...old, job: { ...old.job, run: '100' } }));
    assert.equal(error.code, 'refresh-not-allowed');
    assert.deepEqual(job.engine.loads, []);
    assertAllGivenBack(job);
  });

  test('that is cancelled once all is measured replaces nothing', async () => {
    const job = await trusting();
    const computes = ({ start }: { readonly start: number }): Computes => {
      // The engine's work is done: what comes next is the decision.
      if (start === 3)
        job.disk.keepCopy = async () => job.abort.abort(new UserError('cancelled', 'Cancelled.', ''));
      return OTHER;
    };
    const error = await rejectedBy(job.refreshed(computes, { reason: 'a new driver' }));
    assert.deepEqual([error.code, job.store.saved.length], ['cancelled', 1]);
    assertAllGivenBack(job);
  });

  test('that a store refuses fails, and leaves the record', async () => {
    const job = await trusting();
    const settings = job.settings('workflow_dispatch', { reason: 'a new driver' });
    const refusal = new UserError('store-refused', 'Another refresh was faster.', '');
    job.store.save = async () => Promise.reject(refusal);
    assert.equal(await rejectedBy(refreshed(job, settings, { computes: () => OTHER })), refusal);
    assert.ok(job.disk.folders.get(settings.recordPath)?.record !== undefined);
    assertAllGivenBack(job);
  });
});

describe('a yardstick', () => {
  test('is measured where it is asked for, one start for each change that it knows', async () => {
    const job = new Job();
    await job.refreshed(({ start }) => (start > 4 ? { nats: -0.75 } : {}), { yardstick: true });
    const marks = new Map(baselineOf(job).meta.yardstick.map(({ id, rmsNats }) => [id, rmsNats]));
    assert.equal(marks.get('int8-weights'), 0.5);
    assert.equal(marks.has('weight-bit'), false, 'one bit is no measure');
    assert.equal(job.engine.loads.length, 4 + marks.size);
    // A GPU that its own run still had would be waited for in vain.
    assert.equal(job.engine.mostOpen, 1);
    assertAllGivenBack(job);
  });

  test('leaves out what the engine refuses, and says so', async () => {
    const job = new Job();
    await job.refreshed(
      ({ perturbation }) =>
        perturbation?.kind === 'round-weights'
          ? { error: { code: 'engine-rejected', message: 'its weights are packed\nat line 3' } }
          : {},
      { yardstick: true },
    );
    assert.equal(
      baselineOf(job).meta.yardstick.some(({ id }) => id === 'int8-weights'),
      false,
    );
    assert.ok(job.lines.includes('int8-weights cannot be measured here: its weights are packed'));
  });
});
