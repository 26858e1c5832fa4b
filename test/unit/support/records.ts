import type { RelationResult } from '../../../src/compare/types.ts';
import type { Fingerprint } from '../../../src/fingerprint/schema.ts';
import { packBody } from '../../../src/record/body.ts';
import { type Channel, describeChannel, type Steps, stepsOf } from '../../../src/record/channels.ts';
import { digestJson, sha256 } from '../../../src/record/digest.ts';
import { ARRANGEMENTS, PASS_KINDS, RECORD_SCHEMA } from '../../../src/record/names.ts';
import { packRecord, parseRecord } from '../../../src/record/parse.ts';
import type {
  Arrangement,
  ChannelDigest,
  Observation,
  Pass,
  RunRecord,
  TensorDigest,
} from '../../../src/record/schema.ts';
import type { Side } from '../../../src/record/side.ts';
import { lifetimeDigest, passDigest, recordDigest } from '../../../src/record/tree.ts';
import type { RequestWitness } from '../../../src/record/witness.ts';
import { Sampling } from '../../../src/suite/schema.ts';

/** The bits of one prompt in one pass, as short as a test wants them. */
export interface Bits {
  readonly promptTokens?: readonly number[];
  readonly tokens?: readonly number[];
  readonly logprobs?: readonly number[];
  /** For each step its ids and log-probabilities, best first. */
  readonly top?: readonly (readonly (readonly [number, number])[])[];
  readonly text?: string;
}

/** The bits of one observation: what its numbers are, its text, and its modules where it was traced. */
export interface Body extends Steps {
  readonly text: string;
  readonly modules?: readonly TensorDigest[];
}

/** As an engine gives them: no text where the tokens were given. */
export function channelsOf({ modules: traced, ...bits }: Body, kind: Pass['kind'] = 'generate'): Channel[] {
  const given = kind !== 'generate';
  return [
    { name: 'prompt-tokens', kind: 'ids', ids: bits.promptTokens },
    { name: 'tokens', kind: 'ids', ids: bits.tokens },
    { name: 'logprobs', kind: 'nats', nats: bits.logprobs },
    { name: 'top-k', kind: 'ranked', k: bits.k, ids: bits.topIds, nats: bits.topLogprobs },
    ...(given ? [] : [{ name: 'text', kind: 'text', text: bits.text } as const]),
    ...(traced === undefined ? [] : [{ name: 'modules', kind: 'digests', digests: traced } as const]),
  ];
}

/** What a trace alone gives of a prompt. */
const traceOf = (traced: readonly TensorDigest[]): Channel[] => [
  { name: 'prompt-tokens', kind: 'ids', ids: Uint32Array.of(1, 2, 3) },
  { name: 'modules', kind: 'digests', digests: traced },
];

export function body({
  promptTokens = [1, 2, 3],
  tokens = [10, 11],
  logprobs = tokens.map((_, i) => -0.5 - i),
  top = tokens.map((token, i) => [
    [token, logprobs[i] ?? 0],
    [token + 100, -9],
  ]),
  text = 'some text',
}: Bits = {}): Body {
  return {
    promptTokens: Uint32Array.from(promptTokens),
    tokens: Uint32Array.from(tokens),
    logprobs: Float32Array.from(logprobs),
    k: top[0]?.length ?? 0,
    topIds: Uint32Array.from(top.flat().map(([id]) => id)),
    topLogprobs: Float32Array.from(top.flat().map(([, nats]) => nats)),
    text,
  };
}

export const inputDigest = (prompt: string) => digestJson({ prompt });

/** What a pass is by its name: `score-strangers`, or `generate-1` and `generate-2` for one alone and once more. */
export function roleOf(name: string): { readonly kind: Pass['kind']; readonly arrangement: Arrangement } {
  const [kind, arrangement] = name.split('-');
  return {
    kind: PASS_KINDS.find((one) => one === kind) ?? 'generate',
    arrangement: ARRANGEMENTS.find((one) => one === arrangement) ?? (arrangement === '2' ? 'again' : 'alone'),
  };
}

export function observation(prompt: string, bits: Body, more: Partial<Observation> = {}): Observation {
  const { kind } = roleOf(more.pass ?? 'generate-1');
  const given = kind !== 'generate';
  const channels = channelsOf(bits, kind);
  return {
    lifetime: 'lifetime-1',
    pass: 'generate-1',
    prompt,
    input: given ? digestJson({ [kind]: prompt }) : inputDigest(prompt),
    finishReason: given ? 'given' : 'length',
    channels: channels.map(describeChannel),
    body: sha256(packBody(channels)),
    ...more,
  };
}

/** What each prompt of a pass gave, by prompt: modules of a trace, else bits. */
export type Given = Readonly<Record<string, Body | readonly TensorDigest[]>>;

const isModules = (given: Body | readonly TensorDigest[]): given is readonly TensorDigest[] =>
  Array.isArray(given);

