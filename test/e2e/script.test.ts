import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { repository } from '../../scripts/setup/cache.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { builtAction } from './support/action.ts';
import { findingsOf, relationOf, reportOf } from './support/reports.ts';
import { aRunner, runStep } from './support/spawn.ts';

const BASELINE = 'baseline: { lifetimes: 4 }';

test('the example of a training step: refreshed, reproduced, and other bits where gradients add up in another order', async () => {
  await using action = await builtAction('vllm');
  await using runner = await aRunner();
  const { python } = await ensureEngine();
  const example = async (name: string) => await readFile(join(repository, 'examples', name), 'utf8');
  // As few engine starts as there can be, and on this machine's own PyTorch.
  const suite = (await example('script.yml'))
    .replace(/^runtime:\n.*\n/m, '')
    .replace(BASELINE, 'baseline: { store: files, lifetimes: 1 }\npolicy: { confirm: 0 }');
  assert.doesNotMatch(suite, /runtime:|lifetimes: 4/);
  await runner.write('train_step.py', await example('train_step.py'));
  const run = async (mode: string, text = suite) => {
    await runner.write('determinism.yml', text);
    const asked = { mode, python, runtime: 'process', ...(mode === 'refresh' && { reason: 'first one' }) };
    return await runStep(action, runner, { with: asked, event: 'workflow_dispatch' });
  };
  const stored = await run('refresh');
  assert.equal(stored.exitCode, 0, stored.log);
  const same = await run('check');
  assert.equal(same.outputs['conclusion'], 'reproduced', same.log);
  const asked = await reportOf(same);
  assert.deepEqual(
    asked.relations.map(({ relation, requirement, status }) => [relation, requirement, status]),
    ['rerun', 'order', 'baseline'].map((relation) => [relation, 'identical', 'held']),
  );
  assert.equal(asked.environment.settings.effective['torch.deterministic_algorithms'], true);

  const drifted = await run('check', suite.replace('micro_batches: 1', 'micro_batches: 2'));
  const report = await reportOf(drifted);
  assert.equal(report.conclusion, 'drift', drifted.log);
  // Both ways repeat: it is the order of the sums, and no accident.
  assert.equal(relationOf(report, 'rerun').status, 'held');
  assert.deepEqual(
    report.changes.map(({ field }) => field),
    ['engine.requested.options.micro_batches'],
  );
  const { reason } = findingsOf(report, 'baseline').get('generate/fox') ?? {};
  assert.match(reason ?? '', /gradients: \d+ of 15 differ, the first at \d+: other bits in \S+: float32\[/);
});
