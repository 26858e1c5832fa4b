import { z } from 'zod';
import { Witness } from '../engine/protocol.ts';
import { EngineSettings, Fingerprint } from '../fingerprint/schema.ts';
import { Sampling } from '../suite/schema.ts';

export const RECORD_SCHEMA = 'deterministic-ml/record/v1';

export const Digest = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in 64 hex digits');
const name = z.string().min(1).max(128);
const size = z.number().int().nonnegative();

/**
 * What one prompt gave in one pass: digests and sizes only. The bits are in the packed body named by `body`;
 * two observations that agree share one body.
 */
export const Observation = z.strictObject({
  lifetime: name,
  pass: name,
  prompt: name,
  /** Digest of what was asked (prompt, sampling, log-probability mode): decides what may be compared. */
  input: Digest,
  /** uint32 little-endian ids. */
  promptTokens: z.strictObject({ count: size, sha256: Digest }),
  /** uint32 little-endian ids, one a step. */
  tokens: z.strictObject({ count: size, sha256: Digest }),
  /** float32 little-endian nats of the chosen tokens, one a step. */
  logprobs: z.strictObject({ sha256: Digest, nans: size }),
  /** Ids and log-probabilities of the k best at each step; apart, so that another k is no drift. */
  topK: z.strictObject({ k: size, sha256: Digest }),
  /** UTF-8. `blake2b` is BLAKE2b-512, what the predecessor `deterministic-ml` published. */
  text: z.strictObject({ bytes: size, sha256: Digest, blake2b: z.string().regex(/^[0-9a-f]{128}$/) }),
  finishReason: z.enum(['stop', 'length', 'abort', 'unknown']),
  body: Digest,
});
export type Observation = z.infer<typeof Observation>;

export const Pass = z.strictObject({
  pass: name,
  kind: z.literal('generate'),
  groups: z.array(z.array(name).min(1)).min(1),
  seconds: z.number().nonnegative(),
  witness: Witness,
  /** Sampling parameters read back from the engine's own object. */
  sampling: z.record(z.string(), z.json()),
});
export type Pass = z.infer<typeof Pass>;

export const Lifetime = z.strictObject({
  lifetime: name,
  loadSeconds: z.number().nonnegative(),
  settings: EngineSettings,
  passes: z.array(Pass).min(1),
});
export type Lifetime = z.infer<typeof Lifetime>;

/** `record.json`: the small half of a record. Written last, so that a record is whole or absent. */
export const RunRecord = z.strictObject({
  schema: z.literal(RECORD_SCHEMA),
  tool: z.string().max(64),
  createdAt: z.iso.datetime(),
  suite: z.strictObject({
    name,
    /** Of the whole suite as parsed, files included. */
    digest: Digest,
    sampling: Sampling,
    prompts: z.array(z.strictObject({ id: name, input: Digest })).min(1),
  }),
  fingerprint: Fingerprint,
  hardwareClass: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,127}$/),
  lifetimes: z.array(Lifetime).min(1),
  observations: z.array(Observation).min(1),
});
export type RunRecord = z.infer<typeof RunRecord>;
