import assert from 'node:assert/strict';
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openRecord } from '../../src/disk/record-folder.ts';
import { records, reports } from '../../src/front/wiring.ts';
import { verify } from '../../src/use-cases/verify.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { cancelInMidGeneration } from '../e2e/support/cancel.ts';
import { stepHere } from '../e2e/support/here.ts';
import { findingsOf, relationOf, reportOf } from '../e2e/support/reports.ts';
import { type Outcome, type Runner, runStep, Step } from '../e2e/support/spawn.ts';
import {
  alternating,
  BASELINES,
  checkout,
  processesOf,
  StoredOnce,
  type SuiteOptions,
  suite,
} from '../e2e/support/suites.ts';
import { bytesBelow } from '../support/cache-baseline.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(async () => {
  await baselines[Symbol.asyncDispose]();
  await action[Symbol.asyncDispose]();
});

const PROCESS = { runtime: 'process' } as const;
const REFRESH = { ...PROCESS, mode: 'refresh', reason: 'first one' } as const;

async function refresh(runner: Runner, options: SuiteOptions = {}): Promise<Outcome> {
  await runner.write('determinism.yml', suite(options));
  return await stepHere(action, runner, {
    event: 'workflow_dispatch',
    with: { ...REFRESH, 'record-path': '../refreshed' },
  });
}

async function check(runner: Runner, options: SuiteOptions = {}, step = stepHere): Promise<Outcome> {
  await runner.write('determinism.yml', suite(options));
  return await step(action, runner, { with: { ...PROCESS, 'record-path': '../checked' } });
}

const baselines = new StoredOnce(refresh);
/** A runner with a baseline of what the suite's options make the engine do. */
const withBaseline = (options?: SuiteOptions) => baselines.checkout(options);

const recordOf = async ({ outputs }: Outcome) => (await openRecord(outputs['record-path'] ?? '')).record;
const kindsOf = async (outcome: Outcome) => [
  ...new Set((await recordOf(outcome)).lifetimes.flatMap(({ passes }) => passes.map(({ kind }) => kind))),
];

/** What the scripted engine says unless it is told otherwise, and two other things. */
const [KNOWN, OTHER, THIRD] = [-0.25, -0.5, -0.75] as const;

test('a variant is an engine of its own beside the run, and breaks alone; its record and report can be verified', async () => {
  const options = { relations: ['rerun'] };
  await using runner = await checkout(options);
  const variants = [
    { name: 'same', args: { max_num_seqs: 2 } },
    { name: 'other', args: { logprob: OTHER } },
  ];
  await runner.write('determinism.yml', `${suite(options)}variants: ${JSON.stringify(variants)}\n`);
  const outcome = await stepHere(action, runner, { with: { ...PROCESS, 'record-path': '../checked' } });
  const report = await reportOf(outcome);
  assert.equal(report.conclusion, 'relation-broken', outcome.log);
  assert.deepEqual(
    report.relations.map(({ relation, status }) => [relation, status]),
    [
      ['rerun', 'held'],
      ['variant same', 'held'],
      ['variant other', 'broken'],
    ],
  );
  assert.match(outcome.log, /Variant other: logprob=-0\.5/);
  const { reportPath } = report.context;
  const { disagreements } = await verify({ reportPath }, { records, reports });
  assert.deepEqual(disagreements, []);
});

