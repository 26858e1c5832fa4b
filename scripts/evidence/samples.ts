/**
 * `node scripts/evidence/samples.ts [RUNS]`: how often the test of samples is wrong where samples are drawn by chance, since the
 * server that was asked (endpoint.ts) gave the same bits each time. Writes docs/evidence/2026-11-28-endpoint/simulated.json.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { permutationTest, type Sampled, type Samples } from '../../src/compare/permutation.ts';
import { FALSE_ALARMS } from '../../src/compare/relations/same-model.ts';
import { repository } from '../setup/cache.ts';

const [runs = 2000] = process.argv.slice(2).map(Number);
const [SAMPLES, PROMPTS, BEST] = [6, 4, 20];
/** Nats: what batches move log-probabilities of 16-bit models by, in the order of magnitude. */
const SIZE = 0.02;

let state = 1;
/** From 0 to 1, the same each time. */
function chance(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state / 2 ** 32;
}
const normal = () => Math.sqrt(-2 * Math.log(1 - chance())) * Math.cos(2 * Math.PI * chance());

/** What a server does to one sample: a shift of each token. */
const NOISES: Readonly<Record<string, () => () => number>> = {
  'normal, each token by itself': () => () => SIZE * normal(),
  'two kernels, one of them for 1 of 4 batches': () => {
    const other = chance() < 0.25;
    return () => (other ? SIZE * 5 : 0) + 1e-4 * normal();
  },
  'heavy tails': () => {
    const wild = SIZE / (0.02 + chance());
    return () => wild * normal();
  },
};

function side(noise: () => () => number, shift: number): Samples {
  const rows = Array.from({ length: SAMPLES }, () => {
    const one = noise();
    return Array.from(
      { length: BEST },
      (_, rank) => [100 + rank, -0.5 - rank / 3 + shift * (rank % 2) + one()] as const,
    ).toSorted(([, a], [, b]) => b - a);
  }).flat();
  return {
    k: BEST,
    ids: Uint32Array.from(rows, ([id]) => id),
    nats: Float32Array.from(rows, ([, nats]) => nats),
  };
}

const results = [];
for (const [name, noise] of Object.entries(NOISES))
  for (const shift of [0, SIZE / 4, SIZE, 4 * SIZE]) {
    // A changed model is looked at less often than an honest one.
    const count = shift === 0 ? runs : Math.ceil(runs / 20);
    let alarms = 0;
    for (let run = 0; run < count; run++) {
      const all = Array.from(
        { length: PROMPTS },
        (): Sampled => ({ left: side(noise, 0), right: side(noise, shift) }),
      );
      if (permutationTest(all, run).p <= FALSE_ALARMS) alarms++;
    }
    const told = { noise: name, shiftNats: shift, runs: count, calledAnotherModel: alarms };
    console.log(JSON.stringify(told));
    results.push(told);
  }
await writeFile(
  join(repository, 'docs/evidence/2026-11-28-endpoint/simulated.json'),
  `${JSON.stringify({ samples: SAMPLES, prompts: PROMPTS, rate: FALSE_ALARMS, noiseNats: SIZE, results }, null, 2)}\n`,
);
