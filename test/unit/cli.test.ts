import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import manifest from '../../package.json' with { type: 'json' };
import { writeReport } from '../../src/disk/report-file.ts';
import { loadSuite } from '../../src/disk/suite-file.ts';
import { SUITE_SCHEMA } from '../../src/front/suites.ts';
import { reportDigest } from '../../src/report/make.ts';
import { reportPathOf } from '../../src/report/paths.ts';
import { makePlan } from '../../src/run/plan.ts';
import { ERROR_WORDS } from '../../src/words/error-words.ts';
import { OneProcess } from '../support/one-process.ts';
import { COMPILED } from '../support/recipes.ts';
import { tried } from '../support/tried.ts';
import { temporaryFolder } from './support/folder.ts';
import { body, side } from './support/records.ts';
import { checkReport, reportOf, writeRun } from './support/reports.ts';
import { SAMPLE } from './support/suites.ts';

const program = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));

let there: OneProcess;
before(() => {
  there = new OneProcess(process.cwd());
});
after(async () => await there[Symbol.asyncDispose]());

/** The command line, its output no terminal. */
const cli = (words: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  there.run(program, words, env);

test('a reader that has gone is no error, and changes no exit code', async () => {
  const whole = '"$@" | true; exit "$PIPESTATUS"';
  for (const [word, expected] of [
    ['--help', 0],
    ['chekc', 2],
  ] as const) {
    const words = ['-c', whole, 'bash', process.execPath, program, word];
    const { exitCode, stderr } = await execa('bash', words, { env: { ...COMPILED }, reject: false });
    assert.equal(exitCode, expected, stderr);
    assert.doesNotMatch(stderr, /EPIPE|at .*:\d+:\d+/);
  }
});

const RED = '\u001b[1m\u001b[31m';
const assertPlain = (text: string) => assert.ok(!text.includes('\u001b'), text);

describe('an error on the command line', () => {
  test('has its cause first, then the remedy, then the words of its code', async () => {
    const { exitCode, stdout, stderr } = await cli(['chekc']);
    const { what, meaning, next } = ERROR_WORDS['input-invalid'];
    assert.deepEqual(stderr.split('\n'), [
      'input-invalid: `chekc` is not a command: did you mean `check`?',
      '`deterministic-ml --help` lists commands and options.',
      `In general: ${what} ${meaning} ${next}`,
    ]);
    assert.deepEqual([exitCode, stdout], [2, '']);
  });

  test('is a flag that the command does not read, and who does', async () => {
    const { exitCode, stdout, stderr } = await cli(['clean', '--yardstick', '--suite', 'a.yml', '--json']);
    assert.equal(
      stderr.split('\n')[0],
      'input-invalid: `clean` does not read --suite, which is of accept, review. `clean` does not read --yardstick, which is of refresh.',
    );
    assert.deepEqual([exitCode, stdout], [2, '']);
  });

  tried(
    'terminal’s escapes in an error',
    'an argument with escapes that clear a terminal or begin a command',
    'they are written out, harmless',
    async () => {
      const hostile = 'x\u001b[2J::error::y';
      const coloured = await cli([hostile], { FORCE_COLOR: '1' });
      assert.ok(
        coloured.stderr.startsWith(`${RED}input-invalid\u001b[39m\u001b[22m: \`x\\u{1b}[2J`),
        coloured.stderr,
      );
      assert.equal(coloured.stderr.split('\u001b').length, 5, 'no escape but our own four');
      for (const env of [{}, { NO_COLOR: '1' }, { FORCE_COLOR: '0' }, { TERM: 'dumb' }])
        assertPlain((await cli([hostile], env)).stderr);
    },
  );

  test('is an error also where it is a bug, not a verdict', async () => {
    await using folder = await temporaryFolder();
    const hook = join(folder.path, 'bug.mjs');
    // Nothing fails there by itself.
    await writeFile(
      hook,
      'Date.prototype.toISOString = () => { throw new TypeError("\\u001b[2Jno ##[error]x"); };',
    );
    const { exitCode, stderr } = await execa(process.execPath, ['--import', hook, program, 'check'], {
      env: COMPILED,
      extendEnv: false,
      reject: false,
    });
    assert.equal(exitCode, 2, stderr);
    assert.match(
      stderr,
      /^internal-error: This is a bug of the action\.\nTypeError: \\u\{1b\}\[2Jno ##\\\[error\]x\n {4}at /,
    );
    assert.match(stderr, /Report it with the stack\.$/);
  });
});

describe('an answer on the command line', () => {
  const answer = async (env: Readonly<Record<string, string>>, ...flags: string[]) => {
    await using folder = await temporaryFolder();
    const record = join(folder.path, 'record');
    await mkdir(record, { recursive: true });
    const bits = { 'generate-alone': { capital: body() }, 'generate-again': { capital: body() } };
    const run = await writeRun(record, side({ lifetimes: { 'lifetime-1': bits } }));
    const report = await reportOf(run, undefined, {
      recordPath: record,
      digests: { record: run.sha256, baselineRecord: null, baselineMeta: null },
    });
    await writeReport(reportPathOf(record), report);
    return await cli(['verify', reportPathOf(record), ...flags], env);
  };

  test('has its verdict in colour where one is wanted, and nothing else', async () => {
    const { stdout, exitCode, stderr } = await answer({ FORCE_COLOR: '1' });
    assert.equal(exitCode, 0, stdout + stderr);
    const lines = stdout.split('\n');
    assert.equal(
      lines.at(-1),
      '\u001b[1m\u001b[32mThe report agrees with its record and baseline.\u001b[39m\u001b[22m',
    );
    assertPlain(lines.slice(0, -1).join());
  });

  test('has none elsewhere, and never in JSON', async () => {
    assertPlain((await answer({})).stdout);
    assertPlain((await answer({ NO_COLOR: '1' })).stdout);
    const { stdout } = await answer({ FORCE_COLOR: '1' }, '--json');
    assertPlain(stdout);
    assert.equal((JSON.parse(stdout) as { readonly agrees: boolean }).agrees, true);
  });
});

describe('several reports on the command line', () => {
  test('reach as JSON also whoever reads slowly, whole', async () => {
    await using folder = await temporaryFolder();
    const bits = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`prompt-${at}`, body()]));
    await writeReport(reportPathOf(join(folder.path, 'reports/one')), await checkReport(bits, bits));
    const words = [
      'report',
      join(folder.path, 'reports'),
      '--record-path',
      join(folder.path, 'out'),
      '--json',
    ];
    const child = spawn(process.execPath, [program, ...words], {
      env: COMPILED,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const exit = once(child, 'exit');
    // By then it has written more than a pipe holds, and has nothing else to do.
    await once(child.stdout, 'readable');
    await delay(1000);
    let text = '';
    for await (const part of child.stdout) text += String(part);
    await exit;
    assert.ok(text.length > 300_000, String(text.length));
    assert.equal((JSON.parse(text) as { readonly reports: readonly unknown[] }).reports.length, 1);
  });

  test('are one page, each with its verdict, the worst last in a line of its own', async () => {
    await using folder = await temporaryFolder();
    const bits = { capital: body() };
    const drifted = { capital: body({ logprobs: [-0.5, -1.75] }) };
    for (const [name, now] of Object.entries({ same: bits, other: drifted }))
      await writeReport(reportPathOf(join(folder.path, 'reports', name)), await checkReport(bits, now));
    const page = ['--record-path', join(folder.path, 'out')];
    const { exitCode, stdout, stderr } = await cli(['report', join(folder.path, 'reports'), ...page]);
    assert.equal(exitCode, 1, stderr);
    assert.deepEqual(
      stdout.split('\n').map((line) => line.split(':')[0]),
      // Who agrees and by what comes first, then a line a report.
      ['suite', 'No set of fields explains it', ...['suite', 'suite'], ...['Drift', 'Page']],
    );
    assert.match(await readFile(join(folder.path, 'out/report.html'), 'utf8'), /^<!doctype html>/i);
    const few = await cli(['report', join(folder.path, 'reports'), '--expected-reports', '3', ...page]);
    assert.equal(few.exitCode, 2);
    assert.match(few.stderr, /^reports-missing: .* holds 2 of 3 reports/m);
  });
});

describe('a command in a step of a workflow', () => {
  const history = (env: Readonly<Record<string, string>>) =>
    cli(['log', 'nowhere.yml'], { GITHUB_REPOSITORY: 'acme/models', ...env });

  test('may do no more than what started the job may', async () => {
    const { exitCode, stderr } = await history({ GITHUB_EVENT_NAME: 'issue_comment' });
    assert.equal(exitCode, 2);
    assert.match(stderr, /^event-refused: The event `issue_comment` starts nothing here/m);
  });

  test('is one on a terminal where no event started it', async () => {
    for (const env of [{}, { GITHUB_EVENT_NAME: '' }])
      assert.match((await history(env)).stderr, /^suite-missing: /m);
  });
});

test('`--version` says which version it is, and nothing else', async () => {
  const { exitCode, stdout, stderr } = await cli(['--version']);
  assert.deepEqual([exitCode, stdout, stderr], [0, manifest.version, '']);
});

test('an older Node is told so, and nothing else is tried', async () => {
  await using folder = await temporaryFolder();
  const hook = join(folder.path, 'old.mjs');
  await writeFile(
    hook,
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });",
  );
  const { exitCode, stderr, stdout } = await execa(process.execPath, ['--import', hook, program, '--help'], {
    env: COMPILED,
    extendEnv: false,
    reject: false,
  });
  assert.deepEqual([exitCode, stdout], [2, '']);
  assert.match(
    stderr,
    /^deterministic-ml needs Node 24 or newer, and this is 20\.20\.2\.\n.*npx --yes node@24/,
  );
});

