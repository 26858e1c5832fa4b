import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makePlan, type Plan } from '../../src/plan.ts';
import type { PromptInput } from '../../src/suite/schema.ts';
import { loaded, SAMPLE } from './support/suites.ts';

const PROMPTS: readonly PromptInput[] = [
  { id: 'capital', text: 'The capital of France is' },
  { id: 'sky', messages: [{ role: 'user', content: 'Why?' }] },
];

const plan = (
  change: (source: string) => string = (s) => s,
  prompts = PROMPTS,
  required?: Parameters<typeof makePlan>[1],
) => makePlan(loaded(change(SAMPLE), prompts), required);
const replaced = (from: string, to: string) => (source: string) => {
  assert.ok(source.includes(from), from);
  return source.replace(from, to);
};
const digestOf = ({ prompts }: Plan) => prompts[0]?.digest;

describe('engine arguments', () => {
  test('are the deterministic defaults and the suite’s own', () => {
    const { args, defaults } = plan();
    assert.equal(args['dtype'], 'bfloat16');
    assert.equal(args['seed'], 0);
    assert.equal(args['enforce_eager'], true);
    assert.ok(defaults.includes('enforce_eager'));
    assert.ok(!defaults.includes('dtype'));
  });

  test('of the suite win, and are no defaults then', () => {
    const { args, defaults } = plan(replaced('dtype: bfloat16', 'enforce_eager: false, seed: 7'));
    assert.equal(args['enforce_eager'], false);
    assert.equal(args['seed'], 7);
    assert.deepEqual(
      defaults.filter((name) => ['enforce_eager', 'seed'].includes(name)),
      [],
    );
    assert.ok(defaults.length > 0);
  });

  test('so do variables', () => {
    const { environment } = plan(
      replaced('name: vllm,', 'name: vllm, env: { PYTHONHASHSEED: "7", MINE: x },'),
    );
    assert.equal(environment['PYTHONHASHSEED'], '7');
    assert.equal(environment['MINE'], 'x');
    assert.ok('VLLM_ENABLE_V1_MULTIPROCESSING' in environment);
  });
});

describe('what may be compared with what', () => {
  const digest = digestOf(plan());

  test('is not a matter of the prompt’s name or place', () => {
    const renamed = PROMPTS.map((prompt) => ({ ...prompt, id: `x-${prompt.id}` }));
    assert.deepEqual(
      plan(undefined, renamed).prompts.map((p) => p.digest),
      plan().prompts.map((p) => p.digest),
    );
    assert.equal(plan(undefined, PROMPTS.toReversed()).prompts[1]?.digest, digest);
  });

  test('nor of anything that one wants to watch', () => {
    for (const [from, to] of [
      ['SmolLM2-135M-Instruct', 'SmolLM2-360M-Instruct'],
      ['revision: a1', 'revision: b2'],
      ['bfloat16', 'float32'],
      ['vllm-openai@sha256:b2', 'vllm-openai@sha256:c3'],
      ['smollm2-serving', 'another-name'],
      ['gpus: 1', 'gpus: 2'],
      ['relations: [rerun, baseline]', 'relations: [rerun]'],
    ] as const)
      assert.equal(digestOf(plan(replaced(from, to))), digest, from);
  });

  test('is a matter of its text, to the last character', () => {
    const other = (text: string) => digestOf(plan(undefined, [{ id: 'capital', text }]));
    assert.equal(other('The capital of France is'), digest);
    for (const text of [
      'The capital of France is ',
      'the capital of France is',
      'The capital of France is\u200b',
    ])
      assert.notEqual(other(text), digest);
  });

  test('is a matter of roles, and of whether a template is applied', () => {
    const of = (prompt: PromptInput) => digestOf(plan(undefined, [prompt]));
    const digests = [
      of({ id: 'a', text: 'Why?' }),
      of({ id: 'a', messages: [{ role: 'user', content: 'Why?' }] }),
      of({ id: 'a', messages: [{ role: 'system', content: 'Why?' }] }),
      of({
        id: 'a',
        messages: [
          { role: 'user', content: 'Why?' },
          { role: 'user', content: '' },
        ],
      }),
    ];
    assert.equal(new Set(digests).size, digests.length);
  });

  const fields: Readonly<Record<string, string>> = {
    temperature: '0.5',
    top_p: '0.9',
    top_k: '40',
    min_p: '0.1',
    presence_penalty: '0.5',
    frequency_penalty: '0.5',
    repetition_penalty: '1.1',
    seed: '1',
    max_tokens: '65',
    min_tokens: '1',
    ignore_eos: 'true',
    stop: '["x"]',
    stop_token_ids: '[7]',
  };
  test('is a matter of every sampling parameter that there is', () => {
    assert.deepEqual(Object.keys(fields).sort(), Object.keys(plan().sampling).sort());
    for (const [name, value] of Object.entries(fields)) {
      const others = Object.entries({ max_tokens: '64', [name]: value })
        .map((pair) => pair.join(': '))
        .join(', ');
      const changed = plan((source) => source.replace(/sampling: .*/, `sampling: { ${others} }`));
      assert.notEqual(digestOf(changed), digest, name);
    }
  });

  test('is not a matter of writing a default out', () => {
    assert.equal(digestOf(plan(replaced('seed: 0', 'seed: 0, top_p: 1, stop: []'))), digest);
  });
});

describe('passes', () => {
  test('are two for a rerun, one without', () => {
    assert.equal(plan().lifetimes[0]?.passes.length, 2);
    assert.equal(plan(replaced('[rerun, baseline]', '[baseline]')).lifetimes[0]?.passes.length, 1);
  });

  test('take all prompts together, in the suite’s order', () => {
    assert.deepEqual(plan().lifetimes[0]?.passes[1], { pass: 'generate-2', groups: [['capital', 'sky']] });
  });
});

describe('claims', () => {
  test('are the suite’s, each with its own requirement or the relation’s', () => {
    assert.deepEqual(plan().claims, [
      { relation: 'rerun', requirement: 'identical' },
      { relation: 'baseline', requirement: 'identical' },
    ]);
    assert.deepEqual(plan(replaced('rerun, baseline', '{ name: baseline, require: tokens }')).claims, [
      { relation: 'baseline', requirement: 'tokens' },
    ]);
  });

  test('include what a refresh needs, though the suite does not ask', () => {
    const { claims, lifetimes } = plan(replaced('[rerun, baseline]', '[baseline]'), PROMPTS, ['rerun']);
    assert.ok(
      claims.some(({ relation, requirement }) => relation === 'rerun' && requirement === 'identical'),
    );
    assert.equal(lifetimes[0]?.passes.length, 2);
  });

  test('of a refresh hold the engine to something, though the suite only looks', () => {
    const looking = replaced('[rerun, baseline]', '[{ name: rerun, require: measure }, baseline]');
    const rerun = (required: Parameters<typeof makePlan>[1]) =>
      plan(looking, PROMPTS, required).claims.find(({ relation }) => relation === 'rerun')?.requirement;
    assert.equal(rerun([]), 'measure');
    assert.equal(rerun(['rerun']), 'identical');
  });
});
