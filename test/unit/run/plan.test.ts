import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makePlan, type Plan } from '../../../src/run/plan.ts';
import { loaded, type PromptInput, SAMPLE } from '../support/suites.ts';

const PROMPTS: readonly PromptInput[] = [
  { id: 'capital', text: 'The capital of France is' },
  { id: 'sky', messages: [{ role: 'user', content: 'Why?' }] },
];

const plan = (
  change: (source: string) => string = (s) => s,
  prompts = PROMPTS,
  purpose: Parameters<typeof makePlan>[1] = 'check',
) => makePlan(loaded(change(SAMPLE), prompts), purpose);
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

  test('keep the engine’s memory on a GPU the same, unless the suite speaks of it', () => {
    const name = 'kv_cache_memory_bytes';
    const { args, defaults } = plan();
    assert.equal(args[name], 'auto');
    assert.ok(defaults.includes(name));
    for (const own of ['gpu_memory_utilization: 0.5', 'num_gpu_blocks_override: 100'])
      assert.ok(!(name in plan(replaced('dtype: bfloat16', own)).args), own);
    const bytes = plan(replaced('dtype: bfloat16', `${name}: 1073741824`));
    assert.equal(bytes.args[name], 1_073_741_824);
    assert.ok(!bytes.defaults.includes(name));
    assert.ok(!(name in plan(replaced('gpus: 1', 'gpus: none')).args), 'a CPU has its own setting');

    const share = 'gpu_memory_utilization';
    assert.deepEqual(
      [args[share], bytes.args[share]],
      ['auto', 'auto'],
      'a neighbour ends no start that knows its bytes',
    );
    assert.equal(plan(replaced('dtype: bfloat16', `${share}: 0.5`)).args[share], 0.5);
    assert.ok(!(share in plan(replaced('gpus: 1', 'gpus: none')).args));
  });

  test('so do variables', () => {
    const { environment } = plan(
      replaced('name: vllm,', 'name: vllm, env: { CUBLAS_WORKSPACE_CONFIG: ":16:8", OMP_NUM_THREADS: "2" },'),
    );
    assert.equal(environment['CUBLAS_WORKSPACE_CONFIG'], ':16:8');
    assert.equal(environment['OMP_NUM_THREADS'], '2');
    assert.equal(environment['PYTHONHASHSEED'], '0');
    assert.ok('VLLM_ENABLE_V1_MULTIPROCESSING' in environment);
  });
});

