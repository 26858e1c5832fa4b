import type { BaselineMeta } from '../../../src/baseline/port.ts';
import type { Claim, Divergence, Finding, RelationResult } from '../../../src/compare/types.ts';
import { RecordWriter, writeBaselineMeta } from '../../../src/disk/record-folder.ts';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import { digestJson } from '../../../src/record/digest.ts';
import { outcomeDigest, outcomeDigests } from '../../../src/record/outcome.ts';
import type { OpenedRecord, Side } from '../../../src/record/side.ts';
import { compareAsked } from '../../../src/report/derive.ts';
import { type Evidence, makeReport } from '../../../src/report/make.ts';
import type {
  BaselineView,
  Report,
  ReportedDivergence,
  ReportedRelation,
} from '../../../src/report/schema.ts';
import { parseSuite } from '../../../src/suite/parse.ts';
import { type Body, side } from './records.ts';
import { SAMPLE } from './suites.ts';

export const PROVENANCE = {
  repository: 'acme/models',
  commit: 'c0ffee'.repeat(6),
  ref: 'refs/heads/main',
  workflow: 'refresh.yml',
  runId: '42',
  runAttempt: '1',
  runUrl: 'https://github.com/acme/models/actions/runs/42/attempts/1',
  actor: 'alice',
  event: 'workflow_dispatch',
  reason: 'first baseline',
  createdAt: '2026-11-01T12:34:56.000Z',
  tool: '0.1.0',
  image: '',
  model: digestJson('model'),
  pullRequest: null,
} as const;

export const RUN = {
  repository: 'acme/models',
  workflow: 'check',
  id: '77',
  attempt: '1',
  event: 'pull_request',
  ref: 'refs/pull/7/merge',
  commit: 'beef'.repeat(10),
  url: 'https://github.com/acme/models/actions/runs/77/attempts/1',
} as const;

type Bodies = Readonly<Record<string, Body>>;

/** The baseline that a refresh would make of a record. */
export function metaOf({ record }: Pick<Side, 'record'>, more: Partial<BaselineMeta> = {}): BaselineMeta {
  const digests = outcomeDigests(record);
  return {
    schema: 'deterministic-ml/baseline/v1',
    suite: record.suite.name,
    hardwareClass: record.hardwareClass,
    record: outcomeDigest(record),
    recordFile: digestJson('record.json'),
    chain: [],
    provenance: PROVENANCE,
    envelope: { lifetimes: digests.length, digests },
    yardstick: [],
    ...more,
  };
}

export const keyOf = ({ record }: Pick<Side, 'record'>) =>
  `deterministic-ml-v1/${record.suite.name}/${record.hardwareClass}/42-1-${outcomeDigest(record).slice(0, 16)}`;

export const foundView = (side: Pick<Side, 'record'>): BaselineView => ({
  kind: 'found',
  key: keyOf(side),
  store: 'cache',
  provenance: PROVENANCE,
  replaced: 0,
  proof: 'the test says so',
});

export const PROVEN = { kind: 'proven', how: 'the test says so' } as const;

const CLAIMS: readonly Claim[] = [
  { relation: 'rerun', requirement: 'identical' },
  { relation: 'baseline', requirement: 'identical' },
];

/** The report of a check that compared `now` with `before`; both are prompt -> generated bits. */
export async function checkReport(
  before: Bodies,
  now: Bodies,
  change: Partial<Evidence> = {},
): Promise<Report> {
  const trusted = side({ passes: { 'generate-1': before } });
  const run = side({ passes: { 'generate-1': now, 'generate-2': now } });
  return await reportOf(run, trusted, change);
}

export async function reportOf(
  run: Side,
  trusted: Side | undefined,
  change: Partial<Evidence> = {},
): Promise<Report> {
  const { suite, places } = parseSuite(SAMPLE, 'determinism.yml', SUITE_SCHEMA);
  const mode = change.mode ?? 'check';
  const claims = change.claims ?? CLAIMS;
  return makeReport({
    mode,
    rules: { kind: 'checkout' },
    run: RUN,
    suite,
    places,
    claims,
    defaults: ['seed'],
    environment: {},
    runtime: 'Runs in a Python of this machine.',
    exposed: undefined,
    logPath: '/tmp/record.log',
    recordPath: '/tmp/record',
    side: run,
    before: trusted === undefined ? undefined : { side: trusted, meta: metaOf(trusted), proof: PROVEN },
    relations: await compareAsked(mode, { claims }, run, trusted),
    baseline: trusted === undefined ? { kind: 'absent', explanation: [] } : foundView(trusted),
    digests: {
      record: digestJson('record'),
      baselineRecord: trusted === undefined ? null : digestJson('baseline record'),
      baselineMeta: trusted === undefined ? null : digestJson('baseline'),
    },
    ...change,
  });
}

/** Writes a record's folder as a run does, with the vocabulary that the side tells. */
export async function writeRun(folder: string, { record, ...bits }: Side): Promise<OpenedRecord> {
  await using writer = await RecordWriter.create(folder);
  for (const { body } of record.observations) await writer.addBody(await bits.readBody(body));
  const vocabulary = await writer.addVocabulary(await bits.readVocabulary());
  return await writer.commit({ ...record, vocabulary });
}

/** The same, as a baseline. */
export async function writeBaseline(folder: string, side: Side): Promise<OpenedRecord> {
  const opened = await writeRun(folder, side);
  await writeBaselineMeta(folder, metaOf(side, { recordFile: opened.sha256 }));
  return opened;
}

/** Of a divergence whose bits part at step 1 and whose tokens part at step 3, of 9. */
const PICTURE = { strip: '=~~x.....', profile: null, parting: null, passage: null } as const;

export function divergence(more: Partial<ReportedDivergence> = {}): ReportedDivergence {
  return {
    logprobStep: 1,
    logprobSteps: 2,
    tokenStep: 3,
    steps: 9,
    largestNats: 0.25,
    fork: null,
    ...PICTURE,
    ...more,
  };
}

/** Bits that differ from the first step on, and tokens where they are told to. */
export const partingOf = (largestNats: number, tokenStep: number | null = null): Divergence => ({
  ...{ logprobStep: 0, logprobSteps: 2, tokenStep, steps: 9, largestNats, fork: null },
  ...PICTURE,
});

/** A finding that breaks `identical`, unless told otherwise. */
export function finding(prompt: string, more: Partial<Finding> = {}): Finding {
  return {
    prompt,
    kind: 'generate',
    agreement: 'tokens-differ',
    holds: false,
    textIdentical: false,
    divergence: {
      ...{ logprobStep: 1, logprobSteps: 2, tokenStep: 3, steps: 9, largestNats: 0.25, fork: null },
      ...PICTURE,
    },
    distance: null,
    trace: null,
    modules: null,
    unmeasured: [],
    reason: null,
    ...more,
  };
}

export function relation(
  name: RelationResult['relation'],
  status: RelationResult['status'],
  more: Partial<ReportedRelation> = {},
): ReportedRelation {
  return {
    relation: name,
    requirement: 'identical',
    status,
    evidence: 'seen',
    findings: [],
    size: null,
    decision: null,
    atRefresh: null,
    ...more,
  };
}
