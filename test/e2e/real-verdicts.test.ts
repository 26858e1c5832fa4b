import assert from 'node:assert/strict';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { repository } from '../../scripts/setup/cache.ts';
import { ensureFlippedModel, FLIPPED } from '../../scripts/setup/flipped-model.ts';
import { ensureModel } from '../../scripts/setup/model.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { openRecord } from '../../src/disk/record-folder.ts';
import type { Report } from '../../src/report/schema.ts';
import { OTHER_CAPABILITY } from '../support/kernels.ts';
import { type Action, builtAction } from './support/action.ts';
import { findingsOf, relationOf, reportOf } from './support/reports.ts';
import { aRunner, type Outcome, type Runner, runStep } from './support/spawn.ts';
import { realSuite, type SuiteOptions } from './support/suites.ts';

/** Real vLLM, one baseline of one engine start, and changes that have a real cause. */
describe('real vLLM in bfloat16', () => {
  let action: Action;
  let runner: Runner;
  let model: string;
  /** The engine's Python, and one that starts every other engine with PyTorch's kernels for another instruction set. */
  let python: string;
  let alternating: string;

  const write = (options: SuiteOptions = {}) =>
    runner.write(
      'determinism.yml',
      realSuite({
        model,
        maxTokens: 10,
        prompts: [
          { id: 'capital', text: 'The capital of France is' },
          { id: 'sky', messages: [{ role: 'user', content: 'Explain why the sky is blue.' }] },
        ],
        ...options,
        args: { dtype: 'bfloat16' },
      }),
    );

  async function run(mode: 'check' | 'refresh', interpreter = python): Promise<Outcome> {
    const inputs = { mode, runtime: 'process', python: interpreter };
    return await runStep(action, runner, {
      with: mode === 'refresh' ? { ...inputs, reason: 'first one' } : inputs,
      event: 'workflow_dispatch',
    });
  }

  const differing = (report: Report, kind: string) =>
    [...findingsOf(report, 'baseline')].filter(
      ([key, { agreement }]) => key.startsWith(`${kind}/`) && agreement !== 'identical',
    );

  function tell(t: TestContext, { log }: Outcome): void {
    t.diagnostic(log.split('\n').findLast((line) => /^(Drift|Unstable|Relation broken): /.test(line)) ?? '');
  }

  before(async () => {
    action = await builtAction('vllm');
    [{ python }, model] = [await ensureEngine(), await ensureModel()];
    runner = await aRunner();
    alternating = join(runner.home, 'alternating-python');
    await runner.write(
      '../../../home/alternating-python',
      `#!/bin/sh
starts=$(cat ${runner.home}/starts 2>/dev/null || echo 0)
echo $((starts + 1)) > ${runner.home}/starts
[ $((starts % 2)) -eq 1 ] || export ATEN_CPU_CAPABILITY=${OTHER_CAPABILITY}
exec ${python} "$@"
`,
    );
    await chmod(alternating, 0o755);
    await write();
    const stored = await run('refresh');
    assert.equal(stored.exitCode, 0, stored.log);
    assert.equal(stored.outputs['conclusion'], 'reproduced');
  });
  after(async () => {
    await runner[Symbol.asyncDispose]();
    await action[Symbol.asyncDispose]();
  });

  test('one flipped bit in one weight: drift, and the module is named', async (t) => {
    await write({ model: await ensureFlippedModel() });
    const outcome = await run('check');
    tell(t, outcome);
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'drift', outcome.log);
    assert.equal(report.verdict, 'fail');
    const traces = [...findingsOf(report, 'baseline').values()].flatMap(({ trace }) => trace ?? []);
    assert.notEqual(traces.length, 0);
    // Whichever text shows it, it begins in the same module.
    for (const { first, differing: count } of traces) if (count > 0) assert.equal(first, FLIPPED.module);
    assert.ok(outcome.log.includes(`first different module: ${FLIPPED.module} (`), outcome.log);
    const placed = outcome.commands.filter(({ properties }) => properties['file'] === 'determinism.yml');
    assert.notEqual(placed.length, 0);
    for (const { data } of placed) assert.ok(data.includes(FLIPPED.module), data);
  });

  test('kernels for another instruction set at every other start: unstable, no drift', async (t) => {
    await write({ confirm: 1 });
    const outcome = await run('check', alternating);
    tell(t, outcome);
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'unstable', outcome.log);
    const { decision } = relationOf(report, 'baseline');
    assert.deepEqual(decision, { of: 2, known: 1, distinct: 2, baselineLifetimes: 1, falseAlarm: null });
    assert.match(outcome.log, /1 of 2 engine starts gave outcomes that the baseline knows, 1 did not/);
    assert.notEqual(differing(report, 'score').length, 0);
    assert.match(outcome.log, /first different module: /);
    assert.match(outcome.log, /changed \(ambient\): cpu\.capability: \w+ → \w+/);
  });

  test('batched with strangers: the relation is broken where a batch changes bits, and the baseline reproduced', async (t) => {
    await write({ relations: ['rerun', { name: 'batch', require: 'identical' }, 'baseline'] });
    const outcome = await run('check');
    tell(t, outcome);
    const report = await reportOf(outcome);
    // Which kernels a CPU takes decides whether a batch rounds otherwise: AMX does, AVX2 does not for prompts as short.
    const { record } = await openRecord(outcome.outputs['record-path'] ?? '');
    const outcomes = new Set(
      record.observations
        .filter(({ pass }) => /^generate-(?:alone|together|strangers)$/.test(pass))
        .map(({ prompt, channels }) => `${prompt} ${channels.map(({ sha256 }) => sha256).join()}`),
    );
    const moves = outcomes.size > record.suite.prompts.length;
    t.diagnostic(moves ? 'a batch changes bits here' : 'a batch changes no bits here');
    assert.equal(report.conclusion, moves ? 'relation-broken' : 'reproduced', outcome.log);
    assert.equal(report.verdict, moves ? 'fail' : 'pass');
    const statuses = report.relations.map(({ relation, status }) => `${relation} ${status}`);
    assert.deepEqual(statuses, ['rerun held', `batch ${moves ? 'broken' : 'held'}`, 'baseline held']);
    assert.match(relationOf(report, 'batch').evidence, /shared steps of the scheduler with others/);
  });
});

