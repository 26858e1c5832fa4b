import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import { makePlan } from '../../../src/run/plan.ts';
import { type Able, beyond } from '../../../src/suite/abilities.ts';
import { readAsked } from '../../../src/suite/asked.ts';
import { parseSuite } from '../../../src/suite/parse.ts';
import { odd } from '../../support/odd.ts';
import { problemsOf, SAMPLE } from '../support/suites.ts';

/** The sample with these prompts in place of its own; the first begins on line 8. */
const asking = (...prompts: readonly string[]) =>
  SAMPLE.replace(/prompts:\n(.*\n){3}/, () => `prompts:\n${prompts.map((one) => `  - ${one}\n`).join('')}`);

const WEATHER = `id: weather
    messages:
      - { role: system, content: Be brief. }
      - { role: user, content: [{ type: text, text: "Oslo?" }, { type: text, text: Now. }] }
      - { role: assistant, tool_calls: [{ id: a, function: { name: weather, arguments: { city: Oslo } } }] }
      - { role: tool, tool_call_id: a, content: rain }
    tools:
      - { function: { name: weather, parameters: { type: object, properties: { city: { type: string } } } } }
    chat_template_kwargs: { enable_thinking: false }`;

async function planned(...prompts: readonly string[]) {
  const parsed = parseSuite(asking(...prompts), 'suite.yml', SUITE_SCHEMA);
  const asked = await readAsked(parsed.suite, () => Promise.reject(new Error('no file')));
  assert.deepEqual(asked.problems, []);
  return makePlan({ ...parsed, ...asked, modelFolder: undefined }, 'check').prompts;
}

describe('a conversation', () => {
  test('reaches the engine in the order in which it stands, with what calls leave out', async () => {
    const [weather, sky] = await planned(WEATHER, 'id: sky\n    messages: [{ role: user, content: Why? }]');
    const call = { name: 'weather', arguments: { city: 'Oslo' } };
    const parameters = { type: 'object', properties: { city: { type: 'string' } } };
    assert.deepEqual(weather?.content, {
      conversation: JSON.stringify({
        messages: [
          { role: 'system', content: 'Be brief.' },
          {
            role: 'user',
            content: [
              { type: 'text', text: 'Oslo?' },
              { type: 'text', text: 'Now.' },
            ],
          },
          { role: 'assistant', tool_calls: [{ id: 'a', type: 'function', function: call }] },
          { role: 'tool', content: 'rain', tool_call_id: 'a' },
        ],
        tools: [{ type: 'function', function: { name: 'weather', parameters } }],
        chat_template_kwargs: { enable_thinking: false },
      }),
    });
    // What earlier versions asked keeps its digest, and so its baseline.
    assert.deepEqual(sky?.content, { messages: [{ role: 'user', content: 'Why?' }] });
  });

  odd(
    '`content: null` beside `tool_calls`, as APIs write down a call',
    'asked as a call without `content`; without `tool_calls`, `suite-invalid` with its line',
    async () => {
      const call = 'role: assistant, tool_calls:';
      const withNull = WEATHER.replace(call, 'role: assistant, content: null, tool_calls:');
      assert.notEqual(withNull, WEATHER);
      assert.deepEqual((await planned(withNull))[0]?.digest, (await planned(WEATHER))[0]?.digest);
      assert.deepEqual(problemsOf(asking('{ id: a, messages: [{ role: user, content: null }] }')), [
        '8:39  `prompts[0].messages[0].content`: a message needs its `content`; only an assistant’s with `tool_calls` has none',
      ]);
    },
  );

  test('is another prompt with any other part, and with another order of what its tools take', async () => {
    const changed = [
      ['Be brief.', 'Be short.'],
      ['text: Now.', 'text: Now'],
      ['{ city: Oslo }', '{ city: Bergen }'],
      ['content: rain', 'content: sun'],
      [
        'type: object, properties: { city: { type: string } }',
        'properties: { city: { type: string } }, type: object',
      ],
      ['enable_thinking: false', 'enable_thinking: true'],
    ] as const;
    const sources = changed.map(([from, to]) => {
      assert.ok(WEATHER.includes(from), from);
      return WEATHER.replace(from, to);
    });
    const digests = await Promise.all(
      [WEATHER, ...sources].map(async (one) => (await planned(one))[0]?.digest),
    );
    assert.equal(new Set(digests).size, digests.length);
  });
});

