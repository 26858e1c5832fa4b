import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BisectAnswer } from '../../../src/report/answers.ts';
import { bisect } from '../../../src/use-cases/bisect.ts';
import { check } from '../../../src/use-cases/check.ts';
import { verify } from '../../../src/use-cases/verify.ts';
import { read } from '../../../src/words/reading.ts';
import type { Computes, EngineOptions, Load } from '../support/engine.ts';
import { ASKS, Job, SUITE } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

const withArgs = (args: string) => SUITE.replace('{ name: vllm }', `{ name: vllm, args: { ${args} } }`);
const OLD = withArgs('swap_space: 2, max_num_seqs: 4, block_size: 16, cpu_offload_gb: 1');
/** Five changes: one that was not there, and one that is no longer there. */
const NEW = withArgs('swap_space: 4, max_num_seqs: 8, block_size: 32, kv_cache_dtype: fp8');
const NAMES = ['kv_cache_dtype', 'block_size', 'cpu_offload_gb', 'max_num_seqs', 'swap_space'];

const OTHER: Computes = { nats: -0.75 };
const whereAll =
  (...wanted: readonly ((args: Load['args']) => boolean)[]) =>
  ({ args }: Load): Computes =>
    wanted.every((one) => one(args)) ? OTHER : {};
const large = ({ block_size: size }: Load['args']) => size === 32;
const many = ({ max_num_seqs: most }: Load['args']) => most === 8;

/** A baseline of the old suite, and the new one in the checkout. */
async function changed(suite = NEW, before = OLD): Promise<Job> {
  const job = new Job();
  job.suite = before;
  await job.refreshed();
  job.suite = suite;
  return job;
}

async function bisected(
  job: Job,
  computes: (load: Load) => Computes,
  { budget = 8, ...options }: EngineOptions & { readonly budget?: number } = {},
) {
  const settings = { ...job.settings('workflow_dispatch', { budget }), ...ASKS.bisect };
  const answer = await bisect(settings, job.tools({ computes, ...options }));
  const value = BisectAnswer.parse(answer.value);
  assert.equal(value.tried.length, job.engine.loads.length, 'no engine start is left out');
  assert.deepEqual(
    [job.engine.running, job.engine.mostOpen, job.disk.unfinished, job.store.open],
    [0, 1, 0, 0],
  );
  return { ...answer, value, said: answer.lines.join('\n') };
}

describe('of five changes', () => {
  test('the one that moves the bits is found in at most 6 engine starts', async () => {
    const job = await changed();
    const { value, verdict, said } = await bisected(job, whereAll(large));
    assert.deepEqual(
      [value.result, value.cause, value.needed],
      ['found', ['engine.args.block_size'], ['engine.args.block_size']],
    );
    assert.ok(value.tried.length <= 6, String(value.tried.length));
    assert.equal(verdict, 'pass');
    assert.match(said, /5 declared changes that can be put back/);
    assert.match(said, /engine\.args\.block_size: 16 → 32/);
    assert.match(
      said,
      /With it alone of 5 declared changes .*\n.*\n.*\nFound: engine\.args\.block_size on cpu-[\w-]+\.$/,
    );
  });

  test('the pair that moves them only together is found in at most 8', async () => {
    const { value, said } = await bisected(await changed(), whereAll(large, many));
    assert.deepEqual(value.cause.toSorted(), ['engine.args.block_size', 'engine.args.max_num_seqs']);
    assert.ok(value.tried.length <= 8, String(value.tried.length));
    assert.match(said, /Found, only together: engine\.args\.block_size and engine\.args\.max_num_seqs/);
  });

  test('each try is the old suite with some of them, on the baseline’s tokens', async () => {
    const job = await changed();
    const { value } = await bisected(job, whereAll(large));
    assert.deepEqual(
      value.changes.map(({ name }) => name.replace('engine.args.', '')),
      NAMES,
    );
    const [all, none, ...others] = job.engine.loads.map(({ args }) => args);
    assert.deepEqual([all?.['swap_space'], all?.['kv_cache_dtype']], [4, 'fp8']);
    assert.deepEqual(
      [none?.['swap_space'], none?.['max_num_seqs'], none?.['block_size'], none && 'kv_cache_dtype' in none],
      [2, 4, 16, false],
    );
    assert.deepEqual([all && 'cpu_offload_gb' in all, none?.['cpu_offload_gb']], [false, 1]);
    assert.equal(others.length, value.tried.length - 2);
    const given = job.engine.passes
      .filter(({ kind }) => kind === 'force')
      .map(({ requests }) => requests.map(({ tokens }) => tokens).join());
    assert.equal(new Set(given).size, 1);
    const [first] = value.tried;
    assert.equal(first?.changes.length, 5);
    for (const { recordPath } of value.tried) assert.ok(job.disk.folders.has(recordPath), recordPath);
  });

  test('the price is told before a model is loaded', async () => {
    const job = await changed();
    let told: readonly string[] | undefined;
    await bisected(job, (load) => {
      told ??= [...job.lines];
      return whereAll(large)(load);
    });
    assert.match(told?.join('\n') ?? '', /At most 8 engine starts \(`--budget`\), each about \d+ s by what/);
  });

  test('a budget that is spent says in which it is', async () => {
    const { value, verdict, said } = await bisected(await changed(), whereAll(large), { budget: 3 });
    assert.deepEqual([value.result, value.limit, value.tried.length], ['within', 'budget', 3]);
    assert.equal(value.cause.length, 3);
    assert.match(
      said,
      /no more engine starts were allowed\.\nWith all of them put back, this runner gives the baseline’s bits.*Not found nearer than: in these 3 of 5: /s,
    );
    assert.equal(verdict, 'fail');
  });

  test('a set that does not start is gone around, and told', async () => {
    const refused = { error: { code: 'engine-rejected', message: 'these two not together' } };
    const computes = (load: Load) =>
      load.args['kv_cache_dtype'] === 'fp8' && large(load.args) && !many(load.args)
        ? refused
        : whereAll(many)(load);
    const { value, said } = await bisected(await changed(), computes, { budget: 12 });
    assert.deepEqual([value.result, value.cause], ['found', ['engine.args.max_num_seqs']]);
    assert.ok(
      value.tried.some(({ outcome, why }) => outcome === 'unresolved' && why === refused.error.message),
    );
    assert.match(said, /not to be told, these two not together/);
  });
});

