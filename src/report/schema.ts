import { z } from 'zod';
import { Provenance } from '../baseline/port.ts';
import { CONCLUSIONS } from '../compare/conclusion.ts';
import { relations } from '../compare/relations/index.ts';
import { VARIANT } from '../compare/relations/variant.ts';
import { EngineSettings, Fingerprint } from '../fingerprint/schema.ts';
import { HealthView } from '../health/schema.ts';
import { PASS_KINDS } from '../record/names.ts';
import { Digest, Phases } from '../record/schema.ts';
import {
  Acceptance,
  MAX_VARIANTS,
  REMOVED_LEVELS,
  REQUIREMENTS,
  SuiteName,
  VariantRequirement,
} from '../suite/schema.ts';

/*
 * One run as every surface shows it, and as `<record>.report.json` keeps it: plain JSON. Text in it may come from a
 * model or a pull request: surfaces escape.
 */
export const REPORT_SCHEMA = 'deterministic-ml/report/v1';

/** What a schema gives, for readers that change nothing. */
type Frozen<T> = T extends readonly (infer U)[]
  ? readonly Frozen<U>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T;

const count = z.number().int().nonnegative();
const text = z.string();
/** What a reader looks through. Whatever a stranger's report may hold without bound is paid for on every surface. */
const several = z.array(text).max(1000);
const MAX_FACTS = 10_000;
/** JSON has no NaN and no infinity; what a broken model gives must not become `null`, which means unknown. */
const nats = z.union([z.number(), z.enum(['NaN', 'Infinity', '-Infinity'])]);
export type Nats = z.infer<typeof nats>;

export const AGREEMENTS = [
  'identical',
  'modules-differ',
  'values-differ',
  'logprobs-differ',
  'vector-differs',
  'tokens-differ',
  'text-differs',
  'inputs-differ',
  'another-model',
  'indistinct',
  'unmeasured',
  'added',
  'removed',
] as const;

const Token = z.strictObject({ id: count, text: text.nullable() });
const top = z.array(z.strictObject({ ...Token.shape, nats })).max(1024);

const ForkSide = z.strictObject({
  token: count.nullable(),
  text: text.nullable(),
  marginNats: nats.nullable(),
  marginSteps: nats.nullable(),
  tie: z.enum(['exact', 'near', 'none', 'unknown']),
  top,
});

const Divergence = z.strictObject({
  logprobStep: count.nullable(),
  logprobSteps: count,
  tokenStep: count.nullable(),
  steps: count,
  largestNats: nats,
  fork: z.strictObject({ left: ForkSide, right: ForkSide }).nullable(),
  strip: z.string().regex(/^[=~x.]{0,64}$/),
  profile: z.array(nats).max(64).nullable(),
  parting: z
    .strictObject({ token: Token, left: z.strictObject({ nats, top }), right: z.strictObject({ nats, top }) })
    .nullable(),
  passage: z
    .strictObject({ from: count, left: z.array(Token).max(64), right: z.array(Token).max(64) })
    .nullable(),
});

const relationName = z.union([z.enum(relations.map(({ name }) => name)), z.string().regex(VARIANT)]);
const MAX_RELATIONS = relations.length + MAX_VARIANTS;

const Distance = z.strictObject({
  positions: count,
  rmsNats: nats,
  largestNats: nats,
  argmaxChanges: count,
  crossEntropyNats: nats,
  normaliserOnly: z.boolean(),
});

const TraceDifference = z.strictObject({
  modules: count,
  differing: count,
  first: text.nullable(),
  firstIndex: count.nullable(),
  onlyLeft: z.array(text).max(64),
  onlyRight: z.array(text).max(64),
  map: z.strictObject({
    parts: z.array(text).max(256),
    layers: z.array(z.strictObject({ name: text, cells: z.string().regex(/^[=x+ -]{0,256}$/) })).max(1024),
    omitted: count,
  }),
});

