import { z } from 'zod';
import { EngineSettings, HarnessFingerprint } from '../fingerprint/schema.ts';
import type { PromptInput, Sampling } from '../suite/schema.ts';

/**
 * Harness protocol 1: newline-delimited JSON both ways over stdin and stdout of one process.
 *
 *     host                                     harness
 *     Start (files, environment, model, …) ──▶
 *                                          ◀── hello, progress (hashing the weights), fingerprint
 *     load ────────────────────────────────▶
 *                                          ◀── progress, lifetime
 *     pass ────────────────────────────────▶
 *                                          ◀── progress…, observation…, pass
 *     end ─────────────────────────────────▶
 *                                          ◀── done; exit 0
 *
 * `error` may come instead of any answer and ends the lifetime. EOF on stdin means "stop now". Every event
 * carries the job's nonce and a sequence number that counts from 0 without gaps: a line without the nonce is
 * noise that some library printed, a line with the nonce and the wrong number is a violation.
 */
export const PROTOCOL = 1;

/** Longest accepted event line in bytes: 32 k steps with top-5 in base64 are about 5 MB. */
export const MAX_EVENT_BYTES = 64 * 1024 * 1024;

// ---------------------------------------------------------------------------------------------- commands

/**
 * Comes first on stdin, after its own length: a decimal byte count on a line, then exactly so many bytes of JSON.
 * The boot code reads it, writes `files` below a temporary folder, sets the environment and execs; only then are
 * there commands, one a line.
 */
export interface Start {
  readonly protocol: typeof PROTOCOL;
  readonly nonce: string;
  /** Relative path -> content of the harness's Python files. */
  readonly files: Readonly<Record<string, string>>;
  /** Set before the interpreter that runs the engine starts, so that PYTHONHASHSEED and the like count. */
  readonly environment: Readonly<Record<string, string>>;
  readonly task: Task;
  /** Seconds until the harness ends itself whatever happens: the second net under a killed host. */
  readonly deadlineSeconds: number;
}

export type Task =
  | {
      readonly kind: 'engine';
      /** Name of an engine module in docker/harness/deterministic_ml/engines. */
      readonly engine: string;
      /** Folder of the model as the harness sees it. */
      readonly model: string;
      /** File identity (`dev:ino:size:mtime_ns:ctime_ns`) -> SHA-256, remembered from earlier runs. */
      readonly knownDigests: Readonly<Record<string, string>>;
    }
  | {
      /** Fetch a model from the hub into `folder`; needs the network and perhaps HF_TOKEN, never a GPU. */
      readonly kind: 'fetch';
      readonly model: string;
      readonly revision: string;
      readonly folder: string;
    };

export type Command =
  | {
      readonly command: 'load';
      /** Engine arguments, passed on by name. */
      readonly args: Readonly<Record<string, unknown>>;
      /** Names in `args` that are our defaults: an engine that lacks one drops and reports it. */
      readonly defaults: readonly string[];
    }
  | {
      readonly command: 'pass';
      /** Unique in this lifetime, e.g. `generate-1`. */
      readonly pass: string;
      readonly kind: 'generate';
      readonly prompts: readonly PromptInput[];
      /** Which prompts are submitted together, in this order; the engine is idle between two groups. */
      readonly groups: readonly (readonly string[])[];
      readonly sampling: Sampling;
      /** How many top log-probabilities are kept for each step. */
      readonly topK: number;
      /** Seconds since the epoch that chat templates see as "now". */
      readonly clock: number;
    }
  | { readonly command: 'end' };

// ------------------------------------------------------------------------------------------------ events

const base = { nonce: z.string(), seq: z.number().int().nonnegative() };
const base64 = z.string().regex(/^[A-Za-z0-9+/]*={0,2}$/);
const count = z.number().int().nonnegative();

/**
 * What the engine itself said while the pass ran, not what it was asked to do. A figure that the engine does
 * not tell is null, and a relation that needs it is unmeasured.
 */
export const Witness = z.strictObject({
  /** Process that ran the model's forward pass, and when it started (clock ticks since boot). */
  process: z.string().max(128),
  /** Scheduler steps that the engine made during this pass. */
  steps: count.nullable(),
  /** Tokens that the engine's own counter says it generated during this pass. */
  generatedTokens: count.nullable(),
  /** Prompt tokens that the engine's own counter says it processed during this pass. */
  promptTokens: count.nullable(),
  /** Most requests that the scheduler put into one step; its gauge of running ones where it cannot be watched. */
  maxRunning: count.nullable(),
  /** Prompt tokens taken from the prefix cache. */
  cachedTokens: count.nullable(),
  preemptions: count.nullable(),
});
export type Witness = z.infer<typeof Witness>;

export const ObservationEvent = z.strictObject({
  ...base,
  event: z.literal('observation'),
  pass: z.string(),
  prompt: z.string(),
  finishReason: z.enum(['stop', 'length', 'abort', 'unknown']),
  /** UTF-8. */
  text: z.string(),
  /** uint32 little-endian. */
  promptTokens: base64,
  /** uint32 little-endian, one for each step. */
  tokens: base64,
  /** float32 little-endian nats, one for each step; -0 already made 0. */
  logprobs: base64,
  /** k of `topIds` and `topLogprobs`: both hold steps x k entries, sorted by falling log-probability, then id. */
  topK: count,
  topIds: base64,
  topLogprobs: base64,
  /** NaNs among `logprobs` and `topLogprobs`, counted before anything else looked at them. */
  nans: count,
});

export const Event = z.discriminatedUnion('event', [
  z.strictObject({
    ...base,
    event: z.literal('hello'),
    protocol: z.literal(PROTOCOL),
    pid: count,
    python: z.string().max(64),
  }),
  z.strictObject({
    ...base,
    event: z.literal('fingerprint'),
    fingerprint: HarnessFingerprint,
    /** All file identities seen, for the host to remember. */
    digests: z.record(z.string().max(256), z.string().regex(/^[0-9a-f]{64}$/)),
  }),
  z.strictObject({ ...base, event: z.literal('lifetime'), seconds: z.number(), settings: EngineSettings }),
  z.strictObject({
    ...base,
    event: z.literal('progress'),
    /** What is going on: `hash`, `fetch`, `load` or the pass's name. */
    what: z.string().max(128),
    /** Finished units (bytes for hash and fetch, prompts for a pass) of `total`. */
    done: count,
    total: count,
    /** Tokens generated so far in this pass; 0 elsewhere. */
    tokens: count,
  }),
  ObservationEvent,
  z.strictObject({
    ...base,
    event: z.literal('pass'),
    pass: z.string(),
    seconds: z.number(),
    witness: Witness,
    /** Effective sampling parameters read back from the engine's own object. */
    sampling: z.record(z.string(), z.json()),
  }),
  z.strictObject({ ...base, event: z.literal('done') }),
  z.strictObject({
    ...base,
    event: z.literal('error'),
    code: z.enum([
      'engine-missing',
      'engine-rejected',
      'engine-failed',
      'engine-out-of-memory',
      'model-missing',
      'model-unreadable',
      'model-fetch-failed',
      'gpu-unavailable',
      'deadline-exceeded',
      'disk-full',
      'protocol-violation',
    ]),
    message: z.string().max(16_384),
  }),
]);
export type Event = z.infer<typeof Event>;
export type EventOf<K extends Event['event']> = Extract<Event, { event: K }>;
export type ObservationEvent = EventOf<'observation'>;
