import { compareChannels } from '../compare/channels.ts';
import type { ComparedSides } from '../compare/sides.ts';
import type { Finding, TraceDifference } from '../compare/types.ts';
import { differenceOf, TWO_SIDES } from '../compare/values.ts';
import { counted } from '../counted.ts';
import { ABSENT, type Change, diffEnvironments } from '../fingerprint/diff.ts';
import { excerpt } from '../inert.ts';
import type { PassKind, RunRecord } from '../record/schema.ts';
import type { OpenedRecord } from '../record/side.ts';
import type { CompareAnswer } from '../report/answers.ts';
import type { Comparison } from '../report/comparison.ts';
import { plain } from '../report/plain.ts';
import type { VariantRequirement } from '../suite/schema.ts';
import { type Frame, findingWords, traceWords } from '../words/findings.ts';
import { aligned, rolesTable, rolesWords } from '../words/roles.ts';
import { shortSize, sizeWords } from '../words/sizes.ts';
import { agreementIn } from '../words/words.ts';

const MAX_LINES = 40;
/** What differs, on the page. */
const MAX_ON_PAGE = 400;
const MAX_VALUE = 200;
const MAX_NAME = 300;
const SIDES: NonNullable<Frame['sides']> = ['in A', 'in B'];

/** A side that has been measured, or was there. */
export interface NamedSide {
  readonly name: string;
  /** What it was before. */
  readonly kind: 'record' | 'suite';
  readonly record: OpenedRecord;
}

type Named = Pick<NamedSide, 'name'>;

/** What two suites come to that ask nothing alike: nothing of them was measured. */
export function unlike(
  first: Named,
  second: Named,
  required: VariantRequirement,
  htmlPath: string,
): Comparison {
  const evidence = 'no prompt or text of one side asks what one of the other asks';
  const end = `inputs-differ: ${evidence}. No engine was started.`;
  return {
    ...{ verdict: 'fail', htmlPath },
    lines: [end, ...named(first, second)],
    value: {
      ...{ schema: 'deterministic-ml/compare/v1', outcome: 'inputs-differ', same: false, holds: false },
      ...{ required, evidence, sides: { first: first.name, second: second.name }, status: 'unmeasured' },
      ...{ left: null, right: null, floor: null, size: null, roles: null, findings: [], changes: [] },
    },
    page: { ending: end, sizes: [], told: [], roles: null, changes: [] },
  };
}

/** Of the two, what a reader has to know: neither is called older or better. */
export async function answerOf(
  compared: ComparedSides,
  required: VariantRequirement,
  first: NamedSide,
  second: NamedSide,
  htmlPath: string,
): Promise<Comparison> {
  const { outcome, holds, findings, floor, size, roles, status, evidence } = compared;
  const other = findings.filter(({ agreement }) => agreement !== 'identical');
  const told: string[] = [];
  const onPage: string[] = [];
  const own = modulesOfOne(other);
  for (const [at, finding] of other.slice(0, MAX_ON_PAGE).entries()) {
    const lines = await lineOf(own === '' ? finding : withoutNames(finding), first.record, second.record);
    onPage.push(...lines);
    if (at < MAX_LINES) told.push(...lines);
  }
  const [a, b] = [first.record.record, second.record.record];
  const sized = size && {
    ...size,
    ...{ floorNats: floor?.nats ?? null, floorBy: floor?.by ?? null, batchingNats: null },
  };
  const sizes = sizeWords({ relation: 'baseline', requirement: 'identical', size: sized }, []);
  const notes = [
    ...(findings.some(({ unmeasured }) => unmeasured.length > 0) ? [`Compared: ${evidence}.`] : []),
    ...compared.onlyFirst.map((kind) => lacking(kind, 'A', 'B')),
    ...compared.onlySecond.map((kind) => lacking(kind, 'B', 'A')),
    ...(own === '' ? [] : [own]),
  ];
  const changes = changesOf(a, b);
  const end = ending(compared, required, shortSize(sized));
  const sides = { first: first.name, second: second.name };
  return {
    ...{ verdict: holds ? 'pass' : 'fail', htmlPath },
    page: { ending: end, sizes, told: [...onPage, ...notes], roles, changes },
    // The answer first, then how large it is, then where.
    lines: [
      end,
      ...named(first, second),
      ...sizes,
      ...told,
      ...(other.length > MAX_LINES ? [`… and ${other.length - MAX_LINES} more`] : []),
      ...(roles === null ? [] : [rolesWords(roles), ...aligned(rolesTable(roles)).map((row) => `  ${row}`)]),
      ...notes,
      ...(outcome === 'identical' ? [] : environment(changes)),
      ...(outcome !== 'identical' && (first.kind === 'suite' || second.kind === 'suite') ? [ONCE] : []),
    ],
    // What is not finite has a name in JSON.
    value: plain({
      ...{ schema: 'deterministic-ml/compare/v1', sides },
      ...{ outcome, holds, required, same: outcome === 'identical', status, evidence },
      ...{ left: a.digest, right: b.digest, floor, size, roles, changes },
      findings: findings.map(({ prompt, kind, agreement, reason }) => ({ prompt, kind, agreement, reason })),
    }) as CompareAnswer,
  };
}

