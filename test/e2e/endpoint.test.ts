import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parseDocument } from 'yaml';
import { realServer } from '../../scripts/evidence/server.ts';
import { ensureFlippedModel } from '../../scripts/setup/flipped-model.ts';
import { ensureModel } from '../../scripts/setup/model.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
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

/** Most of the time is the start of the two servers. */
test('the example of an endpoint: vLLM’s own server is asked what it can tell, stored, and reproduced; one flipped bit of its weights is drift', async () => {
  await using action = await builtAction('vllm');
  await using runner = await aRunner();
  const [{ python }, model] = [await ensureEngine(), await ensureModel()];
  const served = { python, name: 'small', args: ['--api-key', KEY, '--dtype', 'float32'] };
  await using owned = new AsyncDisposableStack();
  const server = owned.use(await realServer({ ...served, model }));
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
  await owned.disposeAsync();

  await using other = await realServer({ ...served, model: await ensureFlippedModel() });
  await runner.write('determinism.yml', await exampleSuite(other.url));
  const drifted = await run('check');
  assert.equal((await reportOf(drifted)).conclusion, 'drift', drifted.log);
  for (const { log, summary } of [stored, checked, drifted]) assert.ok(!`${log}${summary}`.includes(KEY));
});