describe('what is no change’s doing', () => {
  test('the runner: known after two starts, with what differs of it', async () => {
    const { value, verdict, said } = await bisected(await changed(), () => OTHER, {
      fingerprint: { kernel: '9.9.9' },
    });
    assert.deepEqual([value.result, value.tried.length, verdict], ['elsewhere', 2, 'pass']);
    assert.match(said, /the runner changed, not what the repository declares/);
    assert.match(said, /all 5 declared changes put back.*\nWhat then still differs: kernel: .* → 9\.9\.9/);
  });

  test('nothing that is recorded: says so, and accuses nobody', async () => {
    const { value, verdict, said } = await bisected(await changed(), () => OTHER);
    assert.deepEqual([value.result, value.left, verdict], ['elsewhere', [], 'fail']);
    assert.doesNotMatch(said, /runner changed/);
    assert.match(said, /what did it is not recorded/);
  });

  test('no drift: known after one', async () => {
    const { value, verdict } = await bisected(await changed(), () => ({}));
    assert.deepEqual([value.result, value.tried.length, verdict], ['steady', 1, 'pass']);
  });

  test('no change at all: the run itself says that it is none', async () => {
    const { value } = await bisected(await changed(OLD), () => OTHER, { fingerprint: { kernel: '9.9.9' } });
    assert.deepEqual([value.result, value.changes, value.tried.length], ['elsewhere', [], 1]);
  });
});

describe('bisect', () => {
  test('loads no model where there is no baseline', async () => {
    const job = new Job();
    const settings = { ...job.settings('workflow_dispatch'), ...ASKS.bisect };
    const error = await rejectedBy(bisect(settings, job.tools()));
    assert.equal(error.code, 'baseline-missing');
    assert.deepEqual(job.engine.loads, []);
  });

  test('is nothing that a stranger may start', async () => {
    const job = await changed();
    job.base.set('suite.yml', NEW);
    const settings = job.settings('pull_request', { base: 'refs/heads/main', fork: true });
    const error = await rejectedBy(bisect({ ...settings, ...ASKS.bisect }, job.tools()));
    assert.equal(error.code, 'event-refused');
  });

  test('ends with an error where the machine fails', async () => {
    const gone = { error: { code: 'gpu-unavailable', message: 'fell off the bus' } };
    const job = await changed();
    const settings = { ...job.settings('workflow_dispatch'), ...ASKS.bisect };
    const computes = (load: Load) => (large(load.args) ? OTHER : gone);
    assert.equal((await rejectedBy(bisect(settings, job.tools({ computes })))).code, 'gpu-unavailable');
  });
});

