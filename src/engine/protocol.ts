import { z } from 'zod';
import { EngineSettings, HarnessFingerprint, SoftwareTold } from '../fingerprint/schema.ts';
import { HealthReading } from '../health/schema.ts';
import { CalledProbes, type PassKind, TensorDigest } from '../record/schema.ts';
import { FinishReason, Witness } from '../record/witness.ts';
import type { EngineDefaults, PromptContent, SaidSampling } from '../suite/schema.ts';

/**
 * Harness protocol 2: newline-delimited JSON both ways over stdin and stdout of one process.
 *
 *     host                                     harness
 *     Start (files, environment, model, …) ──▶
 *                                          ◀── hello, progress (hashing the weights), fingerprint
 *     load ────────────────────────────────▶
 *                                          ◀── progress, lifetime
 *     pass ────────────────────────────────▶
 *                                          ◀── progress…, observation…, pass
 *     vocabulary ──────────────────────────▶
 *                                          ◀── vocabulary
 *     rest ────────────────────────────────▶    (only where the engine is kept for another round of passes)
 *                                          ◀── rested
 *     end ─────────────────────────────────▶
 *                                          ◀── done; exit 0
 *
 * `error` may come instead of any answer and ends the lifetime. EOF on stdin means "stop now". Every event
 * carries the job's nonce and a sequence number that counts from 0 without gaps: a line without the nonce is
 * noise that some library printed, a line with the nonce and the wrong number is a violation.
 */
export const PROTOCOL = 2;

/** Longest accepted event line in bytes: 32 k steps with top-5 in base64 are about 5 MB. */
export const MAX_EVENT_BYTES = 64 * 1024 * 1024;

/** Longest command that the harness reads, as docker/harness/deterministic_ml/harness/channel.py has it. */
export const MAX_COMMAND_BYTES = 64 * 1024 * 1024;

// ---------------------------------------------------------------------------------------------- commands

/**
 * Comes first on stdin, after its own length: a decimal byte count on a line, then exactly so many bytes of JSON.
 * The boot code reads it, writes `files` below a temporary folder, sets the environment and execs; only then are
 * there commands, one a line.
 */
export interface Start {
  readonly protocol: typeof PROTOCOL;
  readonly nonce: string;
  /** Relative path -> content of the harness's Python files, and below `program/` of the user's own. */
  readonly files: Readonly<Record<string, string>>;
  /** Set before the interpreter that runs the engine starts, so that PYTHONHASHSEED and the like count. */
  readonly environment: Readonly<Record<string, string>>;
  readonly task: Task;
  /** Seconds until the harness ends itself whatever happens: the second net under a killed host. */
  readonly deadlineSeconds: number;
  /**
   * Import the engine and load nothing: for each `fork` command there is then a lifetime, a fork of this process with a
   * nonce and a deadline of its own, which speaks over the same streams and is over before the next is asked for.
   */
  readonly warm?: true;
  /** Of such a process: files and folders of this machine, whatever of which it has imported it tells. */
  readonly sources?: readonly string[];
}

export interface Task {
  /** Name of an engine module in docker/harness/deterministic_ml/engines. */
  readonly engine: string;
  /** Folder of the model as the harness sees it; null for an engine that computes without one. */
  readonly model: string | null;
  /** File identity (`dev:ino:size:mtime_ns:ctime_ns`) -> SHA-256, of this model's files alone, as this machine has them. */
  readonly knownDigests: Readonly<Record<string, string>>;
}

export type Command =
  | {
      readonly command: 'load';
      /** Engine arguments, passed on by name. */
      readonly args: Readonly<Record<string, unknown>>;
      /** Names in `args` that are our defaults: an engine that lacks one drops and reports it. */
      readonly defaults: readonly string[];
      /** A deliberate change of the model, made as it is loaded; null but for `power` and the yardstick. */
      readonly perturbation: Perturbation | null;
      /**
       * Looked at before any weight is read, by the model's tokenizer and template alone: the first lifetime's prompts
       * and texts. Empty for those that follow, which ask the same.
       */
      readonly prompts: readonly Asked[];
      /** As a pass has it. */
      readonly clock: number;
      /** Measured as it is served, or by a command line; null where neither. */
      readonly serve: Serve | null;
      /** Call every probe before, in a process of their own that is gone as the model is loaded. */
      readonly probes?: true;
      /** The user's own file that is run, below `program/` among the files of `Start`; left out where none is. */
      readonly program?: string;
    }
  | {
      readonly command: 'pass';
      /** Unique in this lifetime, e.g. `generate-alone`. */
      readonly pass: string;
      /**
       * `generate`: sample freely. `force`: decode `tokens` through the real decode path, whatever the model
       * prefers. `score`: prefill prompt and `tokens`, and tell the log-probabilities of every position but the
       * first. `trace`: the same prefill for the digests of the modules alone, in an engine started for it.
       */
      readonly kind: PassKind;
      readonly requests: readonly Request[];
      /** Ids of requests that are submitted together, in this order; the engine is idle between two groups. */
      readonly groups: readonly (readonly string[])[];
      /** Run each group twice and observe the second time, with what the first left in the prefix cache. */
      readonly warm: boolean;
      /**
       * Digest every module's output too, over the rows of each request in the order of its tokens, so that how a
       * prefill is cut or batched changes nothing. An engine whose modules do not run one by one leaves them out.
       */
      readonly trace: boolean;
      /** Sketch what each role gave that the model has in other engines too; absent where no other is beside it. */
      readonly roles?: true;
      /**
       * Rounds what each module gives once more, by chance, with this seed: what rounding alone makes of the model. Null
       * in all passes but one that is made for it.
       */
      readonly noise: number | null;
      /** How often each request is asked, for one token and several at a time; null where it is done as it says. */
      readonly samples: number | null;
      /** How many top log-probabilities are kept for each step. */
      readonly topK: number;
      /** Seconds since the epoch that chat templates see as "now". */
      readonly clock: number;
    }
  | {
      /** Asks for the texts of token ids. */
      readonly command: 'vocabulary';
      /** uint32 little-endian in base64. */
      readonly ids: string;
    }
  /** The passes are over, and the engine stays loaded for others. */
  | { readonly command: 'rest' }
  | { readonly command: 'end' };

