import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cancelled, UserError } from '../../../src/errors.ts';
import { WatchAnswer } from '../../../src/report/answers.ts';
import { type Round, watch } from '../../../src/use-cases/watch.ts';
import type { EngineOptions } from '../support/engine.ts';
import { ASKS, Job, SUITE } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

const SOURCE = '/kernels/kernel.py';

/** What was saved: an edit, and the paths that are told of it. */
type Save = (job: Job) => void;

interface Watched {
  readonly rounds: readonly Round[];
  readonly answers: readonly WatchAnswer[];
  /** What was looked at, round by round. */
  readonly looked: readonly (readonly string[])[];
  readonly error: UserError;
}

/** Rounds until nothing more is saved: then it is cancelled, as by Ctrl-C. */
async function watched(
  job: Job,
  saves: readonly (Save | readonly string[])[],
  options: EngineOptions = {},
  more: Partial<ReturnType<Job['settings']>> = {},
): Promise<Watched> {
  const rounds: Round[] = [];
  const looked: (readonly string[])[] = [];
  const left = [...saves];
  const tools = job.tools(options);
  const open: typeof tools.open = {
    ...tools.open,
    watching: () => ({
      at: async (paths) => void looked.push(paths),
      changed: async () => {
        const save = left.shift();
        if (save === undefined) throw cancelled();
        if (typeof save !== 'function') return save;
        save(job);
        return ['/checkout/suite.yml'];
      },
      [Symbol.asyncDispose]: async () => {},
    }),
  };
  const settings = { ...job.settings('push', more), ...ASKS.check, sources: [SOURCE] };
  const error = await rejectedBy(
    watch(settings, { ...tools, open }, async (round) => void rounds.push(round)),
  );
  const answers = rounds.map(({ answer }) => WatchAnswer.parse(answer.value));
  return { rounds, answers, looked, error };
}

const edit =
  (from: string | RegExp, to: string): Save =>
  (job) => {
    const edited = job.suite.replace(from, to);
    assert.notEqual(edited, job.suite);
    job.suite = edited;
  };

const engines = ({ answers }: Watched) =>
  answers.map(({ engine }) => engine && [engine.how, engine.why].join(' '));

async function trusting(): Promise<Job> {
  const job = new Job();
  assert.equal((await job.refreshed()).verdict, 'pass');
  return job;
}

function assertAllGivenBack({ engine, disk, store }: Job): void {
  assert.deepEqual(
    { running: engine.running, open: engine.open, records: disk.unfinished, baselines: store.open },
    { running: 0, open: 0, records: 0, baselines: 0 },
  );
}

