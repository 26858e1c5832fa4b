import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { markdown } from '../../src/inert.ts';
import { type Ended, OneProcess } from '../support/one-process.ts';
import { recipeOf, SourceCopy } from '../support/recipes.ts';

/*
 * docs/developing.md says how to add a thing of each kind: one file (an engine one each side) and one line in one list.
 * Here its code is added to a copy of the source, which then runs; and a line that is taken out of a list takes just
 * that thing away. One copy has them all: each engine start and each load of the source costs a second or so.
 */

const ECHO = `apiVersion: deterministic-ml/v1
name: recipe
model: { path: model }
engine: { name: echo, args: { salt: a } }
sampling: { max_tokens: 1 }
prompts: [{ id: one, text: The capital of France is }]
relations: [rerun]
baseline: { store: files, path: baselines, lifetimes: 1 }
policy: { confirm: 0 }
`;
const SALTED = ECHO.replace('salt: a', 'salt: b');
const withBaseline = (suite: string) => suite.replace('[rerun]', '[rerun, baseline]');
const SHARED = ECHO.replace('store: files', 'store: shared');
const RESCORE = ECHO.replace('[rerun]', '[rerun, rescore]');

/** A copy of the source with the recipes in it, a folder that passes for a model, and a process for what runs there. */
class Recipes implements AsyncDisposable {
  readonly copy: SourceCopy;
  #process: OneProcess;

  private constructor(copy: SourceCopy) {
    this.copy = copy;
    this.#process = this.#start();
  }

  static async make(...headings: readonly string[]): Promise<Recipes> {
    const copy = await SourceCopy.make();
    for (const heading of headings) await copy.apply(await recipeOf(heading));
    await mkdir(join(copy.path, 'model'));
    await writeFile(join(copy.path, 'model/config.json'), '{}\n');
    await mkdir(join(copy.path, 'shared'));
    return new Recipes(copy);
  }

  /** Changes the source: what runs after it is loaded anew. */
  async change(work: (copy: SourceCopy) => Promise<void>): Promise<void> {
    await work(this.copy);
    await this.#process[Symbol.asyncDispose]();
    this.#process = this.#start();
  }

  #start(): OneProcess {
    const { path } = this.copy;
    const env = { PATH: process.env['PATH'] ?? '', HOME: path, DETERMINISM_SHARED: join(path, 'shared') };
    return new OneProcess(path, env);
  }

  /** A program of the copy. */
  async program(name: 'cli' | 'main', words: readonly string[], env: Readonly<Record<string, string>> = {}) {
    return await this.#process.run(join(this.copy.path, `src/${name}.ts`), words, env);
  }

  async run(suite: string, command: string, ...flags: readonly string[]): Promise<Ended> {
    await writeFile(join(this.copy.path, 'determinism.yml'), suite);
    // One that measures nothing has no flags for it.
    const measured = command === 'classes' ? [] : ['--runtime', 'process', '--record-path', 'record'];
    return await this.program('cli', [command, 'determinism.yml', '--json', ...flags, ...measured]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    await this.copy[Symbol.asyncDispose]();
  }
}

interface Told {
  readonly outputs: Readonly<Record<string, string>>;
  readonly report: {
    readonly relations: readonly {
      readonly relation: string;
      readonly status: string;
      readonly evidence: string;
    }[];
    readonly knownIssues: { readonly alike: readonly { readonly thread: string }[] };
  };
}

function toldBy({ stdout, stderr }: Ended): Told {
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout) as Told;
}

const conclusionOf = (ended: Ended) => toldBy(ended).outputs['conclusion'];

const entriesOf = async (heading: string) => {
  const { files, lines } = await recipeOf(heading);
  return [files.size, lines.map(({ path, entries }) => [path, entries.length])];
};

let recipes: Recipes;
before(async () => {
  recipes = await Recipes.make(
    ...['Add an engine', 'Add a use-case', 'Add a relation', 'Add a store', 'Add a known issue'],
    'Add a known change',
  );
});
after(async () => await recipes[Symbol.asyncDispose]());