/** A pass that went as it was planned: its witness shows what its arrangement is for. */
export function pass(
  name: string,
  prompts: readonly string[] | Given,
  witness: Partial<Pass['witness']> = {},
): Pass {
  const given: Given = Array.isArray(prompts) ? {} : (prompts as Given);
  const ids: readonly string[] = Array.isArray(prompts) ? prompts : Object.keys(prompts);
  const { kind, arrangement } = roleOf(name);
  const groups = groupsOf(arrangement, ids);
  const requests = groups.flat().map((id): RequestWitness => {
    const bits = given[id];
    const [length, steps] =
      bits === undefined || isModules(bits) ? [3, 1] : [bits.promptTokens.length, bits.tokens.length];
    const warm = arrangement === 'warm' ? Math.max(0, length - 1) : 0;
    return {
      id,
      order: arrangement === 'reversed' ? ids.length - 1 - ids.indexOf(id) : groups.flat().indexOf(id),
      together: groups.find((group) => group.includes(id))?.length ?? 1,
      chunks: kind === 'score' ? [steps + 1] : [length - warm],
      decodeSteps: kind === 'generate' || kind === 'force' ? Math.max(0, steps - 1) : 0,
      cachedTokens: warm,
    };
  });
  return {
    pass: name,
    kind,
    arrangement,
    groups,
    seconds: 1.5,
    unavailable: null,
    witness: {
      process: '17@12345',
      steps: 2,
      generatedTokens: 1_000_000,
      promptTokens: 1_000_000,
      maxRunning: Math.max(...groups.map((group) => group.length)),
      cachedTokens: requests.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0),
      preemptions: 0,
      requests,
      ...witness,
    },
    sampling: { temperature: 0 },
    digest: passDigest([]),
  };
}

/** Reads a record as its files hold it, whatever it is worth; a file of a pass lies under the digest that the pass tells. */
export function reread(record: RunRecord, where = 'record.json'): RunRecord {
  const { text, passes, software } = packRecord(record);
  const names = record.lifetimes.flatMap((lifetime) => lifetime.passes.map(({ digest }) => digest));
  const files = new Map(names.map((name, at) => [name, passes[at]]));
  for (const bytes of software) files.set(sha256(bytes), bytes);
  return parseRecord(text, where, (digest) => files.get(digest) ?? Buffer.alloc(0));
}

/** The same record with the digests that its observations give. */
export function withTree(record: RunRecord): RunRecord {
  const lifetimes = record.lifetimes.map((held) => {
    const passes = held.passes.map((one) => ({
      ...one,
      digest: passDigest(
        record.observations.filter(({ lifetime, pass: of }) => lifetime === held.lifetime && of === one.pass),
      ),
    }));
    return { ...held, passes, digest: lifetimeDigest(passes) };
  });
  return { ...record, lifetimes, digest: recordDigest(lifetimes) };
}

function groupsOf(arrangement: Arrangement, ids: readonly string[]): string[][] {
  switch (arrangement) {
    case 'alone':
    case 'again':
    case 'warm':
    case 'noise':
      return ids.map((id) => [id]);
    case 'together':
    case 'samples':
      return [[...ids]];
    case 'reversed':
      return [ids.toReversed()];
    case 'strangers':
      return ids.map((id) => [id, `${id}/short`, `${id}/long`]);
  }
}

/** Modules of a model in the order in which they ran: each is named by a word and computes a letter. */
export const modules = (computed: Readonly<Record<string, string>>, nans = 0): TensorDigest[] =>
  Object.entries(computed).map(([name, value]) => ({ name, sha256: sha256(value), nans }));

export const FINGERPRINT: Fingerprint = {
  declared: {
    image: { reference: 'none', digest: 'none', certainty: 'unknown' },
    engine: { name: 'vllm', version: '0.30.0' },
    libraries: { torch: '2.13.0', python: '3.11.2' },
    model: {
      label: 'acme/model',
      revision: 'a1'.repeat(20),
      files: [{ path: 'model.safetensors', bytes: 10, sha256: 'c3'.repeat(32) }],
    },
    environment: { PYTHONHASHSEED: '0' },
  },
  ambient: {
    gpus: [],
    driver: 'none',
    cpu: { vendor: 'GenuineIntel', model: 'Xeon', level: 'x86-64-v4', capability: 'AVX512', cores: 4 },
    memoryBytes: 1024,
    os: 'Debian 12',
    kernel: '6.1',
    runtime: 'process',
  },
};

type Passes = Readonly<Record<string, Given>>;

export interface SideOptions {
  /** Pass name -> prompt -> bits, of one lifetime. */
  readonly passes?: Passes;
  /** Several of them. Each runs in a process of its own. */
  readonly lifetimes?: Readonly<Record<string, Passes>>;
  /** Which of the observed are texts that the suite scores. */
  readonly texts?: readonly string[];
  readonly witness?: Partial<Pass['witness']>;
  readonly fingerprint?: Fingerprint;
  readonly dtype?: string;
  readonly change?: (record: RunRecord) => RunRecord;
}