const Finding = z.strictObject({
  prompt: text,
  kind: z.enum(PASS_KINDS),
  agreement: z.enum(AGREEMENTS),
  holds: z.boolean(),
  textIdentical: z.boolean().nullable(),
  divergence: Divergence.nullable(),
  distance: Distance.nullable(),
  trace: TraceDifference.nullable(),
  modules: count.nullable(),
  unmeasured: z.array(text).max(64),
  reason: text.nullable(),
});

const Decision = z.strictObject({
  of: count,
  known: count,
  distinct: count,
  baselineLifetimes: count,
  falseAlarm: z.number().min(0).max(1).nullable(),
});

export const Size = z.strictObject({
  distance: Distance,
  floorNats: nats.nullable(),
  floorBy: z.enum(['noise', 'batching']).nullable(),
  batchingNats: nats.nullable(),
  boundNats: nats.nullable(),
});

const RoleDistance = z.strictObject({
  role: z.string().max(128),
  distance: z.number().nonnegative(),
  floor: z.number().nonnegative().nullable(),
});

export const RolesCompared = z.strictObject({
  texts: count,
  all: z.array(RoleDistance).max(100_000),
  first: RoleDistance.nullable(),
});

const RelationResult = z.strictObject({
  relation: relationName,
  requirement: z.enum(REQUIREMENTS),
  status: z.enum(['held', 'broken', 'unmeasured', 'measured']),
  evidence: text,
  findings: z.array(Finding),
  size: Size.nullable(),
  decision: Decision.nullable(),
  atRefresh: z.partialRecord(z.enum(AGREEMENTS), count).nullable(),
  /** Only of a variant that differs. */
  roles: RolesCompared.optional(),
});

/** The comparison's own values in their JSON form: the comparison's types fit these. */
export type ReportedRelation = Frozen<z.infer<typeof RelationResult>>;
export type ReportedFinding = Frozen<z.infer<typeof Finding>>;
export type ReportedDivergence = Frozen<z.infer<typeof Divergence>>;
export type ReportedForkSide = Frozen<z.infer<typeof ForkSide>>;
export type ReportedDistance = Frozen<z.infer<typeof Distance>>;
export type ReportedTrace = Frozen<z.infer<typeof TraceDifference>>;
export type ReportedSize = Frozen<z.infer<typeof Size>>;

const Position = z.strictObject({ line: z.number().int().min(1), column: z.number().int().min(1) });

/** Where things stand in the suite's file. */
const Places = z.strictObject({
  file: text,
  prompts: z.array(z.strictObject({ id: text, ...Position.shape })),
  model: Position,
  engine: Position,
  runtime: Position,
  relations: Position,
  accept: Position,
});
export type Places = Frozen<z.infer<typeof Places>>;

/** What ran. */
const RunView = z.strictObject({
  /** `owner/name`; `local` on a terminal. */
  repository: text,
  workflow: text,
  id: text,
  attempt: text,
  event: text,
  ref: text,
  /** Empty where nobody knows it. */
  commit: text,
  /** Page of the run; empty on a terminal. */
  url: z.string().regex(/^$|^https?:\/\/[^\s"'<>]{1,500}$/),
  /** Of a change that comes from another repository; reports of earlier versions do not tell. */
  fork: z.boolean().optional(),
});
export type RunView = Frozen<z.infer<typeof RunView>>;

const trusted = { key: text, store: text, provenance: Provenance };

const BaselineView = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('found'),
    ...trusted,
    /** How many baselines it has replaced. */
    replaced: count,
    /** How it is known that only the default or base branch can have stored it; null where that is not proven. */
    proof: text.nullable(),
    /** Key of the newest one, which the measured commit could not be held to: it lacks what was accepted with it. */
    newer: text.optional(),
  }),
  z.strictObject({
    kind: z.literal('stored'),
    ...trusted,
    /** As files of the checkout: it counts once they are merged. */
    inCheckout: z.boolean(),
    replaced: text.nullable(),
  }),
  /** A refresh that changed nothing: this one stays. */
  z.strictObject({ kind: z.literal('unchanged'), ...trusted }),
  /** What a refresh would have stored. */
  z.strictObject({ kind: z.literal('dry-run'), key: text, replaced: text.nullable() }),
  z.strictObject({ kind: z.literal('not-stored'), reason: text }),
  z.strictObject({ kind: z.literal('incomparable'), otherClasses: several, explanation: several }),
  z.strictObject({ kind: z.literal('absent'), explanation: several }),
  z.strictObject({ kind: z.literal('not-asked') }),
]);
export type BaselineView = Frozen<z.infer<typeof BaselineView>>;

