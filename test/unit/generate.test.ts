import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import {
  between,
  conclusionTable,
  engineTable,
  errorTable,
  knownChangeTable,
  modeInput,
  relationTable,
  storeTable,
  tables,
  witnessTable,
} from '../../scripts/generate.ts';
import { toldIn } from '../../scripts/told.ts';
import { knownChanges } from '../../src/changes/known/index.ts';
import { CONCLUSIONS } from '../../src/compare/conclusion.ts';
import { relations } from '../../src/compare/relations/index.ts';
import { engines } from '../../src/engine/engines/index.ts';
import { inputModes } from '../../src/front/modes.ts';
import { stores } from '../../src/front/stores.ts';
import { ERROR_WORDS } from '../../src/words/error-words.ts';

const schema = async (name: string): Promise<Readonly<Record<string, unknown>>> =>
  JSON.parse(await readFile(new URL(`../../schema/${name}.json`, import.meta.url), 'utf8')) as Readonly<
    Record<string, unknown>
  >;

describe('what is tried', () => {
  test('is read from the tests that try it, in their own words', () => {
    assert.deepEqual(
      toldIn(
        `
tried('a', 'one \\'way\\'', "what \`holds\` it", async () => {});
  tried(
    'b',
    'another',
    'what holds that, too',
    () => {},
  );
`,
        'tried',
      ),
      [
        ['a', "one 'way'", 'what `holds` it'],
        ['b', 'another', 'what holds that, too'],
      ],
    );
  });

  test('is read from decorators of Python’s, too', () =>
    assert.deepEqual(toldIn('    @support.odd("a", "b")\n    def test_a(self): ...\n', 'odd'), [['a', 'b']]));

  test('is missed by no table: without literals it cannot be told', () =>
    assert.throws(() => toldIn('tried(`a`, HOLDS, () => {});', 'tried'), /1 calls of tried\(\), and 0/));
});

describe('the tables of the README', () => {
  test('have a row for each input and output', () => {
    const { inputs, outputs } = tables(
      'inputs: { a: { description: "What | why", default: "1" }, b: { description: B, required: true }, c: { description: "two\\nlines" } }\noutputs: { x: { description: X } }\n',
    );
    assert.equal(
      inputs,
      '| input | what | default |\n| --- | --- | --- |\n| `a` | What \\| why | `1` |\n| `b` | B | **required** |\n| `c` | two lines |  |',
    );
    assert.equal(outputs, '| output | what |\n| --- | --- |\n| `x` | X |');
  });

  for (const source of [
    'inputs: { a: { default: x } }\noutputs: {}',
    'inputs: { a: { description: " " } }\noutputs: {}',
    'inputs: {}\noutputs: { a: {} }',
  ])
    test(`fail for ${source.split('\n')[0]}`, () =>
      assert.throws(() => tables(source), /action\.yml[\s\S]*a\.description/));

  test('go between their markers, and again', () => {
    const readme = 'before\n<!-- inputs -->\nold\n<!-- /inputs -->\nafter';
    const once = between('README.md', readme, 'inputs', 'new');
    assert.equal(once, 'before\n<!-- inputs -->\n\nnew\n\n<!-- /inputs -->\nafter');
    assert.equal(between('README.md', once, 'inputs', 'new'), once);
  });

  test('are missed where a marker was lost', () => {
    assert.throws(() => between('docs/a.md', '<!-- inputs -->', 'inputs', 'x'), /docs\/a\.md lacks/);
  });
});

test('the tables of what a suite can name have a row for each entry of the list', () => {
  const rows = (table: string) => [...table.matchAll(/^\| `([\w-]+)`/gm)].map(([, name]) => name);
  const named = (all: readonly { readonly name: string }[]) => all.map(({ name }) => name);
  assert.deepEqual(rows(relationTable()), named(relations));
  assert.deepEqual(rows(witnessTable()), named(relations));
  assert.deepEqual(rows(engineTable()), named(engines));
  assert.deepEqual(rows(storeTable()), named(stores));
  assert.deepEqual(
    rows(knownChangeTable()),
    knownChanges.map(({ id }) => id),
  );
  assert.match(relationTable(), /^Default: `\[rerun, baseline\]`\.$/m);
});

