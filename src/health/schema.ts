import { z } from 'zod';

import { HEALTH_STATES, LEVELS } from './names.ts';

/*
 * What GPUs say of their own health: numbers and names as docker/harness/deterministic_ml/harness/reading.py reads them.
 * What is not told is null. `policy.ts` judges.
 */

const count = z.number().int().nonnegative();
const text = z.string().max(128);
const told = text.nullable();
const flag = z.boolean().nullable();
const why = z.string().max(512).nullable();

/** A process that computes on a GPU and is not the engine's. */
export const ForeignProcess = z.strictObject({
  pid: count,
  name: text,
  /** Of the GPU's memory. */
  mib: count.nullable(),
  /** `unclear`: read after the engine ran, in a container where numbers of processes may be the host's. */
  whose: z.enum(['other', 'unclear']),
});

export const GpuHealth = z.strictObject({
  /** As nvidia-smi counts. */
  index: count,
  name: text,
  /** As in the fingerprint. */
  uuidHash: told,
  /** `0000:00:06`. */
  pci: told,
  /** nvidia-smi says that it is lost. */
  lost: z.boolean(),
  needsReset: z.boolean(),
  /** What would mend it; `None` where nothing is wrong. */
  recoveryAction: told,
  eccMode: told,
  eccPending: told,
  /** Errors of memory that could not be corrected, since the driver was loaded. */
  eccUncorrected: count.nullable(),
  /** The same in the card's whole life. */
  eccUncorrectedEver: count.nullable(),
  eccCorrected: count.nullable(),
  sramThresholdExceeded: flag,
  /** Rows of memory that could not be replaced. */
  remapFailure: flag,
  remapPending: flag,
  retiredPending: flag,
  unrepairable: flag,
  repairPending: flag,
  infoRom: told,
  /** Active reasons for slow clocks, e.g. `hw_slowdown`. */
  throttle: z.array(z.string().max(64)).max(32),
  /** Degrees Celsius. */
  temperature: z.number().int().nullable(),
  persistence: flag,
  migMode: told,
  migPending: told,
  computeMode: told,
  virtualization: told,
  /** Of its memory what is in use, where no process is shown that could have it. Older records do not tell it. */
  unnamedMib: count.nullable().optional(),
  processes: z.array(ForeignProcess).max(32),
  /** Fields whose value is neither known nor one of the ways to say nothing. */
  strange: z.array(text).max(32),
});
export type GpuHealth = z.infer<typeof GpuHealth>;

/** One look at the GPUs that the engine uses. */
export const HealthReading = z.strictObject({
  /** Before the model is loaded, or after the engine has ended. */
  at: z.enum(['before', 'after']),
  state: z.enum(['read', 'no-gpu', 'unreadable']),
  /** Why it is unreadable; of one that was read, what its exit code means where no other sign says it. */
  why,
  /** Exit code of nvidia-smi; null where it did not run or did not end. */
  exit: z.number().int().nullable(),
  driver: told,
  gpus: z.array(GpuHealth).max(64),
  /** What the driver wrote to the kernel's log, each kind once a GPU; null where the log cannot be read. */
  xids: z
    .array(z.strictObject({ gpu: count, xid: count, during: z.boolean() }))
    .max(64)
    .nullable(),
  /** One product and its sums, repeated; null where nobody did it. */
  selfTest: z
    .strictObject({
      rounds: count,
      seconds: z.number().nonnegative(),
      /** How many different results each GPU gave: one, if it repeats itself. */
      gpus: z.array(z.strictObject({ gpu: count, distinct: count })).max(64),
      /** Why it could not be done. */
      why,
    })
    .nullable(),
});
export type HealthReading = z.infer<typeof HealthReading>;

/** The same with its place in the run. */
export const RecordedHealth = z.strictObject({
  lifetime: z.string().min(1).max(128),
  ...HealthReading.shape,
});
export type RecordedHealth = z.infer<typeof RecordedHealth>;

/** Something that a reading shows and a reader should know. */
export const Sign = z.strictObject({
  /** Row of the policy. */
  sign: z.string().max(64),
  level: z.enum(LEVELS),
  /** `GPU 0 (NVIDIA H100)`; null for what is of no one GPU. */
  gpu: z.string().max(256).nullable(),
  reason: z.string().max(2048),
  remedy: z.string().max(512),
  /** When it was seen first: `before lifetime-1`. */
  seen: z.string().max(160),
});
export type Sign = z.infer<typeof Sign>;

export const HealthView = z.strictObject({
  state: z.enum(HEALTH_STATES),
  /** Worst first. */
  signs: z.array(Sign).max(4096),
});
export type HealthView = z.infer<typeof HealthView>;
