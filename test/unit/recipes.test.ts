import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { execa } from 'execa';
import { markdown } from '../../src/inert.ts';
import { COMPILED, recipeOf, SourceCopy } from '../support/recipes.ts';

/*
 * docs/developing.md says how to add a thing of each kind: one file (an engine one each side) and one line in one list.
 * Here its code is added to a copy of the source, which then runs; and a line that is taken out of a list takes just
 * that thing away.
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

/** A copy of the source with these recipes in it, and a folder that passes for a model. */
async function copyWith(...headings: readonly string[]): Promise<SourceCopy> {
  const copy = await SourceCopy.make();
  for (const heading of headings) await copy.apply(await recipeOf(heading));
  await mkdir(join(copy.path, 'model'));
  await writeFile(join(copy.path, 'model/config.json'), '{}\n');
  return copy;
}

async function run(copy: SourceCopy, suite: string, command: string, ...flags: readonly string[]) {
  await writeFile(join(copy.path, 'determinism.yml'), suite);
  return await execa(
    process.execPath,
    [
      ...[join(copy.path, 'src/cli.ts'), command, 'determinism.yml', '--json', ...flags],
      // One that measures nothing has no flags for it.
      ...(command === 'classes' ? [] : ['--runtime', 'process', '--record-path', 'record']),
    ],
    {
      cwd: copy.path,
      extendEnv: false,
      env: {
        PATH: process.env['PATH'] ?? '',
        ...COMPILED,
        HOME: copy.path,
        DETERMINISM_SHARED: join(copy.path, 'shared'),
      },
      reject: false,
    },
  );
}

const conclusionOf = ({ stdout }: { readonly stdout: string }) =>
  (JSON.parse(stdout) as { readonly outputs: Readonly<Record<string, string>> }).outputs['conclusion'];

const entriesOf = async (heading: string) => {
  const { files, lines } = await recipeOf(heading);
  return [files.size, lines.map(({ path, entries }) => [path, entries.length])];
};

describe('the recipe for an engine', () => {
  test('is one file each side and one line in each list, and the engine runs from suite to verdict', async () => {
    assert.deepEqual(await entriesOf('Add an engine'), [
      2,
      [
        ['src/engine/engines/index.ts', 1],
        ['docker/harness/deterministic_ml/engines/__init__.py', 1],
      ],
    ]);
    await using copy = await copyWith('Add an engine');
    const refreshed = await run(copy, ECHO, 'refresh', '--reason', 'first one');
    assert.equal(refreshed.exitCode, 0, refreshed.stderr + refreshed.stdout);
    const checked = ECHO.replace('[rerun]', '[rerun, baseline]');
    const same = await run(copy, checked, 'check');
    assert.equal(conclusionOf(same), 'reproduced', same.stdout);
    const other = await run(copy, checked.replace('salt: a', 'salt: b'), 'check');
    assert.equal(conclusionOf(other), 'drift', other.stdout);
  });

  test('an engine whose line is taken out is unknown, and its neighbours are not', async () => {
    await using copy = await copyWith('Add an engine');
    await copy.without('src/engine/engines/index.ts', '  transformers,');
    const gone = await run(copy, ECHO.replace('name: echo', 'name: transformers'), 'check');
    assert.equal(gone.exitCode, 2);
    assert.match(gone.stderr, /`engine\.name` must be one of `vllm`, `kernels`, `openai`, `script`, `echo`/);
    assert.equal((await run(copy, ECHO, 'check')).exitCode, 0);
  });
});