/** What a check beside the baseline finds: its conclusion, the known issues that it looks like, and whether the page has one. */
async function checked(suite: string) {
  const ended = await recipes.run(withBaseline(suite), 'check');
  const { outputs, report } = toldBy(ended);
  const page = await readFile(join(recipes.copy.path, 'record.report.html'), 'utf8');
  return {
    conclusion: outputs['conclusion'],
    alike: report.knownIssues.alike.map(({ thread }) => thread),
    onPage: page.includes('another salt changes every token'),
  };
}

test('the recipes for an engine and for a known issue: from a suite to a verdict, and a drift names the issue', async () => {
  assert.deepEqual(await entriesOf('Add an engine'), [
    2,
    [
      ['src/engine/engines/index.ts', 1],
      ['docker/harness/deterministic_ml/engines/__init__.py', 1],
    ],
  ]);
  assert.deepEqual(await entriesOf('Add a known issue'), [1, [['src/issues/index.ts', 1]]]);
  const refreshed = await recipes.run(ECHO, 'refresh', '--reason', 'first one');
  assert.equal(refreshed.exitCode, 0, refreshed.stderr + refreshed.stdout);
  assert.deepEqual(await checked(ECHO), { conclusion: 'reproduced', alike: [], onPage: false });
  assert.deepEqual(await checked(SALTED), { conclusion: 'drift', alike: ['acme/echo#1'], onPage: true });
});

describe('the recipe for a use-case', () => {
  /** One step of a workflow, after a push. */
  async function step(mode: string) {
    const { path } = recipes.copy;
    const [summary, output] = [join(path, 'summary.md'), join(path, 'output')];
    await Promise.all([summary, output].map((file) => writeFile(file, '')));
    const { exitCode, stdout } = await recipes.program('main', [], {
      ...{ INPUT_MODE: mode, INPUT_SUITE: 'determinism.yml', GITHUB_EVENT_NAME: 'push' },
      ...{ GITHUB_STEP_SUMMARY: summary, GITHUB_OUTPUT: output, GITHUB_WORKSPACE: path },
    });
    return { exitCode, stdout, summary: await readFile(summary, 'utf8') };
  }

  test('is one file and one row, and it runs by both doors', async () => {
    const { files, lines } = await recipeOf('Add a use-case');
    const rows = lines.flatMap(({ entries }) => entries.filter((line) => line === '  mode({'));
    assert.deepEqual(
      [files.size, lines.map(({ path }) => path), rows.length],
      [1, ['src/front/modes.ts'], 1],
    );
    const none = await recipes.run(ECHO.replace('name: recipe', 'name: never'), 'classes');
    assert.deepEqual([none.exitCode, none.stdout], [0, '[]']);
    const [hardware = ''] = JSON.parse((await recipes.run(ECHO, 'classes')).stdout) as readonly string[];
    assert.match(hardware, /^(cpu|nvidia)-/);
    const { exitCode, stdout, summary } = await step('classes');
    assert.deepEqual([exitCode, stdout.split('\n').includes(hardware)], [0, true], stdout);
    assert.equal(summary, `${markdown(hardware)}\n`);
    const help = await recipes.program('cli', ['--help']);
    assert.match(help.stdout, /^ {2}classes \[suite\] +shows which hardware has a baseline$/m);
  });

  test('what it needs to be allowed holds', async () => {
    const refused = await recipes.program('cli', ['classes'], { GITHUB_EVENT_NAME: 'pull_request_target' });
    assert.equal(refused.exitCode, 2);
    assert.match(refused.stderr, /^event-refused: The event `pull_request_target` starts nothing here/);
  });
});

