import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../../../src/errors.ts';
import type { Report } from '../../../src/report/schema.ts';
import { check } from '../../../src/use-cases/check.ts';
import type { Computes } from '../support/engine.ts';
import { ASKS, Job, SUITE, TIP } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

const OTHER: Computes = { shift: 1, nats: -0.5 };

/** A job whose baseline is what the engine computes unless told otherwise. */
async function trusting(suite = SUITE): Promise<Job> {
  const job = new Job();
  job.suite = suite;
  assert.equal((await job.refreshed()).verdict, 'pass');
  return job;
}

const statusOf = ({ relations }: Report, name: string) =>
  relations.find(({ relation }) => relation === name)?.status;

function assertAllGivenBack({ engine, store, disk }: Job): void {
  assert.deepEqual(
    { running: engine.running, runtime: engine.disposed, baselines: store.open, records: disk.unfinished },
    { running: 0, runtime: true, baselines: 0, records: 0 },
  );
}

describe('a model that gives vectors', () => {
  // It chooses no tokens, and so says nothing of sampling.
  const vectors = SUITE.replace('name: vllm', 'name: transformers')
    .replace(/^sampling:.*\n/m, '')
    .concat('task: embed\n');
  const first = (): Computes => ({ vector: [1, 2, 3] });
  const second = (): Computes => ({ vector: [1, 2, 2.5], module: 'other' });

  test('is refreshed, reproduced, and drifts by its numbers and the module that gave them', async () => {
    const job = new Job();
    job.suite = vectors;
    assert.equal((await job.refreshed(first)).verdict, 'pass');
    const same = await job.checked(first);
    assert.deepEqual([same.conclusion, same.verdict], ['reproduced', 'pass']);
    assert.ok(
      job.engine.passes.every(({ kind }) => kind === 'score'),
      'nothing is generated',
    );
    const other = await job.checked(second);
    assert.deepEqual([other.conclusion, other.verdict], ['drift', 'fail']);
    const found = other.relations.find(({ relation }) => relation === 'baseline')?.findings ?? [];
    assert.deepEqual(
      found.map(({ prompt, agreement }) => [prompt, agreement]),
      [
        ['capital', 'vector-differs'],
        ['sky', 'vector-differs'],
        ['prose', 'vector-differs'],
      ],
    );
    assert.match(
      found[0]?.reason ?? '',
      /^1 of the vector’s 3 numbers differ, by at most 0\.50; cosine distance 0\.00/,
    );
    assert.ok(found[0]?.trace, 'the modules that differ are named');
  });
});