export interface Serve {
  /** `as-served`: what a request does not say of sampling is the model's. */
  readonly defaults: EngineDefaults;
  /** Flags of a deployment's command line and their values, for the engine's own parser; `args` win over them. */
  readonly words: readonly string[];
  /** Flags that the host kept back: secrets. */
  readonly dropped: readonly string[];
  /** Where the command line stands, for errors. */
  readonly place: string;
}

/**
 * What `power` changes in a model that it cannot ask the engine for. `weight-bit` flips the lowest mantissa bit of
 * one weight in a down-projection half-way up; `round-weights` rounds every linear weight to the format and back, a scale
 * for each output row; `chat-template-space` and `tokenizer-merge` change one space of the chat template and
 * one merge rule of the tokenizer in a private view of the model's folder.
 */
export type Perturbation =
  /** `at`: which bit, from the lowest, of which element of a tensor's, counted row by row. */
  | {
      readonly kind: 'weight-bit';
      readonly at?: { readonly tensor: string; readonly index: number; readonly bit: number };
    }
  | { readonly kind: 'round-weights'; readonly format: 'int8' | 'fp8' }
  | { readonly kind: 'chat-template-space' }
  | { readonly kind: 'tokenizer-merge' }
  | { readonly kind: 'rope-theta' }
  | { readonly kind: 'file-times' };

export interface Asked {
  readonly id: string;
  readonly input: PromptContent;
  /** A text to be scored is cut off where it is too long for the model. */
  readonly isScored: boolean;
}

export interface Request {
  readonly id: string;
  readonly input: PromptContent;
  /** As it is served, what it does not say is the model's. */
  readonly sampling: SaidSampling;
  /** Known continuation, uint32 little-endian in base64: decoded by force, or scored after the prompt. */
  readonly tokens: string | null;
  /** False for a stranger: it is there to share steps, and nobody looks at what it gave. */
  readonly observed: boolean;
  /** Longest sequence that `score` takes, in tokens; what goes beyond is cut off. */
  readonly limit: number | null;
}

// ------------------------------------------------------------------------------------------------ events

const base = { nonce: z.string(), seq: z.number().int().nonnegative() };
const base64 = z.string().regex(/^[A-Za-z0-9+/]*={0,2}$/);
const count = z.number().int().nonnegative();
const channel = z.string().regex(/^[a-z][a-z0-9_-]{0,63}$/);

/** A channel as it travels. `nans` is counted before anything else looked at the numbers. */
const ChannelEvent = z.discriminatedUnion('kind', [
  /** uint32 little-endian. */
  z.strictObject({ name: channel, kind: z.literal('ids'), data: base64 }),
  /** float32 little-endian nats; -0 already made 0. */
  z.strictObject({ name: channel, kind: z.literal('nats'), data: base64, nans: count }),
  /** k of each step: both hold steps x k entries, sorted by falling log-probability, then id. */
  z.strictObject({
    name: channel,
    kind: z.literal('ranked'),
    k: count,
    ids: base64,
    nats: base64,
    nans: count,
  }),
  z.strictObject({ name: channel, kind: z.literal('text'), text: z.string() }),
  /** In the order in which they were ready. */
  z.strictObject({
    name: channel,
    kind: z.literal('digests'),
    digests: z.array(TensorDigest).max(1_000_000),
  }),
  /** float64 little-endian, k for each name. */
  z.strictObject({
    name: channel,
    kind: z.literal('sketches'),
    k: z.number().int().min(1).max(4096),
    names: z.array(z.string().max(128)).min(1).max(100_000),
    values: base64,
  }),
]);
export type ChannelEvent = z.infer<typeof ChannelEvent>;