describe('a difference from the baseline', () => {
  test('in all engine starts: drift, which two more starts confirm, at a price that is told', async () => {
    await using runner = await withBaseline({ lifetimes: 3 });
    const outcome = await check(runner, { args: { logprob: OTHER }, confirm: 2 }, runStep);
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'drift', outcome.log);
    assert.equal(report.verdict, 'fail');
    const { falseAlarm, ...decision } = relationOf(report, 'baseline').decision ?? {};
    assert.deepEqual(decision, { of: 3, known: 0, distinct: 1, baselineLifetimes: 3 });
    assert.ok(Math.abs(Number(falseAlarm) - (2 / 5) ** 2 * (3 / 5) ** 3) < 1e-9);
    assert.equal((await recordOf(outcome)).lifetimes.length, 3);
    const told = outcome.log.replaceAll('\n', ' ');
    assert.match(
      told,
      /Engine, lifetime-1: .*2 more engine starts tell .*: about \d+ s \(`policy: \{ confirm: 0 \}` leaves it open\).*Engine, lifetime-2.*Engine, lifetime-3/,
    );
    assert.match(
      told,
      /3 of 3 engine starts gave this, and none of the baseline’s 3 engine starts did\. An engine that did not change looks like that with a chance of at most 3\.5 %/,
    );
  });

  test('in one start alone: drift, and what it does not know', async () => {
    await using runner = await withBaseline();
    const outcome = await check(runner, { args: { logprob: OTHER }, confirm: 0 });
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'drift', outcome.log);
    assert.equal((await recordOf(outcome)).lifetimes.length, 1);
    assert.equal(relationOf(report, 'baseline').decision?.falseAlarm, null);
    assert.match(
      outcome.log,
      /Only one engine start was looked at: an engine that does not repeat from start to start would look the same/,
    );
    assert.doesNotMatch(outcome.log, /more engine start/);
  });

  test('a change that is put back is reproduced at once: no start is spent on a doubt', async () => {
    await using runner = await withBaseline();
    const outcome = await check(runner, { confirm: 2 });
    assert.equal(outcome.outputs['conclusion'], 'reproduced', outcome.log);
    assert.equal((await recordOf(outcome)).lifetimes.length, 1);
  });

  test('in the modules alone: drift, and the first of them is named', async () => {
    await using runner = await withBaseline();
    const outcome = await check(runner, { args: { trace: 'another kernel', trace_from: 2 }, confirm: 2 });
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'drift', outcome.log);
    const agreements = [...findingsOf(report, 'baseline')].map(([key, one]) => `${key} ${one.agreement}`);
    assert.deepEqual(agreements.sort(), [
      'force/one identical',
      'generate/one identical',
      'score/one modules-differ',
    ]);
    assert.equal(relationOf(report, 'baseline').decision?.of, 3);
    assert.match(
      outcome.log,
      /first different module: model\.layers\.0 \(2 of 4 differ; 2 ran before it and agree\)/,
    );
    assert.match(outcome.log, /Drift: 1 of 1 prompts \(no text changed\)/);
    assert.equal(outcome.outputs['drift-count'], '1');
    const placed = outcome.commands.filter(({ properties }) => properties['file'] === 'determinism.yml');
    assert.equal(placed.length, 1);
    assert.match(placed[0]?.data ?? '', /first module layers\.0;/);
  });

  test('in the prompt’s own tokens: inputs differ', async () => {
    await using runner = await withBaseline();
    const outcome = await check(runner, { args: { prompt_tokens: [1, 2, 4] } });
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'drift', outcome.log);
    for (const [key, { agreement }] of findingsOf(report, 'baseline'))
      assert.equal(agreement, 'inputs-differ', key);
    assert.match(outcome.log, /one .*the prompt itself tokenises differently/);
  });
});

