import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { execa } from 'execa';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import { cachesBelow, ENGINE_ENVIRONMENT } from '../../../src/runtime/environment.ts';
import { withChange } from '../../../src/suite/change.ts';
import { MAX_SUITE_BYTES, parseSuite } from '../../../src/suite/parse.ts';
import { tried } from '../../support/tried.ts';
import { HURTFUL } from '../support/hurtful.ts';
import { problemsOf, SAMPLE, thrownBy } from '../support/suites.ts';

const edited = (from: string | RegExp, to: string) => {
  const text = SAMPLE.replace(from, to);
  assert.notEqual(text, SAMPLE, `${from} is not in the sample`);
  return text;
};

describe('a suite that is right', () => {
  test('gives its values, defaults filled in, and the place of each prompt', () => {
    const { suite, places } = parseSuite(SAMPLE, 'determinism.yml', SUITE_SCHEMA);
    assert.equal(suite.name, 'smollm2-serving');
    assert.deepEqual(suite.engine.args, { dtype: 'bfloat16', max_model_len: 1024 });
    assert.deepEqual(suite.sampling, {
      temperature: 0,
      top_p: 1,
      top_k: 0,
      min_p: 0,
      presence_penalty: 0,
      frequency_penalty: 0,
      repetition_penalty: 1,
      seed: 0,
      max_tokens: 64,
      min_tokens: 0,
      ignore_eos: false,
      stop: [],
      stop_token_ids: [],
    });
    assert.deepEqual(suite.policy, {
      'no-baseline': 'fail',
      incomparable: 'fail',
      removed: 'fail',
      confirm: 4,
    });
    assert.equal(places.file, 'determinism.yml');
    assert.deepEqual([...places.prompts.keys()], ['capital', 'sky', 'essay']);
    assert.deepEqual(places.prompts.get('sky'), { line: 9, column: 5 });
    assert.deepEqual(places.engine, { line: 4, column: 1 });
    assert.deepEqual(places.relations, { line: 11, column: 1 });
  });

  for (const [name, source] of [
    ['block style', edited('[rerun, baseline]', '\n  - rerun\n  - name: baseline\n    require: identical')],
  ] as const)
    test(`may have ${name}`, () => {
      const { places } = parseSuite(source, 'suite.yml', SUITE_SCHEMA);
      assert.deepEqual(places.prompts.get('essay'), { line: 10, column: 5 });
    });

  test('may let a prompt sample in its own way, and score texts beside the prompts', () => {
    const source = edited('France is" }', 'France is", sampling: { temperature: 0.8 } }').replace(
      'relations:',
      'score:\n  - { id: prose, text: "It was a dark night." }\ndepth: score\nrelations:',
    );
    const { suite, places } = parseSuite(source, 'suite.yml', SUITE_SCHEMA);
    assert.deepEqual(suite.prompts[0]?.sampling, { temperature: 0.8 });
    assert.deepEqual(suite.score, [{ id: 'prose', text: 'It was a dark night.' }]);
    assert.equal(suite.depth, 'score');
    assert.deepEqual(places.prompts.get('prose'), { line: 12, column: 5 });
  });

  test('points at an entry that has no line of its own', () => {
    const { places } = parseSuite(edited(/relations: .*\n/, ''), 'suite.yml', SUITE_SCHEMA);
    assert.deepEqual(places.relations, { line: 1, column: 1 });
  });
});

