import { z } from 'zod';

import { EngineSettings, Fingerprint, Gpu } from '../fingerprint/schema.ts';
import type { Software } from '../fingerprint/software.ts';
import { RecordedHealth } from '../health/schema.ts';
import { Sampling } from '../suite/schema.ts';
import { ARRANGEMENTS, PASS_KINDS, RECORD_SCHEMA, UNTOLD } from './names.ts';
import { FinishReason, Witness } from './witness.ts';

/*
 * What a record's files hold. The schemas in schema/ are made of these, and it is those that `parse.ts` checks a record
 * against: opening one loads no Zod.
 */

export const Digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .describe('a SHA-256 in 64 hex digits');
const name = z.string().min(1).max(128);
/**
 * As a suite may name its prompts and texts: a record of one that could not have been is no record. `sky@change` is what
 * a change makes of `sky`, beside what its base branch asks under that id, and `sky#2` its second answer: no suite can have
 * such an id.
 */
const promptId = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?(?:#[1-9][0-9]?)?(?:@change)?$/)
  .describe('the id of a prompt, as a suite may have it');
/** Of what only the base branch's suite asks so: the change takes it away, or makes it ask something else. */
const leaving = z.literal(true).optional();
const size = z.number().int().nonnegative();

export type PassKind = (typeof PASS_KINDS)[number];
export type Arrangement = (typeof ARRANGEMENTS)[number];

/** What a tensor came to: SHA-256 over its rows' bytes, in token order. */
export const TensorDigest = z.strictObject({
  /** Of the module that gave it, e.g. `model.layers.15.mlp.down_proj`; of several ranks, `rank 1: …` leads it. */
  name: z.string().max(512),
  sha256: Digest,
  nans: z.number().int().nonnegative(),
});
export type TensorDigest = z.infer<typeof TensorDigest>;

/** What a record keeps of a channel beside its bits. */
export const ChannelDigest = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_-]{0,63}$/)
    .describe('the name of a channel'),
  /** Ids, nats and tensors: how many. Ranked: k. Text: bytes of UTF-8. Of a text that is known by its digest: 1. */
  count: z.number().int().nonnegative(),
  /**
   * Of numbers as 4 bytes little-endian, ranked ids before their nats; of UTF-8; of names and digests as RFC 8785 JSON; of
   * a text that is known by its digest, of the 64 bytes of that.
   */
  sha256: Digest,
  /** NaNs among what can be one; null for what cannot. */
  nans: z.number().int().nonnegative().nullable(),
  /**
   * BLAKE2b-512 of a text, which is what the predecessor `deterministic-ml` published, and all that is known of a text in
   * the channel `text-digest`; null for all else.
   */
  blake2b: z
    .string()
    .regex(/^[0-9a-f]{128}$/)
    .nullable(),
});
export type ChannelDigest = z.infer<typeof ChannelDigest>;

/**
 * What one prompt gave in a pass: digests and sizes only. The bits are in the packed body named by `body`; two
 * observations that agree share one body.
 */
export const Given = z.strictObject({
  prompt: promptId,
  /** Digest of what was asked (prompt, sampling, log-probability mode): decides what may be compared. */
  input: Digest,
  finishReason: FinishReason,
  /** What the engine gave, each name once; a channel that it does not give is absent. */
  channels: z.array(ChannelDigest).min(1).max(64),
  body: Digest,
});
export type Given = z.infer<typeof Given>;

/** All that a pass gave, sorted by the ids of its prompts: a file of its own, which the pass's digest names. */
export const PassFile = z.array(Given);

/** The same with its place in the run. */
export interface Observation extends Given {
  lifetime: string;
  pass: string;
}

export const Pass = z.strictObject({
  pass: name,
  kind: z.enum(PASS_KINDS),
  arrangement: z.enum([...ARRANGEMENTS, UNTOLD]),
  groups: z.array(z.array(name).min(1)).min(1),
  seconds: z.number().nonnegative(),
  /** Why this engine cannot do a pass of this kind; then it gave nothing. */
  unavailable: z.string().max(1024).nullable(),
  witness: Witness,
  /** Sampling parameters read back from the engine's own object. */
  sampling: z.record(z.string(), z.json()),
  /** SHA-256 of the file that holds what it gave, `[]` where it gave nothing: equal digests, equal bits. */
  digest: Digest,
});
export type Pass = z.infer<typeof Pass>;

const CacheContent = z.strictObject({
  /** Over the paths and digests of all files. */
  digest: Digest,
  files: size,
  bytes: size,
});

/** Caches of compiled kernels: an input to the numbers. */
export const Caches = z.strictObject({
  /** Whether the engine found something that an earlier one had left. */
  kind: z.enum(['fresh', 'kept']),
  /** What it found; the body that lists its software lists the files too. */
  before: CacheContent,
  /** What it left; null where that is nothing that could be kept. */
  after: CacheContent.nullable(),
  /** `none`: kept ones were asked for and there are none; `refused`: they were not what had been kept; `unfit`: what it left. */
  notes: z
    .array(z.strictObject({ kind: z.enum(['none', 'refused', 'unfit']), why: z.string().max(512) }))
    .max(4),
});
export type Caches = z.infer<typeof Caches>;

