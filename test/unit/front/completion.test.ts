import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { FLAG_NAMES } from '../../../src/front/flags.ts';
import { modes } from '../../../src/front/modes.ts';
import { logLine } from '../../../src/inert.ts';
import { CompletionAnswer } from '../../../src/report/answers.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Job } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

const DRIVER = fileURLToPath(new URL('../../support/terminal.py', import.meta.url));

/** The script for a shell, made of the list of modes. */
async function scriptFor(shell: string): Promise<string> {
  const job = new Job();
  const mode = modes.find(({ name }) => name === 'completion');
  const given = {
    ...job.settings(),
    ...{ comment: 'never' as const, checkRun: false, server: '', reports: '', expected: 1, documents: {} },
    named: { reportPath: '', paths: [], shell },
  };
  return CompletionAnswer.parse(await mode?.run(given, job.tools())).script;
}

/** What a shell prints that has a file with its script, `SCRIPT`, and runs this. */
async function printed(shell: string, words: readonly string[], source: string): Promise<string> {
  await using folder = await temporaryFolder();
  const script = join(folder.path, 'script');
  await writeFile(script, await scriptFor(shell));
  const options = { env: { SCRIPT: script, TERM: 'dumb' }, timeout: 10_000 };
  const [program = '', ...rest] = words;
  return (await execa(program, [...rest, source], options)).stdout;
}

const wordsOf = (text: string) => text.split(/\s+/).filter((word) => word !== '');

/** What each line is completed to. */
type Complete = (lines: readonly string[]) => Promise<readonly (readonly string[])[]>;

const inBash: Complete = async (lines) => {
  const calls = lines.map((line) => `of ${line.replaceAll(/(?<= )$/g, "''")}`);
  const define = `of() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(default); _dml; echo "\${COMPREPLY[*]}"; }`;
  const source = ['. "$SCRIPT"', define, ...calls].join('\n');
  return (await printed('bash', ['bash', '--norc', '-c'], source)).split('\n').map(wordsOf);
};

const inFish: Complete = async (lines) => {
  const source = ['source $SCRIPT', ...lines.map((line) => `complete -C '${line}' | cut -f1; echo ==`)];
  const parts = (await printed('fish', ['fish', '-N', '-c'], source.join('\n'))).split(/^==$/m);
  return parts.slice(0, -1).map(wordsOf);
};

const isThere = async (shell: string) => !(await execa({ reject: false })`${shell} --version`).failed;

describe('completion', () => {
  test('of bash knows every command, and of each the flags that it reads', async () => {
    const found = await inBash([
      'deterministic-ml ',
      ...modes.map(({ name }) => `deterministic-ml ${name} -`),
    ]);
    assert.deepEqual(
      found[0],
      modes.map(({ name }) => name),
    );
    for (const [index, { name, flags = [] }] of modes.entries())
      assert.deepEqual(
        found[index + 1],
        [...flags, 'json', 'help', 'version'].map((flag) => `--${flag}`),
        name,
      );
    // A flag that no command reads does nothing.
    const read = new Set(found.slice(1).flat());
    assert.deepEqual(
      FLAG_NAMES.filter((flag) => !read.has(`--${flag}`)),
      [],
    );
  });

  const LINES = [
    ['check --ru', ['--runtime']],
    ['check --runtime p', ['process']],
    ['refresh --isolation ', ['auto', 'required', 'none']],
    ['why dri', ['drift']],
    ['completion ', ['bash', 'zsh', 'fish']],
  ] as const;

  test('of bash completes values, and leaves files to the shell', async () => {
    const all = [
      ...LINES,
      // As bash cuts `--runtime=p` into words.
      ['check --runtime = p', ['process']],
      ['verify rec', []],
      ['check --suite x', []],
    ] as const;
    assert.deepEqual(
      await inBash(all.map(([line]) => `deterministic-ml ${line}`)),
      all.map(([, words]) => words),
    );
  });

  test('of fish does the same, where fish is installed', async (t) => {
    if (!(await isThere('fish'))) return t.diagnostic('no fish here');
    const found = await inFish(LINES.map(([line]) => `deterministic-ml ${line}`));
    for (const [index, [line, words]] of LINES.entries())
      assert.deepEqual(found[index]?.toSorted(), words.toSorted(), line);
  });

  test('of zsh does the same, where zsh is installed', async (t) => {
    if (!(await isThere('zsh'))) return t.diagnostic('no zsh here');
    // It completes on a terminal only, and says by an escape that it reads.
    const steps = JSON.stringify([
      ['2004h', 'autoload -U compinit; compinit -u -D; source $SCRIPT; echo rea""dy\r'],
      ['ready', 'deterministic-ml check --runtime p\t'],
      ['process', '\u0015deterministic-ml completion f\t'],
      ['fish', '\u0015exit\r'],
    ]);
    const screen = await printed('zsh', ['python3', DRIVER, steps, 'zsh', '-f'], '-i');
    assert.match(screen, /check --runtime process[\s\S]*completion fish/);
  });

  test('is told as it is: a terminal changes no line of it', async () => {
    for (const shell of ['bash', 'zsh', 'fish'])
      for (const line of (await scriptFor(shell)).split('\n')) assert.equal(logLine(line), line);
  });

  test('of another shell is an error that names those there are', async () => {
    const { code, hint } = await rejectedBy(scriptFor('tcsh'));
    assert.deepEqual([code, /bash, zsh, fish/.test(hint)], ['input-invalid', true]);
  });
});
