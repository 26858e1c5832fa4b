import { z } from 'zod';
import { Link } from '../baseline/port.ts';
import { CONCLUSIONS, VERDICTS } from '../compare/conclusion.ts';
import { Fingerprint } from '../fingerprint/schema.ts';
import { OBSERVERS, POWER_SCHEMA } from './power.ts';
import { ReportSchema } from './schema.ts';

/*
 * What commands with a surface of their own give a program (`--json`), one schema each: `schema/` has them. Those without
 * have theirs in answers.ts.
 */

/** Of `check` and `refresh`. */
export const CheckAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/check/v1'),
  /** As the action sets them. */
  outputs: z.record(z.string(), z.string()),
  report: ReportSchema,
});

/** Of `fingerprint`. */
export const FingerprintAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/fingerprint-answer/v1'),
  hardwareClass: z.string(),
  fingerprint: Fingerprint,
});

/** Of `log`. */
export const LogAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/log/v1'),
  /** One for each hardware class; empty where there is no baseline. */
  histories: z.array(
    z.strictObject({
      suite: z.string(),
      hardwareClass: z.string(),
      /** Newest first; the first is the baseline of today. */
      baselines: z.array(Link).min(1),
    }),
  ),
});

/** Of `verify`. */
export const VerifyAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/verify/v1'),
  agrees: z.boolean(),
  checked: z.strictObject({
    files: z.int().nonnegative(),
    bodies: z.int().nonnegative(),
    relations: z.int().nonnegative(),
    findings: z.int().nonnegative(),
  }),
  /** What the report says otherwise than its files do, and where. */
  disagreements: z.array(z.strictObject({ path: z.string(), reported: z.string(), derived: z.string() })),
});

/** Of `power`. */
export const PowerAnswer = z.strictObject({
  schema: z.literal(POWER_SCHEMA),
  suite: z.string(),
  hardwareClass: z.string(),
  real: z.strictObject({
    made: z.int().nonnegative(),
    caught: z.int().nonnegative(),
    caughtByText: z.int().nonnegative(),
  }),
  equivalent: z.strictObject({ made: z.int().nonnegative(), flagged: z.int().nonnegative() }),
  perturbations: z.array(
    z.strictObject({
      id: z.string(),
      what: z.string(),
      equivalent: z.boolean(),
      /** Null where it could not be made here. */
      made: z.boolean(),
      caught: z.boolean().nullable(),
      by: z.array(z.enum(OBSERVERS)),
      noticed: z.array(
        z.strictObject({
          by: z.enum(OBSERVERS),
          /** Tokens of one prompt until it shows, from 1; of a trace, modules. */
          after: z.int().nonnegative(),
          engineSeconds: z.number().nonnegative(),
        }),
      ),
      /** In nats. */
      rmsNats: z.number().nullable(),
      changed: z.string().nullable(),
      note: z.string(),
    }),
  ),
});

const places = z.array(z.int().nonnegative());
const names = z.array(z.string());
const FieldClass = { fields: names, values: z.int().nonnegative(), told: z.int().nonnegative() };
const Step = {
  /** The case whose environment it begins with. */
  from: z.int().nonnegative(),
  change: z.array(z.strictObject({ field: z.string(), value: z.string() })),
  of: z.int().nonnegative(),
};