/** A whole record in memory, with the bits behind it; `opened` tells which bodies were asked for. */
export function side({
  passes = {},
  lifetimes = { 'lifetime-1': passes },
  texts = [],
  witness = {},
  fingerprint = FINGERPRINT,
  dtype = 'bfloat16',
  change = (r) => r,
}: SideOptions): Side & {
  readonly opened: string[];
} {
  const bodies = new Map<string, readonly Channel[]>();
  const observations: Observation[] = [];
  for (const [lifetime, held] of Object.entries(lifetimes))
    for (const [name, prompts] of Object.entries(held))
      for (const [prompt, given] of Object.entries(prompts)) {
        const { kind } = roleOf(name);
        const channels = isModules(given) ? traceOf(given) : channelsOf(given, kind);
        const seen: Observation = {
          ...{ lifetime, pass: name, prompt },
          input: texts.includes(prompt)
            ? inputDigest(prompt)
            : kind === 'generate'
              ? inputDigest(prompt)
              : digestJson({ [kind]: prompt }),
          finishReason: kind === 'generate' ? 'length' : 'given',
          channels: channels.map(describeChannel),
          body: sha256(packBody(channels)),
        };
        bodies.set(seen.body, channels);
        observations.push(seen);
      }
  const prompts = [...new Set(observations.map(({ prompt }) => prompt))];
  const record: RunRecord = {
    schema: RECORD_SCHEMA,
    tool: '0.1.0',
    createdAt: '2026-11-23T00:00:00.000Z',
    suite: {
      name: 'suite',
      digest: digestJson('suite'),
      prompts: prompts
        .filter((id) => !texts.includes(id))
        .map((id) => ({ id, input: inputDigest(id), sampling: Sampling.parse({ max_tokens: 2 }) })),
      texts: texts.map((id) => ({ id, input: inputDigest(id) })),
    },
    known: [],
    fingerprint,
    hardwareClass: 'cpu-genuineintel-x86-64-v4',
    lifetimes: Object.entries(lifetimes).map(([lifetime, held], index) => ({
      lifetime,
      loadSeconds: 1,
      settings: { requested: { seed: 0 }, dropped: [], effective: { dtype } },
      perturbed: null,
      passes: Object.entries(held).map(([name, of]) =>
        pass(name, of, { process: `${17 + index}@12345`, ...witness }),
      ),
      digest: lifetimeDigest([]),
    })),
    source: 'engine',
    health: { state: 'not-told', reasons: [] },
    observations,
    software: new Map(),
    digest: recordDigest([]),
    // Of all that is in it: two sides with one vocabulary may read it once.
    vocabulary: digestJson([...bodies.keys()].sort()),
  };
  const opened: string[] = [];
  const open = <T>(kept: ReadonlyMap<string, T>, digest: string): T => {
    opened.push(digest);
    const found = kept.get(digest);
    if (found === undefined) throw new Error(`no body ${digest}`);
    return found;
  };
  return {
    record: withTree(change(record)),
    opened,
    readBody: async (digest) => open(bodies, digest),
    readTokens: async (digest) => {
      throw new Error(`no tokens ${digest}`);
    },
    readVocabulary: async () => {
      opened.push('vocabulary');
      const ids = [...bodies.values()].flatMap((channels) => {
        const { tokens, topIds } = stepsOf(channels);
        return [...tokens, ...topIds];
      });
      return new Map(ids.map((id) => [id, `<${id}>`]));
    },
  };
}

/** A record in which one pass is another: `change` gets it and what it gives replaces it. */
export const withPass =
  (name: string, change: (pass: Pass) => Partial<Pass>, lifetime = 'lifetime-1') =>
  (record: RunRecord): RunRecord => ({
    ...record,
    lifetimes: record.lifetimes.map((held) =>
      held.lifetime !== lifetime
        ? held
        : { ...held, passes: held.passes.map((p) => (p.pass === name ? { ...p, ...change(p) } : p)) },
    ),
  });

/** The same, of what its witness tells. */
export const withWitness = (
  name: string,
  change: (witness: Pass['witness']) => Partial<Pass['witness']>,
  lifetime?: string,
) => withPass(name, ({ witness }) => ({ witness: { ...witness, ...change(witness) } }), lifetime);

/** The same, of what it tells of one request. */
export const withRequest = (name: string, id: string, change: Partial<RequestWitness>) =>
  withWitness(name, ({ requests }) => ({
    requests: requests?.map((one) => (one.id === id ? { ...one, ...change } : one)) ?? null,
  }));

export function result(
  relation: string,
  status: RelationResult['status'],
  more: Partial<RelationResult> = {},
): RelationResult {
  return {
    relation,
    requirement: 'identical',
    status,
    evidence: 'seen',
    findings: [],
    size: null,
    decision: null,
    atRefresh: null,
    ...more,
  };
}

/** Numbers that look random and are the same in each run: Mulberry32. */
export function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** An observation in which one channel is told otherwise. */
export const withChannel = (
  observation: Observation,
  name: string,
  change: Partial<ChannelDigest>,
): Observation => ({
  ...observation,
  channels: observation.channels.map((one) => (one.name === name ? { ...one, ...change } : one)),
});

/** The same without it. */
export const withoutChannel = (observation: Observation, name: string): Observation => ({
  ...observation,
  channels: observation.channels.filter((one) => one.name !== name),
});
