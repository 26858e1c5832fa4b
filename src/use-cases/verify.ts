import { type BaselineMeta, parseKey, parseMeta } from '../baseline/port.ts';
import type { RelationResult } from '../compare/types.ts';
import { compareVariant, unmeasuredVariant, variantName } from '../compare/variants.ts';
import { UserError } from '../errors.ts';
import { excerpt } from '../inert.ts';
import type { VerifySettings } from '../job/settings.ts';
import type { Records, Tools } from '../job/tools.ts';
import { digestJson, sha256 } from '../record/digest.ts';
import { damage } from '../record/intact.ts';
import { outcomeDigest } from '../record/outcome.ts';
import type { OpenedRecord } from '../record/side.ts';
import { compareAsked, derive } from '../report/derive.ts';
import { reportDigest, variantFolder } from '../report/make.ts';
import { REPORT_SUFFIX, recordPathOf } from '../report/paths.ts';
import { plain } from '../report/plain.ts';
import { DERIVED, type Report } from '../report/schema.ts';
import type { Disagreement, Verification } from '../report/verification.ts';
import { startsBeforeMerge } from '../trust/baseline.ts';
import { recordLines, verificationLines } from '../words/verification.ts';

/** Disagreements that are told; a forged report may hold millions. */
const MAX_TOLD = 100;
const MAX_VALUE = 200;

/**
 * Makes a report anew from its record and baseline, and compares. Needs neither an engine nor the network. It proves
 * that the report follows from these files, not that an engine computed them.
 *
 * @throws UserError `report-invalid` for what is no report, `input-invalid` when record or baseline are not there
 */
export async function verify(
  asked: VerifySettings,
  { reports, records }: Pick<Tools, 'reports' | 'records'>,
): Promise<Verification> {
  if (await holdsRecord(asked.reportPath, records)) return await verifyRecord(asked.reportPath, records);
  const report = await reports.read(asked.reportPath);
  const recordPath = asked.recordPath ?? withoutSuffix(asked.reportPath);
  await demand('record', recordPath, records);
  const baselinePath =
    report.digests.baselineRecord === null ? undefined : (asked.baselinePath ?? `${recordPath}.baseline`);
  if (baselinePath !== undefined) await demand('baseline', baselinePath, records);
  const found = new Findings();

  found.compare('sha256', report.sha256, reportDigest(report));
  const record = await opened('record', recordPath, report.digests.record, records, found);
  const baseline =
    baselinePath === undefined ? undefined : await openedBaseline(baselinePath, report, records, found);
  if (report.context.baseline.kind === 'stored')
    await checkStored(recordPath, report, record, records, found);
  if (report.context.mode === 'check')
    found.compare(
      'context.baseline.kind',
      report.context.baseline.kind === 'found' ? 'found' : 'none',
      baselinePath === undefined ? 'none' : 'found',
    );
  const variants = await openedVariants(recordPath, report, records, found);
  if (
    record !== undefined &&
    variants !== undefined &&
    (baseline !== undefined || baselinePath === undefined)
  )
    await deriveAnew(report, record, baseline, variants, found);
  return found.result();
}

/** In the report's order, null for one that has no record; undefined where one is not what it was. */
async function openedVariants(
  recordPath: string,
  { asked, digests }: Report,
  records: Records,
  found: Findings,
): Promise<readonly (OpenedRecord | null)[] | undefined> {
  const all: (OpenedRecord | null)[] = [];
  for (const [at, { name }] of (asked.variants ?? []).entries()) {
    const digest = digests.variants?.[at] ?? null;
    if (digest === null) {
      all.push(null);
      continue;
    }
    const folder = variantFolder(recordPath, name);
    await demand('variant', folder, records);
    const record = await opened(`variants[${at}]`, folder, digest, records, found);
    if (record === undefined) return undefined;
    all.push(record);
  }
  return all;
}