test('every problem is told at once, in the order of the file', () => {
  const source = edited('temperature: 0', 'temperature: "0"')
    .replace('max_tokens: 64', 'max_token: 64')
    .replace('id: sky', 'id: capital')
    .replace('gpus: 1', 'gpus: 0')
    .replace('relations: [rerun, baseline]', 'relations: [rerun, reruns]\nname: again');
  assert.deepEqual(problemsOf(source), [
    '5:110  `runtime.gpus`: must be at least 1',
    '6:1  `sampling.max_tokens` is missing: it must be a number',
    '6:13  `sampling.temperature` must be a number, and `0` is a text',
    '6:31  `max_token` is not a key of `sampling`: did you mean `max_tokens`?',
    '9:7  the prompt id `capital` is used twice',
    '11:20  `relations[1]` must be one of `rerun`, `restart`, `batch`, `order`, `prefix-cache`, `prefill`, `baseline`, `same-model` or a mapping: did you mean `rerun`?',
    '12:1  `name` stands here twice',
  ]);
  const { message, hint } = thrownBy(() => parseSuite(source, 'suite.yml', SUITE_SCHEMA));
  assert.match(message, /^suite\.yml has 7 problems:\n {2}suite\.yml:5:110 {2}`runtime\.gpus`/);
  assert.match(hint, /docs\/suite\.md/);
});

const UNLISTED =
  'a suite sets what tunes numbers, and docs/suite.md lists it: devices, paths, caches, plugins and the network are the runner’s, or the image’s own';

