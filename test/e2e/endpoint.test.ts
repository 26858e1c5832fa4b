import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parseDocument } from 'yaml';
import { realServer } from '../../scripts/evidence/server.ts';
import { ensureFlippedModel, FLIPPED_SHALLOW } from '../../scripts/setup/flipped-model.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { ensureShallowModel } from '../../scripts/setup/shallow-model.ts';
import { builtAction } from './support/action.ts';
import { findingsOf, relationOf, reportOf } from './support/reports.ts';
import { aRunner, runStep } from './support/spawn.ts';

const KEY = 'sk-not-a-key-0123456789';

/** The example, of a server that runs here, with a prompt that draws. */
async function exampleSuite(url: string): Promise<string> {
  const suite = parseDocument(await example('openai.yml'));
  suite.setIn(['model', 'served'], 'small');
  suite.setIn(['engine', 'args', 'url'], url);
  const drawn = { id: 'drawn', text: 'Once upon a time', sampling: { temperature: 0.8, top_k: 20, seed: 7 } };
  suite.addIn(['prompts'], suite.createNode(drawn));
  suite.set('baseline', { store: 'files', lifetimes: 1 });
  suite.set('policy', { confirm: 0 });
  return String(suite);
}

const example = async (name: string) =>
  await readFile(new URL(`../../examples/${name}`, import.meta.url), 'utf8');

/** The server loads other weights while it runs, as one that is trained further does: another start would take most of the time. */
async function loadWeights(url: string, path: string): Promise<void> {
  const ask = async (what: string, body = {}) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(new URL(what, url), { method: 'POST', headers, body: JSON.stringify(body) });
    assert.ok(answer.ok, `${what}: ${await answer.text()}`);
  };
  await ask('/collective_rpc', { method: 'reload_weights', kwargs: { weights_path: path } });
  // What it has kept of prompts was computed with the old ones.
  await ask('/reset_prefix_cache');
}

test('the example of an endpoint: vLLM’s own server is asked what it can tell, stored, and reproduced; one flipped bit of its weights is drift', async () => {
  await using action = await builtAction('vllm');
  await using runner = await aRunner();
  const [{ python }, model] = [await ensureEngine(), await ensureShallowModel()];
  await using server = await realServer({
    ...{ python, model, name: 'small' },
    // A small cache of keys and values, as `realSuite` has it.
    args: ['--api-key', KEY, '--dtype', 'float32', '--num-gpu-blocks-override', '32'],
    environment: {
      // Its engine computes in one process, where a CPU's would start another for it; and it takes other weights.
      ...{ VLLM_ENABLE_V1_MULTIPROCESSING: '0', VLLM_SERVER_DEV_MODE: '1' },
      ...{ OMP_NUM_THREADS: '1', VLLM_CPU_OMP_THREADS_BIND: 'nobind' },
    },
  });
  await runner.write('prompts/essay.txt', await example('prompts/essay.txt'));
  await runner.write('determinism.yml', await exampleSuite(server.url));
  const run = async (mode: 'check' | 'refresh', key = KEY) =>
    await runStep(action, runner, {
      with: { mode, 'endpoint-key': key, ...(mode === 'refresh' ? { reason: 'first one' } : {}) },
      event: 'workflow_dispatch',
    });

  const refused = await run('refresh', 'another-key');
  assert.match(refused.log, /endpoint-refused|401/);
  assert.equal(refused.exitCode, 1);

  const stored = await run('refresh');
  assert.equal(stored.exitCode, 0, stored.log);
  const checked = await run('check');
  const report = await reportOf(checked);
  assert.deepEqual([report.conclusion, checked.exitCode], ['reproduced', 0], checked.log);
  const found = findingsOf(report, 'baseline');
  assert.deepEqual(
    [...found.values()].map(({ prompt, kind, agreement }) => `${prompt} ${kind} ${agreement}`).sort(),
    [
      ...['capital', 'drawn', 'sky'].flatMap((id) => [`${id} generate identical`, `${id} score identical`]),
      'essay score identical',
    ].sort(),
  );
  assert.equal(relationOf(report, 'baseline').status, 'held');
  const { effective } = report.environment.settings;
  assert.deepEqual(
    [
      effective['completions.token-ids'],
      effective['completions.prompt-logprobs'],
      effective['chat/completions.sampling'],
    ],
    [true, true, true],
  );
  assert.match(String(effective['system_fingerprint']), /^vllm-/);

  await loadWeights(server.url, await ensureFlippedModel(FLIPPED_SHALLOW));
  const drifted = await run('check');
  assert.equal((await reportOf(drifted)).conclusion, 'drift', drifted.log);
  // It is the bit, and not that weights were loaded anew.
  await loadWeights(server.url, model);
  const again = await run('check');
  assert.equal((await reportOf(again)).conclusion, 'reproduced', again.log);
  for (const { log, summary } of [stored, checked, drifted, again])
    assert.ok(!`${log}${summary}`.includes(KEY));
});
