/**
 * Single bits of a model's weights, turned over at random places of random tensors: what notices them, and is the right
 * module named? Everything is the product's own but one thing: an engine is loaded once, and flips.py puts one module's
 * weights in anew for each bit.
 */
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compareChannels } from '../../src/compare/channels.ts';
import { compare } from '../../src/compare/compare.ts';
import type { Finding } from '../../src/compare/types.ts';
import type { Task } from '../../src/engine/protocol.ts';
import { Session } from '../../src/engine/session.ts';
import { hardwareClass } from '../../src/fingerprint/hardware-class.ts';
import type { Fingerprint } from '../../src/fingerprint/schema.ts';
import { terminalConsole } from '../../src/front/console.ts';
import { readSituation } from '../../src/front/event.ts';
import { parseInputs } from '../../src/front/inputs.ts';
import { wire } from '../../src/front/wiring.ts';
import { type Channel, stepsOf } from '../../src/record/channels.ts';
import { RECORD_SCHEMA } from '../../src/record/names.ts';
import type { Lifetime, Observation, RunRecord } from '../../src/record/schema.ts';
import type { Side } from '../../src/record/side.ts';
import { lifetimeDigest, recordDigest } from '../../src/record/tree.ts';
import { completeFingerprint, runPass } from '../../src/run/pass.ts';
import { makePlan, type Plan } from '../../src/run/plan.ts';
import { type KnownTokens, knownInput, readyPass } from '../../src/run/requests.ts';
import { VERSION } from '../../src/version.ts';
import { cache, repository } from '../setup/cache.ts';

export interface Flip {
  readonly tensor: string;
  /** Of the tensor when flat. */
  readonly index: number;
  /** From the lowest. */
  readonly bit: number;
}

/** What became of one bit. */
export interface Flipped extends Flip {
  readonly dtype: string;
  /** Which channels of the product's passes have other bits. */
  readonly text: boolean;
  readonly tokens: boolean;
  readonly decode: boolean;
  readonly score: boolean;
  readonly trace: boolean;
  /** Some number became NaN: then nothing is compared for equality, and the check says so. */
  readonly nans: boolean;
  /** What the comparison names as the first other module, for each scored sequence in which any bit differs. */
  readonly named: readonly string[];
  /** Names among them that are not those of the module that has the bit. */
  readonly wrong: readonly string[];
  /** Sequences whose log-probabilities differ and in which no module is said to. */
  readonly unexplained: number;
}

export interface FlipOptions {
  readonly flips: readonly Flip[];
  readonly dtype: string;
  readonly model: string;
  readonly python: string;
}

export async function flippedBits(options: FlipOptions): Promise<Flipped[]> {
  const { flips, dtype, model, python } = options;
  const folder = join(cache, 'evidence', `flips-${dtype}`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'determinism.yml'), suite(options));
  const inputs: Readonly<Record<string, string>> = { python, 'record-path': 'record' };
  const { connections } = parseInputs(
    (name) => inputs[name] ?? '',
    'terminal',
    { ...process.env, GITHUB_WORKSPACE: folder, GITHUB_RUN_ID: String(Date.now()) },
    join(repository, 'docker/harness'),
  );
  const signal = new AbortController().signal;
  const console_ = terminalConsole({ write: () => {}, now: Date.now, tty: false });
  const tools = wire(connections, await readSituation({}, 'terminal'), { console: console_, signal });
  const loaded = await tools.open.suite('determinism.yml');
  const plan = makePlan(loaded, 'check');
  await using runtime = await tools.open.runtime(loaded.suite.runtime, false, { planned: 1, most: 1 });
  await using log = await tools.open.log(join(folder, 'engine.log'));

  const task: Task = { engine: 'flips', model, knownDigests: {} };
  await using session = await Session.open(
    {
      harness: await withFlips(await tools.open.harness({ name: 'vllm' })),
      start: (boot) => runtime.start(boot),
      inactivitySeconds: 600,
      deadlineSeconds: 6 * 3600,
      signal,
      onOutput: (text) => log.add(text),
      onProgress: () => {},
      placeOf: () => ({ file: 'determinism.yml', line: 1, column: 1 }),
      enginePlace: { file: 'determinism.yml', line: 1, column: 1 },
    },
    task,
    plan.environment,
  );
  const seen = await session.expect('fingerprint');
  const fingerprint = completeFingerprint(seen.fingerprint, runtime, { label: model, revision: 'none' });
  session.send({
    command: 'load',
    ...{ prompts: [], clock: 0 },
    args: { ...plan.args, flips },
    defaults: plan.defaults,
    perturbation: null,
    serve: null,
  });
  const { seconds, settings } = await session.expect('lifetime');
  const lifetime: Omit<Lifetime, 'passes' | 'digest'> = {
    lifetime: 'lifetime-1',
    loadSeconds: seconds,
    settings,
    perturbed: null,
  };

  const run = (known: KnownTokens, number: string) =>
    runOnce({ session, plan, fingerprint, lifetime, known, number });
  const first = await run(new Map(), '-');
  const known = await knownOf(first);
  const before = await run(known, '-');
  const found: Flipped[] = [];
  for (const [number, flip] of flips.entries()) {
    const began = performance.now();
    const now = await run(known, String(number));
    found.push(await judged(flip, dtype, before, now));
    const took = ((performance.now() - began) / 1000).toFixed(1);
    console.log(
      `${dtype}, bit ${found.length} of ${flips.length}, ${took} s: ${JSON.stringify(found.at(-1))}`,
    );
  }
  const after = await run(known, '-');
  if (after.record.digest !== before.record.digest)
    throw new Error('the model does not compute what it did: a bit was not put back');
  await session.end();
  return found;
}