describe('the recipe for a use-case', () => {
  /** One step of a workflow, after a push. */
  async function step(copy: SourceCopy, mode: string) {
    const [summary, output] = [join(copy.path, 'summary.md'), join(copy.path, 'output')];
    await Promise.all([summary, output].map((file) => writeFile(file, '')));
    const { exitCode, stdout } = await execa(process.execPath, [join(copy.path, 'src/main.ts')], {
      cwd: copy.path,
      extendEnv: false,
      env: {
        ...COMPILED,
        ...{ INPUT_MODE: mode, INPUT_SUITE: 'determinism.yml', GITHUB_EVENT_NAME: 'push' },
        ...{ GITHUB_STEP_SUMMARY: summary, GITHUB_OUTPUT: output, GITHUB_WORKSPACE: copy.path },
      },
      reject: false,
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
    await using copy = await copyWith('Add an engine', 'Add a use-case');
    const none = await run(copy, ECHO, 'classes');
    assert.deepEqual([none.exitCode, none.stdout], [0, '[]']);
    assert.equal((await run(copy, ECHO, 'refresh', '--reason', 'first one')).exitCode, 0);
    const [hardware = ''] = JSON.parse((await run(copy, ECHO, 'classes')).stdout) as readonly string[];
    assert.match(hardware, /^(cpu|nvidia)-/);
    const { exitCode, stdout, summary } = await step(copy, 'classes');
    assert.deepEqual([exitCode, stdout.split('\n').includes(hardware)], [0, true], stdout);
    assert.equal(summary, `${markdown(hardware)}\n`);
    const help = await execa(process.execPath, [join(copy.path, 'src/cli.ts'), '--help']);
    assert.match(help.stdout, /^ {2}classes \[suite\] +shows which hardware has a baseline$/m);
  });

  test('what it needs to be allowed holds', async () => {
    await using copy = await copyWith('Add a use-case');
    const refused = await execa(process.execPath, [join(copy.path, 'src/cli.ts'), 'classes'], {
      cwd: copy.path,
      extendEnv: false,
      env: { ...COMPILED, GITHUB_EVENT_NAME: 'pull_request_target' },
      reject: false,
    });
    assert.equal(refused.exitCode, 2);
    assert.match(refused.stderr, /^event-refused: The event `pull_request_target` starts nothing here/);
  });
});

describe('the recipe for a relation', () => {
  const RESCORE = ECHO.replace('[rerun]', '[rerun, rescore]');

  /** What a check says of the new relation. */
  async function found(copy: SourceCopy, suite: string) {
    const { stdout, stderr, exitCode } = await run(copy, suite, 'check');
    assert.notEqual(stdout, '', stderr);
    const { outputs, report } = JSON.parse(stdout) as {
      readonly outputs: Readonly<Record<string, string>>;
      readonly report: {
        readonly relations: readonly {
          readonly relation: string;
          readonly status: string;
          readonly evidence: string;
        }[];
      };
    };
    const told = report.relations.find(({ relation }) => relation === 'rescore');
    return { exitCode, conclusion: outputs['conclusion'], status: told?.status, evidence: told?.evidence };
  }

  test('is one file and one line; it holds, breaks, and is unmeasured where it cannot be exercised', async () => {
    assert.deepEqual(await entriesOf('Add a relation'), [1, [['src/compare/relations/index.ts', 1]]]);
    await using copy = await copyWith('Add an engine', 'Add a relation');
    const suite = ECHO.replace('[rerun]', '[rescore]');
    assert.deepEqual(await found(copy, suite), {
      ...{ exitCode: 0, conclusion: 'reproduced', status: 'held' },
      evidence: "the engine's counters show 2 tokens both times",
    });
    const restless = await found(copy, suite.replace('salt: a', 'restless: true'));
    assert.deepEqual(
      [restless.exitCode, restless.conclusion, restless.status],
      [1, 'relation-broken', 'broken'],
    );
    await copy.edit('docker/harness/deterministic_ml/engines/echo.py', (lines) =>
      lines.map((line) => line.replace('("generate", "score")', '("generate",)')),
    );
    const blind = await found(copy, RESCORE);
    assert.deepEqual([blind.exitCode, blind.conclusion, blind.status], [1, 'unmeasured', 'unmeasured']);
    assert.match(blind.evidence ?? '', /score-alone is unavailable: echo does no score pass/);
  });

  test('a relation whose line is taken out is unknown, and its neighbours are not', async () => {
    await using copy = await copyWith('Add an engine', 'Add a relation');
    await copy.without('src/compare/relations/index.ts', '  rescore,');
    const gone = await run(copy, RESCORE, 'check');
    assert.equal(gone.exitCode, 2);
    assert.match(gone.stderr, /`relations\[1\]` must be one of `rerun`, .*`baseline`/);
    assert.equal((await run(copy, ECHO, 'check')).exitCode, 0);
  });
});

describe('the recipe for a store', () => {
  const SHARED = ECHO.replace('store: files', 'store: shared');

  test('is one file and one line, and keeps what a check finds', async () => {
    assert.deepEqual(await entriesOf('Add a store'), [1, [['src/front/stores.ts', 1]]]);
    await using copy = await copyWith('Add an engine', 'Add a store');
    await mkdir(join(copy.path, 'shared'));
    const refreshed = await run(copy, SHARED, 'refresh', '--reason', 'first one');
    assert.equal(refreshed.exitCode, 0, refreshed.stderr + refreshed.stdout);
    assert.deepEqual(await readdir(join(copy.path, 'shared/baselines')), ['recipe']);
    const drifted = await run(
      copy,
      SHARED.replace('[rerun]', '[baseline]').replace('salt: a', 'salt: b'),
      'check',
    );
    assert.equal(conclusionOf(drifted), 'drift', drifted.stdout);
  });

  test('a store whose line is taken out is unknown', async () => {
    await using copy = await copyWith('Add an engine');
    await copy.without('src/front/stores.ts', '  filesStore,');
    const gone = await run(copy, ECHO, 'check');
    assert.equal(gone.exitCode, 2);
    assert.match(gone.stderr, /`baseline\.store` must be one of `cache`, `s3`, `oci`/);
  });
});

describe('the recipe for a known issue', () => {
  const BASELINE = ECHO.replace('[rerun]', '[rerun, baseline]');

  test('is one file and one line, and a drift names it; with its line taken out none does', async () => {
    assert.deepEqual(await entriesOf('Add a known issue'), [1, [['src/issues/index.ts', 1]]]);
    await using copy = await copyWith('Add an engine', 'Add a known issue');
    await run(copy, ECHO, 'refresh', '--reason', 'first one');
    const alike = async (suite: string) => {
      const { stdout } = await run(copy, suite, 'check');
      const { report } = JSON.parse(stdout) as {
        readonly report: { readonly knownIssues: { readonly alike: readonly { readonly thread: string }[] } };
      };
      const page = await readFile(join(copy.path, 'record.report.html'), 'utf8');
      return [
        report.knownIssues.alike.map(({ thread }) => thread),
        page.includes('another salt changes every token'),
      ];
    };
    const drifted = BASELINE.replace('salt: a', 'salt: b');
    assert.deepEqual(await alike(drifted), [['acme/echo#1'], true]);
    assert.deepEqual(await alike(BASELINE), [[], false]);
    await copy.without('src/issues/index.ts', '  echo,');
    assert.deepEqual(await alike(drifted), [[], false]);
  });
});

describe('the recipe for a known change', () => {
  async function made(copy: SourceCopy) {
    const { stdout, stderr } = await run(copy, ECHO, 'power');
    assert.notEqual(stdout, '', stderr);
    const { perturbations } = JSON.parse(stdout) as {
      readonly perturbations: readonly { readonly id: string; readonly caught: boolean | null }[];
    };
    return new Map(perturbations.map(({ id, caught }) => [id, caught]));
  }

  test('is one file and one line: `power` makes it, and not one whose line is taken out', async () => {
    assert.deepEqual(await entriesOf('Add a known change'), [1, [['src/changes/known/index.ts', 1]]]);
    await using copy = await copyWith('Add an engine', 'Add a known change');
    await copy.without('src/changes/known/index.ts', '  restart,');
    const found = await made(copy);
    // Made, and rightly not noticed.
    assert.equal(found.get('time-zone'), false);
    assert.equal(found.has('restart'), false);
    assert.equal(found.get('log-level'), false);
  });
});