/** Name, source, and what is told of it. */
const wrong: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'an unknown key at the top',
    `${SAMPLE}promts: []\n`,
    ['12:1  `promts` is not a key of the suite: did you mean `prompts`?'],
  ],
  [
    'an unknown key far from any known one',
    edited('gpus: 1', 'gpus: 1, zzzzzzzz: 1'),
    [
      '5:119  `zzzzzzzz` is not a key of `runtime`: known are `image`, `gpus`, `memory`, `cpus`, `shm`, `warm`',
    ],
  ],
  [
    'an unknown key in an entry of a list',
    edited('file: prompts', 'fil: prompts'),
    [
      '10:5  `prompts[2]`: a prompt needs exactly one of `text`, `messages`, `file` and `token-ids`',
      '10:18  `fil` is not a key of `prompts[2]`: did you mean `file`?',
    ],
  ],
  ['a key twice', `${SAMPLE}name: other\n`, ['12:1  `name` stands here twice']],
  [
    'a key twice in a nested mapping',
    edited('seed: 0', 'seed: 0, seed: 1'),
    ['6:54  `seed` stands here twice'],
  ],
  [
    'a text that is called as a prompt, and one with two sources',
    `${SAMPLE}score: [{ id: sky, text: x }, { id: b, text: x, file: y }]\n`,
    [
      '12:11  the id `sky` is used twice: prompts and texts share their names',
      '12:31  `score[1]`: a text needs exactly one of `text` and `file`',
    ],
  ],
  [
    'a relation that looks at decoding where nothing is decoded',
    edited('relations: [rerun, baseline]', 'depth: score\nrelations: [baseline, prefill]'),
    ['12:23  `relations[1]`: `prefill` looks at decoding, and nothing is decoded at depth `score`'],
  ],
  ['a prompt id twice', edited('id: essay', 'id: sky'), ['10:7  the prompt id `sky` is used twice']],
  [
    'a relation twice, once in each form',
    edited('[rerun, baseline]', '[rerun, { name: rerun, require: tokens }]'),
    ['11:20  the relation `rerun` is named twice'],
  ],
  [
    'a merge key through an alias',
    `${edited('sampling: {', 'sampling: &s {')}policy: { <<: *s }\n`,
    [
      '12:11  merge keys are not supported: write the values out',
      '12:15  aliases are not supported: write the value out',
    ],
  ],
  [
    'a merge key',
    `${SAMPLE}policy: { <<: { no-baseline: warn } }\n`,
    ['12:11  merge keys are not supported: write the values out'],
  ],
  [
    'types that are not those of the schema',
    edited('max_tokens: 64', 'max_tokens: 1.5')
      .replace('args: { dtype: bfloat16, max_model_len: 1024 }', 'args: []')
      .replace('relations: [rerun, baseline]', 'relations: rerun')
      .replace('seed: 0', 'seed: .nan')
      .replace('gpus: 1', 'gpus: all'),
    [
      '4:23  `engine.args` must be a mapping',
      '5:110  `runtime.gpus` must be `none` or a number',
      '6:29  `sampling.max_tokens` must be an integer',
      '6:46  `sampling.seed` must be a number, and finite',
      '11:1  `relations` must be a list',
    ],
  ],
  [
    'an argument that has no JSON form',
    edited('dtype: bfloat16', 'dtype: .inf'),
    [
      '4:31  `engine.args.dtype` must be a string or a number or a boolean or null or a list or a mapping, and finite',
    ],
  ],
  [
    'a branch as revision',
    edited(/revision: \w+/, 'revision: main'),
    ['3:51  `model.revision`: a revision is a commit of 40 hex digits: a branch or a tag can move'],
  ],
  [
    'a revision that YAML takes for a number',
    edited(/revision: \w+/, `revision: ${'1'.repeat(40)}`),
    [
      '3:51  `model.revision` must be a string: put it in quotes, since without them it is a number',
      '3:61  `1111111111111111111111111111111111111111` is too large a number to be held exactly: 1.1111111111111112e+39 would be set. In quotes it is a text',
    ],
  ],
  [
    'a hub model without a revision',
    edited(/, revision: \w+/, ''),
    ['3:1  `model.revision`: a model from the hub needs its `revision`: 40 hex digits of a commit'],
  ],
  [
    'a model that is both fetched and here',
    edited('model: { ', 'model: { path: m, '),
    [
      '3:1  `model`: a model needs `id` and `revision`, or `path`, or `served` of an endpoint',
      '3:60  `model.revision`: `revision` belongs to a hub `id`; a `path` is identified by the digests of its files, and what an endpoint serves nobody here can say',
    ],
  ],
  [
    'no max_tokens',
    edited('max_tokens: 64, ', ''),
    ['6:1  `sampling.max_tokens` is missing: it must be a number'],
  ],
  [
    'no version',
    edited(/apiVersion: .*\n/, ''),
    ['1:1  `apiVersion` is missing: it must be `deterministic-ml/v1`'],
  ],
  ['no sampling at all', edited(/sampling: .*\n/, ''), ['1:1  `sampling` is missing: it must be a mapping']],
  [
    'a variable that is not on the list, and one that is no name of one',
    edited('name: vllm,', 'name: vllm, env: { OPENSSL_CONF: x, low: x, VLLM_BATCH_INVARIANT: "1" },'),
    [`4:30  \`engine.env.OPENSSL_CONF\`: ${UNLISTED}`, `4:47  \`engine.env.low\`: ${UNLISTED}`],
  ],
  [
    'a NUL in a variable, and a place',
    edited('name: vllm,', 'name: vllm, env: { VLLM_USE_A: "\\0", VLLM_USE_B: a/b, VLLM_USE_C: "a\\nb" },'),
    [
      '4:30  `engine.env.VLLM_USE_A`: the value is plain text of one line',
      '4:48  `engine.env.VLLM_USE_B`: a value that names a place is refused',
      '4:65  `engine.env.VLLM_USE_C`: the value is plain text of one line',
    ],
  ],
  [
    'a prototype as key of a free mapping',
    edited('args: {', 'args: { __proto__: { polluted: true },'),
    ['4:31  `__proto__` cannot be a key'],
  ],
  [
    'names of Object.prototype as keys',
    `${SAMPLE}constructor: 1\ntoString: 1\n`,
    ['12:1', '13:1'].map(
      (place, i) =>
        `${place}  \`${['constructor', 'toString'][i]}\` is not a key of the suite: known are \`apiVersion\`, \`name\`, \`model\`, \`engine\`, \`runtime\`, \`task\`, \`probes\`, \`sampling\`, \`prompts\`, \`score\`, \`depth\`, \`relations\`, \`baseline\`, \`policy\`, \`variants\`, \`accept\``,
    ),
  ],
  [
    'the model among the engine arguments',
    edited('dtype: bfloat16', 'model: other'),
    ['4:31  `engine.args.model`: the model is named under `model`'],
  ],
  [
    'a misspelt requirement',
    edited('[rerun, baseline]', '[{ name: rerun, require: identicl }]'),
    [
      '11:28  `relations[0].require` must be one of `identical`, `within-envelope`, `tokens`, `measure`: did you mean `identical`?',
    ],
  ],
  ['another version', edited('ml/v1', 'ml/v2'), ['1:1  `apiVersion` must be `deterministic-ml/v1`']],
  [
    'two sources of one prompt',
    edited('id: capital, ', 'id: capital, file: x, '),
    ['8:5  `prompts[0]`: a prompt needs exactly one of `text`, `messages`, `file` and `token-ids`'],
  ],
  [
    'an empty list of prompts',
    edited(/prompts:\n(.*\n){3}/, 'prompts: []\n'),
    ['7:1  `prompts`: must have at least 1 entry'],
  ],
  ['nothing', '', ['1:1  the suite must be a mapping, and is empty']],
  ['only a comment', '# later\n', ['1:1  the suite must be a mapping, and is empty']],
  ['a scalar', 'hello\n', ['1:1  the suite must be a mapping']],
  ['a list', '- hello\n', ['1:1  the suite must be a mapping']],
  ['two documents', `${SAMPLE}---\n${SAMPLE}`, ['12:1  a second document begins here: a suite is one']],
  [
    'another version of YAML',
    `%YAML 1.1\n---\n${SAMPLE}`,
    ['1:1  a suite is YAML 1.2: remove the %YAML line'],
  ],
  [
    'a tag that runs code elsewhere',
    edited('name: smollm2-serving', 'name: !!js/function x'),
    [
      '2:7  the tag `tag:yaml.org,2002:js/function` is not supported: write the value out, or put a text in quotes',
    ],
  ],
  [
    'an acceptance twice, a record that is none, a reason that says nothing',
    `${SAMPLE}accept:
  - { record: ${'ab'.repeat(32)}, reason: meant }
  - { record: ${'ab'.repeat(32)}, hardware-class: cpu, reason: meant }
  - { record: ${'ab'.repeat(32)}, reason: meant once more }
  - { record: abc, reason: "  " }
`,
    [
      '15:7  this record is accepted twice for the same hardware',
      '16:7  `accept[3].record`: a record is named by the 64 hex digits that its report shows',
      '16:20  `accept[3].reason`: an acceptance needs its reason',
    ],
  ],
  [
    'a bracket that is not closed',
    edited('seed: 0 }', 'seed: 0'),
    ['7:1  Flow map in block collection must be sufficiently indented and end with a }'],
  ],
];