describe('an engine with several outcomes', () => {
  for (const [logprobs, says] of [
    [[OTHER, KNOWN, KNOWN], /2 of 3 engine starts gave outcomes that the baseline knows, 1 did not/],
    [[OTHER, THIRD, -1], /None of 3 engine starts gave an outcome .* and they gave 3 different ones/],
  ] as const)
    test(`that gives ${logprobs.join(', ')} is unstable, and has not drifted`, async () => {
      await using runner = await withBaseline();
      const outcome = await check(runner, { ...alternating(runner, logprobs), confirm: 2 });
      const report = await reportOf(outcome);
      assert.equal(report.conclusion, 'unstable', outcome.log);
      assert.equal(report.verdict, 'fail');
      assert.match(outcome.log, says);
      assert.match(outcome.summary, /Unstable/);
      assert.doesNotMatch(outcome.log, /Drift/);
      const { known } = relationOf(report, 'baseline').decision ?? {};
      assert.equal(known, logprobs.filter((one) => one === KNOWN).length);
    });

  test('is no baseline unless the suite asks for it: the old one stays, byte for byte', async () => {
    await using runner = await withBaseline();
    const old = await bytesBelow(join(runner.workspace, BASELINES));
    const outcome = await refresh(runner, { ...alternating(runner, [KNOWN, OTHER]), lifetimes: 3 });
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'unstable', outcome.log);
    assert.equal(report.context.baseline.kind, 'not-stored');
    assert.equal(relationOf(report, 'restart').status, 'broken');
    assert.match(outcome.log, /No baseline was stored: `restart` is broken: .*The old baseline stays/);
    assert.equal(outcome.outputs['baseline-key'], '');
    assert.deepEqual(await bytesBelow(join(runner.workspace, BASELINES)), old);
  });

  test('that is refused leaves no baseline where there was none', async () => {
    await using runner = await checkout();
    const outcome = await refresh(runner, { ...alternating(runner, [KNOWN, OTHER]), lifetimes: 2 });
    assert.equal(outcome.outputs['conclusion'], 'unstable', outcome.log);
    assert.deepEqual(await readdir(runner.workspace), ['determinism.yml', 'model']);
  });

  test('in a baseline that knows them all: each of them is reproduced, another one is drift', async () => {
    const relations = ['rerun', { name: 'restart', require: 'measure' }, 'baseline'];
    await using runner = await checkout();
    const stored = await refresh(runner, {
      ...alternating(runner, [KNOWN, OTHER, KNOWN]),
      lifetimes: 3,
      relations,
    });
    assert.equal(stored.exitCode, 0, stored.log);
    assert.equal(relationOf(await reportOf(stored), 'restart').status, 'measured');

    for (const logprob of [KNOWN, OTHER]) {
      const outcome = await check(runner, { args: { logprob }, confirm: 2 });
      assert.equal(outcome.outputs['conclusion'], 'reproduced', outcome.log);
      assert.match(outcome.log, /gave an outcome that the baseline knows, from 3 engine starts/);
    }
    const both = await check(runner, { ...alternating(runner, [OTHER, KNOWN]), relations, confirm: 2 });
    assert.equal(both.outputs['conclusion'], 'reproduced', both.log);
    assert.match(both.log, /2 of 2 engine starts gave outcomes that the baseline knows/);
    assert.match(both.log, /restart: measured/);
    const third = await check(runner, { args: { logprob: THIRD }, confirm: 2 });
    assert.equal(third.outputs['conclusion'], 'drift', third.log);
  });
});

describe('a relation', () => {
  const PAIR = [
    { id: 'one', text: 'The capital of France is' },
    { id: 'two', text: 'The capital of Japan is' },
  ];
  const RELATIONS = ['restart', 'batch', 'order', 'prefix-cache', 'prefill'] as const;
  const required = (names: readonly string[], require = 'identical') => [
    ...names.map((name) => ({ name, require })),
    'baseline',
  ];
  /** What the engine leaves out of its witness, and what the report then says. */
  const SILENT: Readonly<Record<(typeof RELATIONS)[number], readonly [code: string, says: RegExp]>> = {
    restart: ['witness["process"] = "unknown"', /not known which process ran the model/],
    batch: [
      'for one in witness["requests"]: one["together"] = 1',
      /shared no step with another request in generate-together/,
    ],
    order: [
      'for one in witness["requests"]: one["order"] = int(one["id"] == "two")',
      /took the prompts up in the same order both times/,
    ],
    'prefix-cache': [
      'for one in witness["requests"]: one["cachedTokens"] = 0',
      /none of its tokens came from the prefix cache in generate-warm/,
    ],
    prefill: [
      'for one in witness["requests"]: one["decodeSteps"] = 0',
      /force-alone returned 4 tokens of it in 0 decode steps/,
    ],
  };

  let runner: Runner;
  before(async () => {
    runner = await withBaseline({ prompts: PAIR });
  });
  after(() => runner[Symbol.asyncDispose]());

  test('of them, all hold where the witness proves that they were exercised', async () => {
    const outcome = await check(runner, { prompts: PAIR, relations: required(RELATIONS) });
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'reproduced', outcome.log);
    const statuses = report.relations.map(({ relation, status }) => `${relation} ${status}`);
    assert.deepEqual(
      statuses,
      [...RELATIONS, 'baseline'].map((name) => `${name} held`),
    );
  });

  async function areUnmeasured(
    silent: Readonly<Record<string, RegExp>>,
    on_pass: string,
    require: string,
  ): Promise<void> {
    const relations = required(Object.keys(silent), require);
    const outcome = await check(runner, { prompts: PAIR, relations, args: { on_pass } });
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'unmeasured', outcome.log);
    assert.equal(report.verdict, 'fail');
    assert.equal(relationOf(report, 'baseline').status, 'held');
    const failure = outcome.commands.find(({ command }) => command === 'error')?.data ?? '';
    for (const [relation, says] of Object.entries(silent)) {
      assert.equal(relationOf(report, relation).status, 'unmeasured', relation);
      assert.match(relationOf(report, relation).evidence, says);
      assert.match(failure, says);
    }
  }
  const isUnmeasured = (relation: string, on_pass: string, says: RegExp, require: string) =>
    areUnmeasured({ [relation]: says }, on_pass, require);

  test('each without its witness is unmeasured, and red', async () => {
    const says = Object.fromEntries(RELATIONS.map((relation) => [relation, SILENT[relation][1]]));
    const on_pass = RELATIONS.map((relation) => SILENT[relation][0]).join('\n');
    await areUnmeasured(says, on_pass, 'identical');
  });

  test('that is only measured is red without its witness too', () =>
    isUnmeasured(
      'batch',
      'witness["requests"] = None',
      /does not tell what its scheduler did with it/,
      'measure',
    ));

  test('whose witness says what cannot be is unmeasured', () =>
    isUnmeasured(
      'batch',
      'if name in ("generate-together", "generate-strangers"):\n for one in witness["requests"]: one["together"] = 7',
      /tells of 7 requests in one step/,
      'identical',
    ));
});