describe('a check', () => {
  test('of the same bits reproduces them, in one start', async () => {
    const job = await trusting();
    const report = await job.checked();
    assert.deepEqual([report.conclusion, report.verdict], ['reproduced', 'pass']);
    assert.deepEqual([statusOf(report, 'rerun'), statusOf(report, 'baseline')], ['held', 'held']);
    assert.equal(job.engine.loads.length, 1);
    assert.equal(job.store.saved.length, 1, 'a check stores nothing');
    assertAllGivenBack(job);
  });

  test('leaves its record, a copy of the baseline, its report and a page of it', async () => {
    const job = await trusting();
    const settings = job.settings();
    const report = await job.checked(undefined, settings);
    const { recordPath } = settings;
    const copy = job.disk.folders.get(`${recordPath}.baseline`);
    assert.equal(job.disk.folders.get(recordPath)?.record?.sha256, report.digests.record);
    assert.equal(copy?.record?.sha256, report.digests.baselineRecord);
    assert.deepEqual(JSON.parse(job.disk.files.get(report.context.reportPath) ?? ''), report);
    assert.match(job.disk.files.get(report.context.htmlPath) ?? '', /^<!doctype html>/i);
    assert.equal(report.context.logPath, `${recordPath}.log`);
  });

  test('gives force and score the baseline’s tokens, whatever the engine generates now', async () => {
    const job = await trusting(`${SUITE}policy: { confirm: 3 }\n`);
    const known = (pass: string) =>
      job.engine.passes
        .filter((one) => one.pass === pass)
        .flatMap(({ requests }) => requests.map((r) => r.tokens));
    const [force, score] = [known('force-alone'), known('score-alone')];
    assert.equal(force.filter((tokens) => tokens !== null).length, 8, 'two prompts in four starts');
    await job.checked(() => OTHER);
    // Four starts each: a refresh's, and a check's with three that confirm.
    assert.deepEqual(known('force-alone'), force);
    assert.deepEqual(known('score-alone'), score);
  });

  test('whose engine sees other GPUs than the suite asks for ends before a model is loaded, whatever the class', async () => {
    const gpu = {
      name: 'NVIDIA H200',
      uuidHash: 'a',
      computeCapability: '9.0',
      smCount: 132,
      memoryBytes: 1,
    };
    const one = `${SUITE}runtime: { gpus: 1 }\n`;
    for (const [suite, gpus, told] of [
      [one, [], /asks for 1 GPU .*sees 0/],
      [one, [gpu, gpu], /asks for 1 GPU .*sees 2/],
      [SUITE, [gpu], /asks for no GPU .*sees 1/],
    ] as const) {
      const job = new Job();
      job.suite = suite;
      const error = await rejectedBy(
        check({ ...job.settings(), ...ASKS.check }, job.tools({ fingerprint: { gpus: [...gpus] } })),
      );
      assert.equal(error.code, 'gpu-unavailable');
      assert.match(error.message, told);
      assert.deepEqual(job.engine.loads, []);
      assertAllGivenBack(job);
    }
  });

  test('that finds a drift confirms it by as many starts as the policy says', async () => {
    for (const confirm of [0, 1, 2]) {
      const job = await trusting(`${SUITE}policy: { confirm: ${confirm} }\n`);
      const report = await job.checked(() => OTHER);
      assert.deepEqual([report.conclusion, report.verdict], ['drift', 'fail']);
      assert.equal(job.engine.loads.length, 1 + confirm);
      assert.equal(
        job.lines.some((line) => line.startsWith('Not what the baseline knows')),
        confirm > 0,
      );
      assertAllGivenBack(job);
    }
  });

  test('calls an engine unstable whose other starts give what the baseline knows', async () => {
    const job = await trusting();
    const report = await job.checked(({ start }) => (start === 1 ? OTHER : {}));
    assert.equal(report.conclusion, 'unstable');
    const each = await job.checked(({ start }) => ({ shift: start }));
    assert.equal(each.conclusion, 'unstable', 'another outcome each time');
  });

  test('of a drift that the suite accepts passes, and confirms nothing', async () => {
    const job = await trusting();
    const { outcome } = await job.checked(() => OTHER);
    job.suite = `${SUITE}accept: [{ record: ${outcome}, reason: a new kernel }]\n`;
    const accepted = await job.checked(() => OTHER);
    assert.deepEqual([accepted.conclusion, accepted.verdict], ['drift', 'pass']);
    assert.equal(accepted.accepted?.reason, 'a new kernel');
    assert.equal(job.engine.loads.length, 1);
    const third = await job.checked(() => ({ shift: 2 }));
    assert.equal(third.verdict, 'fail', 'another drift is not what was accepted');
  });

  test('traces a compiled engine by an eager start, once it has drifted', async () => {
    const compiled = SUITE.replace('{ name: vllm }', '{ name: vllm, args: { enforce_eager: false } }');
    const job = await trusting(compiled);
    const eager = () => job.engine.loads.map(({ args }) => args['enforce_eager']);
    await job.checked();
    assert.deepEqual(eager(), [false], 'what did not drift needs no explanation');
    const report = await job.checked(() => ({ nats: -0.5, module: 'another' }));
    assert.deepEqual(eager(), [false, false, false, false, false, true]);
    assert.deepEqual(
      job.engine.passes.slice(-1).map(({ kind }) => kind),
      ['trace'],
    );
    const traced = report.relations
      .flatMap(({ findings }) => findings)
      .filter(({ agreement }) => agreement === 'modules-differ');
    assert.equal(traced.length, report.work.prompts + report.work.texts, 'one for each scored text');
  });

  test('of a suite without the relation `baseline` asks no store', async () => {
    const job = new Job();
    job.suite = SUITE.replace('[rerun, baseline]', '[rerun]');
    job.store.find = async () => assert.fail('the store was asked');
    const report = await job.checked();
    assert.deepEqual([report.conclusion, report.context.baseline.kind], ['reproduced', 'not-asked']);
  });

  test('without a baseline says so, and fails unless the policy lets it pass', async () => {
    const job = new Job();
    const settings = job.settings();
    const report = await job.checked(undefined, settings);
    assert.deepEqual([report.conclusion, report.verdict], ['no-baseline', 'fail']);
    assert.equal(job.engine.loads.length, 1, 'there is nothing to confirm');
    assert.equal(job.disk.folders.has(`${settings.recordPath}.baseline`), false);
    job.suite = `${SUITE}policy: { no-baseline: warn }\n`;
    assert.equal((await job.checked()).verdict, 'warn');
  });

  test('of which nobody knows that there never was one passes by no policy', async () => {
    const job = new Job();
    job.suite = `${SUITE}policy: { no-baseline: warn, incomparable: warn }\n`;
    job.store.memory = { kind: 'once', what: 'There was one.' };
    const lost = await job.checked();
    assert.deepEqual([lost.conclusion, lost.verdict], ['no-baseline', 'fail']);
    assert.deepEqual(
      lost.context.notices.map(({ title, message }) => `${title}: ${message.slice(0, 15)}`),
      ['The baseline was lost: There was one. '],
    );
    job.store.memory = { kind: 'unknown', why: 'Nobody says.', remedy: 'Ask.' };
    const unknown = await job.checked();
    assert.deepEqual([unknown.conclusion, unknown.verdict], ['no-baseline', 'fail']);
    job.store.baselines.set('other-hardware', { key: 'k', folder: 'f' });
    const other = await job.checked();
    assert.deepEqual([other.conclusion, other.verdict], ['incomparable', 'fail']);
    // It is not even asked where the policy is strict.
    job.store.remembers = () => Promise.reject(new Error('asked'));
    job.suite = SUITE;
    assert.equal((await job.checked()).verdict, 'fail');
  });

  test('on other hardware than the baseline’s is incomparable', async () => {
    const job = await trusting();
    const [kept] = job.store.baselines.values();
    assert.ok(kept);
    job.store.baselines.clear();
    job.store.baselines.set('nvidia-h100-80gb-hbm3-cc9.0-sm132-x1', kept);
    const report = await job.checked();
    assert.equal(report.conclusion, 'incomparable');
    assert.deepEqual(
      report.context.baseline.kind === 'incomparable' && report.context.baseline.otherClasses,
      ['nvidia-h100-80gb-hbm3-cc9.0-sm132-x1'],
    );
  });
});