describe('a suite that is wrong', () => {
  for (const [name, source, expected] of wrong)
    test(name, () => assert.deepEqual(problemsOf(source), expected));
});

describe('a suite cannot set', () => {
  const OURS = {
    ...ENGINE_ENVIRONMENT,
    ...cachesBelow('x'),
    ...{ HF_TOKEN: 'x', HF_ENDPOINT: 'x', https_proxy: 'x', CUDA_VISIBLE_DEVICES: '' },
  };
  /** What loads code, finds it, names files, asks the network, chooses devices, or is a prefix and no more. */
  const NAMES = [
    ...[
      'CC',
      'CXX',
      'PATH',
      'HOME',
      'TMPDIR',
      'LD_PRELOAD',
      'LD_LIBRARY_PATH',
      'LD_AUDIT',
      'BASH_ENV',
      'ENV',
    ],
    ...[
      'PYTHONPATH',
      'PYTHONSTARTUP',
      'PYTHONHASHSEED',
      'OPENSSL_CONF',
      'GCONV_PATH',
      'LOCPATH',
      'GLIBC_TUNABLES',
    ],
    ...[
      'CUDA_HOME',
      'CUDA_INJECTION64_PATH',
      'CUDA_VISIBLE_DEVICES',
      'NVIDIA_VISIBLE_DEVICES',
      'CUDA_CACHE_PATH',
    ],
    ...['NCCL_NET_PLUGIN', 'NCCL_TUNER_PLUGIN', 'NCCL_CONF_FILE', 'NCCL_TOPO_FILE', 'NCCL_DEBUG_FILE'],
    ...[
      'TRITON_PTXAS_PATH',
      'TRITON_CACHE_MANAGER',
      'TRITON_LIBCUDA_PATH',
      'TORCH_EXTENSIONS_DIR',
      'TORCH_LOGS_OUT',
    ],
    ...[
      'TORCHINDUCTOR_CUTLASS_DIR',
      'TORCHINDUCTOR_CPP_MARCH',
      'TORCH_COMPILE_DEBUG_DIR',
      'OMP_TOOL_LIBRARIES',
    ],
    ...[
      'VLLM_PLUGINS',
      'VLLM_CACHE_ROOT',
      'VLLM_LOGGING_CONFIG_PATH',
      'VLLM_NCCL_SO_PATH',
      'VLLM_CUDART_SO_PATH',
    ],
    ...['VLLM_ALLOW_INSECURE_SERIALIZATION', 'VLLM_TUNED_CONFIG_FOLDER', 'VLLM_API_KEY', 'VLLM_HOST_IP'],
    ...[
      'HF_ENDPOINT',
      'HF_HUB_OFFLINE',
      'HF_TOKEN',
      'HTTPS_PROXY',
      'GITHUB_TOKEN',
      'XLA_FLAGS',
      'OMP_NUM_THREADSX',
    ],
    ...Object.keys(OURS).filter((name) => /^[A-Z]/.test(name)),
  ];
  for (const name of new Set(NAMES))
    test(name, () =>
      assert.deepEqual(problemsOf(edited('name: vllm,', `name: vllm, env: { ${name}: x },`)), [
        `4:30  \`engine.env.${name}\`: ${UNLISTED}`,
      ]),
    );
});