describe('`depth: score`', () => {
  const SCORED = {
    depth: 'score',
    relations: ['rerun', 'baseline'],
    score: [{ id: 'passage', text: 'The tide tables in the harbour office were printed once a year.' }],
  } as const satisfies SuiteOptions;

  test('neither generates nor forces once there is a baseline, and says what it did not exercise', async () => {
    await using runner = await withBaseline(SCORED);
    const outcome = await check(runner, SCORED);
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'reproduced', outcome.log);
    assert.deepEqual(await kindsOf(outcome), ['score']);
    assert.deepEqual([...findingsOf(report, 'baseline').keys()].sort(), ['score/one', 'score/passage']);
    for (const what of ['decode', 'greedy sampling', 'stop conditions']) {
      const part = report.coverage.find((one) => one.what === what);
      assert.equal(part?.exercised, false, what);
      assert.match(part.by, /no generate pass/);
    }
    assert.match(outcome.log, /Not exercised: decode \(no generate pass; no force pass\), greedy sampling/);
    assert.match(outcome.summary, /Not exercised, so a change there goes unseen: decode /);

    const drifted = await check(runner, { ...SCORED, args: { logprob: OTHER }, confirm: 2 });
    const told = await reportOf(drifted);
    assert.equal(told.conclusion, 'drift', drifted.log);
    assert.equal(relationOf(told, 'baseline').decision?.of, 3);
    assert.deepEqual(await kindsOf(drifted), ['score']);
    assert.match(drifted.log, /Drift: 2 of 2 prompts and texts \(other log-probabilities\)/);
  });

  test('compares with a baseline that was made at full depth', async () => {
    const { depth, ...full } = SCORED;
    await using runner = await withBaseline(full);
    const outcome = await check(runner, { ...full, depth });
    assert.equal(outcome.outputs['conclusion'], 'reproduced', outcome.log);
    assert.deepEqual(await kindsOf(outcome), ['score']);
  });
});

describe('a model that computes NaN', () => {
  const NAN = { args: { on_load: 'args["logprob"] = float("nan")' } } as const;

  test('is no baseline, although its bits repeat', async () => {
    await using runner = await checkout();
    const outcome = await refresh(runner, { ...NAN, lifetimes: 2 });
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'unmeasured', outcome.log);
    assert.equal(report.verdict, 'fail');
    assert.equal(report.context.baseline.kind, 'not-stored');
    assert.match(outcome.log, /log-probabilities are NaN: the model is broken/);
    assert.deepEqual(await readdir(runner.workspace), ['determinism.yml', 'model']);
  });

  test('is not what an honest baseline recorded', async () => {
    await using runner = await withBaseline();
    const outcome = await check(runner, { ...NAN, confirm: 2 });
    assert.equal(outcome.outputs['conclusion'], 'drift', outcome.log);
    assert.match(outcome.log, /log-probabilities are NaN: the model is broken/);
  });
});

