import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { knownChanges } from '../../../src/changes/known/index.ts';
import type { KnownChange, Subject } from '../../../src/changes/make.ts';
import { inFolder, type Measured, measureChange, measureOnce, once } from '../../../src/changes/measure.ts';
import { measureYardstick } from '../../../src/changes/yardstick.ts';
import type { OpenedRecord } from '../../../src/record/side.ts';
import { makePlan } from '../../../src/run/plan.ts';
import type { Computes, EngineOptions } from '../support/engine.ts';
import { Job, SUITE } from '../support/job.ts';
import { loaded } from '../support/suites.ts';

const LOADED = loaded(SUITE, [{ id: 'capital', text: 'The capital of France is' }]);
const PLAN = makePlan(LOADED, 'check');
const ONCE = once(PLAN, PLAN.repeats);

/** A change of the test's own. */
const change = (make: KnownChange['make'], more: Partial<KnownChange> = {}): KnownChange => ({
  ...{
    id: 'sampler',
    what: 'another sampler',
    equivalent: false,
    mayMoveNothing: false,
    yardstick: true,
    remedy: '',
    make,
  },
  ...more,
});

/** An unchanged run, and a job to change it in. */
async function unchanged(): Promise<{ job: Job; reference: OpenedRecord; subject: Subject }> {
  const job = new Job();
  const reference = await measureOnce(LOADED, ONCE, undefined, job.settings(), job.tools());
  const { fingerprint } = reference.record;
  return { job, reference, subject: { loaded: LOADED, plan: ONCE, fingerprint, effective: {} } };
}

async function measured(
  known: KnownChange,
  options: EngineOptions = {},
): Promise<Measured & { readonly job: Job }> {
  const { job, reference, subject } = await unchanged();
  const found = await measureChange(known, subject, reference, job.settings(), job.tools(options));
  return { ...found, job };
}

describe('one start of a plan', () => {
  test('runs what it is given, once, and leaves its record', async () => {
    const job = new Job();
    const settings = job.settings();
    const whole = makePlan(LOADED, 'refresh');
    const plan = once(whole, ONCE.passes);
    const { record, sha256 } = await measureOnce(LOADED, plan, undefined, settings, job.tools());
    assert.equal(whole.lifetimes, 4);
    assert.deepEqual(
      record.lifetimes.map(({ passes }) => passes.map(({ pass }) => pass)),
      [ONCE.passes.map(({ pass }) => pass)],
    );
    assert.equal(job.disk.folders.get(settings.recordPath)?.record?.sha256, sha256);
    assert.deepEqual([job.engine.running, job.disk.unfinished], [0, 0]);
  });

  test('forces the reference’s tokens', async () => {
    const { job, reference } = await unchanged();
    const tools = job.tools({ computes: () => ({ shift: 1 }) });
    const { record } = await measureOnce(LOADED, ONCE, reference, job.settings(), tools);
    assert.deepEqual(record.known, reference.record.known);
  });

  test('has a folder of its own beside the record', () => {
    const { recordPath } = inFolder(new Job().settings(), 'dtype');
    assert.equal(recordPath, '/record-1.power/dtype');
  });
});

describe('a known change', () => {
  test('is compared with the unchanged run as a check would', async () => {
    const same = await measured(change((subject) => subject));
    assert.equal(same.kind === 'compared' && same.baseline.status, 'held');
    const other = await measured(
      change((subject) => ({ ...subject, plan: { ...subject.plan, perturbation: { kind: 'weight-bit' } } })),
      { computes: ({ perturbation }) => (perturbation === null ? {} : { nats: -0.75 }) },
    );
    assert.equal(other.kind === 'compared' && other.baseline.status, 'broken');
    assert.equal(other.kind === 'compared' && other.baseline.size?.distance.rmsNats, 0.5);
    assert.equal(
      other.kind === 'compared' && other.side.record.lifetimes[0]?.perturbed,
      'weight-bit, as told',
    );
    assert.ok(other.job.disk.folders.has('/record-2.power/sampler'));
  });

  test('that is impossible here says why, and starts nothing', async () => {
    const { job, reference, subject } = await unchanged();
    const tools = job.tools();
    const known = change(() => 'the engine computes on a GPU');
    assert.deepEqual(await measureChange(known, subject, reference, job.settings(), tools), {
      kind: 'unavailable',
      reason: 'the engine computes on a GPU',
    });
    assert.deepEqual(job.engine.starts, []);
  });

  for (const code of ['engine-rejected', 'engine-failed', 'engine-out-of-memory'])
    test(`that the engine answers with ${code} is an answer`, async () => {
      const error = { code, message: 'no such backend\nat line 3' };
      const found = await measured(
        change((subject) => subject),
        { computes: () => ({ error }) },
      );
      assert.deepEqual(
        [found.kind, found.kind === 'unavailable' && found.reason],
        ['unavailable', 'no such backend'],
      );
      assert.deepEqual([found.job.engine.running, found.job.disk.unfinished], [0, 0]);
    });

  test('that ends in an error of the machine’s is none', async () => {
    for (const code of ['gpu-unavailable', 'disk-full', 'model-missing'])
      await assert.rejects(
        measured(
          change((subject) => subject),
          { computes: () => ({ error: { code, message: 'gone' } }) },
        ),
        { code },
      );
    await assert.rejects(
      measured(
        change(() => {
          throw new Error('a bug');
        }),
      ),
      /a bug/,
    );
  });
});

describe('a yardstick', () => {
  const MARKS = knownChanges.filter(({ yardstick }) => yardstick).map(({ id }) => id);

  async function yardstick(computes: (start: number) => Computes) {
    const { job, reference } = await unchanged();
    const tools = job.tools({ computes: ({ start }) => computes(start) });
    const marks = await measureYardstick(LOADED, PLAN, reference, job.settings(), tools);
    return { job, marks };
  }

  test('has a mark for each change that moves the scores, and scores only', async () => {
    const { job, marks } = await yardstick((start) => ({ nats: -0.25 - start }));
    const possible = MARKS.filter((id) => marks.some((mark) => mark.id === id));
    assert.deepEqual(
      marks.map(({ id, rmsNats }) => [id, rmsNats]),
      possible.map((id, index) => [id, index + 1]),
    );
    assert.ok(possible.includes('int8-weights') && possible.length >= 3);
    assert.deepEqual([...new Set(job.engine.passes.map(({ pass }) => pass))], ['score-alone']);
    assert.equal(job.engine.loads.length, possible.length, 'one start each');
  });

  test('has none for a change that moves nothing, or that cannot be made', async () => {
    assert.deepEqual((await yardstick(() => ({}))).marks, []);
    const { job, marks } = await yardstick(() => ({
      error: { code: 'engine-failed', message: 'it fell over' },
    }));
    assert.deepEqual(marks, []);
    assert.ok(job.lines.includes('int8-weights cannot be measured here: it fell over'));
  });
});
