/**
 * `npm test [-- GROUP…] [-- PART-OF-A-PATH…] [-- --changed]`: runs the tests and tells how they went; `--changed` only those
 * that read what this branch changes. The very last line is
 * `N passed, N failed`, with `, N skipped` where some were.
 *
 * What tests need they set up themselves (scripts/setup.ts), so that a run of the unit tests installs nothing.
 */
import { glob, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { run } from 'node:test';
import { execa } from 'execa';
import { folderInMemory, sweepTestFolders } from '../test/support/folders.ts';
import { Reporter } from '../test/support/reporter.ts';
import { affected, changedFiles } from './changed.ts';
import { cache, repository } from './setup/cache.ts';
import { ensureEverything } from './setup/everything.ts';
import { ensureEngine } from './setup/python.ts';
import { ensureShallowModel } from './setup/shallow-model.ts';

/**
 * Lanes run side by side: engines compute in one, which is the longest; in another tests wait for Docker, and then for a
 * browser, in the third for programs, the cheap ones first.
 */
const LANES = [
  ['harness', 'e2e'],
  ['contract', 'browser'],
  ['unit', 'scripted'],
] as const;
const GROUPS = LANES.flat();
type Group = (typeof GROUPS)[number];

/** What users get: the action as it is built, with an engine that does what a test tells it, and with the real one. */
const BUILT: ReadonlySet<Group> = new Set(['scripted', 'e2e']);

/** Files at a time. */
const AT_ONCE: Readonly<Record<Group, number>> = {
  unit: availableParallelism(),
  // Two engines side by side starve each other, and daemons and registries are one for the machine.
  harness: 1,
  contract: 1,
  // Nothing is shared, and a test mostly waits for programs to start.
  scripted: Math.max(3, availableParallelism()),
  browser: 1,
  e2e: 1,
};

/**
 * How far a lane stands back. Engines first: their threads wait for one another at each step, and where another lane takes
 * one thread's CPU, all of them spin. Those that mostly wait lose little; Docker's tests hold ends to seconds, and come
 * before those of a scripted engine and of none.
 */
const BEHIND: Readonly<Partial<Record<Group, number>>> = { contract: 5, browser: 5, unit: 10, scripted: 10 };

/** Its two ranks keep every core busy, and each waits for the other at each step: it runs when other lanes have ended. */
const LAST = 'test/e2e/parallel.test.ts';

/** Tests that make many small files. Docker's may have a daemon that does not see such a folder, and engines write large ones. */
const IN_MEMORY: ReadonlySet<Group> = new Set(['unit', 'scripted']);

/** Until one test counts as hung. A first test may set a whole engine up. */
const TIMEOUT_MS: Readonly<Record<Group, number>> = {
  unit: 5 * 60_000,
  harness: 20 * 60_000,
  contract: 20 * 60_000,
  scripted: 20 * 60_000,
  browser: 10 * 60_000,
  e2e: 30 * 60_000,
};

// Hundreds of programs are started from source: each took twice as long to compile it anew.
process.env['NODE_COMPILE_CACHE'] ??= join(cache, 'node-compile');

sweepTestFolders();
let memory: string | undefined;
const TOGETHER = join(repository, 'test/support/together.ts');
const given = process.argv.slice(2).filter((word) => word !== '--');
const words = given.filter((word) => word !== '--changed');
const groups = GROUPS.filter((group) => words.includes(group));
const filters = words.filter((word) => !GROUPS.some((group) => group === word));
const ci = process.env['CI'] === 'true';
let builtAnew: ReturnType<typeof buildAnew> | undefined;
const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort());