const Explanation = z.strictObject({
  /** Fields of which equal values always came with equal bits, best first. */
  sets: z.array(
    z.strictObject({
      classes: z.array(z.strictObject(FieldClass)),
      rules: z.array(z.strictObject({ values: z.array(names), group: z.string(), cases: places })),
      repeats: z.int().nonnegative(),
    }),
  ),
  found: z.int().nonnegative(),
  untested: z.int().nonnegative(),
  search: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('exact') }),
    z.strictObject({ kind: z.literal('bounded'), fields: z.int().nonnegative() }),
  ]),
  almost: z.array(
    z.strictObject({
      classes: z.array(z.strictObject(FieldClass)),
      repeats: z.int().nonnegative(),
      exceptions: places,
    }),
  ),
  fields: z.array(
    z.strictObject({
      ...FieldClass,
      state: z.enum(['constant', 'unique', 'explains', 'part', 'not']),
      /** Two cases of one value and other bits. */
      against: z.strictObject({ values: names, cases: places.length(2) }).optional(),
      varied: z.int().nonnegative(),
    }),
  ),
  inseparable: z.array(z.strictObject({ fields: names, apart: z.strictObject(Step).optional() })),
  contradictions: z.array(z.strictObject({ cases: places, groups: names, kind: z.enum(['same', 'untold']) })),
  next: z.array(
    z.strictObject({
      ...Step,
      says: z.array(z.strictObject({ set: z.int().nonnegative(), group: z.string().optional() })),
      /** In bits. */
      gain: z.number(),
    }),
  ),
});

const families = z.array(
  z.strictObject({
    suite: z.string(),
    cases: z.array(z.strictObject({ name: z.string() })),
    notes: z.array(z.strictObject({ note: z.string(), cases: z.int().nonnegative() })),
    prompts: names,
    channels: names,
    /** The whole first, then by channel, then by prompt. */
    groupings: z.array(
      z.strictObject({
        views: z.array(z.strictObject({ prompt: z.string().optional(), channel: z.string().optional() })),
        groups: z.array(z.strictObject({ name: z.string(), cases: places })),
        unmeasured: places,
        explanation: Explanation.optional(),
      }),
    ),
    /** Share of the prompts on which two cases agree; null where they have none in common. */
    agreement: z.array(z.array(z.number().nullable())),
  }),
);

/** What was required of classes of hardware among themselves, and what came of it. */
const across = z
  .strictObject({
    required: z.string(),
    status: z.enum(['held', 'broken', 'unmeasured']),
    verdict: z.enum(VERDICTS),
    line: z.string(),
    pairs: z.array(
      z.strictObject({
        suite: z.string(),
        status: z.enum(['held', 'broken', 'unmeasured']),
        /** In multiples of the floor. */
        floors: z.number().nullable(),
        what: z.string(),
      }),
    ),
  })
  .optional();

/** Of `explain`. Numbers of cases are places in their family's list. */
export const ExplainAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/explain/v1'),
  families,
  /** Groups that computed other bits, by one record of each: how far they are apart on the tokens that both were given. */
  apart: z.array(
    z.strictObject({
      suite: z.string(),
      sides: z
        .array(
          z.strictObject({
            group: z.string(),
            record: z.string(),
            hardwareClass: z.string(),
            /** What rounding alone makes of its model. */
            floorNats: z.number().nullable(),
          }),
        )
        .length(2),
      distance: z.strictObject({
        positions: z.int().nonnegative(),
        rmsNats: z.number(),
        largestNats: z.number(),
        argmaxChanges: z.int().nonnegative(),
        crossEntropyNats: z.number(),
        normaliserOnly: z.boolean(),
      }),
    }),
  ),
  across,
  /** Of `fleet`: who was asked, and what it comes to. */
  fleet: z
    .strictObject({
      verdict: z.enum(VERDICTS),
      line: z.string(),
      measured: z.array(z.string()),
      /** Who gave nothing, and why: the code and the message of an error. */
      absent: z.array(
        z.strictObject({ name: z.string(), code: z.string(), reason: z.string(), isOptional: z.boolean() }),
      ),
    })
    .optional(),
});

/** Of `report`: the reports of several jobs. */
export const ReportsAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/reports/v1'),
  /** The worst of all. */
  conclusion: z.enum(CONCLUSIONS),
  verdict: z.enum(VERDICTS),
  /** Worst first. */
  reports: z.array(ReportSchema).min(1),
  /** Which of several computed the same, and why. */
  explained: z.strictObject({ families }).optional(),
  across,
  /** All of them on one page. */
  htmlPath: z.string(),
});
