/**
 * `npm run mutate [-- PART-OF-A-PATH…]`: changes src/compare/ on purpose, one place at a time, and tells which changes
 * no test notices. The very last line is the score; the exit code is 1 where a change survived that nobody has
 * explained (scripts/mutate/equivalent.ts).
 *
 * Texts are left alone: how a reason is worded is no behaviour. Tests whose inputs are random are left out: what they
 * notice is a matter of luck.
 */
import { glob, mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, setPriority } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { execa } from 'execa';
import { EQUIVALENT, type Equivalent } from './mutate/equivalent.ts';
import { cache, madeOnce, repository } from './setup/cache.ts';
import { run } from './setup/step.ts';

const VERSION = '10.0.0';
const MUTATED = 'src/compare/**/*.ts';
const TESTS = 'test/unit/compare/*.test.ts';
const RANDOM = 'properties.test.ts';

/** As far as it is read here: https://github.com/stryker-mutator/mutation-testing-elements */
interface Report {
  readonly files: Readonly<Record<string, { readonly source: string; readonly mutants: readonly Mutant[] }>>;
}

interface Mutant {
  readonly mutatorName: string;
  readonly replacement: string;
  readonly status: string;
  readonly location: { readonly start: Place; readonly end: Place };
}

/** Both count from 1. */
interface Place {
  readonly line: number;
  readonly column: number;
}

const folder = join(cache, 'mutation');
const tools = join(folder, 'stryker');
const config = join(folder, 'stryker.config.json');
const report = join(folder, 'report.json');

// Thousands of runs that nobody waits for.
setPriority(5);
await madeOnce({
  title: `Stryker ${VERSION}`,
  path: tools,
  key: VERSION,
  make: async (note, lock) => {
    await mkdir(tools, { recursive: true });
    const dependencies = { '@stryker-mutator/core': VERSION, '@stryker-mutator/tap-runner': VERSION };
    await writeFile(join(tools, 'package.json'), JSON.stringify({ private: true, dependencies }));
    await run(note, 'npm', ['install', '--prefix', tools, '--no-audit', '--no-fund'], { lock });
  },
});

const parts = process.argv.slice(2).filter((word) => word !== '--');
const mutated = await filesOf(
  MUTATED,
  (file) => parts.length === 0 || parts.some((part) => file.includes(part)),
);
const testFiles = await filesOf(TESTS, (file) => !file.endsWith(RANDOM));
const below = (path: string) => relative(repository, join(folder, path));
await writeFile(
  config,
  JSON.stringify({
    mutate: mutated,
    mutator: { excludedMutations: ['StringLiteral'] },
    // A test file is one test: the files that reach a mutant run one after the other, until one fails.
    testRunner: 'tap',
    plugins: [join(tools, 'node_modules/@stryker-mutator/tap-runner/dist/src/index.js')],
    tap: { testFiles },
    coverageAnalysis: 'perTest',
    concurrency: Math.max(1, availableParallelism() - 1),
    timeoutMS: 20_000,
    // What Stryker copies. It links node_modules.
    ignorePatterns: ['**', ...['src/**', 'test/unit/**', 'package.json'].flatMap(kept)],
    tempDirName: below('tmp'),
    reporters: ['json', 'html', 'progress-append-only'],
    jsonReporter: { fileName: below('report.json') },
    htmlReporter: { fileName: below('report.html') },
  }),
);
await execa(
  process.execPath,
  [join(tools, 'node_modules/@stryker-mutator/core/bin/stryker.js'), 'run', config],
  {
    cwd: repository,
    stdio: 'inherit',
    env: {
      PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter),
      // Each run is a process of its own, which would read all sources anew.
      NODE_COMPILE_CACHE: join(folder, 'compile'),
    },
  },
);
tell(JSON.parse(await readFile(report, 'utf8')) as Report);

async function filesOf(pattern: string, wanted: (file: string) => boolean): Promise<string[]> {
  const files: string[] = [];
  for await (const file of glob(pattern, { cwd: repository })) if (wanted(file)) files.push(file);
  if (files.length === 0) throw new Error(`no file of ${pattern} is meant`);
  return files.sort();
}

/** The exceptions from "ignore everything" for a path: each folder above it needs one of its own. */
function kept(path: string): string[] {
  const names = path.split('/');
  return names.map((_, i) => `!${names.slice(0, i + 1).join('/')}`);
}

function tell({ files }: Report): void {
  const counts = { detected: 0, survived: 0, equivalent: 0 };
  const open = [...EQUIVALENT];
  for (const [file, { source, mutants }] of Object.entries(files).sort()) {
    const lines = source.split('\n');
    for (const mutant of mutants) {
      if (mutant.status === 'Killed' || mutant.status === 'Timeout') counts.detected++;
      if (mutant.status !== 'Survived' && mutant.status !== 'NoCoverage') continue;
      counts.survived++;
      const { start } = mutant.location;
      const line = lines[start.line - 1]?.trim() ?? '';
      const known = open.findIndex((one) => explains(one, file, line, mutant));
      if (known >= 0) counts.equivalent++;
      if (known >= 0) open.splice(known, 1);
      else
        console.log(
          `${file}:${start.line}:${start.column} ${mutant.mutatorName}\n  - ${line}\n  + ${mutant.replacement}`,
        );
    }
  }
  const of = counts.detected + counts.survived;
  const unexplained = counts.survived - counts.equivalent;
  console.log(
    `${counts.detected} of ${of} mutants noticed (${((100 * counts.detected) / of).toFixed(1)} %), ` +
      `${counts.equivalent} explained, ${unexplained} not; ${relative(repository, report).replace('.json', '.html')}`,
  );
  process.exitCode = unexplained > 0 ? 1 : 0;
}

function explains(one: Equivalent, file: string, line: string, { replacement }: Mutant): boolean {
  return file === `src/compare/${one.file}` && line === one.line && replacement === one.to;
}
