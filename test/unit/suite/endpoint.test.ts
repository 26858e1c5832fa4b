import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import { parseSuite } from '../../../src/suite/parse.ts';
import { suiteOf } from '../support/endpoint.ts';
import { problemsOf, SAMPLE } from '../support/suites.ts';

const OURS = suiteOf('https://api.example/v1');

describe('a suite that asks an endpoint', () => {
  test('names where it is, and by which name the model is served', () => {
    const { suite } = parseSuite(OURS, 'suite.yml', SUITE_SCHEMA);
    assert.deepEqual([suite.model.served, suite.engine.args], ['small', { url: 'https://api.example/v1' }]);
  });

  for (const [what, from, to, says] of [
    ['no `url`', /, args: .*\}/, ' }', /^4:.*needs its `url`/],
    ['a `url` that is none', 'https://', 'ftp://', /^4:.*begins with https:/],
    ['a key in its `url`', '/v1"', '/v1?key=sk-1"', /^4:.*a key is given by the `endpoint-key` input/],
    ['a password in its `url`', 'https://', 'https://user:word@', /^4:.*`endpoint-key` input/],
    ['an argument that is none', '/v1"', '/v1", dtype: half', /^4:.*no argument `dtype`/],
    ['too few samples', '/v1"', '/v1", samples: 1', /^4:.*from 2 to 64/],
    ['a model’s folder', 'served: small', 'path: model', /^3:.*serves a model by a name/],
    [
      'a model’s commit',
      'served: small',
      `served: small, revision: ${'a1'.repeat(20)}`,
      /^3:.*nobody here can say/,
    ],
    [
      'an image',
      'sampling:',
      `runtime: { image: "x/y@sha256:${'b2'.repeat(32)}" }\nsampling:`,
      /^5:.*nothing is started/,
    ],
    ['a GPU', 'sampling:', 'runtime: { gpus: 1 }\nsampling:', /^5:.*nothing is started/],
    ['a variable', ' }\nsampling', ', env: { OMP_NUM_THREADS: "1" } }\nsampling', /^4:.*nothing is started/],
  ] as const)
    test(`has a problem with ${what}`, () => {
      const changed = OURS.replace(from, to);
      assert.notEqual(changed, OURS);
      const problems = problemsOf(changed);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', says);
    });
});

test('an engine that is started loads no model by what somebody else calls it', () => {
  const [problem] = problemsOf(SAMPLE.replace(/model: \{ id.*\}/, 'model: { served: small }'));
  assert.match(problem ?? '', /^3:.*`vllm` loads a model itself/);
});