describe('a suite that is made to hurt', () => {
  test('whatever fills it up to the cap, and however, costs no more memory than a process of a job has', async () => {
    // What grows with the square of the size does not end within the deadline, which is for a machine under load.
    const program = new URL('../support/hurtful.ts', import.meta.url).pathname;
    const { stdout } = await execa(process.execPath, ['--max-old-space-size=320', program], {
      timeout: 180_000,
      killSignal: 'SIGKILL',
    });
    assert.deepEqual(
      stdout.split('\n'),
      HURTFUL.map(([, unit]) => `suite-invalid 1 ${JSON.stringify(unit)}`),
    );
  });

  tried(
    'suite of aliases',
    'nine lines of aliases that come to a billion values',
    'aliases are refused by the line, before anything is built',
    () => {
      const levels = [...'bcdefghi'].map(
        (name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[i]}`).join(', ')}]\n`,
      );
      const problems = problemsOf(`a: &a [lol, lol]\n${levels.join('')}`);
      assert.equal(problems[0], '2:8  aliases are not supported: write the value out');
    },
  );

  test('larger than the cap', () => {
    assert.deepEqual(problemsOf(SAMPLE + '#'.repeat(MAX_SUITE_BYTES)), [
      `1:1  the file is larger than ${MAX_SUITE_BYTES} bytes: move long prompts into files`,
    ]);
    const filled = SAMPLE + '#'.repeat(MAX_SUITE_BYTES - SAMPLE.length);
    assert.equal(parseSuite(filled, 'suite.yml', SUITE_SCHEMA).suite.name, 'smollm2-serving');
  });

  test('20,000 unknown keys: the first hundred are told', () => {
    const keys = Array.from({ length: 20_000 }, (_, i) => `k${i}: 1\n`).join('');
    const { message, places } = thrownBy(() => parseSuite(SAMPLE + keys, 'suite.yml', SUITE_SCHEMA));
    assert.equal(places.length, 100);
    assert.ok(message.length < 50_000, `a message of ${message.length} characters`);
  });

  test('an endless key', () => {
    const { message } = thrownBy(() =>
      parseSuite(`${SAMPLE}${'k'.repeat(200_000)}: 1\n`, 'suite.yml', SUITE_SCHEMA),
    );
    assert.ok(message.length < 1000, `a message of ${message.length} characters`);
  });

  for (const [open, close] of [
    ['[', ']'],
    ['{ a: ', '}'],
  ] as const)
    for (const depth of [50, 130, 700, 3000, 25_000])
      test(`${depth} levels of ${open}`, () => {
        const nested = `${open.repeat(depth)}1${close.repeat(depth)}`;
        const source = edited('dtype: bfloat16', `dtype: ${nested}`);
        if (depth === 50) parseSuite(source, 'suite.yml', SUITE_SCHEMA);
        else assert.match(problemsOf(source)[0] ?? '', /this is nested too deeply$/);
      });

  tried(
    'suite that is nested without end',
    'lists in lists, thousands of levels deep, as a value or where the file’s own keys would stand',
    'one problem with its line: where the parser’s own recursion ends, nothing of the file is read',
    () => {
      const lists = '['.repeat(20_000);
      for (const source of [
        `${'- '.repeat(20_000)}x`,
        `${SAMPLE}${'- '.repeat(3000)}tal: 3\n   used: 1\n`,
        `a: ${lists}${']'.repeat(20_000)}`,
      ])
        for (const problem of problemsOf(source)) assert.match(problem, /this is nested too deeply$/);
    },
  );

  test('an engine whose name is no text', () => {
    const source = edited('name: vllm', 'name: { toString: 1 }');
    assert.match(problemsOf(source).join('\n'), /`engine\.name`/);
  });

  test('an acceptance whose record is no text', () => {
    assert.deepEqual(problemsOf(`${SAMPLE}accept: [{ record: { toString: 1 }, reason: x }]\n`), [
      '12:12  `accept[0].record` must be a string',
    ]);
  });

  test('no key reaches the process as a warning', async (t) => {
    const warn = t.mock.method(process, 'emitWarning', () => {});
    problemsOf(edited('args: {', 'args: { ["::error::x", b]: 1, '));
    problemsOf(edited('args: {', 'args: { ? { "##[error]x": 1 } : 1, '));
    assert.equal(warn.mock.callCount(), 0);
  });
});

