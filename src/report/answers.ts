import { z } from 'zod';
import { CONCLUSIONS, VERDICTS } from '../compare/conclusion.ts';
import { SIDES_OUTCOMES } from '../compare/sides.ts';
import { PASS_KINDS } from '../record/names.ts';
import { Digest } from '../record/schema.ts';
import { AGREEMENTS, RolesCompared, Size } from './schema.ts';

/*
 * What commands without a surface of their own give a program (`--json`), one schema each: `schema/` has them.
 */

const Explained = z.strictObject({
  code: z.string(),
  /** An error ends a run without an answer; a conclusion is the answer. */
  of: z.enum(['error', 'conclusion']),
  what: z.string(),
  meaning: z.string(),
  next: z.string(),
});
export type Explained = z.infer<typeof Explained>;

/** Of `why`. */
export const WhyAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/why/v1'),
  codes: z.array(Explained).min(1),
});
export type WhyAnswer = z.infer<typeof WhyAnswer>;

const Estimate = z.strictObject({
  what: z.enum(['check', 'refresh', 'power']),
  /** Engine starts: at least, and more after a first difference from the baseline. */
  starts: z.int().nonnegative(),
  perhaps: z.int().nonnegative(),
  /** Loading and passes of the starts; null where no earlier record tells. */
  seconds: z.number().nonnegative().nullable(),
  /** The same times the GPUs that the suite asks for. */
  minutes: z.number().nonnegative().nullable(),
  /** Passes that no earlier record has, which the seconds leave out. */
  unknown: z.array(z.string()),
});
export type Estimate = z.infer<typeof Estimate>;

/** Of `validate`, where the suite has no problem: problems are an error. */
export const ValidateAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/validate/v1'),
  suite: z.string(),
  /** Of the suite, relative to the repository. */
  file: z.string(),
  prompts: z.int().nonnegative(),
  texts: z.int().nonnegative(),
  gpus: z.int().nonnegative(),
  estimates: z.array(Estimate),
  /** Earlier ones that the estimates rest on. */
  records: z.int().nonnegative(),
  /** `policy: { budget-minutes }`; null without one. */
  budget: z.number().nullable(),
  /** What takes longer than that. */
  over: z.array(z.enum(['check', 'refresh', 'power'])),
  /** Largest chance that a check calls an engine drifted that did not change; null where nothing bounds it. */
  falseAlarm: z.number().min(0).max(1).nullable(),
  /** What is wrong with the folder of `model.path` as this machine has it; null where nothing is seen, or it has none. */
  model: z.string().nullable(),
});
export type ValidateAnswer = z.infer<typeof ValidateAnswer>;

/** Of `store`: all that were asked for, or it is an error. */
export const StoreAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/store/v1'),
  stored: z.array(z.strictObject({ suite: z.string(), hardwareClass: z.string(), key: z.string() })),
  /** That computed the bits of the baseline that there is. */
  unchanged: z.array(z.strictObject({ suite: z.string(), hardwareClass: z.string() })),
});
export type StoreAnswer = z.infer<typeof StoreAnswer>;

/** Of `accept`, where the line was written: a refusal is an error. */
export const AcceptAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/accept/v1'),
  suite: z.string(),
  /** Of the suite, and the line where the new entry begins. */
  file: z.string(),
  line: z.int().positive(),
  record: z.string(),
  hardwareClass: z.string(),
  reason: z.string(),
  /** Whether the report was derived anew from its record; else it was taken at its word. */
  derived: z.boolean(),
  /** Whether the suite is known to be the one that was measured. */
  compared: z.boolean(),
});
export type AcceptAnswer = z.infer<typeof AcceptAnswer>;

/** Of `completion`. */
export const CompletionAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/completion/v1'),
  shell: z.string(),
  /** To be sourced. */
  script: z.string(),
});
export type CompletionAnswer = z.infer<typeof CompletionAnswer>;

/** Of `review`: the drifts that reports show, and what became of them. */
export const ReviewAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/review/v1'),
  /** Worst prompt first within a report. */
  drifts: z.array(
    z.strictObject({
      /** Path of the report. */
      report: z.string(),
      suite: z.string(),
      hardwareClass: z.string(),
      /** What an acceptance would name; null where none would do. */
      record: z.string().nullable(),
      /** Whether the suite accepts it, since now or before. */
      accepted: z.boolean(),
      /** Why no line in the suite would let it pass; null where one would. */
      refused: z.string().nullable(),
      prompts: z.array(z.strictObject({ prompt: z.string(), what: z.string() })),
    }),
  ),
  /** Reports that show no drift, or one that passed already. */
  others: z.array(z.strictObject({ report: z.string(), conclusion: z.string() })),
  /** Files that are no report which can be believed. */
  unread: z.array(z.strictObject({ report: z.string(), why: z.string() })),
});
export type ReviewAnswer = z.infer<typeof ReviewAnswer>;