describe('as it is served', () => {
  const asServed = (fields: string, args = 'dtype: bfloat16, max_model_len: 1024') =>
    replaced(
      'engine: { name: vllm, args: { dtype: bfloat16, max_model_len: 1024 } }',
      `engine: { name: vllm, ${fields}, args: { ${args} } }`,
    );

  test('nothing is set but what the harness needs', () => {
    const { args, defaults, environment, serve, traceApart } = plan(asServed('defaults: as-served'));
    assert.deepEqual(args, { disable_log_stats: false, dtype: 'bfloat16', max_model_len: 1024 });
    assert.deepEqual(defaults, ['disable_log_stats']);
    assert.deepEqual(environment, { VLLM_ENABLE_V1_MULTIPROCESSING: '0' });
    assert.deepEqual(serve, { defaults: 'as-served', words: [], dropped: [], place: 'suite.yml:4' });
    assert.ok(traceApart, 'what is compiled is traced by a start of its own');
  });

  test('a command line means it, unless the suite says otherwise', () => {
    const line = 'serve: "vllm serve --port 1 --api-key x --gpu-memory-utilization 0.5"';
    const { serve, args } = plan(asServed(line));
    assert.deepEqual(serve?.words, ['--port', '1', '--gpu-memory-utilization', '0.5']);
    assert.deepEqual([serve?.defaults, serve?.dropped], ['as-served', ['--api-key']]);
    assert.ok(!('enforce_eager' in args));
    const other = plan(asServed(`${line}, defaults: deterministic`));
    assert.deepEqual([other.serve?.defaults, other.args['enforce_eager']], ['deterministic', true]);
    assert.ok(!('kv_cache_memory_bytes' in other.args), 'the command line speaks of the memory');
  });

  test('an eager one is traced as it scores', () => {
    assert.ok(!plan(asServed('serve: "--enforce-eager"')).traceApart);
    assert.ok(plan(asServed('serve: "--enforce-eager"', 'enforce_eager: false')).traceApart);
  });

  test('a relation that needs what the command line switches off is told of before an engine starts', () => {
    const told = (line: string) =>
      plan((source) =>
        asServed(`serve: "${line}"`)(source).replace('[rerun, baseline]', '[rerun, prefix-cache]'),
      ).unmeasurable;
    assert.deepEqual(told('--no-enable-prefix-caching'), [
      '`prefix-cache` will be unmeasured: the suite sets `enable_prefix_caching` to false.',
    ]);
    assert.deepEqual(told('--port 1'), []);
  });

  test('what the suite does not say of sampling is the model’s, and no part of the question', () => {
    const prompt = (unsaid?: readonly string[]) => {
      const whole = loaded(SAMPLE, PROMPTS);
      return makePlan(
        { ...whole, prompts: whole.prompts.map((one) => ({ ...one, ...(unsaid && { unsaid }) })) },
        'check',
      ).prompts[0]?.digest;
    };
    assert.notEqual(prompt(['temperature']), prompt());
    assert.notEqual(prompt(['temperature']), prompt(['top_p']));
    assert.equal(prompt([]), prompt());
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
    assert.deepEqual(Object.keys(fields).sort(), Object.keys(plan().prompts[0]?.sampling ?? {}).sort());
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

const names = (passes: Plan['passes']) => passes.map(({ pass }) => pass);
const asking = (relations: string) => replaced('[rerun, baseline]', `[${relations}]`);

describe('passes', () => {
  test('are those that the relations need, each once, in a fixed order', () => {
    assert.deepEqual(names(plan().passes), [
      'generate-alone',
      'generate-again',
      'force-alone',
      'score-alone',
    ]);
    assert.deepEqual(names(plan(asking('rerun')).passes), ['generate-alone', 'generate-again']);
    assert.deepEqual(names(plan(asking('order, batch')).passes), [
      'generate-alone',
      'generate-together',
      'generate-reversed',
      'generate-strangers',
    ]);
  });

  test('of a refresh make a baseline and its floor, whatever the suite asks for', () => {
    const { passes } = plan(asking('rerun'), PROMPTS, 'refresh');
    for (const pass of ['generate-alone', 'force-alone', 'score-alone', 'score-strangers'])
      assert.ok(names(passes).includes(pass), pass);
  });

  test('of a further lifetime are what lifetimes are compared by', () => {
    assert.deepEqual(names(plan(undefined, PROMPTS, 'refresh').repeats), [
      'generate-alone',
      'force-alone',
      'score-alone',
    ]);
  });

  test('at depth `score` force nothing, and repeat the score', () => {
    const passes = names(plan(replaced('relations:', 'depth: score\nrelations:')).passes);
    assert.ok(passes.includes('score-again'));
    assert.ok(!passes.some((pass) => pass.startsWith('force')));
  });

  test('of a compiled engine trace nothing: that takes an eager start of its own', () => {
    const { passes, traceApart } = plan(replaced('dtype: bfloat16', 'enforce_eager: false'));
    assert.ok(traceApart);
    assert.ok(!names(passes).includes('trace-alone'));
    assert.equal(plan().traceApart, false);
  });

  test('of a compiled engine’s refresh measure what rounding makes where its modules run one by one', () => {
    const compiled = replaced('dtype: bfloat16', 'enforce_eager: false');
    const { passes, traces } = plan(compiled, PROMPTS, 'refresh');
    assert.ok(!names(passes).includes('score-noise'));
    assert.deepEqual(names(traces), ['trace-alone', 'score-again', 'score-noise']);
    assert.deepEqual(names(plan(compiled).traces), ['trace-alone']);
    assert.ok(names(plan(undefined, PROMPTS, 'refresh').passes).includes('score-noise'));
  });
});

describe('lifetimes', () => {
  test('are one for a check, two where `restart` is asked for, four for a refresh', () => {
    assert.equal(plan().lifetimes, 1);
    assert.equal(plan(asking('restart, baseline')).lifetimes, 2);
    assert.equal(plan(undefined, PROMPTS, 'refresh').lifetimes, 4);
    const one = replaced('relations:', 'baseline: { lifetimes: 1 }\nrelations:');
    assert.equal(plan(one, PROMPTS, 'refresh').lifetimes, 1);
  });
});

describe('claims', () => {
  const requirementOf = (name: string, { claims }: Plan) =>
    claims.find(({ relation }) => relation === name)?.requirement;

  test('are the suite’s, each with its own requirement or the relation’s', () => {
    assert.deepEqual(plan(asking('rerun, batch, { name: baseline, require: tokens }')).claims, [
      { relation: 'rerun', requirement: 'identical' },
      { relation: 'batch', requirement: 'measure' },
      { relation: 'baseline', requirement: 'tokens' },
    ]);
  });

  test('hold what batch invariance promises, where it is in force', () => {
    const invariant = (source: string) =>
      asking('batch, order, prefix-cache, prefill')(source).replace(
        'name: vllm,',
        'name: vllm, env: { VLLM_BATCH_INVARIANT: "1" },',
      );
    for (const { requirement } of plan(invariant).claims) assert.equal(requirement, 'identical');
  });

  test('of a refresh hold the engine to itself, though the suite does not ask or only looks', () => {
    const bare = plan(asking('baseline'), PROMPTS, 'refresh');
    assert.equal(requirementOf('rerun', bare), 'identical');
    assert.equal(requirementOf('restart', bare), 'identical');
    const looking = asking('{ name: rerun, require: measure }, baseline');
    assert.equal(requirementOf('rerun', plan(looking)), 'measure');
    assert.equal(requirementOf('rerun', plan(looking, PROMPTS, 'refresh')), 'identical');
  });

  test('of a refresh let a suite accept an engine of several outcomes, if it says so', () => {
    const several = asking('{ name: restart, require: measure }, baseline');
    assert.equal(requirementOf('restart', plan(several, PROMPTS, 'refresh')), 'measure');
  });

  test('of `prefix-cache` switch the cache on, unless the suite says otherwise', () => {
    assert.equal(plan(asking('prefix-cache')).args['enable_prefix_caching'], true);
    assert.equal(plan().args['enable_prefix_caching'], false);
    const off = (source: string) =>
      asking('prefix-cache')(source).replace('dtype: bfloat16', 'enable_prefix_caching: false');
    assert.equal(plan(off).args['enable_prefix_caching'], false);
  });
});

describe('a program', () => {
  const PROGRAM =
    'apiVersion: deterministic-ml/v1\nname: step\nengine: { name: script, args: { file: step.py } }\nprompts: [{ id: capital, text: One }]\nrelations: [rerun, order, baseline]\n';

  test('is called with prompts, and asked for nothing that it does not do', () => {
    const names = (purpose: 'check' | 'refresh') =>
      makePlan(loaded(PROGRAM, PROMPTS), purpose).passes.map(({ pass }) => pass);
    const asked = ['generate-alone', 'generate-again', 'generate-together', 'generate-reversed'];
    assert.deepEqual([names('check'), names('refresh')], [asked, asked]);
  });

  test('is compared by the prompt alone: its options are facts of the environment', () => {
    const other = PROGRAM.replace('file: step.py', 'file: step.py, options: { size: 2 }');
    const [one, two] = [PROGRAM, other].map((source) => makePlan(loaded(source, PROMPTS), 'check'));
    assert.equal(one && digestOf(one), two && digestOf(two));
    assert.notEqual(one && digestOf(one), digestOf(plan()));
  });
});
