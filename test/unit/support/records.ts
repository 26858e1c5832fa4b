import type { RelationResult, Side } from '../../../src/compare/types.ts';
import type { Fingerprint } from '../../../src/fingerprint/schema.ts';
import { type Body, describeBody, packBody } from '../../../src/record/body.ts';
import { digestJson, sha256 } from '../../../src/record/digest.ts';
import { type Observation, type Pass, RECORD_SCHEMA, type RunRecord } from '../../../src/record/schema.ts';
import type { RelationName } from '../../../src/suite/schema.ts';
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

export function observation(prompt: string, bits: Body, more: Partial<Observation> = {}): Observation {
  return {
    lifetime: 'lifetime-1',
    pass: 'generate-1',
    prompt,
    input: inputDigest(prompt),
    ...describeBody(bits),
    finishReason: 'length',
    body: sha256(packBody(bits)),
    ...more,
  };
}

export function pass(name: string, prompts: readonly string[], witness: Partial<Pass['witness']> = {}): Pass {
  return {
    pass: name,
    kind: 'generate',
    groups: [[...prompts]],
    seconds: 1.5,
    witness: {
      process: '17@12345',
      steps: 2,
      generatedTokens: 1_000_000,
      promptTokens: 3,
      maxRunning: prompts.length,
      cachedTokens: 0,
      preemptions: 0,
      ...witness,
    },
    sampling: { temperature: 0 },
  };
}

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

export interface SideOptions {
  /** Pass name -> prompt -> bits. One pass called `generate-1` unless named otherwise. */
  readonly passes: Readonly<Record<string, Readonly<Record<string, Body>>>>;
  readonly witness?: Partial<Pass['witness']>;
  readonly fingerprint?: Fingerprint;
  readonly change?: (record: RunRecord) => RunRecord;
}

/** A whole record in memory, with the bits behind it; `opened` counts how often they were asked for. */
export function side({
  passes,
  witness = {},
  fingerprint = FINGERPRINT,
  change = (r) => r,
}: SideOptions): Side & {
  readonly opened: string[];
} {
  const bodies = new Map<string, Body>();
  const observations: Observation[] = [];
  for (const [name, prompts] of Object.entries(passes))
    for (const [prompt, bits] of Object.entries(prompts)) {
      const seen = observation(prompt, bits, { pass: name });
      bodies.set(seen.body, bits);
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
      sampling: Sampling.parse({ max_tokens: 2 }),
      prompts: prompts.map((id) => ({ id, input: inputDigest(id) })),
    },
    fingerprint,
    hardwareClass: 'cpu-genuineintel-x86-64-v4',
    lifetimes: [
      {
        lifetime: 'lifetime-1',
        loadSeconds: 1,
        settings: { requested: { seed: 0 }, dropped: [], effective: { dtype: 'bfloat16' } },
        passes: Object.entries(passes).map(([name, of]) => pass(name, Object.keys(of), witness)),
      },
    ],
    observations,
  };
  const opened: string[] = [];
  return {
    record: change(record),
    opened,
    async readBody(digest) {
      opened.push(digest);
      const found = bodies.get(digest);
      if (found === undefined) throw new Error(`no body ${digest}`);
      return found;
    },
  };
}

export function result(
  relation: RelationName,
  status: RelationResult['status'],
  more: Partial<RelationResult> = {},
): RelationResult {
  return { relation, requirement: 'identical', status, evidence: 'seen', findings: [], ...more };
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