describe('the tables of docs/troubleshooting.md', () => {
  const rows = (table: string) =>
    table
      .split('\n')
      .slice(2)
      .map((row) => row.split(/(?<!\\)\|/).map((cell) => cell.trim()));

  test('have a row of four cells for each error code, with its words', () => {
    assert.deepEqual(
      rows(errorTable()).map(([, code, what]) => [code, what]),
      Object.entries(ERROR_WORDS).map(([code, { what }]) => [`\`${code}\``, what]),
    );
    for (const row of [...rows(errorTable()), ...rows(conclusionTable())]) {
      assert.equal(row.length, 6, row.join(' | '));
      assert.ok(
        row.slice(1, -1).every((cell) => cell !== ''),
        row.join(' | '),
      );
    }
  });

  test('have a row for each conclusion, with an example where the words need one', () => {
    assert.deepEqual(
      rows(conclusionTable()).map(([, conclusion]) => conclusion),
      CONCLUSIONS.map((conclusion) => `\`${conclusion}\``),
    );
    assert.match(conclusionTable(), /requires `batch: identical`/);
  });

  test('lead to documents that are there', async () => {
    const links = [...`${errorTable()}${conclusionTable()}`.matchAll(/\[([^\]]+)\]\(([^)]+)\)/g)];
    assert.ok(links.length >= 3);
    for (const [, name, file = ''] of links) {
      assert.equal(name, file);
      await readFile(new URL(`../../docs/${file}`, import.meta.url));
    }
  });
});

describe('the JSON Schema of a suite', () => {
  interface Required {
    readonly required: readonly string[];
  }

  test('does not ask for what has a default', async () => {
    const {
      required,
      properties,
      if: probes,
      else: otherwise,
    } = (await schema('suite')) as {
      readonly required: readonly string[];
      readonly properties: Readonly<Record<string, { readonly required?: readonly string[] }>>;
      readonly if: unknown;
      readonly else: {
        readonly then: Required;
        readonly else: Readonly<Record<'then' | 'else', Required>>;
      };
    };
    assert.deepEqual([...required].sort(), ['apiVersion', 'engine', 'name']);
    // What only an engine of probes can do without.
    assert.match(JSON.stringify(probes), /"enum":\["kernels"\]/);
    // A program of the user's is given prompts, and may do without the rest.
    assert.deepEqual(otherwise.then.required, ['prompts']);
    // A task chooses no tokens.
    assert.deepEqual([...otherwise.else.then.required].sort(), ['model', 'prompts']);
    assert.deepEqual([...otherwise.else.else.required].sort(), ['model', 'prompts', 'sampling']);
    assert.deepEqual(properties['sampling']?.required, ['max_tokens']);
  });

  test('says what an editor cannot find out: one source of a prompt, one of a model', async () => {
    const { properties } = (await schema('suite')) as {
      readonly properties: Readonly<
        Record<string, { readonly oneOf?: unknown; readonly items?: { readonly oneOf?: unknown } }>
      >;
    };
    assert.deepEqual(properties['prompts']?.items?.oneOf, [
      { required: ['text'] },
      { required: ['messages'] },
      { required: ['file'] },
      { required: ['token-ids'] },
    ]);
    assert.ok(Array.isArray(properties['model']?.oneOf));
  });

  for (const name of ['suite', 'record', 'baseline', 'fingerprint'])
    test(`${name}.json has a name, a title and a description`, async () => {
      const { $id, title, description, $schema } = await schema(name);
      assert.equal($id, `urn:deterministic-ml:v1:${name}`);
      assert.equal($schema, 'https://json-schema.org/draft/2020-12/schema');
      for (const text of [title, description]) assert.ok(typeof text === 'string' && text.length > 10);
    });
});

describe('what action.yml says of `mode`', () => {
  test('is the list of modes, the first by default, and YAML whatever a row says', () => {
    const [first] = inputModes;
    assert.ok(first);
    const written = modeInput([
      { ...first, name: 'a', what: 'does "this": that' },
      { ...first, name: 'b', needs: 'store', what: 'stores' },
    ]);
    assert.deepEqual(parse(written), {
      mode: {
        description: '`a` does "this": that; `b` stores (`workflow_dispatch`, default branch).',
        default: 'a',
      },
    });
  });

  test('names every mode that a step can name', async () => {
    const action = await readFile(new URL('../../action.yml', import.meta.url), 'utf8');
    assert.ok(action.includes(modeInput()));
    for (const { name } of inputModes) assert.match(modeInput(), new RegExp(`\`${name}\``));
  });
});
