/** Which tests a change can break: what they import, and what they name of this repository, file by file. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path/posix';
import { execa } from 'execa';

/** What runs what is built, whatever it imports itself. */
const BUILT = ['src', 'docker/harness', 'schema', 'action.yml', 'dist'];
const RUNS_BUILT = /^test\/(?:scripted|e2e)\//;
/** All of them: it decides how tests are run. */
const EVERYTHING = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'scripts/test.ts',
  'test/support/reporter.ts',
  'test/support/together.ts',
];

/** @returns paths that differ from where this branch left the default one, what is not committed included */
export async function changedFiles(root: string): Promise<string[]> {
  const git = async (...args: readonly string[]) => {
    const { stdout, failed } = await execa('git', args, { cwd: root, reject: false });
    return failed ? undefined : stdout.trim();
  };
  let since: string | undefined;
  for (const branch of ['origin/HEAD', 'origin/main', 'main'])
    since ??= await git('merge-base', 'HEAD', branch);
  const listed = [
    await git('diff', '--name-only', '--no-renames', since ?? 'HEAD'),
    await git('ls-files', '--others', '--exclude-standard'),
  ];
  if (listed.includes(undefined))
    throw new Error('`--changed` asks git what changed, and this is no checkout of it.');
  return [...new Set(listed.flatMap((text) => text?.split('\n') ?? []))].filter((path) => path !== '');
}

/**
 * @param tests paths from `root`
 * @param reads path -> what it reads, as far as it was looked at: for whoever asks of one tree more than once
 * @returns those of them that read one of the changed files, however far away
 */
export function affected(
  root: string,
  tests: readonly string[],
  changed: readonly string[],
  reads = new Map<string, readonly string[]>(),
): string[] {
  if (changed.some((path) => EVERYTHING.includes(path))) return [...tests];
  return tests.filter((test) => {
    const reached = new Set([test, ...(RUNS_BUILT.test(test) ? BUILT : [])]);
    for (const path of reached) {
      if (!reads.has(path)) reads.set(path, readBy(root, path));
      for (const next of reads.get(path) ?? []) reached.add(next);
    }
    return changed.some((path) => foldersOf(path).some((one) => reached.has(one)));
  });
}

/** A path and each folder that it lies in. */
function foldersOf(path: string): string[] {
  return path.split('/').map((_, at, parts) => parts.slice(0, at + 1).join('/'));
}

const IMPORTED = /\b(?:(?:import|export)\s[^;'"]*?from\s*|import\s*\(\s*|import\s+|new URL\(\s*)'(\.[^']+)'/g;
/** A path, or where a pattern or a template begins. */
const QUOTED = /['"`](\.?\w[\w.@-]*(?:\/[\w.@-]+)*)(?:\/[^'"`\n]*[*$][^'"`\n]*|\/)?['"`]/g;
/** As words they mean something else, mostly. */
const WORDS = ['test', 'scripts'];

/** Files and folders that a file of code reads: imports, and in tests and scripts what their texts name. */
function readBy(root: string, path: string): string[] {
  if (!/\.(?:ts|mjs|py)$/.test(path) || !existsSync(join(root, path))) return [];
  const code = readFileSync(join(root, path), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '');
  const all = (pattern: RegExp) => [...code.matchAll(pattern)].map(([, found = '']) => found);
  const imported = all(IMPORTED).map((found) => join(dirname(path), found));
  if (path.startsWith('src/')) return imported;
  const python = path.endsWith('.py')
    ? ['docker/harness', ...all(/^(?:from|import) (\w+)/gm).map((name) => join(dirname(path), `${name}.py`))]
    : [];
  // Of one folder beside it, such as a program that is started.
  const named = all(QUOTED)
    .filter((found) => !WORDS.includes(found))
    .flatMap((found) => [found, join(dirname(path), found)]);
  return [...imported, ...python, ...named].filter((one) => existsSync(join(root, one)));
}