/** What is there already is named by its folder. */
const named = (first: Named, second: Named) => [
  `A: ${excerpt(first.name, MAX_NAME)}`,
  `B: ${excerpt(second.name, MAX_NAME)}`,
];

const ONCE =
  'A side that is measured is started once: an engine that does not repeat from start to start would look the same.';

const lacking = (kind: PassKind, has: string, lacks: string) =>
  `${kind}: not compared: ${has} was asked for it, and ${lacks} was not`;

/** @param size beside rounding; empty where nobody knows */
function ending(
  { outcome, holds, findings, evidence }: ComparedSides,
  required: VariantRequirement,
  size: string,
): string {
  const equal = findings.filter(({ agreement }) => agreement === 'identical').length;
  const counts = `${counted(equal, 'result')} identical, ${findings.length - equal} not`;
  const texts = findings.flatMap(({ textIdentical }) => textIdentical ?? []);
  const changed = findings.filter(({ textIdentical }) => textIdentical === false).length;
  const much = [
    size,
    texts.length === 0
      ? ''
      : changed === 0
        ? 'no text differs'
        : `another text in ${changed} of ${texts.length}`,
  ].filter((part) => part !== '');
  const told = much.length === 0 ? '' : ` (${much.join(', ')})`;
  const what =
    outcome === 'identical'
      ? `Both sides hold the same bits: ${counted(equal, 'result')} compared, and neither has more.`
      : findings.length === 0
        ? `${outcome}: nothing was compared: ${evidence}.`
        : `${outcome}: the two are NOT the same${told}: ${counts}.`;
  return required === 'identical'
    ? what
    : `${what} \`${required}\` ${holds ? 'holds' : 'does not hold'}: ${evidence}.`;
}

async function lineOf(finding: Finding, before: OpenedRecord, now: OpenedRecord): Promise<string[]> {
  const { prompt, kind, agreement, reason } = finding;
  // Of programs, which give each result once; what engines' channels say has words of its own in a report.
  const [a, b] = [before, now].map(({ record: { source, observations } }) =>
    source === 'imported' ? observations.find((one) => one.prompt === prompt) : undefined,
  );
  const name = kind === 'generate' ? prompt : `${prompt} (${kind})`;
  if (agreement === 'added') return [`${name}: only B asks it so`];
  if (agreement === 'removed') return [`${name}: only A asks it so`];
  if (agreement === 'unmeasured')
    return [`${name}: not compared: ${excerpt(reason ?? 'nothing tells why', 500)}`];
  const words = findingWords(finding, frameOf(before.record, now.record));
  const line = `${name}: ${agreement === 'inputs-differ' && reason !== null ? reason : agreementIn(finding)}${words === '' || words === reason ? '' : `; ${words}`}`;
  if (a === undefined || b === undefined) return [line];
  const differ = compareChannels(a, b).flatMap(({ rule, outcome }) =>
    outcome === 'differs' ? rule.name : [],
  );
  const [left, right] = [await before.readBody(a.body), await now.readBody(b.body)];
  const details = differ.flatMap((channel) => {
    const [was, is] = [left, right].map((channels) => channels.find((one) => one.name === channel));
    const told = was && is && differenceOf(was, is, TWO_SIDES);
    return told === undefined ? [] : [`${name}: ${channel}: ${told}`];
  });
  return details.length > 0 ? details : [line];
}