describe('a check', () => {
  const policy = (count: number) => `${NEW}policy: { confirm: 0, bisect: ${count} }\n`;
  const title = 'Which declared change it was';

  test('looks itself where the policy lets it, and needs no start for what it ran', async () => {
    const job = await changed(policy(7));
    const report = await job.checked(whereAll(large));
    const [notice] = report.context.notices;
    assert.equal(report.conclusion, 'drift');
    assert.equal(notice?.title, title);
    assert.match(notice?.message ?? '', /^Found: engine\.args\.block_size\. .* engine starts more, \d+ s\.$/);
    assert.ok(job.engine.loads.length <= 6);
    assert.equal(job.engine.mostOpen, 1);
  });

  test('otherwise offers the command, where there is more than one change', async () => {
    const offer = /5 declared changes stand beside it: `deterministic-ml bisect suite\.yml`/;
    for (const suite of [policy(0), `${NEW}policy: { confirm: 0 }\n`]) {
      const job = await changed(suite);
      await job.checked(whereAll(large));
      assert.equal(job.engine.loads.length, 1);
    }
    assert.match(read(await (await changed()).checked(whereAll(large))).words.next, offer);
    const one = await changed(OLD.replace('block_size: 16', 'block_size: 32'));
    assert.doesNotMatch(read(await one.checked(whereAll(large))).words.next, /bisect/);
    const done = await changed(policy(7));
    assert.doesNotMatch(read(await done.checked(whereAll(large))).words.next, /bisect/);
  });

  test('with one start: whether it is the runner, and no more', async () => {
    const message = async (computes: (load: Load) => Computes, options: EngineOptions = {}) => {
      const job = await changed(policy(1));
      const settings = { ...job.settings(), ...ASKS.check };
      const { context } = await check(settings, job.tools({ computes, ...options }));
      assert.equal(job.engine.loads.length, 2);
      return context.notices.find((one) => one.title === title)?.message ?? '';
    };
    assert.match(
      await message(whereAll(large)),
      /these 5 of 5: .* not known: no more engine starts were allowed\. With all of them put back, this runner gives the baseline’s bits: it did not do it\./,
    );
    assert.match(
      await message(() => OTHER, { fingerprint: { kernel: '9.9.9' } }),
      /^Found: the runner changed, not what the repository declares\./,
    );
    const gone = { error: { code: 'engine-rejected', message: 'no longer known' } };
    assert.match(
      await message(({ args }) => (large(args) ? OTHER : gone)),
      /Whether this runner gives the baseline’s bits with all of them put back could not be told: no longer known\./,
    );
  });

  test('looks past the variants of its suite: none is measured again, and each stands as it was found', async () => {
    const tile = ({ args }: Load) => args['tile_size'] === 64;
    const job = await changed(
      `${policy(7)}variants:\n  - { name: tiled, args: { tile_size: 64 }, require: measure }\n`,
    );
    const report = await job.checked((load) => (tile(load) ? { nats: -0.3 } : whereAll(large, many)(load)));
    assert.equal(report.conclusion, 'drift');
    assert.match(
      report.context.notices[0]?.message ?? '',
      /^Found, only together: engine\.args\.block_size and engine\.args\.max_num_seqs\. /,
    );
    assert.equal(report.relations.find(({ relation }) => relation === 'variant tiled')?.status, 'measured');
    // The run, the variant, and then tries without it, of the passes that a baseline has alone.
    assert.deepEqual(
      job.engine.loads.map(tile),
      job.engine.loads.map((_, at) => at === 1),
    );
    assert.ok(job.engine.loads.length > 3);
    const strangers = job.engine.passes.filter(({ pass }) => pass === 'score-strangers').length;
    assert.equal(strangers, 2, 'floors are of the run and of its variant');
    assert.equal(job.engine.mostOpen, 1);
    const { disagreements } = await verify(
      { reportPath: report.context.reportPath, recordPath: undefined, baselinePath: undefined },
      { records: job.disk, reports: job.disk },
    );
    assert.deepEqual(disagreements, []);
  });

  test('does not take a variant that breaks for a drift of its own', async () => {
    const job = await changed(`${policy(7)}variants:\n  - { name: tiled, args: { tile_size: 64 } }\n`);
    const report = await job.checked(({ args }) => (args['tile_size'] === 64 ? OTHER : {}));
    assert.deepEqual([report.conclusion, job.engine.loads.length], ['relation-broken', 2]);
  });

  test('does not look for what is no drift', async () => {
    const job = await changed(policy(7));
    assert.equal((await job.checked()).conclusion, 'reproduced');
    assert.equal(job.engine.loads.length, 1);
  });

  test('starts no engine for it on a stranger’s change', async () => {
    const forStrangers = (suite: string) =>
      `${suite}runtime: { image: r/i@sha256:${'b2'.repeat(32)} }\n`.replace(
        '{ path: model }',
        `{ id: o/m, revision: ${'a1'.repeat(20)} }`,
      );
    const job = await changed(forStrangers(policy(7)), forStrangers(OLD));
    job.base.set('suite.yml', job.suite);
    const settings = job.settings('pull_request', { base: 'refs/heads/main', fork: true });
    const report = await job.checked(whereAll(large), { ...settings, runtime: 'docker' });
    assert.deepEqual([report.conclusion, job.engine.loads.length], ['drift', 1]);
  });

  test('is told whatever becomes of the search', async () => {
    const gone = { error: { code: 'gpu-unavailable', message: 'fell off the bus' } };
    const job = await changed(policy(7));
    const report = await job.checked(({ args }) => (large(args) ? OTHER : gone));
    const [notice] = report.context.notices;
    assert.deepEqual([report.conclusion, notice?.level, notice?.title], ['drift', 'warning', title]);
    assert.match(notice?.message ?? '', /gpu-unavailable/);
  });
});