test('the recipe for a relation is one file and one line; it holds, breaks, and is unmeasured where it cannot be exercised', async () => {
  assert.deepEqual(await entriesOf('Add a relation'), [1, [['src/compare/relations/index.ts', 1]]]);
  /** What a check says of the new relation. */
  async function found(suite: string) {
    const ended = await recipes.run(suite, 'check');
    const { outputs, report } = toldBy(ended);
    const told = report.relations.find(({ relation }) => relation === 'rescore');
    const { exitCode } = ended;
    return { exitCode, conclusion: outputs['conclusion'], status: told?.status, evidence: told?.evidence };
  }
  const suite = ECHO.replace('[rerun]', '[rescore]');
  assert.deepEqual(await found(suite), {
    ...{ exitCode: 0, conclusion: 'reproduced', status: 'held' },
    evidence: "the engine's counters show 2 tokens both times",
  });
  const restless = await found(suite.replace('salt: a', 'restless: true'));
  assert.deepEqual(
    [restless.exitCode, restless.conclusion, restless.status],
    [1, 'relation-broken', 'broken'],
  );
  const [scores, scoresNot] = ['("generate", "score")', '("generate",)'] as const;
  const edit = (from: string, to: string) =>
    recipes.copy.edit('docker/harness/deterministic_ml/engines/echo.py', (lines) =>
      lines.map((line) => line.replace(from, to)),
    );
  await edit(scores, scoresNot);
  const blind = await found(RESCORE);
  await edit(scoresNot, scores);
  assert.deepEqual([blind.exitCode, blind.conclusion, blind.status], [1, 'unmeasured', 'unmeasured']);
  assert.match(blind.evidence ?? '', /score-alone is unavailable: echo does no score pass/);
});

test('the recipe for a store is one file and one line, and keeps what a check finds', async () => {
  assert.deepEqual(await entriesOf('Add a store'), [1, [['src/front/stores.ts', 1]]]);
  const refreshed = await recipes.run(SHARED, 'refresh', '--reason', 'first one');
  assert.equal(refreshed.exitCode, 0, refreshed.stderr + refreshed.stdout);
  assert.deepEqual(await readdir(join(recipes.copy.path, 'shared/baselines')), ['recipe']);
  const drifted = await recipes.run(
    SHARED.replace('[rerun]', '[baseline]').replace('salt: a', 'salt: b'),
    'check',
  );
  assert.equal(conclusionOf(drifted), 'drift', drifted.stdout);
});

describe('a line that is taken out of its list', () => {
  before(() =>
    recipes.change(async (copy) => {
      await copy.without('src/engine/engines/index.ts', '  transformers,');
      await copy.without('src/compare/relations/index.ts', '  rescore,');
      await copy.without('src/front/stores.ts', '  sharedStore,');
      await copy.without('src/issues/index.ts', '  echo,');
      await copy.edit('src/changes/known/index.ts', (lines) =>
        lines.filter((line) => !/^ {2}\w+,$/.test(line) || /timeZone|logLevel/.test(line)),
      );
    }),
  );

  test('takes an engine, a relation or a store with it, and none of its neighbours', async () => {
    for (const [suite, told] of [
      [
        ECHO.replace('name: echo', 'name: transformers'),
        /`engine\.name` must be one of `vllm`, `kernels`, `openai`, `script`, `echo`/,
      ],
      [RESCORE, /`relations\[1\]` must be one of `rerun`, .*`baseline`/],
      [SHARED, /`baseline\.store` must be one of `cache`, `files`, `s3`, `oci`/],
    ] as const) {
      const gone = await recipes.run(suite, 'check');
      assert.equal(gone.exitCode, 2);
      assert.match(gone.stderr, told);
    }
    assert.equal((await recipes.run(ECHO, 'check')).exitCode, 0);
  });

  test('takes a known issue with it: a drift names none', async () => {
    const refreshed = await recipes.run(ECHO, 'refresh', '--reason', 'first one');
    assert.equal(refreshed.exitCode, 0, refreshed.stderr + refreshed.stdout);
    assert.deepEqual(await checked(SALTED), { conclusion: 'drift', alike: [], onPage: false });
  });

  test('takes a known change with it: `power` makes those that are left, of which one is of the recipe', async () => {
    assert.deepEqual(await entriesOf('Add a known change'), [1, [['src/changes/known/index.ts', 1]]]);
    const { stdout, stderr } = await recipes.run(ECHO, 'power');
    assert.notEqual(stdout, '', stderr);
    const { perturbations } = JSON.parse(stdout) as {
      readonly perturbations: readonly { readonly id: string; readonly caught: boolean | null }[];
    };
    // Made, and rightly not noticed.
    assert.deepEqual(Object.fromEntries(perturbations.map(({ id, caught }) => [id, caught])), {
      'log-level': false,
      'time-zone': false,
    });
  });
});
