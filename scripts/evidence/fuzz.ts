import { join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { FIRST_SEED, type Fuzzed, fuzz } from '../../test/unit/support/fuzz.ts';
import { surfacesToFuzz } from '../../test/unit/support/fuzzed.ts';
import { repository } from '../setup/cache.ts';

/** Of 10,000 inputs, those that the harness's half gets: test/harness/fuzz_smi.py. */
const SHARE_OF_HARNESS = 300;

const Told = z.strictObject({
  inputs: z.number(),
  seconds: z.number(),
  slowestMs: z.number(),
  states: z.record(z.string(), z.number()),
  crashes: z.array(z.string()),
});

/** Batches of 10,000 inputs, each with a seed of its own; the first is what the tests give. */
export async function fuzzed(batches: number, python: string): Promise<readonly Fuzzed[]> {
  await using surfaces = await surfacesToFuzz();
  const found: Fuzzed[] = [];
  for (const surface of surfaces.all) {
    let sum: Fuzzed | undefined;
    for (let batch = 0; batch < batches; batch++) {
      const one = await fuzz(surface, surface.share, FIRST_SEED + batch);
      sum = sum === undefined ? one : together(sum, one);
    }
    if (sum === undefined) continue;
    console.log(JSON.stringify(sum));
    found.push(sum);
  }
  const program = join(repository, 'test/harness/fuzz_smi.py');
  const { stdout } = await execa(python, [program, String(batches * SHARE_OF_HARNESS), String(FIRST_SEED)]);
  const { states, crashes, ...told } = Told.parse(JSON.parse(stdout));
  found.push({
    ...{ surface: 'nvidia-smi -q -x, as the harness reads it', ...told },
    taken: Object.values(states).reduce((all, count) => all + count, 0),
    named: {},
    crashes: crashes.map((error) => ({ error, input: '' })),
  });
  return found;
}

function together(one: Fuzzed, other: Fuzzed): Fuzzed {
  const named = { ...one.named };
  for (const [code, count] of Object.entries(other.named)) named[code] = (named[code] ?? 0) + count;
  return {
    surface: one.surface,
    inputs: one.inputs + other.inputs,
    seconds: one.seconds + other.seconds,
    slowestMs: Math.max(one.slowestMs, other.slowestMs),
    taken: one.taken + other.taken,
    named,
    crashes: [...one.crashes, ...other.crashes].slice(0, 10),
  };
}

export function tellFuzzed(found: readonly Fuzzed[], date: string, machine: string): string {
  const sum = (of: (one: Fuzzed) => number) => found.reduce((all, one) => all + of(one), 0);
  const number = (value: number) => value.toLocaleString('en');
  const batches = Math.round(sum(({ inputs }) => inputs) / 10_000);
  const rows = found.map(({ surface, inputs, seconds, slowestMs, taken, named, crashes }) => {
    const codes = Object.entries(named).toSorted(([, a], [, b]) => b - a);
    const told = codes.map(([code, count]) => `\`${code}\` ${number(count)}`).join(', ') || 'none';
    return `| ${surface} | ${number(inputs)} | ${Math.round(seconds)} | ${Math.round(slowestMs)} | ${number(taken)} | ${told} | ${crashes.length} |`;
  });
  return `# Inputs at random, ${date}

Made by \`npm run evidence -- --only fuzz${batches === 100 ? '' : ` --fuzz ${batches}`}\`: ${number(sum(({ inputs }) => inputs))} inputs in ${Math.round(sum(({ seconds }) => seconds))} s, one after the other, on
${machine}. What is read is turned over by byte and by value (\`test/unit/support/fuzz.ts\`), from seeds that are
taken whole. Batch n has the seed ${FIRST_SEED} + n; the tests give the first. A crash is whatever ends otherwise than in
one of the errors of docs/troubleshooting.md; of the harness's half, whatever is raised. ${sum(({ crashes }) => crashes.length) === 0 ? 'There was none.' : ''}

| what is read | inputs | s | slowest, ms | taken | named errors | crashes |
| --- | --- | --- | --- | --- | --- | --- |
${rows.join('\n')}
`;
}