const SuiteChange = z.strictObject({
  /** e.g. `policy.no-baseline`. */
  field: text,
  before: text,
  after: text,
  /** Whether this run follows the change: what is measured is the change's own, what judges is the base's. */
  inForce: z.boolean(),
});
export type SuiteChange = Frozen<z.infer<typeof SuiteChange>>;

/** Whose suite judged: policy, relations, depth and store. */
const Rules = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('checkout') }),
  z.strictObject({
    kind: z.literal('base'),
    ref: text,
    sha: text,
    /** Of the suite, in the repository. */
    path: text,
    /** The base branch has no suite there, or none that can be read: then the strict defaults judge. */
    missing: z.boolean(),
    /** Prompts and texts that it asks; null where it is missing. */
    asks: count.nullable(),
    /** How the change's own suite differs from it. */
    changes: z.array(SuiteChange).max(MAX_FACTS),
  }),
]);
export type Rules = Frozen<z.infer<typeof Rules>>;

const Notice = z.strictObject({ level: z.enum(['warning', 'notice']), title: text, message: text });
export type Notice = Frozen<z.infer<typeof Notice>>;

/** What record and baseline do not tell. */
const Context = z.strictObject({
  mode: z.enum(['check', 'refresh']),
  run: RunView,
  places: Places,
  /** Names of engine arguments that are our deterministic defaults. */
  defaults: several,
  runtime: text,
  /** What the engine printed, one file. */
  logPath: text,
  /** Absolute folder of the record. */
  recordPath: text,
  /** This report as a file, and as a page. */
  reportPath: text,
  htmlPath: text,
  baseline: BaselineView,
  rules: Rules,
  /** What a reader should know beside the verdict, e.g. an old baseline or a stale acceptance. */
  notices: z.array(Notice).max(1000),
});
export type Context = Frozen<z.infer<typeof Context>>;

const level = z.enum(['fail', 'warn']);

/** What the suite held the run to. */
const Asked = z.strictObject({
  claims: z
    .array(z.strictObject({ relation: relationName, requirement: z.enum(REQUIREMENTS) }))
    .max(relations.length),
  policy: z.strictObject({
    'no-baseline': level,
    incomparable: level,
    removed: z.enum(REMOVED_LEVELS),
    confirm: count,
  }),
  depth: z.enum(['full', 'score']),
  accept: z.array(Acceptance),
  /** Absent where the suite has none. */
  variants: z
    .array(z.strictObject({ name: SuiteName, change: z.string().max(4096), required: VariantRequirement }))
    .max(MAX_VARIANTS)
    .optional(),
});
export type Asked = Frozen<z.infer<typeof Asked>>;

/** SHA-256 of the files that the report is made from; null where there is none. */
const Digests = z.strictObject({
  /** The run's `record.json`. */
  record: Digest,
  /** The baseline's `record.json`. */
  baselineRecord: Digest.nullable(),
  /** The baseline's `baseline.json`. */
  baselineMeta: Digest.nullable(),
  /** Of each variant its `record.json`; null where its engine gave none. */
  variants: z.array(Digest.nullable()).max(MAX_VARIANTS).optional(),
});
export type Digests = Frozen<z.infer<typeof Digests>>;

/** A part of the engine, and whether this run would have noticed a change in it. */
const Coverage = z.strictObject({
  what: text,
  exercised: z.boolean(),
  /** By which passes, or why not. */
  by: text,
});
export type Coverage = Frozen<z.infer<typeof Coverage>>;