interface Running {
  readonly session: Session;
  readonly plan: Plan;
  readonly fingerprint: Fingerprint;
  readonly lifetime: Omit<Lifetime, 'passes' | 'digest'>;
  readonly known: KnownTokens;
  /** Of the bit, or `-`. */
  readonly number: string;
}

/** A record in memory: the passes that are compared with a baseline. */
async function runOnce({ session, plan, fingerprint, lifetime, known, number }: Running): Promise<Side> {
  const bodies = new Map<string, readonly Channel[]>();
  const passes: Lifetime['passes'] = [];
  const observations: Observation[] = [];
  const unknown = new Set(plan.prompts.flatMap(({ id }) => (known.has(id) ? [] : [id])));
  for (const planned of plan.repeats) {
    const ready = readyPass(plan, lifetime.lifetime, planned, known, unknown);
    if (ready === undefined) continue;
    const command = { ...ready.command, pass: `${number}/${planned.pass}` };
    const measured = await runPass(session, { ...ready, command }, async (channels) => {
      const name = `${bodies.size}`.padStart(64, '0');
      bodies.set(name, channels);
      return name;
    });
    passes.push({ ...measured.pass, pass: planned.pass });
    observations.push(...measured.observations.map((one) => ({ ...one, pass: planned.pass })));
  }
  const lifetimes = [{ ...lifetime, passes, digest: lifetimeDigest(passes) }];
  const record: RunRecord = {
    schema: RECORD_SCHEMA,
    tool: VERSION,
    createdAt: new Date().toISOString(),
    suite: {
      ...plan.suite,
      prompts: plan.prompts.map(({ id, digest, sampling }) => ({ id, input: digest, sampling })),
      texts: plan.texts.map(({ id, content }) => ({ id, input: knownInput('score', content, null) })),
    },
    known: [],
    fingerprint,
    hardwareClass: hardwareClass(fingerprint.ambient),
    source: 'engine',
    health: { state: 'not-told', reasons: [] },
    lifetimes,
    observations,
    software: new Map(),
    digest: recordDigest(lifetimes),
    vocabulary: '0'.repeat(64),
  };
  return {
    record,
    readBody: async (digest) => bodies.get(digest) ?? [],
    readTokens: async () => new Uint32Array(),
    readVocabulary: async () => new Map(),
  };
}

async function knownOf({ record, readBody }: Side): Promise<KnownTokens> {
  const known = new Map<string, Uint32Array>();
  for (const { pass, prompt, body } of record.observations)
    if (pass === 'generate-alone') known.set(prompt, stepsOf(await readBody(body)).tokens);
  return known;
}

/** Compared as a check compares with its baseline. */
async function judged(flip: Flip, dtype: string, before: Side, now: Side): Promise<Flipped> {
  const [result] = await compare(now, before, [{ relation: 'baseline', requirement: 'identical' }]);
  if (result === undefined) throw new Error('nothing was compared');
  const differ = new Set<string>();
  const sequences = new Map<string, Set<number>>();
  let nans = false;
  for (const right of now.record.observations) {
    const left = before.record.observations.find(
      ({ pass, prompt }) => pass === right.pass && prompt === right.prompt,
    );
    if (left === undefined) throw new Error(`${right.pass} gave ${right.prompt} for the first time`);
    for (const { rule, outcome, nans: broken } of compareChannels(left, right)) {
      if (outcome === 'differs') differ.add(`${right.pass.split('-')[0]} ${rule.name}`);
      if (broken > 0) nans = true;
    }
    if (right.pass === 'score-alone') {
      const { promptTokens, tokens } = stepsOf(await now.readBody(right.body));
      sequences.set(right.prompt, new Set([...promptTokens.slice(0, 1), ...tokens]));
    }
  }
  const scored = result.findings.filter(
    ({ kind, agreement }) => kind === 'score' && agreement !== 'identical',
  );
  const named = scored.flatMap(({ prompt, trace }) =>
    trace?.first == null ? [] : [{ prompt, first: trace.first }],
  );
  const wrong = named.filter(
    ({ prompt, first }) => first !== owner(flip, sequences.get(prompt) ?? new Set()),
  );
  const has = (...channels: readonly string[]) => channels.some((channel) => differ.has(channel));
  return {
    ...flip,
    dtype,
    text: has('generate text'),
    tokens: has('generate tokens'),
    decode: has('generate logprobs', 'generate top-k', 'force logprobs', 'force top-k'),
    score: has('score logprobs', 'score top-k'),
    trace: has('score modules'),
    nans,
    named: [...new Set(named.map(({ first }) => first))],
    wrong: [...new Set(wrong.map(({ first }) => first))],
    unexplained: scored.filter(isUnexplained).length,
  };
}

