import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe } from 'node:test';
import { loadSuite } from '../../../src/disk/suite-file.ts';
import { PROGRAMS, SUITE_SCHEMA } from '../../../src/front/suites.ts';
import { makePlan } from '../../../src/run/plan.ts';
import { parseSuite } from '../../../src/suite/parse.ts';
import { odd } from '../../support/odd.ts';
import { temporaryFolder } from '../support/folder.ts';
import { loaded, problemsOf, SAMPLE } from '../support/suites.ts';

const edited = (from: string | RegExp, to: string) => {
  const text = SAMPLE.replace(from, () => to);
  assert.notEqual(text, SAMPLE, `${from} is not in the sample`);
  return text;
};
const parsed = (source: string) => parseSuite(source, 'suite.yml', SUITE_SCHEMA);
const capital = (text: string) => edited('"The capital of France is"', text);
const textOf = (source: string) => parsed(source).suite.prompts[0]?.text;
const digestOf = (text: string) => makePlan(loaded(SAMPLE, [{ id: 'a', text }]), 'check').prompts[0]?.digest;

/** A suite on a disk, with what lies beside it. */
async function onDisk(source: string, files: Readonly<Record<string, string>>) {
  const temporary = await temporaryFolder();
  for (const [name, content] of Object.entries({ 'suite.yml': source, ...files })) {
    await mkdir(dirname(join(temporary.path, name)), { recursive: true });
    await writeFile(join(temporary.path, name), content);
  }
  return {
    root: temporary.path,
    load: () => loadSuite('suite.yml', temporary.path, SUITE_SCHEMA, PROGRAMS),
    [Symbol.asyncDispose]: () => temporary[Symbol.asyncDispose](),
  };
}