const Likeness = z.strictObject({
  /** As GitHub refers to it. */
  thread: z.string().regex(/^[\w.-]{1,39}\/[\w.-]{1,100}#\d{1,9}$/),
  /** Those that broke as the issue breaks them. */
  relations: z.array(relationName).max(MAX_RELATIONS),
  /** What fits, and what was not looked at. */
  matched: z.array(text).max(64),
  open: z.array(text).max(64),
});

const YardstickMark = z.strictObject({ id: text, what: text, rmsNats: nats });
export type YardstickMark = Frozen<z.infer<typeof YardstickMark>>;

/** What the record and the baseline decide: `verify` makes all of it anew and compares. */
const derived = {
  conclusion: z.enum(CONCLUSIONS),
  verdict: z.enum(['pass', 'warn', 'fail']),
  suite: z.strictObject({
    // A name that suites can have: threads of comments and names of check runs are made of it.
    name: SuiteName,
    digest: Digest,
    /** Prompts whose tokens are drawn, and not the most probable ones. */
    sampled: z.array(text),
    /** Prompts and texts that only the base branch's suite asks so: the change takes them away or alters them. */
    leaving: z.array(text),
  }),
  hardwareClass: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,127}$/),
  /** When the run began. */
  createdAt: z.iso.datetime(),
  /** Digest of what this run computed; equal digests, equal bits. */
  outcome: Digest,
  /** What each acceptance of the suite means for this run. */
  acceptances: z
    .array(
      z.strictObject({
        record: Digest,
        reason: text,
        state: z.enum(['matched', 'baseline', 'elsewhere', 'stale']),
      }),
    )
    .max(MAX_FACTS),
  /** The acceptance by which this run's drift passes. */
  accepted: z.strictObject({ record: Digest, reason: text }).nullable(),
  /** The record whose acceptance would let this run's drift pass; null where none would. */
  acceptable: Digest.nullable(),
  /** Of the GPUs; absent where nobody looked. */
  health: HealthView.optional(),
  environment: z.strictObject({ fingerprint: Fingerprint, settings: EngineSettings }),
  relations: z.array(RelationResult).max(MAX_RELATIONS),
  /** How the environment differs from the baseline's; empty without one. */
  changes: z
    .array(z.strictObject({ half: z.enum(['declared', 'ambient']), field: text, before: text, after: text }))
    .max(MAX_FACTS),
  coverage: z.array(Coverage).max(256),
  /** What was called before the model was loaded, beside the baseline's; absent where nothing was asked for. */
  probes: z
    .strictObject({
      compared: count,
      moved: z.array(z.strictObject({ probe: text, calls: count, differing: count, first: text })).max(1000),
      unmeasured: text.nullable(),
    })
    .optional(),
  /** Upstream problems that this looks like, most alike first: links, which decide nothing. */
  knownIssues: z.strictObject({
    /** Digest of the list that was looked through: another one may name others. */
    list: Digest,
    alike: z.array(Likeness).max(64),
  }),
  /** Distances of known changes on the baseline's machine; empty where none were measured. */
  yardstick: z.array(YardstickMark).max(256),
  /** What the engine did over all passes: tokens decoded, positions scored, seconds. */
  work: z.strictObject({
    prompts: count,
    texts: count,
    lifetimes: count,
    tokens: count,
    positions: count,
    seconds: z.number().nonnegative(),
    /** What each engine start took; absent of records that do not tell. */
    starts: z
      .array(
        z.strictObject({
          lifetime: text,
          how: z.enum(['cold', 'warm', 'kept']),
          /** `GPU 1`; absent where nothing was set apart. */
          on: text.optional(),
          phases: Phases,
        }),
      )
      .max(4096)
      .optional(),
  }),
};
const Derived = z.strictObject(derived);
/** What follows from record, baseline and what was asked: `verify` makes it anew. */
export type Derived = Frozen<z.infer<typeof Derived>>;

/** `<record>.report.json`. */
export const ReportSchema = z.strictObject({
  schema: z.literal(REPORT_SCHEMA),
  /** SHA-256 of the canonical JSON of everything else. */
  sha256: Digest,
  context: Context,
  asked: Asked,
  digests: Digests,
  ...derived,
});
export type Report = Frozen<z.infer<typeof ReportSchema>>;

export const DERIVED = Object.keys(derived) as readonly (keyof typeof derived)[];
