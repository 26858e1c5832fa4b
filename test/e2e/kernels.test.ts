import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parseDocument } from 'yaml';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { kernels } from '../../src/engine/engines/kernels.ts';
import { OTHER_CAPABILITY } from '../support/kernels.ts';
import { builtAction } from './support/action.ts';
import { findingsOf, relationOf, reportOf } from './support/reports.ts';
import { aRunner, runStep } from './support/spawn.ts';

interface Change {
  readonly env?: Readonly<Record<string, string>>;
  readonly relations?: readonly string[];
}

/** The example, where only a CPU is: one dtype, and as few engine starts as there can be. */
async function exampleSuite(change: Change = {}): Promise<string> {
  const suite = parseDocument(await readFile(new URL('../../examples/kernels.yml', import.meta.url), 'utf8'));
  suite.delete('runtime');
  suite.setIn(['engine', 'args', 'dtypes'], ['float32']);
  // Other tests run beside it: a thread that waits for the others gives its CPU away.
  suite.setIn(['engine', 'env'], { OMP_WAIT_POLICY: 'passive', ...change.env });
  if (change.relations !== undefined) suite.set('relations', change.relations);
  suite.set('baseline', { store: 'files', lifetimes: 1 });
  suite.set('policy', { confirm: 0 });
  return String(suite);
}

test('the example of probes: stored, reproduced without a model, and other kernels of the CPU are named', async (t) => {
  await using action = await builtAction('vllm');
  await using runner = await aRunner();
  const { python } = await ensureEngine();
  const run = async (mode: 'check' | 'refresh', change?: Change) => {
    await runner.write('determinism.yml', await exampleSuite(change));
    return await runStep(action, runner, {
      with: { mode, runtime: 'process', python, ...(mode === 'refresh' ? { reason: 'first one' } : {}) },
      event: 'workflow_dispatch',
    });
  };

  const stored = await run('refresh');
  assert.equal(stored.exitCode, 0, stored.log);
  const reproduced = await run('check');
  assert.equal(reproduced.outputs['conclusion'], 'reproduced', reproduced.log);
  const report = await reportOf(reproduced);
  assert.match(
    relationOf(report, 'rerun').evidence,
    /show (\d+) calls in generate-alone and \1 in generate-again/,
  );
  // A row of a softmax knows of no other row.
  const batch = findingsOf(report, 'batch');
  assert.equal(relationOf(report, 'batch').status, 'measured');
  assert.equal(batch.get('generate/softmax')?.agreement, 'identical');
  const found = findingsOf(report, 'baseline');
  assert.deepEqual(
    [...found.keys()],
    kernels.probes?.map((probe) => `generate/${probe}`),
  );

  const moved = await run('check', {
    env: { ATEN_CPU_CAPABILITY: OTHER_CAPABILITY },
    relations: ['baseline'],
  });
  assert.equal(moved.outputs['conclusion'], 'drift', moved.log);
  assert.match(moved.log, /calls give something else; .*first different call: \w+ /);
  const differing = [...findingsOf(await reportOf(moved), 'baseline').values()].filter(
    ({ agreement }) => agreement === 'modules-differ',
  );
  t.diagnostic(`${OTHER_CAPABILITY}: ${differing.map(({ prompt }) => prompt).join(', ')}`);
  assert.notEqual(differing.length, 0);
  for (const { prompt, trace } of differing)
    assert.ok(trace?.first?.startsWith(`${prompt} `), trace?.first ?? prompt);
});