/** How an engine came to run: by this program's own word. */
export const LifetimeStart = z.strictObject({
  /**
   * `cold`: a new process imported the engine; `warm`: a fork of one that had; `kept`: one that was loaded stayed, from the
   * run before, and gave what it computed then too.
   */
  how: z.enum(['cold', 'warm', 'kept']),
  /** Which of the processes that the run started: lifetimes of one number share its import, and no cold one has another's. */
  process: z.number().int().positive(),
  /** Of a cold one, why it is none of the warm ones that the suite asks for. */
  unfit: z.string().max(512).optional(),
});
export type LifetimeStart = z.infer<typeof LifetimeStart>;

const seconds = z.number().nonnegative();

/** Seconds that the run waited for each part of a lifetime. */
export const Phases = z.strictObject({
  /** From asking for its process until its fingerprint was told. */
  open: seconds,
  /** For the import of the engine alone; of a warm one, for the process that it is a fork of. */
  import: seconds,
  /** From the command to load, without the import. */
  load: seconds,
  /** Of the load, what the engine says it warmed up in; absent where it does not tell. */
  warmUp: seconds.optional(),
  passes: seconds,
  /** Until it had given everything back. */
  end: seconds,
});
export type Phases = z.infer<typeof Phases>;

/** On what an engine start ran, where that is set apart. */
export const Devices = z.strictObject({
  /** As the engine saw them. */
  gpus: z
    .array(
      z.strictObject({
        /** Which of the machine's, as nvidia-smi counts there; null where that is not told. */
        index: size.nullable(),
        ...Gpu.shape,
      }),
    )
    .max(64),
  /** CPUs that it was bound to; null for all. */
  cpus: z.string().max(256).nullable(),
});

/** What every probe gave before the model was loaded: it foretells a drift of the model, and is none itself. */
export const CalledProbes = z.strictObject({
  /** Of all calls together; they are among those of the load. */
  seconds,
  /** Call, e.g. `matmul bfloat16 1x576x1536` -> SHA-256 of what it gave. What the device has no kernel for is absent. */
  calls: z.record(z.string().min(1).max(128), Digest),
  /** Why nothing was called; null where it was. */
  unavailable: z.string().min(1).max(512).nullable(),
});
export type CalledProbes = z.infer<typeof CalledProbes>;

export const Lifetime = z.strictObject({
  lifetime: name,
  /** Absent in records of before there were two ways. */
  start: LifetimeStart.optional(),
  phases: Phases.optional(),
  /** Absent on a CPU that nothing was set apart of, and in records of before engines could run side by side. */
  devices: Devices.optional(),
  loadSeconds: z.number().nonnegative(),
  settings: EngineSettings,
  /** What `power` changed in the model on purpose; such a record never becomes a baseline. */
  perturbed: z.string().max(1024).nullable(),
  /** Body that lists what was installed, and what the engine's processes had loaded; absent where nobody looked. */
  software: Digest.optional(),
  /** Of the run's first start alone; absent where they were not asked for. */
  probes: CalledProbes.optional(),
  /** Only where the suite asks for kept ones. */
  caches: Caches.optional(),
  passes: z.array(Pass).min(1),
  /** Over its passes. */
  digest: Digest,
});
export type Lifetime = z.infer<typeof Lifetime>;

/** What the GPUs said of their health. What it means is derived: another version may judge it otherwise. */
export const Health = z.union([
  /** Nobody looked. */
  z.strictObject({ state: z.literal('not-told'), reasons: z.array(z.string()).max(0) }),
  /** In the order in which they were read. */
  z.strictObject({ state: z.literal('told'), readings: z.array(RecordedHealth).min(1).max(4096) }),
]);
export type Health = z.infer<typeof Health>;

/** `record.json`: the small half of a record. Written last, so that a record is whole or absent. */
export const RecordFile = z.strictObject({
  schema: z.literal(RECORD_SCHEMA),
  tool: z.string().max(64),
  createdAt: z.iso.datetime(),
  suite: z.strictObject({
    name,
    /** Of the whole suite as parsed, files included. */
    digest: Digest,
    prompts: z
      .array(
        z.strictObject({
          id: promptId,
          input: Digest,
          /** Null where nobody told: of a run that was imported. */
          sampling: Sampling.nullable(),
          leaving,
        }),
      )
      .min(1),
    /** Texts that are scored beside the prompts. */
    texts: z.array(z.strictObject({ id: promptId, input: Digest, leaving })),
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
  /** Over its lifetimes: two records of one digest computed the same bits in the same passes. */
  digest: Digest,
  /** Body that tells the text of every token id in this record, as the engine's own tokenizer gives it. */
  vocabulary: Digest,
});
export type RecordFile = z.infer<typeof RecordFile>;

/** A whole record: `record.json`, and what lies in the files of its passes and its lists of software. */
export interface RunRecord extends RecordFile {
  observations: Observation[];
  /** By their digests. */
  software: ReadonlyMap<string, Software>;
}