export const ObservationEvent = z.strictObject({
  ...base,
  event: z.literal('observation'),
  pass: z.string(),
  prompt: z.string(),
  finishReason: FinishReason,
  /** Each name once. `tokens` of a score: every token of the sequence but the first, so that a step is a position. */
  channels: z.array(ChannelEvent).min(1).max(64),
});

/** What a process says that only forks lifetimes, with its own nonce and numbers. */
export const ParentEvent = z.discriminatedUnion('event', [
  z.strictObject({
    ...base,
    event: z.literal('hello'),
    protocol: z.literal(PROTOCOL),
    pid: count,
    python: z.string().max(64),
  }),
  /** It has imported the engine, or the last fork has ended and left nothing. */
  z.strictObject({
    ...base,
    event: z.literal('ready'),
    /** That the import took; 0 after a fork. */
    seconds: z.number().nonnegative(),
    /** Why a fork of it would not be what a new process is: then it forks none. */
    unfit: z.string().max(4096).nullable(),
    /** Of `sources`, those that it has imported; nobody knows where it is absent. */
    imported: z.array(z.string().max(4096)).max(1024).optional(),
  }),
  z.strictObject({
    ...base,
    event: z.literal('error'),
    code: z.string().max(64),
    message: z.string().max(16_384),
  }),
]);
export type ParentEvent = z.infer<typeof ParentEvent>;

/** What is sent to such a process; `end` too. */
export interface ForkCommand {
  readonly command: 'fork';
  readonly nonce: string;
  readonly deadlineSeconds: number;
}

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
    /** Of the GPUs that the engine can use, read while nothing of ours is on one. */
    health: HealthReading,
  }),
  z.strictObject({
    ...base,
    event: z.literal('lifetime'),
    /** Of the load, without the import. */
    seconds: z.number(),
    /** That went by in the import alone, after the fingerprint was told; 0 in a fork. */
    importSeconds: z.number().nonnegative().optional(),
    /** Of the load, those that the engine says it warmed up in. */
    warmUpSeconds: z.number().nonnegative().nullish(),
    settings: EngineSettings,
    /** What is installed, and what the engine's processes have loaded. */
    software: SoftwareTold.optional(),
    /** Only where they were asked for. */
    probes: CalledProbes.optional(),
    /** What the perturbation really changed, in words; null without one. */
    perturbed: z.string().max(1024).nullable(),
  }),
  z.strictObject({
    ...base,
    event: z.literal('progress'),
    /** What is going on: `hash`, `load` or the pass's name. */
    what: z.string().max(128),
    /** Finished units (bytes for hash, prompts for a pass) of `total`. */
    done: count,
    total: count,
    /** Tokens generated so far in this pass; 0 elsewhere. */
    tokens: count,
  }),
  ObservationEvent,
  z.strictObject({
    ...base,
    event: z.literal('vocabulary'),
    /** Token id in decimal -> its text alone. */
    texts: z.record(z.string().regex(/^\d{1,10}$/), z.string()),
  }),
  z.strictObject({
    ...base,
    event: z.literal('pass'),
    pass: z.string(),
    seconds: z.number(),
    /** Why this engine cannot do a pass of this kind: then nothing was observed. */
    unavailable: z.string().max(1024).nullable(),
    witness: Witness,
    /** Effective sampling parameters read back from the engine's own object. */
    sampling: z.record(z.string(), z.json()),
  }),
  z.strictObject({
    ...base,
    event: z.literal('rested'),
    /** Of the same GPUs, read after its passes. */
    health: HealthReading,
  }),
  z.strictObject({
    ...base,
    event: z.literal('done'),
    /** Of the same GPUs, read after the engine has ended. */
    health: HealthReading,
  }),
  z.strictObject({
    ...base,
    event: z.literal('error'),
    code: z.enum([
      'engine-missing',
      'engine-rejected',
      'prompt-rejected',
      'engine-failed',
      'script-invalid',
      'script-failed',
      'engine-out-of-memory',
      'model-missing',
      'model-unreadable',
      'model-changed',
      'gpu-unavailable',
      'deadline-exceeded',
      'disk-full',
      'endpoint-unavailable',
      'endpoint-refused',
      'endpoint-broken',
      'protocol-violation',
    ]),
    message: z.string().max(16_384),
    /** Of `prompt-rejected`, `script-failed` and of an endpoint: which, and why. */
    prompts: z.array(z.strictObject({ id: z.string().max(128), message: z.string().max(1024) })).optional(),
  }),
]);
export type Event = z.infer<typeof Event>;
export type EventOf<K extends Event['event']> = Extract<Event, { event: K }>;
export type ObservationEvent = EventOf<'observation'>;
