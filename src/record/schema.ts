import { z } from 'zod';
import { FinishReason, Witness } from '../engine/protocol.ts';
import { EngineSettings, Fingerprint } from '../fingerprint/schema.ts';
import { Sampling } from '../suite/schema.ts';

export const RECORD_SCHEMA = 'deterministic-ml/record/v1';

export const Digest = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in 64 hex digits');
const name = z.string().min(1).max(128);
/** As a suite may name its prompts and texts: a record of one that could not have been is no record. */
const promptId = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/, 'the id of a prompt, as a suite may have it');
const size = z.number().int().nonnegative();

/** What a pass does with its prompts; each kind is a small module of the harness. */
export const PASS_KINDS = ['generate', 'force', 'score', 'trace'] as const;
export type PassKind = (typeof PASS_KINDS)[number];

/**
 * How a pass arranges them. `alone`: one request at a time, cold. `again`: the same once more. `together`: all at
 * once. `reversed`: all at once, submitted in reverse. `strangers`: each beside texts of ours, one of them long.
 * `warm`: alone, its prompt in the prefix cache.
 */
export const ARRANGEMENTS = ['alone', 'again', 'together', 'reversed', 'strangers', 'warm'] as const;
export type Arrangement = (typeof ARRANGEMENTS)[number];

/**
 * What one prompt gave in one pass of another kind than trace: digests and sizes only. The bits are in the packed body named by `body`;
 * two observations that agree share one body.
 */
export const Observation = z.strictObject({
  lifetime: name,
  pass: name,
  prompt: promptId,
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
  /** `given`: the tokens were not chosen but given, by force or score. */
  finishReason: FinishReason,
  body: Digest,
});
export type Observation = z.infer<typeof Observation>;

/** What one text gave in a trace pass; the modules' digests, in the order in which they ran, are in `body`. */
export const Trace = z.strictObject({
  lifetime: name,
  pass: name,
  prompt: promptId,
  input: Digest,
  promptTokens: z.strictObject({ count: size, sha256: Digest }),
  /** Over names and digests of all modules; `nans` among their outputs. */
  modules: z.strictObject({ count: size, sha256: Digest, nans: size }),
  body: Digest,
});
export type Trace = z.infer<typeof Trace>;

export const Pass = z.strictObject({
  pass: name,
  kind: z.enum(PASS_KINDS),
  arrangement: z.enum(ARRANGEMENTS),
  groups: z.array(z.array(name).min(1)).min(1),
  seconds: z.number().nonnegative(),
  /** Why this engine cannot do a pass of this kind; then it gave nothing. */
  unavailable: z.string().max(1024).nullable(),
  witness: Witness,
  /** Sampling parameters read back from the engine's own object. */
  sampling: z.record(z.string(), z.json()),
});
export type Pass = z.infer<typeof Pass>;

export const Lifetime = z.strictObject({
  lifetime: name,
  loadSeconds: z.number().nonnegative(),
  settings: EngineSettings,
  /** What `power` changed in the model on purpose; such a record never becomes a baseline. */
  perturbed: z.string().max(1024).nullable(),
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
    prompts: z.array(z.strictObject({ id: promptId, input: Digest, sampling: Sampling })).min(1),
    /** Texts that are scored beside the prompts. */
    texts: z.array(z.strictObject({ id: promptId, input: Digest })),
  }),
  /**
   * The tokens that force and score were given, by prompt: those of the baseline, and where it had none, what was
   * generated first. uint32 little-endian; the body has the digest's name.
   */
  known: z.array(z.strictObject({ prompt: promptId, count: size, sha256: Digest })),
  fingerprint: Fingerprint,
  hardwareClass: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,127}$/),
  lifetimes: z.array(Lifetime).min(1),
  observations: z.array(Observation).min(1),
  traces: z.array(Trace),
  /** Body that tells the text of every token id in this record, as the engine's own tokenizer gives it. */
  vocabulary: Digest,
});
export type RunRecord = z.infer<typeof RunRecord>;