/** The example suite as it stands in examples/, with the tests' model, and a Python of this machine. */
describe('plain transformers', () => {
  let action: Action;
  let runner: Runner;

  async function run(mode: 'check' | 'refresh', model: string): Promise<Outcome> {
    const example = await readFile(join(repository, 'examples/transformers.yml'), 'utf8');
    const own = example
      .replace(/^model:\n(?: {2}.*\n)+/m, `model: { path: ${JSON.stringify(model)} }\n`)
      .replace(/^runtime:\n(?: {2}.*\n)+/m, '')
      .replace(
        'baseline: { lifetimes: 3 }',
        'baseline: { store: files, lifetimes: 1 }\npolicy: { confirm: 0 }',
      );
    await runner.write('determinism.yml', own);
    await runner.write(
      'prompts/essay.txt',
      await readFile(join(repository, 'examples/prompts/essay.txt'), 'utf8'),
    );
    const { python } = await ensureEngine();
    const inputs = { mode, runtime: 'process', python };
    return await runStep(action, runner, {
      with: mode === 'refresh' ? { ...inputs, reason: 'first one' } : inputs,
      event: 'workflow_dispatch',
    });
  }

  before(async () => {
    action = await builtAction('vllm');
    runner = await aRunner();
    const stored = await run('refresh', await ensureModel());
    assert.equal(stored.exitCode, 0, stored.log);
  });
  after(async () => {
    await runner[Symbol.asyncDispose]();
    await action[Symbol.asyncDispose]();
  });

  test('another start reproduces what a refresh stored, what it drew included', async () => {
    const outcome = await run('check', await ensureModel());
    assert.equal(outcome.outputs['conclusion'], 'reproduced', outcome.log);
    assert.equal((await reportOf(outcome)).work.prompts, 3);
  });

  test('one flipped bit in one weight: drift, and the module is named', async () => {
    const outcome = await run('check', await ensureFlippedModel());
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'drift', outcome.log);
    const traces = [...findingsOf(report, 'baseline').values()].flatMap(({ trace }) => trace ?? []);
    const first = new Set(traces.flatMap((trace) => (trace.differing > 0 ? [trace.first] : [])));
    assert.deepEqual([...first], [FLIPPED.module]);
    assert.ok(outcome.log.includes(`first different module: ${FLIPPED.module} (`), outcome.log);
  });
});