test('token ids are asked as they are, and are another prompt in another order', async () => {
  const [one, other] = await planned(
    '{ id: a, token-ids: [504, 3575] }',
    '{ id: b, token-ids: [3575, 504] }',
  );
  assert.deepEqual(one?.content, { 'token-ids': [504, 3575] });
  assert.notEqual(one?.digest, other?.digest);
});

describe('several answers to one prompt', () => {
  const drawn = (n: string, own = '') =>
    asking(
      `{ id: sky, text: Why, sampling: { temperature: 0.8, seed: 7${n} } }`,
      `{ id: sea, text: Where${own} }`,
    );
  const askedOf = async (source: string) => {
    const parsed = parseSuite(source, 'suite.yml', SUITE_SCHEMA);
    const asked = await readAsked(parsed.suite, () => Promise.reject(new Error('no file')));
    return {
      places: parsed.places,
      prompts: makePlan({ ...parsed, ...asked, modelFolder: undefined }, 'check').prompts,
    };
  };

  test('are prompts of their own, each with its own seed, in the place of the prompt', async () => {
    const { places, prompts } = await askedOf(drawn(', n: 3'));
    assert.deepEqual(
      prompts.map(({ id, sampling }) => [id, sampling.seed]),
      [
        ['sky', 7],
        ['sky#2', 8],
        ['sky#3', 9],
        ['sea', 0],
      ],
    );
    assert.ok(prompts.every(({ sampling }) => !('n' in sampling)));
    assert.deepEqual(places.prompts.get('sky#3'), places.prompts.get('sky'));
    // What is asked already goes on with its baseline.
    const [before] = (await askedOf(drawn(''))).prompts;
    assert.equal(prompts[0]?.digest, before?.digest);
  });

  test('of a whole suite, but for a prompt that says otherwise', async () => {
    const source = drawn(', n: 1').replace('{ temperature: 0, max', '{ temperature: 1, n: 2, max');
    assert.deepEqual(
      (await askedOf(source)).prompts.map(({ id }) => id),
      ['sky', 'sea', 'sea#2'],
    );
  });

  test('are refused where nothing is drawn', () => {
    const told = 'without a `temperature` all answers are the same one: `n` is 1';
    assert.deepEqual(problemsOf(drawn(', n: 3', ', sampling: { n: 2 }')), [
      `9:41  \`prompts[1].sampling.n\`: ${told}`,
    ]);
    assert.deepEqual(problemsOf(drawn('').replace('{ temperature: 0,', '{ temperature: 0, n: 2,')), [
      `6:29  \`sampling.n\`: ${told}`,
    ]);
  });
});

