/**
 * `npm run check`: what every commit must pass, side by side and in under a minute on two cores: lint, types, generated
 * files, dist/, the harness's Python, and the unit tests that take moments. CI runs all of it, and every test.
 */
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { styleText } from 'node:util';
import { execa } from 'execa';
import { repository } from './setup/cache.ts';

/** Parts of the paths of unit tests that take seconds each: programs are started, bytes fuzzed, pages filled. */
const SLOW = [
  ...['cli.test', 'disk/', 'engine/session', 'generate.test', 'recipes.test', 'suite/parse', 'surfaces/'],
  ...['tell/', 'record/validate', 'use-cases/merge', 'use-cases/verify', 'words/error-words'],
];

const bin = (name: string) => join(repository, 'node_modules/.bin', name);
const all: string[] = [];
for await (const file of glob('test/unit/**/*.test.ts', { cwd: repository })) all.push(file);
const moments = all.filter((file) => !SLOW.some((part) => file.includes(part))).sort();
/** Half of them each, in one process. */
const unit = (half: 0 | 1) => [
  ...['--test-reporter=dot', 'test/support/together.ts'],
  ...moments.filter((_, index) => index % 2 === half),
];

const STAGES: Readonly<Record<string, readonly [program: string, ...args: string[]]>> = {
  lint: [bin('biome'), 'check', '--error-on-warnings', '.'],
  types: [bin('tsc'), '-p', 'tsconfig.json'],
  generated: [process.execPath, 'scripts/generate.ts', '--check'],
  dist: [process.execPath, 'scripts/build.ts', '--check'],
  python: [process.execPath, 'scripts/lint-python.ts'],
  unit: [process.execPath, ...unit(0)],
  'unit, the other half': [process.execPath, ...unit(1)],
};

const began = performance.now();
const seconds = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`;
const failed: string[] = [];
await Promise.all(
  Object.entries(STAGES).map(async ([name, [program, ...args]]) => {
    const start = performance.now();
    const { exitCode, all: printed } = await execa(program, args, {
      cwd: repository,
      reject: false,
      all: true,
    });
    const ok = exitCode === 0;
    console.log(`${ok ? styleText('green', '✓') : styleText('red', '✗')} ${name}  ${seconds(start)}`);
    if (ok) return;
    failed.push(name);
    console.log(printed.slice(-8000));
  }),
);
console.log(
  `${moments.length} of ${all.length} files of unit tests ran: the others take seconds each, \`npm test -- unit\` runs them too.`,
);
console.log(
  failed.length === 0
    ? `All is well after ${seconds(began)}.`
    : `${failed.join(', ')} failed after ${seconds(began)}.`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
