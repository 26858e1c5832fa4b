import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { parseArgs } from 'node:util';
import { readChange } from '../../src/front/change.ts';
import { SUITE_SCHEMA } from '../../src/front/suites.ts';
import { parseSuite } from '../../src/suite/parse.ts';
import { compare } from '../../src/use-cases/compare.ts';
import { blocksIn, words } from '../support/blocks.ts';
import { ASKS, Job, SUITE } from './support/job.ts';
import { rejectedBy } from './support/suites.ts';

/* The recipes of docs/compare.md, run as they stand there: by an engine in memory, which takes what a suite can say. */

const read = async (path: string) => await readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
const fences = (text: string, language: string) =>
  blocksIn(text, 'page').flatMap((block) => (block.language === language ? [block.text] : []));

const [, recipes = ''] = (await read('docs/compare.md')).split(/^## /m);
const commands = fences(recipes, 'console').flatMap((body) => body.trim().split('\n'));

const TEXT = { type: 'string' } as const;
const MANY = { type: 'string', multiple: true } as const;
const options = { engine: TEXT, image: TEXT, model: TEXT, gpus: TEXT, require: TEXT, arg: MANY, env: MANY };

describe('a recipe', () => {
  test('there are some', () => assert.ok(commands.length >= 6, commands.join('\n')));
  for (const line of commands)
    test(line, async () => {
      const [program, command, ...rest] = words(line);
      assert.deepEqual([program, command], ['deterministic-ml', 'compare']);
      const { values, positionals: paths } = parseArgs({ args: rest, options, allowPositionals: true });
      const job = new Job();
      job.suite = SUITE.replace(
        '{ path: model }',
        `{ id: acme/tiny, revision: ${'c0ffee'.repeat(7).slice(0, 40)} }`,
      );
      const settings = { ...job.settings('workflow_dispatch'), ...ASKS.compare };
      const change = readChange(values);
      if (change.change.gpus !== undefined) {
        // Here it has none: that far it goes.
        const error = await rejectedBy(compare({ ...settings, paths, ...change }, job.tools()));
        assert.equal(error.code, 'gpu-unavailable');
        return;
      }
      const { value } = await compare({ ...settings, paths, ...change }, job.tools());
      assert.equal((value as { readonly outcome: string }).outcome, 'identical');
      assert.equal(job.engine.loads.length, 2);
    });
});

test('variants in the documents and the example are such as a suite can have', async () => {
  const all = [...fences(recipes, 'yaml'), ...fences(await read('docs/suite.md'), 'yaml')].filter((text) =>
    text.startsWith('variants:'),
  );
  assert.equal(all.length, 2);
  for (const text of all)
    assert.ok((parseSuite(SUITE + text, 'suite.yml', SUITE_SCHEMA).suite.variants ?? []).length > 0);
  const { suite } = parseSuite(await read('examples/variants.yml'), 'variants.yml', SUITE_SCHEMA);
  assert.deepEqual(
    suite.variants?.map(({ name, require }) => [name, require]),
    [
      ['compiled', 'within 2x floor'],
      ['fp8-kv', 'measure'],
      ['trainer', 'within 2x floor'],
    ],
  );
});
