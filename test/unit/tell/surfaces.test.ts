import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { execa } from 'execa';
import { writeReport } from '../../../src/disk/report-file.ts';
import { POWER_SCHEMA } from '../../../src/report/power.ts';
import type { Kind, Results, Surface } from '../../../src/surfaces/surface.ts';
import { SURFACES } from '../../../src/tell/surfaces.ts';
import { type Recipients, tell } from '../../../src/tell/tell.ts';
import { COMPILED, recipeOf, SourceCopy } from '../../support/recipes.ts';
import { entriesOf, without } from '../../support/without.ts';
import { body, FINGERPRINT } from '../support/records.ts';
import { checkReport } from '../support/reports.ts';

const DRIFT = await checkReport({ capital: body() }, { capital: body({ logprobs: [-0.5, -1.75] }) });

const RESULTS: Results = {
  report: DRIFT,
  found: DRIFT,
  merged: { reports: [DRIFT], conclusion: 'drift', verdict: 'fail', htmlPath: '/record/report.html' },
  power: {
    ...{ schema: POWER_SCHEMA, suite: 'demo', hardwareClass: 'cpu-x', perturbations: [] },
    real: { made: 0, caught: 0, caughtByText: 0 },
    equivalent: { made: 0, flagged: 0 },
  },
  history: [],
  verification: {
    ...{ agrees: true, disagreements: [], lines: ['The report agrees.'] },
    checked: { files: 1, bodies: 1, relations: 1, findings: 1 },
  },
  fingerprint: { hardwareClass: 'cpu-x', fingerprint: FINGERPRINT },
  explained: { explained: { families: [] }, apart: [], htmlPath: '/record/explanation.html' },
  compared: {
    ...{ verdict: 'fail', lines: ['The two differ.', 'A: a', 'B: b'], htmlPath: '/record.compared.html' },
    value: {
      ...{ schema: 'deterministic-ml/compare/v1', outcome: 'differs', same: false, holds: false },
      ...{ required: 'identical', sides: { first: 'a', second: 'b' }, left: null, right: null },
      ...{ status: 'broken', evidence: 'looked at', floor: null, size: null, roles: null },
      ...{ findings: [], changes: [] },
    },
    page: { ending: 'The two differ.', sizes: [], told: [], roles: null, changes: [] },
  },
  completion: { schema: 'deterministic-ml/completion/v1', shell: 'bash', script: 'true\n' },
  answer: { verdict: 'warn', lines: ['None.'], value: [] },
  failure: {
    error: { code: 'engine-died', message: 'It is gone.', hint: 'Look.' },
    ...{ places: [], suite: 'determinism.yml' },
  },
};
const KINDS = Object.keys(RESULTS) as readonly Kind[];

/** All that is told of a result, to everybody there is: who is told, and what. */
async function told<K extends Kind>(
  kind: K,
  surfaces: readonly Surface[],
  left: readonly (keyof Recipients)[] = [],
): Promise<(readonly [string, unknown])[]> {
  const all: (readonly [string, unknown])[] = [];
  const to: Recipients = {
    file: (content) => void all.push(['file', content]),
    document: ({ name, text }) => void all.push(['document', { name, text: text() }]),
    log: (content) => void all.push(['log', content]),
    terminal: (content) => void all.push(['terminal', content]),
    json: (content) => void all.push(['json', content]),
    annotations: (content) => void all.push(['annotations', content]),
    outputs: (content) => void all.push(['outputs', content]),
    summary: (content) => void all.push(['summary', content]),
    change: async (_, posts) => {
      for (const post of posts) all.push(['change', post.to]);
    },
  };
  const here = Object.fromEntries(Object.entries(to).filter(([name]) => !left.some((one) => one === name)));
  await tell(kind, RESULTS[kind], here, surfaces);
  return all;
}

/** What all of them tell, once for all tests: a page with its charts takes a while. */
const ALL = new Map(
  await Promise.all(KINDS.map(async (kind) => [kind, await told(kind, SURFACES)] as const)),
);

const LIST = 'tell/surfaces.ts';
const ENTRIES = await entriesOf(LIST);

