import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { codeInServe } from '../../../src/suite/code.ts';
import { readServe, roughly } from '../../../src/suite/serve.ts';
import { problemsOf, SAMPLE } from '../support/suites.ts';

const read = (source: string) => {
  const told = readServe(source);
  assert.ok('ok' in told, JSON.stringify(told));
  return told.ok;
};
const problem = (source: string) => {
  const told = readServe(source);
  assert.ok('problem' in told, JSON.stringify(told));
  return told.problem;
};

describe('a deployment’s command line', () => {
  test('is cut into words as a shell cuts them', () => {
    const { words } = read(
      `x serve o/m --a 'one two' --b "it's" --c '{"mode": 3}' --d=a\\ b \\\n  --e "" --f "\\$5 \\\\n"`,
    );
    assert.deepEqual(words, [
      ...['--a', 'one two', '--b', "it's", '--c', '{"mode": 3}', '--d=a b'],
      ...['--e', '', '--f', '$5 \\n'],
    ]);
  });

  test('names its program and its model, in each of its forms', () => {
    for (const [source, program] of [
      ['vllm serve org/model --port 1', 'vllm serve'],
      ['/opt/bin/vllm serve --model org/model --port 1', 'vllm serve'],
      ['python3.12 -m a.module --port 1 --model=org/model', 'a.module'],
      ['--model org/model --port 1', ''],
    ] as const)
      assert.deepEqual(
        read(source),
        { program, model: 'org/model', words: ['--port', '1'], dropped: [] },
        source,
      );
  });

  test('gives no secret on, however it is written', () => {
    const { words, dropped } = read(
      '--api-key one two --port 1 --api_key=three --hf-token four --api-k five --ssl-keyfile-password six --max-num-batched-tokens 7',
    );
    assert.deepEqual(words, ['--port', '1', '--max-num-batched-tokens', '7']);
    assert.deepEqual(dropped, ['--api-key', '--hf-token', '--api-k', '--ssl-keyfile-password']);
  });

  test('is refused where it asks a shell for something', () => {
    for (const source of ['--a $HOME', '--a "$(id)"', '--a `id`'])
      assert.match(problem(source), /asks a shell/);
    for (const source of ['--a b; id', '--a b | id', '--a b && id', '--a > f', '--a *'])
      assert.match(problem(source), /means something to a shell/, source);
    assert.match(problem("--a 'b"), /never closed/);
    assert.match(problem('--a \\'), /ends in/);
  });

  test('tells roughly what its flags say', () => {
    assert.deepEqual(
      roughly(['--max-model-len', '4096', '--enforce-eager', '--no-x-y', '--a=b', '-tp', '2']),
      {
        max_model_len: '4096',
        enforce_eager: true,
        x_y: false,
        a: 'b',
        tp: '2',
      },
    );
  });

  test('brings code by the same rules as arguments', () => {
    const lead = 'vllm serve org/model --port 1 --served-model-name org/model ';
    assert.deepEqual(codeInServe(`${lead} --max-model-len 4096 --dtype=half`), []);
    for (const flags of [
      '--trust-remote-code',
      '--trust_remote_code',
      '--load-format pt',
      '--chat-template /tmp/x.jinja',
      '--tool-parser-plugin ./x.py',
      '--tokenizer=../elsewhere',
      '--logits-processors a.b:C d.e:F',
      `--speculative-config '{"model": "/tmp/x"}'`,
      '--speculative-config.model /tmp/x',
    ])
      assert.equal(codeInServe(`${lead}${flags}`).length > 0, true, flags);
  });
});

describe('`engine.serve` of a suite', () => {
  const withEngine = (fields: string) =>
    SAMPLE.replace('engine: { name: vllm,', `engine: { name: vllm, ${fields},`);
  const serve = (line: string) => withEngine(`serve: ${JSON.stringify(line)}`);

  test('is refused with its place', () => {
    assert.match(
      problemsOf(serve('vllm serve $MODEL')).join(),
      /^4:\d+ {2}`engine.serve`: `\$` asks a shell/,
    );
    assert.match(problemsOf(serve('sglang serve org/m')).join(), /it begins with `sglang serve`/);
    assert.match(problemsOf(serve('A=1 vllm serve')).join(), /variables before it belong under `engine.env`/);
    assert.match(
      problemsOf(serve('vllm serve other/model')).join(),
      /it serves `other\/model`, and the suite’s model is/,
    );
  });

  test('and `as-served` are of an engine that serves', () => {
    for (const fields of ['defaults: as-served', 'serve: "--port 1"'])
      assert.match(
        problemsOf(withEngine(fields).replace('name: vllm', 'name: transformers')).join(),
        /`transformers` is no server here/,
      );
  });
});