/** Of `compare`: two sides held against each other. */
export const CompareAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/compare/v1'),
  /** The first that is true. */
  outcome: z.enum(SIDES_OUTCOMES),
  /** Whether all that either side has was compared and has the same bits. */
  same: z.boolean(),
  /** What was required, and whether it holds. */
  required: z.string(),
  holds: z.boolean(),
  /** How the two were named. */
  sides: z.strictObject({ first: z.string(), second: z.string() }),
  /** Digests of what each computed; null where nothing was measured. */
  left: Digest.nullable(),
  right: Digest.nullable(),
  status: z.enum(['held', 'broken', 'unmeasured', 'measured']),
  evidence: z.string(),
  /** What rounding alone makes of the coarser side; null where neither tells. */
  floor: z.strictObject({ nats: z.number().nonnegative(), by: z.enum(['noise', 'batching']) }).nullable(),
  size: Size.nullable(),
  /** Distance of each role; null where nothing differs, or a side was not looked at so. */
  roles: RolesCompared.nullable(),
  findings: z.array(
    z.strictObject({
      prompt: z.string(),
      kind: z.enum(PASS_KINDS),
      agreement: z.enum(AGREEMENTS),
      reason: z.string().nullable(),
    }),
  ),
  /** What the two tell of their environments otherwise: `before` is the first side's. */
  changes: z.array(
    z.strictObject({
      half: z.enum(['declared', 'ambient']),
      field: z.string(),
      before: z.string(),
      after: z.string(),
    }),
  ),
});
export type CompareAnswer = z.infer<typeof CompareAnswer>;

const Changed = z.strictObject({ name: z.string(), before: z.string(), after: z.string() });

/** Which of the declared changes beside a drift did it, as far as was looked. */
export const Bisection = z.strictObject({
  /**
   * `found`: with `cause` alone the bits moved, and without any one of it they did not. `within`: `cause` moved them, and it
   * is not known nearer. `elsewhere`: they moved with all changes put back. `steady`: they did not move at all. `unresolved`:
   * whether they move could not be told.
   */
  result: z.enum(['found', 'within', 'elsewhere', 'steady', 'unresolved']),
  /** That could be put back, the likeliest first. */
  changes: z.array(Changed),
  cause: z.array(z.string()),
  /** Of the cause, what was seen to be needed. */
  needed: z.array(z.string()),
  /** Of `within`: no more engine starts were allowed, or those that could tell came to nothing. */
  limit: z.enum(['budget', 'unresolved']).nullable(),
  /** Declared changes that no suite can put back, and why. */
  fixed: z.array(z.strictObject({ name: z.string(), why: z.string() })),
  /** What differs from the baseline with all of `changes` put back; null where that did not run. */
  left: z
    .array(
      z.strictObject({
        half: z.enum(['declared', 'ambient']),
        field: z.string(),
        before: z.string(),
        after: z.string(),
      }),
    )
    .nullable(),
  /** Engine starts in their order, with the changes that each had. */
  tried: z.array(
    z.strictObject({
      changes: z.array(z.string()),
      outcome: z.enum(['moved', 'same', 'unresolved']),
      seconds: z.number().nonnegative(),
      /** Folder of its record. */
      recordPath: z.string(),
      /** Why it could not be told; null where it could. */
      why: z.string().nullable(),
    }),
  ),
  /** Engine starts, at most. */
  budget: z.int().nonnegative(),
});
export type Bisection = z.infer<typeof Bisection>;

/** Of `bisect`. */
export const BisectAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/bisect/v1'),
  suite: z.string(),
  hardwareClass: z.string(),
  /** Key of the baseline. */
  baseline: z.string(),
  ...Bisection.shape,
});
export type BisectAnswer = z.infer<typeof BisectAnswer>;

/** Of one round of `check --watch`: values of JSON one after the other. */
export const WatchAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/watch/v1'),
  /** From 1. */
  round: z.int().positive(),
  /** Files that were saved since the round before. */
  changed: z.array(z.string()),
  verdict: z.enum(VERDICTS),
  /** Null, as all that follows, where an error ended the round. */
  conclusion: z.enum(CONCLUSIONS).nullable(),
  /** How far it is from the baseline, and from the round before, in words. */
  baseline: z.string().nullable(),
  before: z.string().nullable(),
  engine: z
    .strictObject({
      /** As a record has it. */
      how: z.enum(['cold', 'warm', 'kept']),
      /** Why the one of the round before was not it; null where there was none, or it was. */
      why: z.string().nullable(),
      /** Until its first pass could begin; null where nobody told. */
      readySeconds: z.number().nonnegative().nullable(),
      seconds: z.number().nonnegative(),
    })
    .nullable(),
  recordPath: z.string().nullable(),
  htmlPath: z.string().nullable(),
  error: z.strictObject({ code: z.string(), message: z.string(), hint: z.string() }).nullable(),
});
export type WatchAnswer = z.infer<typeof WatchAnswer>;

/** Of `clean`. */
export const CleanAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/clean/v1'),
  /** Longest unused first. */
  folders: z.array(
    z.strictObject({
      what: z.string(),
      path: z.string(),
      bytes: z.number().nonnegative(),
      /** When it was used last. */
      usedAt: z.iso.datetime(),
      /** `kept`, `removed`, or `not removed` and why. */
      state: z.string(),
    }),
  ),
});
export type CleanAnswer = z.infer<typeof CleanAnswer>;

/** Of `import`. */
export const ImportAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/import/v1'),
  records: z.array(
    z.strictObject({
      /** Its folder, below that of all. */
      name: z.string(),
      /** What had left it. */
      source: z.string(),
      suite: z.string(),
      prompts: z.int().nonnegative(),
      /** Digest of what it computed. */
      digest: z.string(),
    }),
  ),
});
export type ImportAnswer = z.infer<typeof ImportAnswer>;

/** Of `init`. */
export const InitAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/init/v1'),
  files: z.array(
    z.strictObject({
      path: z.string(),
      /** How it was found; `same` needs no writing. */
      state: z.enum(['new', 'same', 'other']),
      written: z.boolean(),
    }),
  ),
  /** What could not be looked up and why: `validate` refuses the suite until it is filled in. */
  fillIn: z.array(z.string()),
});
export type InitAnswer = z.infer<typeof InitAnswer>;
