import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { after, before, test } from 'node:test';
import { ensureFlippedModel, FLIPPED_SHALLOW } from '../../scripts/setup/flipped-model.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { ensureShallowModel } from '../../scripts/setup/shallow-model.ts';
import { openRecord } from '../../src/disk/record-folder.ts';
import { type Action, builtAction } from './support/action.ts';
import { findingsOf, relationOf, reportOf } from './support/reports.ts';
import { aRunner, runStep } from './support/spawn.ts';
import { realSuite } from './support/suites.ts';

const RANKS = 2;

let action: Action;
before(async () => {
  action = await builtAction('vllm');
});
after(() => action[Symbol.asyncDispose]());

test('a model that two ranks share reproduces, and one flipped bit is named with the one rank that has it', async () => {
  await using runner = await aRunner();
  const [{ python }, model] = [await ensureEngine(), await ensureShallowModel()];
  const run = async (mode: 'check' | 'refresh', of: string) => {
    await runner.write(
      'determinism.yml',
      realSuite({
        ...{ model: of, maxTokens: 2, relations: ['baseline'], prompts: [{ id: 'capital', text: PROMPT }] },
        args: { tensor_parallel_size: RANKS },
        env: { VLLM_CPU_OMP_THREADS_BIND: '0|1' },
      }),
    );
    const inputs = { mode, runtime: 'process', python };
    return await runStep(action, runner, {
      with: mode === 'refresh' ? { ...inputs, reason: 'first one' } : inputs,
      event: 'workflow_dispatch',
    });
  };
  const stored = await run('refresh', model);
  assert.equal(stored.exitCode, 0, stored.log);
  assert.equal(stored.outputs['conclusion'], 'reproduced', stored.log);

  const { record } = await openRecord(stored.outputs['record-path'] ?? '');
  const [lifetime] = record.lifetimes;
  const told = ['tensor_parallel_size', 'ranks', 'collectives'].map(
    (name) => lifetime?.settings.effective[name],
  );
  assert.deepEqual(told, [RANKS, RANKS, 'gloo']);
  const { process } = lifetime?.passes[0]?.witness ?? {};
  assert.equal(new Set(process?.split(',')).size, RANKS, 'each rank is a process of its own');
  // Suites say how many ranks there are: they are a change that one wants to see, and of no other hardware.
  assert.doesNotMatch(record.hardwareClass, /x\d$/);

  const drifted = await run('check', await ensureFlippedModel(FLIPPED_SHALLOW));
  const report = await reportOf(drifted);
  assert.equal(report.conclusion, 'drift', drifted.log);
  const traces = [...findingsOf(report, 'baseline').values()].flatMap(({ trace }) => trace ?? []);
  // vLLM has `gate_proj` and `up_proj` in one matrix.
  const named = `rank 1: ${FLIPPED_SHALLOW.module.replace('up_proj', 'gate_up_proj')}`;
  assert.deepEqual([...new Set(traces.map(({ first }) => first))], [named]);
  assert.ok(drifted.log.includes(`first different module: ${named} (`), drifted.log);
});

test('two lifetimes of a refresh run side by side on CPUs of their own, and give one outcome', async (t) => {
  if (availableParallelism() < 2) return t.skip('NEEDS two CPUs');
  await using runner = await aRunner();
  const [{ python }, model] = [await ensureEngine(), await ensureShallowModel()];
  await runner.write(
    'determinism.yml',
    realSuite({
      ...{ model, maxTokens: 2, relations: ['baseline'], prompts: [{ id: 'capital', text: PROMPT }] },
      ...{ lifetimes: 2, runtime: { memory: '4GiB' } },
    }),
  );
  const outcome = await runStep(action, runner, {
    with: { mode: 'refresh', reason: 'first one', runtime: 'process', python, 'cpu-sets': '0 1' },
    event: 'workflow_dispatch',
  });
  assert.equal(outcome.exitCode, 0, outcome.log);
  assert.match(outcome.log, /::group::Engines, lifetime-1 to lifetime-2 side by side on CPUs 0; CPUs 1/);
  const { record } = await openRecord(outcome.outputs['record-path'] ?? '');
  assert.deepEqual(
    record.lifetimes.map(({ lifetime, devices, start }) => [lifetime, devices?.cpus, start?.how]),
    [
      ['lifetime-1', '0', 'cold'],
      ['lifetime-2', '1', 'cold'],
    ],
  );
  const [first, second] = record.lifetimes.map(({ digest, phases }) => ({ digest, phases }));
  const report = await reportOf(outcome);
  assert.equal(relationOf(report, 'restart').status, 'held');
  assert.ok(first && second);
  t.diagnostic(JSON.stringify([first.phases, second.phases]));
});

const PROMPT = 'The capital of France is Paris, and the capital of Germany is';
