import { z } from 'zod';

import { EngineSettings, Fingerprint } from '../fingerprint/schema.ts';
import { Sampling } from '../suite/schema.ts';
import { ChannelDigest } from './channels.ts';
import { FinishReason, Witness } from './witness.ts';

export const RECORD_SCHEMA = 'deterministic-ml/record/v2';

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
 * What one prompt gave in one pass: digests and sizes only. The bits are in the packed body named by `body`; two
 * observations that agree share one body.
 */
export const Observation = z.strictObject({
  lifetime: name,
  pass: name,
  prompt: promptId,
  /** Digest of what was asked (prompt, sampling, log-probability mode): decides what may be compared. */
  input: Digest,
  finishReason: FinishReason,
  /** What the engine gave, each name once; a channel that it does not give is absent. */
  channels: z.array(ChannelDigest).min(1).max(64),
  body: Digest,
});
export type Observation = z.infer<typeof Observation>;

/** One channel of an observation; undefined where the engine did not give it. */
export function channelOf(
  { channels }: Pick<Observation, 'channels'>,
  name: string,
): ChannelDigest | undefined {
  return channels.find((one) => one.name === name);
}

/** How many ids, nats, tensors or bytes of text an observation has in a channel; 0 where it has none. */
export const countOf = (observation: Pick<Observation, 'channels'>, name: string) =>
  channelOf(observation, name)?.count ?? 0;

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
  /** Over what its observations gave: equal digests, equal bits. */
  digest: Digest,
});
export type Pass = z.infer<typeof Pass>;

export const Lifetime = z.strictObject({
  lifetime: name,
  loadSeconds: z.number().nonnegative(),
  settings: EngineSettings,
  /** What `power` changed in the model on purpose; such a record never becomes a baseline. */
  perturbed: z.string().max(1024).nullable(),
  passes: z.array(Pass).min(1),
  /** Over its passes. */
  digest: Digest,
});
export type Lifetime = z.infer<typeof Lifetime>;

/** Whether the GPUs can be trusted to compute. */
export const Health = z.strictObject({
  /** `not-told`: there is no GPU, or nobody looked. */
  state: z.enum(['not-told', 'healthy', 'unhealthy']),
  /** What was found wrong, a GPU each. */
  reasons: z.array(z.string().max(512)).max(64),
});
export type Health = z.infer<typeof Health>;

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
  /** `imported`: told by another program, of which nobody here saw an engine compute anything. */
  source: z.enum(['engine', 'imported']),
  health: Health,
  /** Empty only where unhealthy GPUs stopped the run before an engine started. */
  lifetimes: z.array(Lifetime),
  observations: z.array(Observation),
  /** Over its lifetimes: two records of one digest computed the same bits in the same passes. */
  digest: Digest,
  /** Body that tells the text of every token id in this record, as the engine's own tokenizer gives it. */
  vocabulary: Digest,
});
export type RunRecord = z.infer<typeof RunRecord>;