describe('what a run leaves', () => {
  test('a record, its report and a copy of the baseline, where the outputs say', async () => {
    await using runner = await withBaseline();
    const outcome = await check(runner, { args: { on_load: 'print("loaded")' } }, runStep);
    assert.equal(outcome.exitCode, 0, outcome.log);
    const {
      'record-path': record = '',
      'report-path': report = '',
      'html-path': page = '',
    } = outcome.outputs;
    assert.equal(record, join(runner.workspace, '../checked'));
    assert.equal(report, `${record}.report.json`);
    assert.equal(page, `${record}.report.html`);
    assert.equal((await reportOf(outcome)).context.reportPath, report);
    const stored = join(runner.workspace, BASELINES, 'hostile', outcome.outputs['hardware-class'] ?? '');
    assert.deepEqual(await bytesBelow(`${record}.baseline`), await bytesBelow(stored));
    assert.deepEqual(
      (await readdir(join(record, '..'))).filter((name) => name.startsWith('checked')).sort(),
      ['checked', 'checked.baseline', 'checked.log', 'checked.report.html', 'checked.report.json'],
    );
  });

  /** Fast at its first start and slow at every other. */
  const slowLater = ({ home }: Runner): SuiteOptions => ({
    args: {
      on_load: `import pathlib
starts = pathlib.Path(${JSON.stringify(join(home, 'starts'))})
if starts.exists(): args["on_step"] = "time.sleep(0.05)"
starts.touch()
args["logprob"] = ${OTHER}`,
    },
    maxTokens: 2000,
  });
  const IN_SECOND = /^(::group::)?Engine, lifetime-2\n(.*\n)*generate-alone: /m;

  test('a refresh that is cancelled at its second engine start: neither record nor report', async () => {
    await using runner = await checkout();
    await runner.write('determinism.yml', suite({ ...slowLater(runner), lifetimes: 3 }));
    const options = { with: REFRESH, event: 'workflow_dispatch' } as const;
    await cancelInMidGeneration(action, runner, options, undefined, IN_SECOND);
    assert.deepEqual(await readdir(runner.workspace), ['determinism.yml', 'model']);
  });

  test('a check that is killed while it confirms a drift: neither record nor report', async () => {
    await using runner = await withBaseline({ maxTokens: 2000 });
    await runner.write('determinism.yml', suite({ ...slowLater(runner), confirm: 2 }));
    const record = join(runner.workspace, '../killed');
    await using step = await Step.start(action, runner, 'main', {
      with: { ...PROCESS, 'record-path': record },
    });
    await step.sees(IN_SECOND);
    assert.notEqual((await processesOf(runner)).length, 0);
    step.kill('SIGKILL');
    assert.equal((await step.ended).outputs['conclusion'] ?? '', '');
    for (const path of [record, `${record}.report.json`, `${record}.baseline`])
      await assert.rejects(access(path), { code: 'ENOENT' });
  });
});

describe('known changes, made on purpose', () => {
  /** Beside other weights, this engine minds only another dtype. */
  const minding: SuiteOptions = {
    args: { on_load: `if "dtype" in args: args["logprob"] = ${OTHER}` },
  };

  test('are measured by `mode: power`, which says what noticed each and what a suite that misses one lacks', async () => {
    await using runner = await checkout(minding);
    const outcome = await stepHere(action, runner, { with: { ...PROCESS, mode: 'power' } });
    assert.equal(outcome.exitCode, 0, outcome.log);
    assert.match(outcome.log, /\n {2}dtype +noticed: decode at 1 \(.* s\), score at 1 \(/);
    assert.match(outcome.log, /\n {2}fp8-kv-cache +MISSED: add longer texts/);
    assert.match(outcome.log, /\n {2}temperature +not possible here: the suite samples nothing/);
    assert.match(outcome.log, /\n {2}restart +left in peace/);
    assert.match(
      outcome.log,
      /Power of hostile: \d of \d+ real changes noticed .* 0 of \d equivalent ones flagged/,
    );
  });

  test('are kept with a baseline as its yardstick, and a later drift is told beside them', async () => {
    await using runner = await checkout(minding);
    const stored = await stepHere(action, runner, {
      event: 'workflow_dispatch',
      with: { ...REFRESH, yardstick: 'true', 'record-path': '../refreshed' },
    });
    assert.equal(stored.exitCode, 0, stored.log);
    const drifted = await check(runner, { args: { logprob: THIRD } });
    const report = await reportOf(drifted);
    assert.deepEqual(
      report.yardstick.map(({ id }) => id),
      ['dtype', 'int8-weights', 'fp8-weights'],
    );
    assert.match(drifted.log, /By the yardstick: .*larger than another floating-point format by 2x/);
  });
});