describe('a suite that is watched', () => {
  test('is asked other prompts of the engine that is loaded; other arguments load it anew', async () => {
    const job = await trusting();
    const found = await watched(job, [
      edit('The sky is', 'The sea is'),
      edit('name: vllm', 'name: vllm, args: { max_num_seqs: 2 }'),
      edit('max_tokens: 4', 'max_tokens: 3'),
    ]);
    assert.equal(found.error.code, 'cancelled');
    assert.deepEqual(engines(found), ['cold ', 'kept ', 'cold arguments changed', 'kept ']);
    assert.deepEqual([job.engine.starts.length, job.engine.loads.length], [2, 2]);
    assert.deepEqual(
      job.engine.passes
        .filter(({ pass }) => pass === 'generate-alone')
        .map(({ requests }) => requests[1]?.input),
      ['The sky is', 'The sea is', 'The sea is', 'The sea is'].map((text) => ({ text })),
    );
    assertAllGivenBack(job);
  });

  test('tells the answer first, then how far it is from the baseline and from the round before', async () => {
    const job = await trusting();
    let nats = -0.25;
    const found = await watched(
      job,
      [
        [SOURCE],
        (at) => {
          nats = -0.5;
          edit('name: vllm', 'name: vllm, args: { max_num_seqs: 2 }')(at);
        },
      ],
      { computes: () => ({ nats, shift: nats === -0.25 ? 0 : 1 }) },
    );
    const [first, second, third] = found.rounds.map(({ answer }) => answer.lines);
    assert.match(first?.[0] ?? '', /^Reproduced: 3 prompts and texts/);
    assert.deepEqual(first?.slice(1, -2), ['Against the baseline: the same bits in 3 prompts']);
    assert.equal(second?.[2], 'Against round 1: the same bits in 3 prompts');
    assert.match(second?.[3] ?? '', /^Engine: cold, in a process of its own \(source changed\): /);
    assert.match(third?.[0] ?? '', /^Max_num_seqs changed \(absent → 2\): /);
    assert.match(third?.[1] ?? '', /^Against the baseline: 3 of 3 prompts differ, .*2 texts changed$/);
    assert.match(third?.[2] ?? '', /^Against round 2: 3 of 3 prompts differ/);
    assert.equal(found.answers[2]?.conclusion, 'drift');
    // Not confirmed by more starts: the next save comes soon.
    assert.equal(job.engine.loads.length, 3);
    assert.deepEqual(found.looked[0], ['/checkout/suite.yml', SOURCE]);
    assertAllGivenBack(job);
  });

  test('that is broken is told and waited for, and the engine waits too', async () => {
    const job = await trusting();
    const found = await watched(job, [edit('prompts:', 'promts:'), edit('promts:', 'prompts:')]);
    const [, broken, mended] = found.rounds;
    assert.match(broken?.answer.lines[0] ?? '', /^suite-invalid: /);
    assert.match(broken?.answer.lines.join() ?? '', /suite\.yml:\d+:1 .*promts/);
    assert.ok(broken !== undefined && 'error' in broken.told);
    assert.equal(found.answers[1]?.error?.code, 'suite-invalid');
    assert.equal(mended?.answer.lines[2], 'Against round 1: the same bits in 3 prompts');
    assert.deepEqual(engines(found), ['cold ', null, 'kept ']);
  });

  test('whose engine refuses a prompt loses it: the next round begins with another', async () => {
    const job = await trusting();
    let isRefused = true;
    const found = await watched(
      job,
      [
        () => {
          isRefused = false;
        },
      ],
      { computes: () => (isRefused ? { error: { code: 'engine-rejected', message: 'no such dtype' } } : {}) },
    );
    assert.match(found.rounds[0]?.answer.lines[0] ?? '', /^engine-rejected: no such dtype/);
    assert.deepEqual(engines(found), [null, 'cold ']);
    assertAllGivenBack(job);
  });

  test('without a baseline is measured on the tokens of the round before', async () => {
    const job = new Job();
    let shift = 0;
    const found = await watched(
      job,
      [
        (at) => {
          shift = 1;
          edit('name: vllm', 'name: vllm, args: { max_num_seqs: 2 }')(at);
        },
      ],
      { computes: () => ({ shift }) },
    );
    assert.match(found.rounds[1]?.answer.lines[2] ?? '', /^Against round 1: 2 of 3 prompts differ/);
    const [one, other] = job.engine.passes.filter(({ pass }) => pass === 'force-alone');
    assert.deepEqual(
      other?.requests.map(({ tokens }) => tokens),
      one?.requests.map(({ tokens }) => tokens),
    );
  });

  test('that needs several engine starts leaves none between them', async () => {
    const job = await trusting();
    job.suite = SUITE.replace('[rerun, baseline]', '[rerun, restart, baseline]');
    const found = await watched(job, [edit('The sky is', 'The sea is')]);
    assert.deepEqual(engines(found), ['cold ', 'cold ']);
    assert.equal(job.engine.starts.length, 4);
    assertAllGivenBack(job);
  });

  test('that is not there at the beginning is an error at once', async () => {
    const job = new Job();
    const tools = job.tools();
    const missing = new UserError('suite-missing', 'It is not there.', 'Name it.');
    const open: typeof tools.open = {
      ...tools.open,
      suite: () => Promise.reject(missing),
      watching: () => ({
        at: async () => {},
        changed: () => assert.fail('nothing to wait for'),
        [Symbol.asyncDispose]: async () => {},
      }),
    };
    const settings = { ...job.settings(), ...ASKS.check, sources: [] };
    const error = await rejectedBy(watch(settings, { ...tools, open }, () => assert.fail('a round')));
    assert.equal(error.code, 'suite-missing');
  });
});