describe('a check that cannot be done ends', () => {
  test('before the model is loaded, where the store does not answer', async () => {
    const job = new Job();
    const outage = new UserError('store-unavailable', 'The cache does not answer.', 'Try again.');
    job.store.find = async () => Promise.reject(outage);
    assert.equal(await rejectedBy(job.checked()), outage);
    assert.deepEqual(job.engine.loads, []);
    assertAllGivenBack(job);
  });

  test('before the model is loaded, where the baseline is damaged', async () => {
    const job = await trusting();
    const [kept] = job.store.baselines.values();
    job.disk.folders.set(kept?.folder ?? '', { meta: Buffer.from('{}') });
    assert.equal((await rejectedBy(job.checked())).code, 'baseline-invalid');
    assert.deepEqual(job.engine.loads, []);
    assertAllGivenBack(job);
  });

  test('with the engine’s own error, and leaves no record', async () => {
    const job = await trusting();
    const settings = job.settings();
    const error = { code: 'engine-out-of-memory', message: 'no room for the weights' };
    assert.equal((await rejectedBy(job.checked(() => ({ error }), settings))).code, 'engine-out-of-memory');
    assert.equal(job.disk.folders.has(settings.recordPath), false);
    assertAllGivenBack(job);
  });

  test('with the error of the start that confirms, and all is given back', async () => {
    const job = await trusting();
    const error = { code: 'engine-failed', message: 'it fell over' };
    const found = await rejectedBy(job.checked(({ start }) => (start === 1 ? OTHER : { error })));
    assert.equal(found.code, 'engine-failed');
    assertAllGivenBack(job);
  });

  test('where a prompt’s answer never comes', async () => {
    const job = await trusting();
    const error = await rejectedBy(job.checked(() => ({ forgets: 'sky' })));
    assert.equal(error.code, 'protocol-violation');
    assert.match(error.message, /generate-alone ended without `sky`/);
  });

  test('when it is cancelled', async () => {
    const job = await trusting();
    const error = await rejectedBy(
      job.checked(() => {
        job.abort.abort(new UserError('cancelled', 'The run was cancelled.', ''));
        return {};
      }),
    );
    assert.equal(error.code, 'cancelled');
    assertAllGivenBack(job);
  });
});