describe('a text', () => {
  odd('an empty text', '`suite-invalid`, with its line', () =>
    assert.deepEqual(problemsOf(capital('""')), ['8:20  `prompts[0].text`: must have at least 1 character']),
  );

  odd('half of a surrogate pair', '`suite-invalid`, with its line: no UTF-8 can hold it', () =>
    assert.deepEqual(problemsOf(capital('"The \\ud800 capital"')), [
      '8:26  this text holds half of a surrogate pair, which has no UTF-8 form',
    ]),
  );

  odd(
    'NUL, emoji of several parts, text from right to left, combining marks',
    'asked as it is, to the last byte',
    () => {
      const texts = ['a\u0000b', '👩‍👩‍👧‍👦🏽', '\u202eשלום\u202c', 'e\u0301'];
      for (const text of texts) assert.equal(textOf(capital(JSON.stringify(text))), text);
      // What looks alike is another prompt.
      for (const [one, other] of [
        ['e\u0301', 'é'],
        ['a\u0000b', 'ab'],
        ['👩‍👧', '👩👧'],
        ['\u202eא', 'א'],
      ] as const)
        assert.notEqual(digestOf(one), digestOf(other));
    },
  );

  odd(
    '100 KB in one text',
    'asked; what makes the suite larger than 256 KiB belongs into a `file` of up to 4 MiB',
    () => {
      const text = 'word '.repeat(20_000);
      assert.equal(textOf(capital(JSON.stringify(text))), text);
      assert.match(
        problemsOf(capital(JSON.stringify(text.repeat(3)))).join(),
        /move long prompts into files/,
      );
    },
  );

  odd('5,000 prompts', 'read as any others, each with its line; at most 10,000', () => {
    const all = Array.from({ length: 5000 }, (_, index) => `  - { id: p${index}, text: x }\n`).join('');
    const { suite, places } = parsed(edited(/ {2}- \{ id: capital(?:.*\n){3}/, all));
    assert.equal(suite.prompts.length, 5000);
    assert.equal(places.prompts.get('p4999')?.line, 5007);
  });
});

describe('a text without quotes', () => {
  const plain = (text: string) => edited(/ {2}- \{ id: capital.*\n/, `  - id: capital\n    text: ${text}\n`);

  odd(
    'a text without quotes that holds ` #`, or begins with `&`',
    '`suite-invalid`, with its line: YAML takes a part of it away',
    () => {
      assert.deepEqual(problemsOf(plain('C # is a language')), [
        '9:11  what stands behind ` #` is a comment to YAML, and no part of the text: put the text in quotes',
      ]);
      assert.deepEqual(problemsOf(plain('&lt is less than')), [
        '9:15  `&lt` is an anchor to YAML, and no part of the text: put the text in quotes',
      ]);
      assert.equal(textOf(plain('C# is one\n    # and this is a remark')), 'C# is one');
      assert.equal(textOf(plain('"C # is one" # in quotes')), 'C # is one');
    },
  );

  odd(
    'a text without quotes that holds `: `, or begins with `[`, `*`, `!`, `@` or `%`',
    '`suite-invalid`, with its line: it needs quotes',
    () => {
      for (const text of [
        'Note: this',
        '[INST] Hi [/INST]',
        '*Hello* there',
        '!important it is',
        '@all',
        '%d items',
      ])
        assert.match(problemsOf(plain(text)).join('\n'), /^9:\d+ {2}.*in quotes/, text);
    },
  );
});

describe('a file', () => {
  odd(
    'a prompt’s `file` that is a pointer of Git LFS',
    '`prompt-file-invalid`, with its line: the pointer would be asked',
    async () => {
      await using at = await onDisk(SAMPLE, {
        'prompts/essay.txt': `version https://git-lfs.github.com/spec/v1\noid sha256:${'a1'.repeat(32)}\nsize 9\n`,
      });
      await assert.rejects(at.load(), {
        code: 'prompt-file-invalid',
        message: /^suite\.yml:10:5 .* pointer of Git LFS/,
      });
    },
  );

  odd('line ends of Windows', 'as any others', () => {
    const windows = SAMPLE.replaceAll('\n', '\r\n');
    assert.deepEqual(parsed(windows).suite, parsed(SAMPLE).suite);
    assert.equal(problemsOf(`${windows}zzzzzzzz: 1\r\n`)[0]?.slice(0, 17), '12:1  `zzzzzzzz` ');
  });

  odd('a byte order mark before a suite', 'passed over', () =>
    assert.deepEqual(parsed(`\ufeff${SAMPLE}`).suite, parsed(SAMPLE).suite),
  );

  odd(
    'a byte order mark, tabs and line ends of Windows in a prompt’s `file`',
    'asked, byte for byte',
    async () => {
      await using at = await onDisk(SAMPLE, { 'prompts/essay.txt': '\ufeffa\r\n\tb\r\n' });
      assert.deepEqual((await at.load()).prompts[2]?.content, { text: '\ufeffa\r\n\tb\r\n' });
    },
  );

  odd('an indentation of tabs', '`suite-invalid`, with its line', () =>
    assert.deepEqual(problemsOf('apiVersion: deterministic-ml/v1\nmodel:\n\tid: x\n'), [
      '3:1  Tabs are not allowed as indentation',
    ]),
  );

  odd('anchors and aliases', 'an anchor is passed over; an alias is `suite-invalid`, with its line', () => {
    const anchored = edited('name: smollm2', 'name: &n smollm2');
    assert.deepEqual(parsed(anchored).suite, parsed(SAMPLE).suite);
    assert.deepEqual(problemsOf(anchored.replace('id: capital', 'id: *n')), [
      '8:11  aliases are not supported: write the value out',
    ]);
  });

  odd(
    '`no`, `off`, `010` and `1:30`',
    'YAML 1.2: the texts `no`, `off` and `1:30`, and the number 10; a text where a truth or a number belongs is `suite-invalid`',
    () => {
      assert.equal(textOf(capital('no')), 'no');
      assert.equal(textOf(capital('1:30')), '1:30');
      assert.equal(parsed(edited('seed: 0', 'seed: 010')).suite.sampling.seed, 10);
      assert.deepEqual(problemsOf(edited('seed: 0', 'seed: 1:30, ignore_eos: off')), [
        '6:45  `sampling.seed` must be a number, and `1:30` is a text',
        '6:57  `sampling.ignore_eos` must be a boolean, and `off` is a text',
      ]);
      assert.deepEqual(problemsOf(capital('010')), [
        '8:20  `prompts[0].text` must be a string: put it in quotes, since without them it is a number',
      ]);
    },
  );
});

describe('a number', () => {
  odd(
    'an integer beyond 2^53, wherever it stands',
    '`suite-invalid`, with its line: another number would be set',
    () => {
      const told = (digits: string, set: string) =>
        `\`${digits}\` is too large a number to be held exactly: ${set} would be set. In quotes it is a text`;
      assert.deepEqual(problemsOf(edited('dtype: bfloat16', 'seed: -18446744073709551616')), [
        `4:37  ${told('-18446744073709551616', '-18446744073709552000')}`,
      ]);
      const last = problemsOf(edited('seed: 0', 'seed: 9007199254740993')).at(-1);
      assert.equal(last, `6:51  ${told('9007199254740993', '9007199254740992')}`);
      // The same digits reach the engine: it is no more than too large.
      assert.deepEqual(problemsOf(edited('seed: 0', 'seed: 9300000000000000000')), [
        '6:45  `sampling.seed`: must be at most 2147483647',
      ]);
      // As exact as it was written.
      assert.equal(parsed(edited('dtype: bfloat16', 'x: 1e300')).suite.engine.args['x'], 1e300);
    },
  );
});

describe('a name', () => {
  odd(
    'a name of another program’s, or of ours misspelt',
    '`suite-invalid`, with its line and the name that is meant',
    () => {
      const told = (from: string, to: string) => problemsOf(edited(from, to)).at(-1);
      for (const [from, to, meant] of [
        ['text: "The capital', 'prompt: "The capital', 'text'],
        ['text: "The capital', 'token_ids: [1], input: "The capital', 'text'],
        ['content: "Explain', 'value: "Explain', 'content'],
        ['max_tokens: 64', 'max_tokens: 64, guided_json: {}', 'structured_outputs'],
        ['max_tokens: 64', 'max_tokens: 64, maxTokens: 64', 'max_tokens'],
        ['max_tokens: 64', 'max_tokens: 64, max_completion_tokens: 64', 'max_tokens'],
        ['max_tokens: 64', 'max_tokens: 64, top-p: 1', 'top_p'],
        ['name: vllm', 'name: vLLM', 'vllm'],
      ] as const)
        assert.match(told(from, to) ?? '', new RegExp(`: did you mean \`${meant}\`\\?$`), to);
      assert.deepEqual(problemsOf(edited('dtype: bfloat16', '--max-model-len: 4096')), [
        '4:31  `engine.args.--max-model-len`: an engine argument is a Python name, as in `max_model_len`',
      ]);
    },
  );

  odd(
    'a `model.path` with `~`, a variable, an address or a drive; an expression of a workflow in `engine.args` or `engine.env`',
    '`suite-invalid`, with its line: nobody fills it in',
    () => {
      for (const path of [
        '~/models/x',
        '$HOME/x',
        `\${{ github.workspace }}/x`,
        's3://bucket/x',
        'C:\\models\\x',
      ])
        assert.match(
          problemsOf(edited(/model: \{.*\}/, `model: { path: '${path}' }`)).join(),
          /^3:10 {2}`model\.path`: /,
          path,
        );
      const args = edited('dtype: bfloat16', `dtype: "\${{ inputs.dtype }}"`);
      assert.match(problemsOf(args).join(), /^4:31 {2}`engine\.args\.dtype`: variables and/);
      const env = edited('name: vllm,', `name: vllm, env: { OMP_NUM_THREADS: "\${{ vars.N }}" },`);
      assert.match(problemsOf(env).join(), /^4:30 {2}`engine\.env\.OMP_NUM_THREADS`: variables and/);
      // A prompt may ask about them.
      assert.equal(textOf(capital(`"What is \${{ github.ref }}?"`)), `What is \${{ github.ref }}?`);
    },
  );

  odd('an id with spaces or letters beyond ASCII', '`suite-invalid`, with its line', () => {
    const told =
      'a prompt id must be 1-64 letters, digits, dots, dashes or underscores, and begin and end with a letter or digit';
    for (const id of ['the capital', 'größe', '-a', '007#2'])
      assert.deepEqual(
        problemsOf(edited('id: capital', `id: "${id}"`)),
        [`8:7  \`prompts[0].id\`: ${told}`],
        id,
      );
  });

  odd(
    'paths with spaces and letters beyond ASCII, of a prompt’s `file` and of `model.path`',
    'found',
    async () => {
      const source = edited('prompts/essay.txt', '"prömpts/an essay 論文.txt"').replace(
        /model: \{.*\}/,
        () => 'model: { path: "my models/größe 1" }',
      );
      await using at = await onDisk(source, {
        'prömpts/an essay 論文.txt': 'Once',
        'my models/größe 1/config.json': '{}',
      });
      const { prompts, modelFolder } = await at.load();
      assert.deepEqual(prompts[2]?.content, { text: 'Once' });
      assert.deepEqual(modelFolder, { path: join(at.root, 'my models/größe 1'), lies: 'inside' });
    },
  );
});

describe('sampling', () => {
  odd('`max_tokens: 0`', '`suite-invalid`, with its line', () =>
    assert.deepEqual(problemsOf(edited('max_tokens: 64', 'max_tokens: 0')), [
      '6:29  `sampling.max_tokens`: must be at least 1',
    ]),
  );

  odd(
    '`min_tokens` above `max_tokens`, also where a prompt says only one of them',
    '`suite-invalid`, with its line',
    () => {
      const told = '`min_tokens` is more than `max_tokens`: no answer can be so long';
      assert.deepEqual(problemsOf(edited('max_tokens: 64', 'max_tokens: 64, min_tokens: 65')), [
        `6:45  \`sampling.min_tokens\`: ${told}`,
      ]);
      const own = 'id: capital, sampling: { max_tokens: 8 }';
      const source = edited('id: capital', own).replace('max_tokens: 64', 'max_tokens: 64, min_tokens: 9');
      assert.deepEqual(problemsOf(source), [`8:32  \`prompts[0].sampling.max_tokens\`: ${told}`]);
    },
  );

  odd(
    'a number with a unit or a percent sign, in quotes, or with underscores',
    '`suite-invalid`, with its line: it is a text',
    () => {
      for (const written of ['4k', '50%', '"64"', '1_000'])
        assert.deepEqual(problemsOf(edited('max_tokens: 64', `max_tokens: ${written}`)), [
          `6:29  \`sampling.max_tokens\` must be a number, and \`${written.replaceAll('"', '')}\` is a text`,
        ]);
    },
  );

  odd('a `max_tokens` or a `top_k` of -1', '`suite-invalid`, with its line, once', () => {
    assert.deepEqual(problemsOf(edited('max_tokens: 64', 'max_tokens: -1')), [
      '6:29  `sampling.max_tokens`: must be at least 1',
    ]);
    assert.deepEqual(problemsOf(edited('max_tokens: 64', 'max_tokens: 64, top_k: -1')), [
      '6:45  `sampling.top_k`: must be at least 0, which is off',
    ]);
  });

  odd('a temperature of 2', 'taken; above it, `suite-invalid` with its line', () => {
    assert.equal(parsed(edited('temperature: 0', 'temperature: 2')).suite.sampling.temperature, 2);
    assert.deepEqual(problemsOf(edited('temperature: 0', 'temperature: 2.01')), [
      '6:13  `sampling.temperature`: must be at most 2',
    ]);
  });
});
