import { z } from 'zod';
import { Provenance } from '../baseline/port.ts';
import { CONCLUSIONS } from '../compare/conclusion.ts';
import { EngineSettings, Fingerprint } from '../fingerprint/schema.ts';
import { Digest, PASS_KINDS } from '../record/schema.ts';
import { Acceptance, RELATIONS, REQUIREMENTS, Suite } from '../suite/schema.ts';
import type { Report } from './model.ts';

export const REPORT_SCHEMA = 'deterministic-ml/report/v1';

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
  'logprobs-differ',
  'tokens-differ',
  'text-differs',
  'inputs-differ',
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

const Size = z.strictObject({ distance: Distance, floorNats: nats.nullable(), boundNats: nats.nullable() });

const RelationResult = z.strictObject({
  relation: z.enum(RELATIONS),
  requirement: z.enum(REQUIREMENTS),
  status: z.enum(['held', 'broken', 'unmeasured', 'measured']),
  evidence: text,
  findings: z.array(Finding),
  size: Size.nullable(),
  decision: Decision.nullable(),
  atRefresh: z.partialRecord(z.enum(AGREEMENTS), count).nullable(),
});

/** What a schema gives, for readers that change nothing. */
type Frozen<T> = T extends readonly (infer U)[]
  ? readonly Frozen<U>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T;

/** The comparison's own values in their JSON form: the comparison's types fit these. */
export type ReportedRelation = Frozen<z.infer<typeof RelationResult>>;
export type ReportedFinding = Frozen<z.infer<typeof Finding>>;
export type ReportedDivergence = Frozen<z.infer<typeof Divergence>>;
export type ReportedForkSide = Frozen<z.infer<typeof ForkSide>>;
export type ReportedDistance = Frozen<z.infer<typeof Distance>>;
export type ReportedTrace = Frozen<z.infer<typeof TraceDifference>>;
export type ReportedSize = Frozen<z.infer<typeof Size>>;

const Position = z.strictObject({ line: z.number().int().min(1), column: z.number().int().min(1) });

const trusted = { key: text, store: text, provenance: Provenance };

const BaselineView = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('found'), ...trusted, replaced: count, proof: text.nullable() }),
  z.strictObject({ kind: z.literal('stored'), ...trusted, replaced: text.nullable() }),
  z.strictObject({ kind: z.literal('unchanged'), ...trusted }),
  z.strictObject({ kind: z.literal('dry-run'), key: text, replaced: text.nullable() }),
  z.strictObject({ kind: z.literal('not-stored'), reason: text }),
  z.strictObject({
    kind: z.literal('incomparable'),
    otherClasses: several,
    explanation: several,
  }),
  z.strictObject({ kind: z.literal('absent'), explanation: several }),
  z.strictObject({ kind: z.literal('not-asked') }),
]);

const Acceptances = z
  .array(
    z.strictObject({
      record: Digest,
      reason: text,
      state: z.enum(['matched', 'baseline', 'elsewhere', 'stale']),
    }),
  )
  .max(MAX_FACTS);

const level = z.enum(['fail', 'warn']);

/** What the record and the baseline decide: `verify` makes all of it anew and compares. */
const derived = {
  conclusion: z.enum(CONCLUSIONS),
  verdict: z.enum(['pass', 'warn', 'fail']),
  // A name that suites can have: threads of comments and names of check runs are made of it.
  suite: z.strictObject({ name: Suite.shape.name, digest: Digest, sampled: z.array(text) }),
  hardwareClass: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,127}$/),
  createdAt: z.iso.datetime(),
  outcome: Digest,
  acceptances: Acceptances,
  accepted: z.strictObject({ record: Digest, reason: text }).nullable(),
  acceptable: Digest.nullable(),
  environment: z.strictObject({ fingerprint: Fingerprint, settings: EngineSettings }),
  relations: z.array(RelationResult).max(RELATIONS.length),
  changes: z
    .array(z.strictObject({ half: z.enum(['declared', 'ambient']), field: text, before: text, after: text }))
    .max(MAX_FACTS),
  coverage: z.array(z.strictObject({ what: text, exercised: z.boolean(), by: text })).max(256),
  yardstick: z.array(z.strictObject({ id: text, what: text, rmsNats: nats })).max(256),
  work: z.strictObject({
    prompts: count,
    texts: count,
    lifetimes: count,
    tokens: count,
    positions: count,
    seconds: z.number().nonnegative(),
  }),
};

/** `<record>.report.json`. */
export const ReportSchema: z.ZodType<Report> = z.strictObject({
  schema: z.literal(REPORT_SCHEMA),
  sha256: Digest,
  context: z.strictObject({
    mode: z.enum(['check', 'refresh']),
    run: z.strictObject({
      ...{ repository: text, workflow: text, id: text, attempt: text, event: text, ref: text, commit: text },
      url: z.string().regex(/^$|^https?:\/\/[^\s"'<>]{1,500}$/),
    }),
    places: z.strictObject({
      file: text,
      prompts: z.array(z.strictObject({ id: text, ...Position.shape })),
      model: Position,
      engine: Position,
      runtime: Position,
      relations: Position,
      accept: Position,
    }),
    defaults: several,
    runtime: text,
    logPath: text,
    recordPath: text,
    reportPath: text,
    htmlPath: text,
    baseline: BaselineView,
    rules: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('checkout') }),
      z.strictObject({
        kind: z.literal('base'),
        ref: text,
        sha: text,
        path: text,
        missing: z.boolean(),
        changes: z
          .array(z.strictObject({ field: text, before: text, after: text, inForce: z.boolean() }))
          .max(MAX_FACTS),
      }),
    ]),
    notices: z
      .array(z.strictObject({ level: z.enum(['warning', 'notice']), title: text, message: text }))
      .max(1000),
  }),
  asked: z.strictObject({
    claims: z
      .array(z.strictObject({ relation: z.enum(RELATIONS), requirement: z.enum(REQUIREMENTS) }))
      .max(RELATIONS.length),
    policy: z.strictObject({ 'no-baseline': level, incomparable: level, confirm: count }),
    depth: z.enum(['full', 'score']),
    accept: z.array(Acceptance),
  }),
  digests: z.strictObject({
    record: Digest,
    baselineRecord: Digest.nullable(),
    baselineMeta: Digest.nullable(),
  }),
  ...derived,
});

export const DERIVED = Object.keys(derived) as readonly (keyof typeof derived)[];