const isUnexplained = ({ agreement, trace }: Finding) =>
  agreement === 'logprobs-differ' && trace?.first == null;

/** Width of a row of the embedding of the demo's model. */
const HIDDEN = 576;

/**
 * The module that has a tensor of the checkpoint, as vLLM fuses them. The embedding is the head too (they are tied): a
 * token's row works in the embedding where the token is read, and in the logits everywhere.
 */
function owner({ tensor, index }: Flip, tokens: ReadonlySet<number>): string {
  const name = tensor
    .replace(/\.weight$/, '')
    .replace(/\.(?:q|k|v)_proj$/, '.qkv_proj')
    .replace(/\.(?:gate|up)_proj$/, '.gate_up_proj');
  if (name !== 'model.embed_tokens') return name;
  return tokens.has(Math.floor(index / HIDDEN)) ? name : 'logits_processor';
}

/** Any tensor is as likely as any other, then any element of it, then any bit; the same for the same seed. */
export async function randomBits(model: string, count: number, seed: number): Promise<Flip[]> {
  const tensors = await tensorsOf(model);
  const random = mulberry32(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  return Array.from({ length: count }, () => {
    const tensor = tensors[below(tensors.length)];
    if (tensor === undefined) throw new Error('the model has no tensors');
    return { tensor: tensor.name, index: below(tensor.elements), bit: below(tensor.bits) };
  });
}

interface Tensor {
  readonly name: string;
  readonly elements: number;
  readonly bits: number;
}

/** From the header of a safetensors file: its length as 8 bytes, then JSON. */
async function tensorsOf(model: string): Promise<Tensor[]> {
  await using file = await open(join(model, 'model.safetensors'));
  const length = Number((await file.read(Buffer.alloc(8), 0, 8, 0)).buffer.readBigUInt64LE());
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, 8);
  const header: Readonly<Record<string, { readonly dtype: string; readonly shape: readonly number[] }>> =
    JSON.parse(buffer.toString('utf8'));
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, { dtype, shape }]) => ({
      name,
      elements: shape.reduce((product, size) => product * size, 1),
      bits: dtype === 'F32' ? 32 : 16,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Numbers in [0, 1) that are the same for the same seed. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The harness with one engine more. */
async function withFlips<H extends { readonly files: Readonly<Record<string, string>> }>(
  harness: H,
): Promise<H> {
  const list = 'deterministic_ml/engines/__init__.py';
  const text = harness.files[list] ?? '';
  const more = text.replace('ENGINES = (', 'ENGINES = ("flips", ');
  if (more === text) throw new Error(`${list} has no list of engines`);
  const flips = await readFile(join(repository, 'scripts/evidence/flips.py'), 'utf8');
  const files = { ...harness.files, [list]: more, 'deterministic_ml/engines/flips.py': flips };
  return { ...harness, files };
}

/** One thread: on a busy machine several wait for one another at every step. */
const suite = ({ model, dtype }: FlipOptions) => `apiVersion: deterministic-ml/v1
name: flips
model: { path: ${model} }
engine:
  name: vllm
  args: { dtype: ${dtype}, max_model_len: 512, max_num_seqs: 4 }
  env: { VLLM_CPU_KVCACHE_SPACE: "1", TORCHDYNAMO_DISABLE: "1", OMP_NUM_THREADS: "1", VLLM_CPU_OMP_THREADS_BIND: nobind }
sampling: { temperature: 0, max_tokens: 16 }
prompts:
  - { id: capital, text: "The capital of France is" }
  - { id: story, text: "Once upon a time", sampling: { temperature: 0.8, seed: 7 } }
score:
  - { id: passage, text: "The tide tables in the harbour office were printed once a year, and once a year somebody found a mistake in them. It was never a large one: a minute here, a hand of water there." }
  - { id: code, text: "def f(x): return x ** 2  # in 1969, 3 people flew 384,400 km" }
relations: [baseline]
baseline: { store: files }
`;