describe('a prompt that is wrong', () => {
  const TAKEN = 'this is none of the template’s own variables: it is the harness’s to say';
  for (const [what, prompt, expected] of [
    [
      'images, audio and files, each by its name',
      `id: a
    messages:
      - role: user
        content:
          - { type: image_url, image_url: { url: "https://example.org/a.png" } }
          - { type: input_audio, input_audio: {} }
          - { type: file }`,
      [
        '12:13  `prompts[0].messages[0].content[0]`: `vllm` takes no images in messages here',
        '13:13  `prompts[0].messages[0].content[1]`: `vllm` takes no audio in messages here',
        '14:13  `prompts[0].messages[0].content[2]`: `vllm` takes no files in messages here',
      ],
    ],
    [
      'a part of no kind',
      '{ id: a, messages: [{ role: user, content: [{ type: smell, text: x }] }] }',
      ['8:51  `prompts[0].messages[0].content[0].type`: each part is `{ type: text, text: … }`'],
    ],
    [
      'messages that say nothing, or what another role says',
      `id: a
    messages:
      - { role: user }
      - { role: user, content: x, tool_calls: [{ function: { name: f } }] }
      - { role: user, content: x, tool_call_id: a }`,
      [
        '10:9  `prompts[0].messages[0].content`: a message needs its `content`; only an assistant’s with `tool_calls` has none',
        '11:35  `prompts[0].messages[1].tool_calls`: only an `assistant` calls tools',
        '12:35  `prompts[0].messages[2].tool_call_id`: only a `tool` answers a call',
      ],
    ],
    [
      'arguments of a call that are no mapping',
      `id: a
    messages:
      - { role: assistant, tool_calls: [{ function: { name: f, arguments: "[1]" } }] }`,
      [
        '10:64  `prompts[0].messages[0].tool_calls[0].function.arguments`: the arguments of a call are a mapping, or one as JSON',
      ],
    ],
    [
      'variables that are the harness’s, and no name',
      `id: a
    messages: [{ role: user, content: x }]
    chat_template_kwargs: { tokenize: true, a-b: 1 }`,
      [
        `10:29  \`prompts[0].chat_template_kwargs.tokenize\`: ${TAKEN}`,
        '10:45  `prompts[0].chat_template_kwargs.a-b`: a variable of a chat template is a Python name',
      ],
    ],
    [
      'tools without messages',
      '{ id: a, text: x, tools: [{ function: { name: f } }], chat_template_kwargs: { a: 1 } }',
      [
        '8:23  `prompts[0].tools`: the chat template is given it, and renders `messages` alone',
        '8:59  `prompts[0].chat_template_kwargs`: the chat template is given it, and renders `messages` alone',
      ],
    ],
    [
      'token ids that are none, and none at all',
      '{ id: a, token-ids: [1, -1, x, 4294967296] }',
      [
        '8:29  `prompts[0].token-ids[1]`: must be at least 0',
        '8:33  `prompts[0].token-ids[2]` must be a number, and `x` is a text',
        '8:36  `prompts[0].token-ids[3]`: must be at most 2147483647',
      ],
    ],
  ] as const)
    test(what, () => assert.deepEqual(problemsOf(asking(prompt)), expected));
});

describe('a guided answer', () => {
  const guided = (guide: string) => `{ id: sky, text: Why, sampling: { structured_outputs: ${guide} } }`;

  test('is another question by what guides it, and by the order of its members', async () => {
    const guides = [
      '{ json: { properties: { a: {}, b: {} } } }',
      '{ json: { properties: { b: {}, a: {} } } }',
      '{ regex: "[ab]" }',
      '{ choice: [a, b] }',
      '{ choice: [b, a] }',
      '{ json_object: true }',
    ];
    const found = await Promise.all(guides.map(async (one) => (await planned(guided(one)))[0]));
    assert.deepEqual(found[0]?.sampling.structured_outputs, { json: '{"properties":{"a":{},"b":{}}}' });
    const [plain] = await planned('{ id: sky, text: Why }');
    assert.equal(new Set([plain, ...found].map((one) => one?.digest)).size, guides.length + 1);
  });

  test('is guided by one thing', () =>
    assert.deepEqual(
      [
        ...problemsOf(asking(guided('{ regex: a, choice: [a] }'))),
        ...problemsOf(asking(guided('{ json: "[" }'))),
      ],
      [
        '8:39  `prompts[0].sampling.structured_outputs`: an answer is guided by exactly one of `json`, `regex`, `choice`, `grammar`, `json_object`',
        '8:61  `prompts[0].sampling.structured_outputs.json`: a JSON Schema is a mapping, or one as JSON',
      ],
    ));

  test('is refused of an engine that guides none, with each line that asks it', () =>
    assert.deepEqual(
      problemsOf(
        asking(guided('{ regex: a }'))
          .replace('name: vllm', 'name: transformers')
          .replace('temperature: 0,', 'structured_outputs: { json_object: true },'),
      ),
      [
        '6:13  `sampling.structured_outputs`: `transformers` takes no guided answers (`structured_outputs`) here',
        '8:39  `prompts[0].sampling.structured_outputs`: `transformers` takes no guided answers (`structured_outputs`) here',
      ],
    ));
});

