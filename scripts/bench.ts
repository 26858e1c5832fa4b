/** `npm run bench` prints ratios taken in one run; `--json` gives them by name. docs/performance.md says what they mean. */
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from './build.ts';
import { cache, repository } from './setup/cache.ts';

const REPEATS = 15;

interface Figure {
  readonly value: number;
  readonly goal: string;
  readonly met: boolean;
  readonly meaning: string;
}

/** Wall time of the action up to an input error, over that of loading @actions/core and @actions/cache alone. */
async function coldStart(): Promise<Figure> {
  // Below .cache, so that the bundler finds node_modules.
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, 'bench-'));
  try {
    const entry = join(folder, 'entry.ts');
    await writeFile(
      entry,
      "import * as core from '@actions/core';\nimport * as cache from '@actions/cache';\nif (process.argv.length > 100) console.log(core, cache);\n",
    );
    const reference = join(folder, 'reference');
    await bundle({ reference: entry }, reference);
    await writeFile(join(reference, 'package.json'), '{ "type": "module" }\n');
    const times = { ours: [] as number[], reference: [] as number[] };
    // Alternating, so that whatever else the machine does hits both alike.
    for (let i = 0; i < REPEATS; i++) {
      times.ours.push(wallTime([join(repository, 'dist/main.js')], 1));
      times.reference.push(wallTime([join(reference, 'reference.js')], 0));
    }
    const value = median(times.ours) / median(times.reference);
    return {
      value,
      goal: '<= 1.0',
      met: value <= 1,
      meaning:
        'dist/main.js with an invalid input, against a bundle of @actions/core and @actions/cache with an empty main',
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Milliseconds; the exit code is checked, since a program that crashes early is fast. */
function wallTime(args: readonly string[], expected: number): number {
  const start = performance.now();
  const { status, stdout } = spawnSync(process.execPath, args, {
    env: { PATH: process.env['PATH'], INPUT_MODE: 'no-such-mode' },
    cwd: tmpdir(),
    encoding: 'utf8',
  });
  const ms = performance.now() - start;
  if (status !== expected)
    throw new Error(`${args.join(' ')} exited with ${status} instead of ${expected}:\n${stdout}`);
  return ms;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const figures: Readonly<Record<string, Figure>> = { coldStart: await coldStart() };
if (process.argv.includes('--json'))
  console.log(
    JSON.stringify(
      Object.fromEntries(Object.entries(figures).map(([name, { value }]) => [name, value])),
      null,
      2,
    ),
  );
else
  for (const [name, { value, goal, met, meaning }] of Object.entries(figures))
    console.log(`${name}  ${value.toFixed(3)}  (goal ${goal}: ${met ? 'met' : 'NOT met'})  ${meaning}`);
