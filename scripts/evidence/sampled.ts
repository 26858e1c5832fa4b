/** Rounds of samples of a real server, as a run asks for them, and what the test of samples makes of two of them. */
import { permutationTest, type Sampled, type Samples } from '../../src/compare/permutation.ts';
import { FALSE_ALARMS } from '../../src/compare/relations/same-model.ts';
import { openEndpoint } from '../../src/endpoint/runtime.ts';
import { Session } from '../../src/engine/session.ts';
import { float32, uint32 } from '../../src/record/words.ts';
import type { RealServer } from './server.ts';

/** Of each prompt in each round. */
export const SAMPLES = 6;

export interface Prompt {
  readonly id: string;
  readonly text: string;
}

/** @param before stands before each */
export const promptsAfter = (before: string): Prompt[] =>
  ['The capital of France is', 'Once upon a time', 'Why is the sky', 'def fibonacci(n):'].map((text, at) => ({
    id: `p${at}`,
    text: `${before}${text}`,
  }));

/** What one round of samples gave, prompt by prompt. */
export type Round = readonly Samples[];

const place = { file: 'suite.yml', line: 1, column: 1 };

export interface Rounds {
  readonly all: readonly Round[];
  /** What the server can be asked for, as a record keeps it. */
  readonly effective: Readonly<Record<string, unknown>>;
}

/** @param load asks of others beside it, at a time; 0: nobody else asks */
export async function rounds(
  server: Pick<RealServer, 'url'>,
  prompts: readonly Prompt[],
  count: number,
  load = 0,
): Promise<Rounds> {
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
    prompts: prompts.map(({ id, text }) => ({ id, input: { text }, isScored: false })),
  });
  const { settings } = await session.expect('lifetime');
  using _ = neighbours(server, load);
  const all: Round[] = [];
  for (let round = 0; round < count; round++) {
    const given = new Map<string, Samples>();
    session.send({
      ...{ command: 'pass', pass: 'generate-samples', kind: 'generate', samples: SAMPLES },
      requests: prompts.map(({ id, text }) => ({
        ...{ id, input: { text }, tokens: null, observed: true, limit: null },
        sampling: { temperature: 0, max_tokens: 1, seed: 0 },
      })),
      ...{ groups: [prompts.map(({ id }) => id)], warm: false, trace: false, noise: null, topK: 5, clock: 0 },
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
    all.push(prompts.flatMap(({ id }) => given.get(id) ?? []));
  }
  await session.end();
  return { all, effective: settings.effective };
}

/** Others who ask the same server, as long as they are held. */
function neighbours({ url }: Pick<RealServer, 'url'>, count: number): Disposable {
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

export interface Figures {
  readonly what: string;
  readonly runs: number;
  /** Runs that were called another model. */
  readonly alarms: number;
  readonly medianP: number;
  readonly smallestP: number;
  /** How far apart the means were, in the median run. */
  readonly medianNats: number;
}

export function figures(what: string, pairs: readonly (readonly [Round, Round])[]): Figures {
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
export const disjoint = (all: readonly Round[]): [Round, Round][] =>
  all.flatMap((left, at): [Round, Round][] => {
    const right = all[at + 1];
    return at % 2 === 0 && right !== undefined ? [[left, right]] : [];
  });

/** In how many of the first round's prompts any two samples differ in a bit. */
export const restless = (all: readonly Round[]) =>
  (all[0] ?? []).filter((_, at) => new Set(all.flatMap((round) => rowsOf(round[at]))).size > 1).length;
const rowsOf = (samples: Samples | undefined) =>
  samples === undefined
    ? []
    : Array.from({ length: samples.ids.length / samples.k }, (_, row) =>
        [...samples.nats.subarray(row * samples.k, (row + 1) * samples.k)].join(),
      );
