import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realServer } from '../../scripts/evidence/server.ts';
import { ensureModel } from '../../scripts/setup/model.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { builtAction } from './support/action.ts';
import { findingsOf, relationOf, reportOf } from './support/reports.ts';
import { aRunner, runStep } from './support/spawn.ts';

const KEY = 'sk-not-a-key-0123456789';

/** One server for all: most of the time is its start. */
test('vLLM’s own server is asked what it can tell, stored, and reproduces: tokens, log-probabilities, scores', async () => {
  await using action = await builtAction('vllm');
  await using runner = await aRunner();
  const [{ python }, model] = [await ensureEngine(), await ensureModel()];
  await using server = await realServer({ python, model, name: 'small', args: ['--api-key', KEY] });
  await runner.write(
    'determinism.yml',
    `apiVersion: deterministic-ml/v1
name: staging
model: { served: small }
engine: { name: openai, args: { url: "${server.url}" } }
sampling: { temperature: 0, max_tokens: 4 }
prompts:
  - { id: capital, text: "The capital of France is" }
  - { id: sky, messages: [{ role: user, content: "Why is the sky blue?" }] }
  - { id: drawn, text: "Once upon a time", sampling: { temperature: 0.8, top_k: 20, seed: 7 } }
score:
  - { id: prose, text: "It was a dark and stormy night, and the rain fell in torrents." }
relations: [baseline]
baseline: { lifetimes: 1, store: files }
`,
  );
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
      'prose score identical',
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
  for (const { log, summary } of [stored, checked]) assert.ok(!`${log}${summary}`.includes(KEY));
});