/** What an engine said that gave no record stands in the report alone, and can be no more than unmeasured. */
async function variantsAnew(
  { variants: asked = [] }: Report['asked'],
  reported: Report['relations'],
  variants: readonly (OpenedRecord | null)[],
  record: OpenedRecord,
): Promise<RelationResult[]> {
  const results: RelationResult[] = [];
  for (const [at, one] of asked.entries()) {
    const own = variants[at];
    const told = reported.find(({ relation }) => relation === variantName(one.name))?.evidence ?? '';
    results.push(
      own == null
        ? unmeasuredVariant(one, told.replace(`${one.change}: `, ''))
        : await compareVariant(record, own, one),
    );
  }
  return results;
}

/** A folder, and no report: what was recorded without a check has none. */
const holdsRecord = async (path: string, records: Records) =>
  !path.endsWith(REPORT_SUFFIX) && (await records.missing(path)) === undefined;

/** Digests every body of a record anew. */
async function verifyRecord(folder: string, records: Records): Promise<Verification> {
  const found = new Findings();
  const side = await opened('record', folder, undefined, records, found);
  const { checked, disagreements, agrees } = found.result();
  const lines = recordLines({ agrees, checked, disagreements }, side?.record.source);
  return { agrees, checked, disagreements, lines };
}

async function deriveAnew(
  { context, asked, ...reported }: Report,
  record: OpenedRecord,
  baseline: Baseline | undefined,
  variants: readonly (OpenedRecord | null)[],
  found: Findings,
): Promise<void> {
  try {
    const relations = [
      ...(await compareAsked(context.mode, asked, record, baseline?.side)),
      ...(await variantsAnew(asked, reported.relations, variants, record)),
    ];
    const derived = derive({
      mode: context.mode,
      asked,
      baseline: context.baseline.kind,
      record: record.record,
      before: baseline === undefined ? undefined : { record: baseline.side.record, meta: baseline.meta },
      relations,
    });
    found.relations = relations.length;
    found.findings = relations.reduce((sum, { findings }) => sum + findings.length, 0);
    // The list of known issues grows: what another one names is a note of its time, and nothing rests on it.
    for (const key of DERIVED)
      if (key !== 'knownIssues' || reported.knownIssues.list === derived.knownIssues.list)
        found.compare(key, reported[key], derived[key]);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    found.add('relations', 'compared', `cannot be compared: ${error.message}`);
  }
}

interface Baseline {
  readonly side: OpenedRecord;
  readonly meta: BaselineMeta;
}

async function openedBaseline(
  folder: string,
  { digests, context, suite, hardwareClass }: Report,
  records: Records,
  found: Findings,
): Promise<Baseline | undefined> {
  const side = await opened('baselineRecord', folder, digests.baselineRecord, records, found);
  const meta = await readMeta(folder, 'baselineMeta', digests.baselineMeta, records, found);
  if (side === undefined || meta === undefined) return undefined;
  const outcome = outcomeDigest(side.record);
  found.compare('baseline.record', meta.record, outcome);
  const view = context.baseline;
  if (view.kind === 'found') {
    found.compare('context.baseline.provenance', view.provenance, meta.provenance);
    found.compare('context.baseline.replaced', view.replaced, meta.chain.length);
    found.compare('baseline.recordFile', meta.recordFile, side.sha256);
    const key = parseKey(view.key);
    found.compare(
      'context.baseline.key',
      { suite: key?.suite, hardwareClass: key?.hardwareClass, record: key?.record16 },
      { suite: suite.name, hardwareClass, record: outcome.slice(0, 16) },
    );
  }
  return { side: { ...side, startsBeforeMerge: startsBeforeMerge(meta) }, meta };
}

/** A refresh made its own record a baseline: what it says of that stands in the same folder. */
async function checkStored(
  folder: string,
  { context }: Report,
  record: OpenedRecord | undefined,
  records: Records,
  found: Findings,
): Promise<void> {
  const meta = await readMeta(folder, 'stored', undefined, records, found);
  if (meta === undefined || context.baseline.kind !== 'stored') return;
  found.compare('context.baseline.provenance', context.baseline.provenance, meta.provenance);
  if (record !== undefined) found.compare('stored.record', meta.record, outcomeDigest(record.record));
}

/**
 * Undefined, and a disagreement, for a record that is not what it was.
 *
 * @param digest undefined where no report tells one
 */
