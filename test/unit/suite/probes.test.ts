import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { kernels } from '../../../src/engine/engines/kernels.ts';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import { makePlan } from '../../../src/run/plan.ts';
import { parseSuite } from '../../../src/suite/parse.ts';
import { loaded, problemsOf } from '../support/suites.ts';

/** All that a suite of probes has to say. */
const PROBES = `apiVersion: deterministic-ml/v1
name: kernels
engine: { name: kernels }
`;
const WITH_MODEL = `apiVersion: deterministic-ml/v1
name: whole
model: { path: model }
engine: { name: transformers }
sampling: { max_tokens: 4 }
prompts:
  - { id: a, text: a }
`;
const parsed = (source: string) => parseSuite(source, 'suite.yml', SUITE_SCHEMA);

describe('a suite of probes', () => {
  test('asks all of them, without a model, and an annotation points at its engine', () => {
    const { suite, places } = parsed(PROBES);
    assert.deepEqual(
      suite.prompts.map(({ id, text }) => [id, text]),
      kernels.probes?.map((name) => [name, name]),
    );
    assert.deepEqual(suite.model, {});
    assert.deepEqual(places.prompts.get('matmul'), { line: 3, column: 1 });
  });

  test('asks those that it names', () => {
    const { suite, places } = parsed(`${PROBES}prompts:\n  - { id: products, text: matmul }\n`);
    assert.deepEqual(suite.prompts, [{ id: 'products', text: 'matmul' }]);
    assert.deepEqual(places.prompts.get('products'), { line: 5, column: 5 });
  });

  test('that was read can be read again: a pull request’s is', () => {
    const { suite } = parsed(PROBES);
    assert.deepEqual(SUITE_SCHEMA.parse(suite), suite);
  });

  test('has nothing that only a model could be asked', () => {
    assert.deepEqual(
      problemsOf(
        `${PROBES}model: { path: model }\nsampling: { max_tokens: 4 }\nscore:\n  - { id: prose, text: night }\ndepth: score\n`,
      ),
      [
        '4:1  `model`: `kernels` computes without a model: leave it out',
        '5:1  `sampling`: `kernels` chooses no tokens: leave it out',
        '6:1  `score`: `kernels` scores no texts: leave it out',
        '8:1  `depth`: `kernels` scores nothing: leave it out',
      ],
    );
  });

  test('is what only an engine of probes may have: another one needs its model, beside whatever else is wrong', () => {
    assert.deepEqual(problemsOf(`${PROBES.replace('name: kernels }', 'name: vllm }')}depht: full\n`), [
      '1:1  `model` is missing: it must be a mapping',
      '1:1  `sampling` is missing: it must be a mapping',
      '1:1  `prompts` is missing: it must be a list',
      '4:1  `depht` is not a key of the suite: did you mean `depth`?',
    ]);
  });

  test('is asked in no pass that probes cannot do', () => {
    const { suite } = parsed(PROBES);
    const asked = suite.prompts.map(({ id, text = '' }) => ({ id, text }));
    const plan = (purpose: 'check' | 'refresh') =>
      makePlan(loaded(`${PROBES}relations: [rerun, batch, baseline]\n`, asked), purpose);
    assert.deepEqual(
      plan('refresh').passes.map(({ pass }) => pass),
      ['generate-alone', 'generate-again', 'generate-together', 'generate-strangers'],
    );
    assert.deepEqual(
      plan('check').repeats.map(({ pass }) => pass),
      ['generate-alone'],
    );
  });

  test('is none of a model with probes before it: on a CPU they are called, and elsewhere where a suite asks', () => {
    const calls = (more: string, purpose: 'check' | 'refresh' | 'side' = 'check') =>
      makePlan(loaded(`${WITH_MODEL}${more}`, [{ id: 'a', text: 'a' }]), purpose).probes;
    assert.deepEqual([calls(''), calls('', 'refresh'), calls('', 'side')], [true, true, false]);
    assert.equal(calls('probes: false\n'), false);
    assert.deepEqual(
      [calls('runtime: { gpus: 1 }\n'), calls('runtime: { gpus: 1 }\nprobes: true\n')],
      [false, true],
    );
    assert.deepEqual(problemsOf(`${PROBES}probes: true\n`), [
      '4:1  `probes`: `kernels` takes no probes before the model (`probes: true`) here',
    ]);
  });

  test('is checked by an editor as the reader does', async () => {
    const schema = new URL('../../../schema/suite.json', import.meta.url);
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    const fits = ajv.compile(JSON.parse(await readFile(schema, 'utf8')) as object);
    const embed = WITH_MODEL.replace(/^sampling:.*\n/m, '');
    for (const [source, isRight] of [
      [PROBES, true],
      [`${PROBES}model: { path: model }\n`, false],
      [`${PROBES}score: [{ id: a, text: a }]\n`, false],
      [`${PROBES}depth: score\n`, false],
      [WITH_MODEL, true],
      [embed, false],
      [`${embed}task: embed\n`, true],
    ] as const) {
      assert.equal(fits(parse(source)), isRight, source);
      if (isRight) parsed(source);
      else assert.notDeepEqual(problemsOf(source), []);
    }
  });

  test('names the probes that the harness has', async () => {
    const source = await readFile(
      new URL('../../../docker/harness/deterministic_ml/engines/kernels/probes.py', import.meta.url),
      'utf8',
    );
    const [, list = ''] = source.split('PROBES: Mapping[str, Probe] = {');
    assert.deepEqual(
      [...list.matchAll(/^ {4}"([a-z]+)": /gm)].map(([, name]) => name),
      kernels.probes,
    );
  });
});