describe('clean', () => {
  test('shows the models that were fetched, and deletes those that nobody uses', async () => {
    await using folder = await temporaryFolder();
    const model = join(folder.path, 'deterministic-ml/models/@terminal/org--tiny/0123abc');
    await mkdir(model, { recursive: true });
    await writeFile(join(model, 'config.json'), '{}');
    await writeFile(`${model}.json`, '{}');
    const old = new Date('2020-01-01T00:00:00Z');
    await utimes(`${model}.json`, old, old);
    const env = { XDG_CACHE_HOME: folder.path, TMPDIR: folder.path };
    const shown = await cli(['clean'], env);
    assert.equal(shown.exitCode, 0, shown.stderr);
    assert.match(shown.stdout, /^kept: model, 0\.0 MB, last used 2020-01-01: .*0123abc\n1 folder/);
    const removed = await cli(['clean', '365'], env);
    assert.match(removed.stdout, /^removed: model,.*\nRemoved 1 folder, 0\.0 MB; kept 0 folders/);
    await assert.rejects(readFile(join(model, 'config.json')), { code: 'ENOENT' });
  });
});

describe('review on a terminal', () => {
  const DRIVER = fileURLToPath(new URL('../support/terminal.py', import.meta.url));
  /** The command on a pseudo-terminal, with keys for what is on its screen. */
  const typed = (folder: string, steps: readonly (readonly [text: string, keys: string])[]) =>
    execa('python3', [DRIVER, JSON.stringify(steps), process.execPath, program, 'review', 'reports'], {
      ...{ cwd: folder, reject: false, timeout: 30_000, extendEnv: false },
      env: { ...COMPILED, PATH: process.env['PATH'], NO_COLOR: '1' },
    });

  /** A checkout with its suite, and the report of a drift that it can accept. */
  async function checkout() {
    const folder = await temporaryFolder();
    await writeFile(join(folder.path, 'determinism.yml'), SAMPLE.replace(/.*essay.*\n/, ''));
    const { suite } = makePlan(await loadSuite('determinism.yml', folder.path, SUITE_SCHEMA, []), 'check');
    const now = { capital: body({ logprobs: [-0.5, -1.75] }) };
    const report = await checkReport({ capital: body() }, now);
    const { sha256: _, ...measured } = { ...report, suite: { ...report.suite, digest: suite.digest } };
    const path = reportPathOf(join(folder.path, 'reports/one'));
    await writeReport(path, { ...measured, sha256: reportDigest(measured) });
    return folder;
  }

  test('takes one key each, asks for the reason in words, and writes the line', async () => {
    await using folder = await checkout();
    const { stdout, exitCode } = await typed(folder.path, [
      ['[1/1] capital: ', 'm'],
      ['Page: ', 'a'],
      ['Why may these bits change?', 'a new kernel\r'],
    ]);
    assert.equal(exitCode, 0, stdout);
    assert.match(stdout, /1 drift, all accepted\. Commit the suite/);
    const suite = await readFile(join(folder.path, 'determinism.yml'), 'utf8');
    assert.match(suite, /^accept:\n {2}- record: [0-9a-f]{64}\n.*\n {4}reason: "a new kernel"\n$/m);
  });

  test('is cancelled by Ctrl-C, at a key as at a question', async () => {
    await using folder = await checkout();
    for (const steps of [
      [['q quit', '\u0003']],
      [
        ['q quit', 'a'],
        ['Why may these bits change?', '\u0003'],
      ],
    ] as const) {
      const { stdout, exitCode } = await typed(folder.path, steps);
      assert.equal(exitCode, 130, stdout);
      assert.match(stdout, /^cancelled: /m);
    }
    assert.doesNotMatch(await readFile(join(folder.path, 'determinism.yml'), 'utf8'), /accept/);
  });

  test('lists the drifts where there is none', async () => {
    await using folder = await checkout();
    const { stdout, exitCode } = await execa(process.execPath, [program, 'review', 'reports'], {
      cwd: folder.path,
    });
    assert.equal(exitCode, 0);
    assert.match(
      stdout,
      /one\.report\.json: Drift: .*\n[\s\S]* {2}capital: .*\n1 drift, none accepted\.\nOn a terminal /,
    );
  });
});