async function opened(
  name: 'record' | 'baselineRecord' | `variants[${number}]`,
  folder: string,
  digest: string | null | undefined,
  records: Records,
  found: Findings,
): Promise<OpenedRecord | undefined> {
  let side: OpenedRecord;
  try {
    side = await records.open(folder);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    found.add(`digests.${name}`, String(digest ?? 'a whole record'), error.message);
    return undefined;
  }
  found.files += 1;
  if (digest !== undefined) found.compare(`digests.${name}`, digest, side.sha256);
  const { observations, vocabulary, software } = side.record;
  const bodies = [...observations.map(({ body }) => body), vocabulary, ...software.keys()];
  found.bodies += new Set(bodies).size;
  for await (const problem of damage(side)) found.add(`${name}.bodies`, 'as its record says', problem);
  return side;
}

/** @param digest undefined where the report tells none */
async function readMeta(
  folder: string,
  name: string,
  digest: string | null | undefined,
  records: Records,
  found: Findings,
): Promise<BaselineMeta | undefined> {
  try {
    const bytes = await records.metaOf(folder);
    found.files += 1;
    if (digest !== undefined) found.compare(`digests.${name}`, digest, sha256(bytes));
    return parseMeta(bytes);
  } catch (error) {
    found.add(
      `digests.${name}`,
      digest ?? 'a baseline',
      `${folder}/baseline.json cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
    return undefined;
  }
}

function withoutSuffix(reportPath: string): string {
  if (reportPath.endsWith(REPORT_SUFFIX)) return recordPathOf(reportPath);
  throw new UserError(
    'input-invalid',
    `${reportPath} does not end with \`${REPORT_SUFFIX}\`: where its record lies is unknown.`,
    'Name the folder of the record too.',
  );
}

/** @throws UserError `input-invalid` when there is no record: what was never there is no disagreement */
async function demand(
  what: 'record' | 'baseline' | 'variant',
  folder: string,
  { missing }: Records,
): Promise<void> {
  const why = await missing(folder);
  if (why === undefined) return;
  throw new UserError(
    'input-invalid',
    `The report was made from a ${what}, and ${folder} holds none (${why}).`,
    `Bring the ${what}'s folder there, or name where it is.`,
  );
}

/** Gathers what differs, and how much was looked at. */
class Findings {
  files = 0;
  bodies = 0;
  relations = 0;
  findings = 0;
  readonly #all: Disagreement[] = [];
  #more = 0;

  add(path: string, reported: string, derived: string): void {
    if (this.#all.length < MAX_TOLD)
      this.#all.push({ path: shown(path), reported: shown(reported), derived: shown(derived) });
    else this.#more += 1;
  }

  /** By canonical JSON: equal digests, equal bytes. What differs is then looked for. */
  compare(path: string, reported: unknown, derived: unknown): void {
    const [left, right] = [plain(reported), plain(derived)];
    if (digestJson({ value: left }) !== digestJson({ value: right })) this.#differ(path, left, right);
  }

  #differ(path: string, left: unknown, right: unknown): void {
    if (isGroup(left) && isGroup(right) && Array.isArray(left) === Array.isArray(right)) {
      const [a, b] = [new Map(Object.entries(left)), new Map(Object.entries(right))];
      for (const key of new Set([...a.keys(), ...b.keys()]))
        this.#differ(Array.isArray(left) ? `${path}[${key}]` : `${path}.${key}`, a.get(key), b.get(key));
    } else if (left !== right)
      this.add(path, JSON.stringify(left) ?? ABSENT, JSON.stringify(right) ?? ABSENT);
  }

  result(): Verification {
    const rest =
      this.#more === 0 ? [] : [{ path: '…', reported: `${this.#more} more`, derived: `${this.#more} more` }];
    const found = {
      agrees: this.#all.length === 0,
      checked: {
        files: this.files,
        bodies: this.bodies,
        relations: this.relations,
        findings: this.findings,
      },
      disagreements: [...this.#all, ...rest],
    };
    return { ...found, lines: verificationLines(found) };
  }
}

const ABSENT = '(absent)';

const isGroup = (value: unknown): value is object => typeof value === 'object' && value !== null;

const shown = (text: string) => excerpt(text, MAX_VALUE);
