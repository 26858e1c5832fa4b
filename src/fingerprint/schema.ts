import { z } from 'zod';
import { SOFTWARE_LIMITS, TOLD_PARTS } from './software.ts';

/**
 * What the numbers may depend on, in two halves. The split answers "whose change is it?": *declared* is what
 * the repository decides, *ambient* what the runner decides. A fact that could not be read is the string
 * `unknown`, never left out; one that cannot exist here (CUDA on a CPU) is `none`.
 */
const fact = z.string().min(1).max(512);
const count = z.union([z.number().int().nonnegative(), z.literal('unknown')]);
const scalar = z.union([z.string().max(4096), z.number(), z.boolean(), z.null()]);

export const FileDigest = z.strictObject({
  /** Path relative to the model folder. */
  path: z.string().min(1).max(512),
  bytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type FileDigest = z.infer<typeof FileDigest>;

export const Gpu = z.strictObject({
  name: fact,
  /** SHA-256 of the UUID, first 16 hex digits: tells two cards apart without publishing a serial number. */
  uuidHash: fact,
  /** `major.minor`, e.g. `9.0`. */
  computeCapability: fact,
  /** Streaming multiprocessors that this engine sees (a MIG slice has fewer). */
  smCount: count,
  memoryBytes: count,
  // Facts that records have not always had.
  /** `nvidia`, `amd`, `intel`. */
  vendor: fact.optional(),
  /** Version of the card's own BIOS. */
  vbios: fact.optional(),
  /** Profile of a MIG slice, e.g. `1g.10gb`. */
  mig: fact.optional(),
});
export type Gpu = z.infer<typeof Gpu>;

export const Declared = z.strictObject({
  image: z.strictObject({
    /** As the suite wrote it, or `none` where none was named. */
    reference: fact,
    digest: fact,
    /** `verified`: the daemon's own content address; `declared`: stated, not checked; `unknown`. */
    certainty: z.enum(['verified', 'declared', 'unknown']),
  }),
  engine: z.strictObject({ name: fact, version: fact }),
  /** Host of the server that was asked; only where one was. */
  endpoint: fact.optional(),
  /** Versions of what computes: python, torch, transformers, numpy, cuda, cudnn, nccl, cublas, triton… */
  libraries: z.record(z.string().max(64), fact),
  model: z.strictObject({
    /** A label, not an identity: the files below are the identity. */
    label: fact,
    revision: fact,
    files: z.array(FileDigest).max(10_000),
  }),
  /** The user's own files that the engine runs, by their paths in the repository; left out where it runs none. */
  program: z.array(FileDigest).max(100).optional(),
  /** Environment variables that were set and may change the numbers (prefix list in the harness). */
  environment: z.record(z.string().max(128), z.string().max(4096)),
});
export type Declared = z.infer<typeof Declared>;

export const Ambient = z.strictObject({
  gpus: z.array(Gpu).max(64),
  /** How several are linked, e.g. `NV18: all`; `none` of one. Records have not always had it. */
  topology: fact.optional(),
  driver: fact,
  cpu: z.strictObject({
    vendor: fact,
    model: fact,
    /** x86-64 psABI level with what decides bf16 kernels: `x86-64-v4-amx`, `x86-64-v3`, `aarch64`… */
    level: fact,
    /** What PyTorch dispatches to, e.g. `AVX512`; affected by ATEN_CPU_CAPABILITY. */
    capability: fact,
    cores: count,
  }),
  memoryBytes: count,
  os: fact,
  kernel: fact,
  runtime: z.enum(['docker', 'process', 'launcher', 'endpoint']),
});
export type Ambient = z.infer<typeof Ambient>;

export const Fingerprint = z.strictObject({ declared: Declared, ambient: Ambient });
export type Fingerprint = z.infer<typeof Fingerprint>;

/** What the harness can see from inside: all but the image, the model's label and the kind of runtime. */
export const HarnessFingerprint = z.strictObject({
  engine: Declared.shape.engine,
  libraries: Declared.shape.libraries,
  files: z.array(FileDigest).max(10_000),
  environment: Declared.shape.environment,
  gpus: Ambient.shape.gpus,
  topology: Ambient.shape.topology,
  driver: fact,
  cpu: Ambient.shape.cpu,
  memoryBytes: count,
  os: fact,
  kernel: fact,
});
export type HarnessFingerprint = z.infer<typeof HarnessFingerprint>;

/** `Software`, as the harness tells it. */
export const SoftwareTold = z.partialRecord(
  z.enum(TOLD_PARTS),
  z
    .record(z.string().min(1).max(SOFTWARE_LIMITS.name), z.string().min(1).max(SOFTWARE_LIMITS.version))
    .refine((list) => Object.keys(list).length <= SOFTWARE_LIMITS.entries, 'has too many names'),
);

/** The part of an environment that the engine only knows once it has loaded. */
export const EngineSettings = z.strictObject({
  /** Arguments as sent: the defaults overlaid with the command line of `engine.serve`, and with `engine.args`. */
  requested: z.record(z.string(), z.json()),
  /** Names the engine does not know; refused unless they are defaults of ours. */
  dropped: z.array(z.string()),
  /**
   * Read back from the running engine: dtype, attention implementation, batch size…; and as `environment.NAME` what a
   * variable is that was asked for otherwise.
   */
  effective: z.record(z.string().max(128), scalar),
  /** Only where it is measured as it is served, or by a deployment's command line. */
  served: z
    .strictObject({
      /** What held where the suite said nothing. */
      defaults: z.enum(['deterministic', 'as-served']),
      /** Flags of it that were left out, since they only concern the server. */
      dropped: z.array(z.string().max(256)).max(1000),
      /** Flags of it that gave way to `engine.args`. */
      overruled: z.array(z.string().max(256)).max(1000),
    })
    .optional(),
  /** File of the model -> what a server reads of it, and this engine did not. */
  unread: z.record(z.string().max(128), z.record(z.string().max(128), scalar)).optional(),
});
export type EngineSettings = z.infer<typeof EngineSettings>;
