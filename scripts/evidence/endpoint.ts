/**
 * `node scripts/evidence/endpoint.ts [RUNS] [CHANGED] [DTYPE] [long]`: how often the test of samples calls an honest server another model, and
 * how often it notices a changed one. vLLM's own server on this machine's CPU, asked as a run asks it. Writes
 * docs/evidence/2026-11-28-endpoint/results.json, or of one dtype alone results-DTYPE.json.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { permutationTest, type Sampled, type Samples } from '../../src/compare/permutation.ts';
import { FALSE_ALARMS } from '../../src/compare/relations/same-model.ts';
import { openEndpoint } from '../../src/endpoint/runtime.ts';
import { Session } from '../../src/engine/session.ts';
import { float32, uint32 } from '../../src/record/words.ts';
import { repository } from '../setup/cache.ts';
import { ensureModel } from '../setup/model.ts';
import { ensureEngine } from '../setup/python.ts';
import { type RealServer, realServer } from './server.ts';

const [runs = 200, changed = 20] = process.argv.slice(2, 4).map(Number);
const [only, length] = process.argv.slice(4);
/** Some 250 tokens before each prompt: several steps of a prefill, and blocks that a prefix cache keeps. */
const BEFORE =
  length === 'long' ? 'It was a dark and stormy night, and the rain fell in torrents. '.repeat(16) : '';
const SAMPLES = 6;
const PROMPTS = ['The capital of France is', 'Once upon a time', 'Why is the sky', 'def fibonacci(n):'].map(
  (text, at) => ({ id: `p${at}`, text: `${BEFORE}${text}` }),
);

/** What one round of samples gave, prompt by prompt. */
type Round = readonly Samples[];

const place = { file: 'suite.yml', line: 1, column: 1 };

/** @param load asks of others beside it, at a time; 0: nobody else asks */
async function rounds(server: RealServer, count: number, load = 0): Promise<Round[]> {
  await using runtime = openEndpoint({
    endpoint: { url: server.url, model: 'small' },
    ...{ key: undefined, environment: {}, log: () => {} },
  });
  await using session = await Session.open(
    {
      ...{ harness: { boot: '', files: {} }, start: (boot) => runtime.start(boot) },
      ...{ inactivitySeconds: 600, deadlineSeconds: 36_000, signal: new AbortController().signal },
      ...{ onOutput: () => {}, onProgress: () => {}, placeOf: () => place, enginePlace: place },
    },
    { engine: 'openai', model: 'small', knownDigests: {} },
    {},
  );
  await session.expect('fingerprint');
  session.send({
    ...{ command: 'load', args: {}, defaults: [], perturbation: null, clock: 0, serve: null },
    prompts: PROMPTS.map(({ id, text }) => ({ id, input: { text }, isScored: false })),
  });
  await session.expect('lifetime');
  using _ = neighbours(server, load);
  const all: Round[] = [];
  for (let round = 0; round < count; round++) {
    const given = new Map<string, Samples>();
    session.send({
      ...{ command: 'pass', pass: 'generate-samples', kind: 'generate', samples: SAMPLES },
      requests: PROMPTS.map(({ id, text }) => ({
        ...{ id, input: { text }, tokens: null, observed: true, limit: null },
        sampling: { temperature: 0, max_tokens: 1, seed: 0 },
      })),
      ...{ groups: [PROMPTS.map(({ id }) => id)], warm: false, trace: false, noise: null, topK: 5, clock: 0 },
    });
    await session.expect('pass', async ({ prompt, channels }) => {
      const [one] = channels;
      if (one?.kind !== 'ranked') throw new Error('no samples');
      given.set(prompt, {
        k: one.k,
        ids: uint32(Buffer.from(one.ids, 'base64')),
        nats: float32(Buffer.from(one.nats, 'base64')),
      });
    });
    all.push(PROMPTS.flatMap(({ id }) => given.get(id) ?? []));
  }
  await session.end();
  return all;
}

/** Others who ask the same server, as long as they are held. */
function neighbours({ url }: RealServer, count: number): Disposable {
  const stop = new AbortController();
  const ask = async (who: number) => {
    for (let nth = 0; !stop.signal.aborted; nth++)
      await fetch(`${url}/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          ...{ model: 'small', temperature: 1, seed: nth, max_tokens: 16 },
          prompt: 'A neighbour asks for a story. '.repeat(1 + ((who + nth) % 4)),
        }),
        signal: stop.signal,
      }).catch(() => undefined);
  };
  for (let who = 0; who < count; who++) void ask(who);
  return { [Symbol.dispose]: () => stop.abort() };
}

const pairOf = (left: Round, right: Round): Sampled[] =>
  left.flatMap((one, at) => {
    const other = right[at];
    return other === undefined ? [] : [{ left: one, right: other }];
  });

interface Figures {
  readonly what: string;
  readonly runs: number;
  /** Runs that were called another model. */
  readonly alarms: number;
  readonly medianP: number;
  readonly smallestP: number;
  /** How far apart the means were, in the median run. */
  readonly medianNats: number;
}

function figures(what: string, pairs: readonly (readonly [Round, Round])[]): Figures {
  const tested = pairs.map(([left, right], seed) => permutationTest(pairOf(left, right), seed));
  const middle = (values: readonly number[]) =>
    values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
  const ps = tested.map(({ p }) => p);
  const told: Figures = {
    ...{ what, runs: tested.length, alarms: ps.filter((p) => p <= FALSE_ALARMS).length },
    medianP: middle(ps),
    smallestP: Math.min(...ps),
    medianNats: Number(middle(tested.map(({ nats }) => nats)).toPrecision(3)),
  };
  console.log(JSON.stringify(told));
  return told;
}

/** Each round is in one run alone: the runs are independent. */
const disjoint = (all: readonly Round[]): [Round, Round][] =>
  all.flatMap((left, at): [Round, Round][] => {
    const right = all[at + 1];
    return at % 2 === 0 && right !== undefined ? [[left, right]] : [];
  });

/** In how many of the first round's prompts any two samples differ in a bit. */
const restless = (all: readonly Round[]) =>
  PROMPTS.filter((_, at) => new Set(all.flatMap((round) => rowsOf(round[at]))).size > 1).length;
const rowsOf = (samples: Samples | undefined) =>
  samples === undefined
    ? []
    : Array.from({ length: samples.ids.length / samples.k }, (_, row) =>
        [...samples.nats.subarray(row * samples.k, (row + 1) * samples.k)].join(),
      );

/** What the server computes in: in bfloat16 batches move no bit of this model on a CPU, in float32 they do. */
const DTYPES = [
  { dtype: 'bfloat16', other: 'float16' },
  { dtype: 'float32', other: 'bfloat16' },
] as const;

const began = performance.now();
const { python } = await ensureEngine();
const model = await ensureModel();
const folder = await mkdtemp(join(tmpdir(), 'dml-int8-'));
const int8 = join(folder, 'model');
await execa(python, [join(repository, 'scripts/evidence/int8.py'), model, int8]);
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
    const quiet = await rounds(server, 2 * runs);
    baseline = quiet.slice(0, changed);
    moving = restless(quiet);
    told.push(figures(`${dtype}: the same server, nobody else asks`, disjoint(quiet)));
    against('the same server, four others ask at the check alone', await rounds(server, changed, 4));
  }
  for (const [what, of, as] of [
    ['the same, restarted', model, dtype],
    ['every linear weight rounded to int8', int8, dtype],
    [`${other} in its place`, model, other],
  ] as const) {
    await using server = await served(of, as);
    against(what, await rounds(server, changed));
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