describe('code that a suite or a model brings along', () => {
  const PINNED = SUITE.replace(
    'sampling:',
    `runtime: { image: r/i@sha256:${'b2'.repeat(32)} }\nsampling:`,
  ).replace('{ path: model }', `{ id: o/m, revision: ${'a1'.repeat(20)} }`);
  const REMOTE = PINNED.replace('{ name: vllm }', '{ name: vllm, args: { trust_remote_code: true } }');
  const PICKLED = [{ path: 'pytorch_model.bin', bytes: 10, sha256: 'c3'.repeat(32) }];
  const NOTICE = 'Code and files beside the pinned engine';

  test('is noticed beside the verdict', async () => {
    const job = new Job();
    job.suite = REMOTE;
    const report = await check({ ...job.settings(), ...ASKS.check }, job.tools({ model: PICKLED }));
    const [notice] = report.context.notices.filter(({ title }) => title === NOTICE);
    assert.equal(notice?.level, 'notice');
    assert.match(notice.message, /`trust_remote_code` runs Python .*can hold a program: pytorch_model\.bin/);
    job.suite = PINNED;
    assert.deepEqual(
      (await job.checked()).context.notices.filter(({ title }) => title === NOTICE),
      [],
    );
  });

  test('is refused of a stranger, the base branch asking for the same or not', async () => {
    const fork = (job: Job) => ({
      ...job.settings('pull_request', { ref: 'refs/pull/7/merge', base: 'refs/heads/main', fork: true }),
      ...ASKS.check,
    });
    const job = new Job();
    for (const [suite, files, says, line] of [
      [REMOTE, [], /another repository, and `trust_remote_code` runs Python/, 4],
      [PINNED, PICKLED, /another repository, and the model has pickled weights.*pytorch_model\.bin/, 3],
    ] as const) {
      job.suite = suite;
      job.base.set('suite.yml', suite);
      const error = await rejectedBy(check(fork(job), job.tools({ model: [...files] })));
      assert.equal(error.code, 'pull-request-limited');
      assert.match(error.message, says);
      assert.equal(error.places[0]?.line, line);
      assert.deepEqual(job.engine.loads, [], 'no model is loaded');
      // Arguments are looked at before anything is opened.
      if (files.length > 0) assertAllGivenBack(job);
      else assert.equal(job.engine.starts.length, 0);
    }
    job.suite = PINNED;
    const { conclusion } = await check(fork(job), job.tools());
    assert.equal(conclusion, 'no-baseline');
  });
});

describe('a pull request', () => {
  const onPullRequest = (job: Job) =>
    job.settings('pull_request', { ref: 'refs/pull/7/merge', base: 'refs/heads/main' });

  test('is judged by the base branch’s suite, whatever its own says', async () => {
    const job = await trusting();
    job.base.set('suite.yml', SUITE);
    job.suite = SUITE.replace('relations: [rerun, baseline]', 'relations: [rerun]');
    const report = await job.checked(() => OTHER, onPullRequest(job));
    assert.deepEqual([report.conclusion, report.verdict], ['drift', 'fail']);
    const { rules } = report.context;
    assert.deepEqual(rules.kind === 'base' && [rules.sha, rules.missing], [TIP, false]);
  });

  const IN_FILES = `${SUITE}baseline: { store: files }\npolicy: { no-baseline: warn }\n`;
  const PLACE = 'determinism-baselines/suite/cpu-genuineintel-x86-64-v4/baseline.json';

  /** Baselines come with the checkout. */
  async function inFiles(): Promise<{ job: Job; meta: string }> {
    const job = new Job('files');
    job.suite = IN_FILES;
    await job.refreshed();
    job.base.set('suite.yml', IN_FILES);
    const [kept] = job.store.baselines.values();
    return { job, meta: job.disk.folders.get(kept?.folder ?? '')?.meta?.toString() ?? '' };
  }

  test('with the base branch’s own baseline is compared with it, and that is that', async () => {
    const { job, meta } = await inFiles();
    job.base.set(PLACE, meta);
    const { verdict, context } = await job.checked(undefined, onPullRequest(job));
    assert.deepEqual([verdict, context.notices], ['pass', []]);
  });

  test('that brings its own baseline is told about', async () => {
    const { job } = await inFiles();
    const { context } = await job.checked(undefined, onPullRequest(job));
    assert.match(context.notices.map(({ message }) => message).join(), /baseline/);
    assert.equal(context.notices.length, 1);
  });

  test('that takes the base branch’s baseline away fails, though the policy lets a missing one pass', async () => {
    const { job, meta } = await inFiles();
    job.base.set(PLACE, meta);
    job.store.baselines.clear();
    const taken = await job.checked(undefined, onPullRequest(job));
    assert.deepEqual([taken.conclusion, taken.verdict], ['no-baseline', 'fail']);
    job.base.delete(PLACE);
    const never = await job.checked(undefined, onPullRequest(job));
    assert.deepEqual([never.conclusion, never.verdict], ['no-baseline', 'warn']);
  });
});
