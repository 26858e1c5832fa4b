import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readChange } from '../../../src/front/change.ts';
import { changeWords } from '../../../src/suite/change.ts';
import { rejectedBy } from '../support/suites.ts';

test('flags say what the second side has otherwise: numbers, switches and mappings as they are', () => {
  const { change, required } = readChange({
    engine: 'vllm',
    gpus: '2',
    arg: ['dtype=float16', 'enforce_eager=false', 'speculative_config={"method":"ngram"}', 'name=a=b'],
    env: ['VLLM_USE_V1=1'],
  });
  assert.equal(required, 'identical');
  assert.deepEqual(change, {
    engine: 'vllm',
    gpus: 2,
    args: { dtype: 'float16', enforce_eager: false, speculative_config: { method: 'ngram' }, name: 'a=b' },
    env: { VLLM_USE_V1: '1' },
  });
  assert.equal(
    changeWords(change),
    'engine vllm, gpus 2, dtype=float16, enforce_eager=false, speculative_config={"method":"ngram"}, name=a=b, VLLM_USE_V1=1',
  );
});

test('a model is a commit of the hub or a folder', () => {
  const commit = 'c0ffee'.repeat(6).padEnd(40, '0');
  assert.deepEqual(readChange({ model: `acme/tiny@${commit}` }).change.model, {
    id: 'acme/tiny',
    revision: commit,
  });
  assert.deepEqual(readChange({ model: '../tiny' }).change.model, { path: '../tiny' });
});

test('what is no pair, or no requirement, is refused with the form that it has', async () => {
  for (const [flags, said] of [
    [{ arg: ['dtype'] }, /`--arg dtype` has no value/],
    [{ env: ['=1'] }, /`--env =1` has no value/],
    [{ require: 'close' }, /`--require` is `close`/],
    [{ require: 'within 2 floors' }, /`--require` is/],
  ] as const)
    assert.match((await rejectedBy((async () => readChange(flags))())).message, said);
  assert.equal(readChange({ require: 'within 1.5x floor' }).required, 'within 1.5x floor');
});
