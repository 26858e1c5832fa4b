import { spawnSync } from 'node:child_process';
import type { BigRecords } from './big-records.ts';
import type { Demo, Shape } from './demo.ts';
import type { Program } from './program.ts';

/** What figures are made with. What several of them need is made once, when the first asks for it. */
export interface Bench {
  readonly records: () => Promise<BigRecords>;
  readonly demo: () => Promise<Demo>;
  /** The same suite in another shape, and nothing recorded yet. */
  readonly newDemo: (shape: Shape) => Promise<Demo>;
}

/** One number of `npm run bench`, with its goal. */
export interface Figure {
  readonly goal: string;
  readonly meets: (value: number) => boolean;
  readonly meaning: string;
  readonly measure: (bench: Bench) => Promise<Measured>;
}

export interface Measured {
  /** Null where what was to be measured did not happen. */
  readonly value: number | null;
  /** What the number comes from, or why there is none. */
  readonly detail: string;
}

/** A figure that is good when it is small. */
export const atMost = (limit: number): Pick<Figure, 'goal' | 'meets'> => ({
  goal: `<= ${limit}`,
  meets: (value) => value <= limit,
});

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Numbers that one program gave, each time it ran. */
export interface Timed {
  readonly milliseconds: readonly number[];
  readonly outputs: readonly string[];
}

/** Node programs by turns, so that whatever else the machine does hits them alike. */
export function alternate<K extends string>(
  repeats: number,
  programs: Readonly<Record<K, Program>>,
): Record<K, Timed> {
  const names = Object.keys(programs) as K[];
  const timed = Object.fromEntries(
    names.map((name) => [name, { milliseconds: [] as number[], outputs: [] as string[] }]),
  ) as Record<K, { milliseconds: number[]; outputs: string[] }>;
  for (let i = 0; i < repeats; i++)
    for (const name of names) {
      const { milliseconds, stdout } = once(programs[name]);
      timed[name].milliseconds.push(milliseconds);
      timed[name].outputs.push(stdout);
    }
  return timed;
}

/** The exit code is checked, since a program that crashes early is fast. */
function once({ args, status = 0, env = {}, cwd }: Program) {
  const start = performance.now();
  const done = spawnSync(process.execPath, args, {
    env: { PATH: process.env['PATH'], ...env },
    encoding: 'utf8',
    cwd,
  });
  const milliseconds = performance.now() - start;
  if (done.error !== undefined) throw done.error;
  if (done.status !== status)
    throw new Error(
      `${args.join(' ')} exited with ${done.status} instead of ${status}:\n${done.stdout}${done.stderr.slice(-2000)}`,
    );
  return { milliseconds, stdout: done.stdout };
}

/** A program that does nothing. */
export const NOTHING: Program = { args: ['--eval', '0'] };