const reporter = new Reporter({ root: repository, write: (text) => process.stdout.write(text) });
const chosen = new Map(
  await Promise.all(
    (groups.length > 0 ? groups : GROUPS).map(async (group) => [group, await filesOf(group)] as const),
  ),
);
if (given.includes('--changed')) {
  const changed = await changedFiles(repository);
  for (const [group, files] of chosen) chosen.set(group, affected(repository, files, changed));
  const count = [...chosen.values()].flat().length;
  console.log(`${changed.length} changed files, which ${count} files of tests read.`);
  if (count === 0) {
    console.log('0 passed, 0 failed');
    process.exit(0);
  }
}
if ([...chosen.values()].every((files) => files.length === 0)) {
  console.error(`No test file matches ${words.map((word) => `\`${word}\``).join(' ')}.`);
  process.exit(1);
}
// What later groups need is made while the first ones run; what fails is told by whoever needs it.
const needed = groups.length === 0 && given.length === 0;
const made = needed ? ensureEverything(() => {}).catch(() => {}) : undefined;
await Promise.all(
  LANES.map(async (lane) => {
    for (const group of lane) await runGroup(group);
  }),
);
await made;
reporter.end();

const { failed, skipped } = reporter.counts;
// On a machine that is set up for all of it, a skipped test is one that broke silently.
if (ci && skipped > 0) process.stdout.write('CI=true: a skipped test is a failure.\n');
process.exitCode = abort.signal.aborted ? 130 : failed > 0 || (ci && skipped > 0) ? 1 : 0;
process.stdout.write(`${reporter.line()}\n`);

async function runGroup(group: Group): Promise<void> {
  const files = chosen.get(group) ?? [];
  if (files.length === 0 || abort.signal.aborted) return;
  reporter.begin(group, files.length);
  if (group === 'harness') await runPython(files);
  else if (group === 'unit') await Promise.all(shares(files, AT_ONCE.unit).map(runTogether));
  else if (!BUILT.has(group) || (await distIsFresh(files))) await runNode(group, files);
}

async function filesOf(group: Group): Promise<string[]> {
  const pattern = group === 'harness' ? 'test/harness/test_*.py' : `test/${group}/**/*.test.ts`;
  const files: string[] = [];
  for await (const file of glob(pattern, { cwd: repository }))
    if (filters.length === 0 || filters.some((part) => file.includes(part))) files.push(file);
  files.sort();
  if (AT_ONCE[group] === 1) return files.sort((a, b) => Number(a === LAST) - Number(b === LAST));
  // The longest first, so that at the end no lane waits for one of them: what takes long is long to write, mostly.
  const sizes = new Map(await Promise.all(files.map(async (file) => [file, await sizeOf(file)] as const)));
  return files.sort((a, b) => (sizes.get(b) ?? 0) - (sizes.get(a) ?? 0));
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(join(repository, file))).size;
}

/** What a process of tests does before all else. */
function first(group: Group): string[] {
  const niceness = BEHIND[group];
  if (IN_MEMORY.has(group)) memory ??= folderInMemory();
  const lines = [
    ...(niceness === undefined ? [] : [`process.getBuiltinModule('os').setPriority(${niceness});`]),
    ...(IN_MEMORY.has(group) && memory !== undefined
      ? [`process.env.TMPDIR = ${JSON.stringify(memory)};`]
      : []),
  ];
  return lines.length === 0 ? [] : [`--import=data:text/javascript,${encodeURIComponent(lines.join('\n'))}`];
}

async function runNode(group: Group, files: readonly string[]): Promise<void> {
  const events = run({
    files: files.map((file) => join(repository, file)),
    concurrency: AT_ONCE[group],
    timeout: TIMEOUT_MS[group],
    signal: abort.signal,
    cwd: repository,
    execArgv: first(group),
  });
  for await (const event of events) reporter.see(event);
}

/** So many lists at most, of which each has as many long ones as any other. */
function shares(files: readonly string[], count: number): string[][] {
  const shares = Array.from({ length: Math.min(count, files.length) }, (): string[] => []);
  for (const [index, file] of files.entries()) shares[index % shares.length]?.push(file);
  return shares;
}

/** Unit tests: files in one process, one after the other. */
async function runTogether(files: readonly string[]): Promise<void> {
  const events = run({
    files: [TOGETHER],
    argv: [...files],
    // It has an end for each file. This one is for what does not even let a timer run.
    timeout: 4 * TIMEOUT_MS.unit,
    signal: abort.signal,
    cwd: repository,
    execArgv: first('unit'),
  });
  const told = reporter.together(TOGETHER, files);
  for await (const event of events) told(event);
}

/** One JSON line a test, from a unittest result class of our own: its text output is made for people. */
async function runPython(files: readonly string[]): Promise<void> {
  const python = await pythonPath();
  const hung = TIMEOUT_MS.harness / 1000;
  const child = execa(python, [join(repository, 'test/support/reporter_unittest.py'), `${hung}`, ...files], {
    cwd: repository,
    // A thread that waits for the others gives its CPU away: other tests run beside it.
    env: { OMP_WAIT_POLICY: 'passive' },
    stdin: 'ignore',
    reject: false,
    cancelSignal: abort.signal,
  });
  const told = reporter.python(files);
  const lines = (async () => {
    for await (const line of child.iterable({ from: 'stdout' })) told.line(line);
  })();
  const printed = (async () => {
    for await (const line of child.iterable({ from: 'stderr' })) told.printed(`${line}\n`);
  })();
  const [{ failed, shortMessage }] = await Promise.all([child, lines, printed]);
  told.ended(failed ? shortMessage : undefined);
}

/** The engine's Python where it can be had, since some tests load a model; else any, and those tests say what they lack. */
async function pythonPath(): Promise<string> {
  try {
    const { python } = await ensureEngine();
    // And with it the whole one.
    await ensureShallowModel();
    return python;
  } catch (error) {
    reporter.note(
      `No engine's Python and model below ${cache}, so it is python3: ${String(error).split('\n')[0]}`,
    );
    return 'python3';
  }
}

/** What users get is the committed dist/. One that the source no longer gives proves nothing. */
async function distIsFresh(files: readonly string[]): Promise<boolean> {
  builtAnew ??= buildAnew();
  const { failed, stderr } = await builtAnew;
  reporter.single('scripts/build.ts', 'dist/ is what the source gives', failed ? stderr : undefined);
  if (failed)
    for (const file of files) reporter.skip(file, 'dist/ is stale, and these tests run it: `npm run build`');
  return !failed;
}

function buildAnew() {
  return execa(process.execPath, ['scripts/build.ts', '--check'], { cwd: repository, reject: false });
}