describe('a surface', () => {
  test('has a line of the list', () => assert.equal(ENTRIES.length, SURFACES.length));

  for (const [index, surface] of SURFACES.entries())
    test(`${surface.name}: its line tells its own, and nothing of any other’s`, async () => {
      let own = 0;
      const { SURFACES: left }: typeof import('../../../src/tell/surfaces.ts') = await import(
        await without(LIST, LIST, ENTRIES[index] ?? '')
      );
      for (const kind of KINDS) {
        const all = ALL.get(kind) ?? [];
        const rest = await told(kind, left);
        const gone = await told(kind, [surface]);
        own += gone.length;
        // In the same order, since a recipient may be told by several.
        const still = [...rest];
        const taken = all.filter((one) => {
          const isLeft = still.length > 0 && JSON.stringify(still[0]) === JSON.stringify(one);
          if (isLeft) still.shift();
          return !isLeft;
        });
        assert.deepEqual([taken, still], [gone, []], kind);
      }
      assert.ok(own > 0, 'it has nothing to tell');
    });

  test('has a name of its own', () => {
    assert.equal(new Set(SURFACES.map(({ name }) => name)).size, SURFACES.length);
  });
});

describe('whoever is there is told', () => {
  test('of a check everybody, of a refresh no pull request', async () => {
    const all = await told('report', SURFACES);
    assert.deepEqual(
      all.map(([recipient]) => recipient),
      [
        ...[
          'file',
          'file',
          'document',
          'document',
          'document',
          'log',
          'terminal',
          'json',
          'annotations',
          'outputs',
          'summary',
        ],
        ...['change', 'change'],
      ],
    );
    const refresh = { ...DRIFT, context: { ...DRIFT.context, mode: 'refresh' as const } };
    let isTold = false;
    const change = async () => {
      isTold = true;
    };
    await tell('report', refresh, { change });
    assert.equal(isTold, false);
    await tell('report', DRIFT, { change });
    assert.equal(isTold, true);
  });

  test('and who is not there is not', async () => {
    const some = await told('report', SURFACES, ['json', 'change', 'file']);
    assert.deepEqual(
      some.map(([recipient]) => recipient),
      ['document', 'document', 'document', 'log', 'terminal', 'annotations', 'outputs', 'summary'],
    );
  });

  test('what a result comes to is what the exit code says', async () => {
    const verdicts = await Promise.all(
      KINDS.map(async (kind) => [kind, (await tell(kind, RESULTS[kind], {})).verdict]),
    );
    assert.deepEqual(Object.fromEntries(verdicts), {
      ...{ report: 'fail', found: 'pass', merged: 'fail', power: 'pass', history: 'fail' },
      ...{ verification: 'pass', fingerprint: 'pass', explained: 'pass', completion: 'pass', answer: 'warn' },
      ...{ compared: 'fail', failure: 'fail' },
    });
  });
});

describe('the recipe for a surface', () => {
  /** What `report` tells of one stored report: its lines, and the files that it leaves. */
  async function told(copy: SourceCopy) {
    const run = `run-${(await readdir(copy.path)).length}`;
    const [reports, record] = [join(copy.path, run, 'reports'), join(copy.path, run, 'record')];
    await writeReport(join(reports, 'drift.report.json'), DRIFT);
    const { exitCode, stdout, stderr } = await execa(
      process.execPath,
      [join(copy.path, 'src/cli.ts'), 'report', reports, '--record-path', record],
      { cwd: copy.path, env: COMPILED, extendEnv: false, reject: false },
    );
    assert.equal(exitCode, 1, stderr);
    const files = await readdir(record).catch(() => []);
    return { record, files: files.sort(), lines: stdout.replaceAll(run, 'run') };
  }

  test('is one file and one line, and the program tells it; a line that is taken out takes its own with it', async () => {
    await using copy = await SourceCopy.make();
    const before = await told(copy);
    assert.deepEqual(before.files, ['report.html']);
    const recipe = await recipeOf('Add a surface');
    assert.deepEqual(
      [[...recipe.files.keys()].length, recipe.lines.map(({ path, entries }) => [path, entries.length])],
      [1, [['src/tell/surfaces.ts', 1]]],
    );
    await copy.apply(recipe);
    const after = await told(copy);
    assert.deepEqual(after.files, ['report.badge.json', 'report.html']);
    assert.deepEqual(JSON.parse(await readFile(join(after.record, 'report.badge.json'), 'utf8')), {
      ...{ schemaVersion: 1, label: 'determinism', message: 'drift', color: 'red' },
    });
    assert.equal(after.lines, before.lines);
    await copy.without('src/tell/surfaces.ts', '  page,');
    const without = await told(copy);
    assert.deepEqual([without.files, without.lines], [['report.badge.json'], before.lines]);
    await copy.without('src/tell/surfaces.ts', '  merged,');
    assert.equal((await told(copy)).lines, '');
  });
});