describe('an adapter', () => {
  const adapted = (path: string) => `{ id: sql, text: Why, adapter: ${path} }`;

  test('is part of what is asked, and turns on what the engine needs for as many as there are', async () => {
    const parsed = parseSuite(
      asking(adapted('adapters/sql'), '{ id: sky, text: Why }'),
      'suite.yml',
      SUITE_SCHEMA,
    );
    const asked = await readAsked(parsed.suite, () => Promise.reject(new Error('no file')));
    const { prompts, args } = makePlan({ ...parsed, ...asked, modelFolder: undefined }, 'check');
    assert.deepEqual(prompts[0]?.content, { text: 'Why', adapter: 'adapters/sql' });
    assert.notEqual(prompts[0]?.digest, prompts[1]?.digest);
    assert.deepEqual([args['enable_lora'], args['max_loras']], [true, 1]);
    const [sky, ...rest] = asked.prompts.toReversed();
    assert.ok(sky !== undefined && rest.length === 1);
    assert.ok(
      !(
        'enable_lora' in
        makePlan({ ...parsed, ...asked, prompts: [sky], modelFolder: undefined }, 'check').args
      ),
    );
  });

  test('is refused outside of the model’s folder, and of an engine that takes none', () => {
    const shape = 'an adapter is a folder below the model’s own, such as `adapters/sql`';
    for (const path of ['../sql', '/sql', 'a/../b', '"a b"'])
      assert.deepEqual(problemsOf(asking(adapted(path))), [`8:27  \`prompts[0].adapter\`: ${shape}`], path);
    assert.deepEqual(problemsOf(asking(adapted('sql')).replace('name: vllm', 'name: transformers')), [
      '8:27  `prompts[0].adapter`: `transformers` takes no LoRA adapters (`adapter`) here',
    ]);
  });
});

describe('a model that gives vectors', () => {
  const source = (task: string) =>
    asking('{ id: sky, text: Why }')
      .replace('name: vllm, args: { dtype: bfloat16, max_model_len: 1024 }', 'name: transformers')
      .concat(`task: ${task}\n`);

  test('is asked for them alone: nothing is generated, and no sampling takes part', async () => {
    const made = async (changed = '') => {
      const parsed = parseSuite(
        source('embed').replace('seed: 0', `seed: 0${changed}`),
        'suite.yml',
        SUITE_SCHEMA,
      );
      const asked = await readAsked(parsed.suite, () => Promise.reject(new Error('no file')));
      return makePlan({ ...parsed, ...asked, modelFolder: undefined }, 'refresh');
    };
    const { passes, args, depth, prompts } = await made();
    assert.deepEqual([...new Set(passes.map(({ kind }) => kind))], ['score']);
    assert.deepEqual([args['task'], depth], ['embed', 'score']);
    assert.equal(prompts[0]?.digest, (await made(', top_p: 0.5')).prompts[0]?.digest);
  });

  test('is refused of an engine that asks none, and where decoding is looked at', () => {
    assert.deepEqual(problemsOf(source('reward').replace('name: transformers', 'name: vllm')), [
      '10:1  `task`: `vllm` takes no reward models (`task: reward`) here',
    ]);
    assert.deepEqual(problemsOf(source('embed').replace('[rerun, baseline]', '[prefill, baseline]')), [
      '9:13  `relations[0]`: `prefill` looks at decoding, and nothing is decoded by a model that is asked to `embed`',
    ]);
  });
});

describe('what an engine cannot take', () => {
  const suite = parseSuite(asking(WEATHER, '{ id: ids, token-ids: [1] }'), 'suite.yml', SUITE_SCHEMA).suite;
  const told = (takes: Able['takes']) =>
    [...beyond(suite, { name: 'plain', takes })].map(({ message }) => message);

  test('is told of each prompt that asks it', () =>
    assert.deepEqual(told([]), [
      '`plain` takes no `messages` here',
      '`plain` takes no conversations with `tools`, calls, parts or `chat_template_kwargs` here',
      '`plain` takes no prompts as `token-ids` here',
    ]));

  test('is nothing where it can', () => assert.deepEqual(told(['chat', 'conversation', 'token-ids']), []));
});