function frameOf(...records: readonly [RunRecord, RunRecord]): Frame {
  const [a, b] = records.map(({ lifetimes }) => lifetimes[0]?.settings.effective['dtype']);
  const dtype = typeof a === 'string' && a === b ? a.replace(/^torch\./, '') : undefined;
  return { relation: 'baseline', dtype, sides: SIDES };
}

/** What the records tell of where they came from, where it is not the same. */
function changesOf(before: RunRecord, now: RunRecord): Change[] {
  const of = ({ fingerprint, lifetimes }: RunRecord) => ({
    fingerprint,
    settings: lifetimes[0]?.settings ?? { requested: {}, dropped: [], effective: {} },
  });
  return diffEnvironments(of(before), of(now));
}

/** Modules that only one side has, where each traced text says the same: of two engines every line would end with them. */
function modulesOfOne(findings: readonly Finding[]): string {
  const traces = findings.flatMap(({ trace }) => trace ?? []);
  const [first] = traces;
  const { onlyLeft = [], onlyRight = [] } = first ?? {};
  const namesOf = (one: Pick<TraceDifference, 'onlyLeft' | 'onlyRight'>) =>
    JSON.stringify([one.onlyLeft, one.onlyRight]);
  if (first === undefined || traces.length === 1 || onlyLeft.length + onlyRight.length === 0) return '';
  if (new Set(traces.map(namesOf)).size > 1) return '';
  return `In each text, ${traceWords({ ...first, first: null, differing: 0 }, SIDES)}.`;
}

/** A finding without what is told once for all. */
function withoutNames(finding: Finding): Finding {
  const { trace } = finding;
  const isTold = trace === null || trace.differing === 0;
  return { ...finding, trace: isTold ? null : { ...trace, onlyLeft: [], onlyRight: [] } };
}

function environment(all: readonly Change[]): string[] {
  if (all.length === 0) return ['Nothing that both sides tell of their environments differs.'];
  const { changes, folded } = ofBoth(all);
  const lines = changes
    .slice(0, MAX_LINES)
    .map(
      ({ half, field, before, after }) =>
        `  other (${half}): ${excerpt(field, MAX_VALUE)}: A ${excerpt(before, MAX_VALUE)}, B ${excerpt(after, MAX_VALUE)}`,
    );
  return [
    ...lines,
    ...(changes.length > MAX_LINES ? [`  … and ${changes.length - MAX_LINES} more`] : []),
    ...folded,
  ];
}

/** Facts that name a setting in an engine's own words: another engine has no such setting, which says nothing of either. */
const OWN = /^(?:engine\.(?:requested|effective)|environment|libraries)\./;

/** Of two engines, what only one of them can have is counted and not listed. */
function ofBoth(all: readonly Change[]): { readonly changes: readonly Change[]; readonly folded: string[] } {
  if (!all.some(({ field }) => field === 'engine.name')) return { changes: all, folded: [] };
  const lacks = (value: string) => value === ABSENT;
  const isOwn = ({ field, before, after }: Change) => OWN.test(field) && (lacks(before) || lacks(after));
  const own = all.filter(isOwn);
  const ofA = own.filter(({ after }) => lacks(after)).length;
  return {
    changes: all.filter((change) => !isOwn(change)),
    folded:
      own.length === 0
        ? []
        : [
            `  ${counted(own.length, 'setting')} that only one of the two engines has (A ${ofA}, B ${own.length - ofA}): the page and \`--json\` list them`,
          ],
  };
}
