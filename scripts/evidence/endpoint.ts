/**
 * `node scripts/evidence/endpoint.ts [RUNS] [CHANGED] [DTYPE] [long]`: how often the test of samples calls an honest server another model, and
 * how often it notices a changed one. vLLM's own server on this machine's CPU, asked as a run asks it. Writes
 * docs/evidence/2026-11-28-endpoint/results.json, or of one dtype alone results-DTYPE.json.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { FALSE_ALARMS } from '../../src/compare/relations/same-model.ts';
import { repository } from '../setup/cache.ts';
import { ensureFlippedModel } from '../setup/flipped-model.ts';
import { ensureModel } from '../setup/model.ts';
import { ensureEngine } from '../setup/python.ts';
import {
  disjoint,
  type Figures,
  figures,
  promptsAfter,
  type Round,
  restless,
  rounds,
  SAMPLES,
} from './sampled.ts';
import { realServer } from './server.ts';

const [runs = 200, changed = 20] = process.argv.slice(2, 4).map(Number);
const [only, length] = process.argv.slice(4);
/** Some 250 tokens before each prompt: several steps of a prefill, and blocks that a prefix cache keeps. */
const BEFORE =
  length === 'long' ? 'It was a dark and stormy night, and the rain fell in torrents. '.repeat(16) : '';
const PROMPTS = promptsAfter(BEFORE);

/** What the server computes in: in bfloat16 batches move no bit of this model on a CPU, in float32 they do. */
const DTYPES = [
  { dtype: 'bfloat16', other: 'float16' },
  { dtype: 'float32', other: 'bfloat16' },
] as const;

const began = performance.now();
const { python } = await ensureEngine();
const model = await ensureModel();
const folder = await mkdtemp(join(tmpdir(), 'dml-rounded-'));
const rounded = async (to: 'int8' | 'fp8') => {
  const target = join(folder, to);
  await execa(python, [join(repository, 'scripts/evidence/rounded.py'), model, target, to]);
  return target;
};
const [int8, fp8, flipped] = [await rounded('int8'), await rounded('fp8'), await ensureFlippedModel()];
const results = [];
for (const { dtype, other } of DTYPES.filter((one) => only === undefined || one.dtype === only)) {
  const served = (of: string, as: string) =>
    realServer({ python, model: of, name: 'small', args: ['--max-num-seqs', '8', '--dtype', as] });
  const told: Figures[] = [];
  let baseline: readonly Round[] = [];
  let moving = 0;
  const against = (what: string, now: readonly Round[]) => {
    const pairs = now.flatMap((right, at): [Round, Round][] => [[baseline[at] ?? right, right]]);
    told.push(figures(`${dtype}: ${what}`, pairs));
  };
  {
    await using server = await served(model, dtype);
    const { all: quiet } = await rounds(server, PROMPTS, 2 * runs);
    baseline = quiet.slice(0, changed);
    moving = restless(quiet);
    told.push(figures(`${dtype}: the same server, nobody else asks`, disjoint(quiet)));
    against(
      'the same server, four others ask at the check alone',
      (await rounds(server, PROMPTS, changed, 4)).all,
    );
  }
  for (const [what, of, as] of [
    ['the same, restarted', model, dtype],
    ['every linear weight rounded to int8', int8, dtype],
    ['every linear weight rounded to fp8 (e4m3)', fp8, dtype],
    ['another revision: one bit of one weight', flipped, dtype],
    [`${other} in its place`, model, other],
  ] as const) {
    await using server = await served(of, as);
    against(what, (await rounds(server, PROMPTS, changed)).all);
  }
  results.push({ dtype, promptsThatMove: moving, figures: told });
}
await rm(folder, { recursive: true, force: true });
await writeFile(
  join(
    repository,
    `docs/evidence/2026-11-28-endpoint/${['results', only, length].filter(Boolean).join('-')}.json`,
  ),
  `${JSON.stringify(
    {
      ...{ samples: SAMPLES, prompts: PROMPTS.length, rate: FALSE_ALARMS },
      seconds: Math.round((performance.now() - began) / 1000),
      results,
    },
    null,
    2,
  )}\n`,
);