describe('a suite of a program', () => {
  const PROGRAM =
    'apiVersion: deterministic-ml/v1\nname: step\nengine: { name: script, args: { file: step.py } }\nprompts:\n  - { id: one, text: One }\n';

  test('needs neither a model nor a sampling', () => {
    const { suite } = parseSuite(PROGRAM, 'suite.yml', SUITE_SCHEMA);
    assert.deepEqual(suite.model, {});
    parseSuite(PROGRAM.concat('model: { path: model }\n'), 'suite.yml', SUITE_SCHEMA);
    const changed = withChange(suite, { args: { function: 'walk' } }, SUITE_SCHEMA);
    assert.deepEqual('ok' in changed && changed.ok.engine.args, { file: 'step.py', function: 'walk' });
  });

  test('says nothing of tokens, texts and distances', () => {
    const wrong = PROGRAM.replace('text: One', 'text: One, sampling: { seed: 1 }').concat(
      'sampling: { max_tokens: 2 }\nscore: [{ id: two, text: Two }]\ndepth: score\n',
      'relations: [rerun, { name: baseline, require: within-envelope }]\n',
    );
    assert.deepEqual(problemsOf(wrong), [
      '5:27  `prompts[0].sampling`: `script` chooses no tokens: leave it out',
      '6:1  `sampling`: `script` chooses no tokens: leave it out',
      '7:1  `score`: `script` scores no texts: leave it out',
      '8:1  `depth`: `script` scores nothing: leave it out',
      '9:38  `relations[1].require`: `script` gives neither tokens nor a distance: ask for `identical` or `measure`',
    ]);
  });

  test('and any other needs both, told beside what else is wrong', () => {
    assert.deepEqual(
      problemsOf(PROGRAM.replace('name: script', 'name: transformers').replace('one, text', 'one, txet')),
      [
        '1:1  `model` is missing: it must be a mapping',
        '1:1  `sampling` is missing: it must be a mapping',
        '5:5  `prompts[0]`: a prompt needs exactly one of `text`, `messages`, `file` and `token-ids`',
        '5:16  `txet` is not a key of `prompts[0]`: did you mean `text`?',
      ],
    );
  });
});
