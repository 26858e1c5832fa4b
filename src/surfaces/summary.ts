import { counted } from '../counted.ts';
import type { Change } from '../fingerprint/diff.ts';
import { markdown } from '../inert.ts';
import { isBroken } from '../report/finding.ts';
import type { Report, ReportedRelation } from '../report/schema.ts';
import { acceptWords } from '../words/accept.ts';
import { answerOf } from '../words/answer.ts';
import { issueList } from '../words/brief.ts';
import { COST_HEADS, costRows } from '../words/cost.ts';
import { type Frame, findingWords } from '../words/findings.ts';
import { type Group, isIdentical, seesNoModule, traceHint } from '../words/groups.ts';
import { ownerOf } from '../words/owner.ts';
import { nameOf, promptTable } from '../words/prompt-table.ts';
import { type Drifted, type ReadRelation, read } from '../words/reading.ts';
import { STRIP_LEGEND, tellingStrip } from '../words/strip.ts';
import { ICON } from '../words/verdict.ts';
import {
  agreementIn,
  agreementName,
  atRefreshWords,
  baselineWords,
  conclusionWords,
  coverageWords,
  relationLines,
} from '../words/words.ts';
import type { Surface } from './surface.ts';

export const jobSummary: Surface = { name: 'summary', report: { summary: (report) => summary(report) } };

/**
 * The runner drops a summary of more than 1 MiB whole, step by step. The rest is for an error that comes after the
 * report: its own summary goes into the same file.
 */
export const MAX_SUMMARY_BYTES = 1024 * 1024 - 64 * 1024;
/** Up to here every prompt has its row; of more, those that are identical are only counted. */
const MAX_IDENTICAL = 20;
/** Of a table beside the relations': what a reader looks through. */
const MAX_FACTS = 50;

/** How much a summary shows. */
interface Rung {
  /** Of each relation's prompts. */
  readonly rows: number;
  readonly strips: boolean;
  /** What each kind of pass says of a prompt. */
  readonly kinds: boolean;
  /** The tables of the environment and of the suite. */
  readonly facts: boolean;
  /** Relations, notices and lines about the baseline, each. */
  readonly items: number;
}

/** From all there is down; below the last one only the verdict and what to do are left. */
const LADDER: readonly Rung[] = [
  // More never fit, and nobody reads them: so a suite of any size costs no more than this one.
  { rows: 5_000, strips: true, kinds: true, facts: true, items: 100 },
  { rows: 2_000, strips: true, kinds: true, facts: true, items: 100 },
  { rows: 500, strips: true, kinds: true, facts: true, items: 100 },
  { rows: 500, strips: false, kinds: true, facts: true, items: 100 },
  { rows: 500, strips: false, kinds: false, facts: true, items: 100 },
  { rows: 100, strips: false, kinds: false, facts: false, items: 100 },
  { rows: 10, strips: false, kinds: false, facts: false, items: 10 },
  { rows: 0, strips: false, kinds: false, facts: false, items: 10 },
];

/**
 * The job summary: GitHub Markdown in which nothing that came from outside acts. What a reader of thirty seconds needs
 * comes first: did it change, what to do, how much, does it matter. Shrinks until it fits, and says what it left out.
 */
export function summary(report: Report, max = MAX_SUMMARY_BYTES): string {
  const plan = planOf(report);
  for (const rung of LADDER) {
    const text = render(plan, rung, max);
    if (text !== undefined) return text;
  }
  const text = joined([plan.head, `**Next:** ${plan.words.next}`, cutNote(report, ['all but the verdict'])]);
  return Buffer.byteLength(text) <= max ? text : `${plan.head}\n`;
}

/** What is the same on every rung, worked out once. */
interface Plan {
  readonly report: Report;
  readonly head: string;
  readonly words: { readonly meaning: string; readonly next: string };
  readonly brief: string;
  /** As the suite names them. */
  readonly parts: readonly Part[];
}

/** A relation and its prompts. */
interface Part {
  readonly relation: ReportedRelation;
  readonly groups: readonly Group[];
  readonly identical: number;
  /** Those that have a row, worst first. */
  readonly listed: readonly Group[];
  readonly frame: Frame;
  readonly told: readonly string[];
  /** Whether there is more to say than a row of the overview holds. */
  readonly hasSection: boolean;
}

function planOf(report: Report): Plan {
  const { line, relations, drifted } = read(report);
  const [worst] = drifted;
  const sized = worst?.broken.find(({ relation }) => relation.size !== null);
  return {
    report,
    head: `## ${ICON[report.verdict]} ${markdown(line)}`,
    words: conclusionWords(quoting(report)),
    brief: bullets([
      ...(worst === undefined ? [] : worstWords(worst)),
      ...(sized?.sizes ?? []).map((line) => markdown(line, 2000)),
    ]),
    parts: relations.map((one) => partOf(one, report, one.relation === sized?.relation)),
  };
}

/** The words quote a reason and hardware classes; what is our own in them is Markdown. */
function quoting(report: Report): Parameters<typeof conclusionWords>[0] {
  const { accepted, context, health } = report;
  const { baseline } = context;
  return {
    ...report,
    // A GPU and a process call themselves what they like.
    ...(health === undefined
      ? {}
      : {
          health: {
            ...health,
            signs: health.signs.map((sign) => ({
              ...sign,
              gpu: sign.gpu === null ? null : markdown(sign.gpu, 256),
              reason: markdown(sign.reason, 512),
            })),
          },
        }),
    accepted: accepted === null ? null : { ...accepted, reason: markdown(accepted.reason) },
    context: {
      ...{ mode: context.mode, notices: context.notices, places: context.places },
      baseline:
        baseline.kind === 'incomparable'
          ? { ...baseline, otherClasses: baseline.otherClasses.map((one) => markdown(one, 130)) }
          : baseline,
    },
  };
}

/** The prompt that is furthest from what was required, and the module where it begins. */
function worstWords({ broken: [first] }: Drifted): string[] {
  if (first === undefined) return [];
  const { relation, frame, group } = first;
  const own = group.findings.find(isBroken) ?? group.worst;
  const where = findingWords(own, frame);
  const told = where === '' ? '' : `; ${own.kind}: ${markdown(where, 600)}`;
  // That no module differs is told with its relation.
  const trace = seesNoModule(relation) ? '' : traceHint(relation, group);
  return [
    `**Worst:** ${nameOf(group)}, ${agreementIn(own)}${told}.`,
    ...(trace === '' ? [] : [`**Trace:** ${markdown(trace, 600)}.`]),
  ];
}

function partOf({ relation, groups, frame }: ReadRelation, report: Report, sizeIsTold: boolean): Part {
  const differing = groups.filter((group) => !isIdentical(group));
  // Its row in the overview has what it showed at the refresh.
  const told = relationLines({ ...relation, atRefresh: null, ...(sizeIsTold ? { size: null } : {}) }, report);
  return {
    relation,
    groups,
    identical: groups.length - differing.length,
    listed: groups.length <= MAX_IDENTICAL ? groups : differing,
    frame,
    told,
    hasSection:
      told.length > 0 || differing.length > 0 || (relation.relation === 'baseline' && groups.length > 0),
  };
}

/** Undefined where it does not fit: what comes after that is not even made. */
function render(plan: Plan, rung: Rung, max: number): string | undefined {
  const { report, head, words, brief } = plan;
  const parts = plan.parts.slice(0, rung.items);
  const left = leftOut(plan, rung);
  const sections = rung.rows === 0 ? [] : parts.filter(({ hasSection }) => hasSection).toSorted(brokenFirst);
  const first = rung.strips ? sections.find((part) => hasStrip(part, rung)) : undefined;
  const made: readonly (() => string)[] = [
    () => head,
    () => markdown(answerOf(report)),
    () => words.meaning,
    () => `**Next:** ${words.next}`,
    () => (left.length === 0 ? '' : cutNote(report, left)),
    () => noticeList(report, rung),
    () => brief,
    () => issueList(read(report).issues.slice(0, rung.items), 1000),
    () => overview(parts),
    () => (rung.facts ? changeTable(report.changes, report.digests.baselineRecord !== null) : ''),
    () => acceptBlock(report),
    () => list(baselineWords(report.context.baseline, report.createdAt).slice(0, rung.items)),
    ...sections.map((part) => () => section(part, rung, part === first)),
    () => (rung.facts ? suiteTable(report) : ''),
    () => (rung.rows === 0 ? '' : coverageList(report)),
    () => (rung.rows === 0 ? '' : details(report)),
    () => (rung.facts ? costTable(report) : ''),
    () => `Everything that was found: ${files(report)}.`,
  ];
  const texts: string[] = [];
  let bytes = 0;
  for (const make of made) {
    const text = make();
    if (text === '') continue;
    texts.push(text);
    bytes += Buffer.byteLength(text) + (texts.length === 1 ? 1 : 2);
    if (bytes > max) return undefined;
  }
  return joined(texts);
}

const joined = (texts: readonly string[]) => `${texts.join('\n\n')}\n`;

/** What this rung does not show of what there is. */
function leftOut({ report, parts }: Plan, rung: Rung): string[] {
  const { changes, context } = report;
  const { baseline, notices, rules } = context;
  const over = (count: number, most: number, what: string) =>
    count > most ? [counted(count - most, what)] : [];
  const rows = parts
    .slice(0, rung.items)
    .reduce((sum, { listed }) => sum + Math.max(0, listed.length - rung.rows), 0);
  const suiteChanges = rules.kind === 'checkout' ? 0 : rules.changes.length;
  return [
    ...over(rows, 0, 'row'),
    ...over(parts.length, rung.items, 'relation'),
    ...(!rung.strips && parts.some((part) => hasStrip(part, rung)) ? ['the strips along the steps'] : []),
    ...(!rung.kinds && parts.some(({ listed }) => listed.length > 0) ? ['what each kind of pass saw'] : []),
    ...(!rung.facts && changes.length > 0 ? ['what changed in the environment'] : []),
    ...(!rung.facts && suiteChanges > 0 ? ['what changed in the suite'] : []),
    ...over(notices.length, rung.items, 'notice'),
    ...over(baselineWords(baseline, report.createdAt).length, rung.items, 'line'),
    ...(rung.rows === 0 ? ['what was exercised'] : []),
  ];
}

const cutNote = (report: Report, left: readonly string[]) =>
  `> ✂️ A job summary holds no more. Left out: ${left.join(', ')}. Everything that was found: ${files(report)}.`;

/** By their names alone: an artifact has them, and the machine's folders are gone with the job. */
const files = ({ context: { reportPath, htmlPath } }: Report) =>
  `<code>${fileName(reportPath)}</code>, and as a page <code>${fileName(htmlPath)}</code>`;

const fileName = (path: string) => markdown(path.slice(path.search(/[^/\\]*$/)), 255);

const STATUS_ORDER = { broken: 0, unmeasured: 1, measured: 2, held: 3 } as const;

const brokenFirst = (a: Part, b: Part) => STATUS_ORDER[a.relation.status] - STATUS_ORDER[b.relation.status];

/** A row for each relation: what there is to read below, and what needs no reading. */
function overview(parts: readonly Part[]): string {
  if (parts.length === 0) return '';
  return [
    '| relation | status | required | what was found |',
    '| --- | --- | --- | --- |',
    ...parts.map((part) => {
      const { relation, status, requirement } = part.relation;
      const mark = status === 'broken' ? '❗ ' : '';
      return `| ${relation} | ${mark}${status} | ${requirement} | ${foundWords(part)} |`;
    }),
  ].join('\n');
}

function foundWords({ relation, groups, identical, hasSection }: Part): string {
  const { evidence, status } = relation;
  const counts = new Map<string, number>();
  for (const { worst } of groups) {
    const name = agreementName(worst.agreement);
    if (worst.agreement !== 'identical') counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const refresh = atRefreshWords(relation);
  const proof = groups.length === 0 && status === 'unmeasured' ? 'Missing' : 'Proof';
  return [
    ...(groups.length === 0 ? [] : [`${identical} of ${groups.length} identical`]),
    ...[...counts].map(([name, count]) => `${count} ${name}`),
    ...(refresh === '' ? [] : [markdown(refresh)]),
    // What has a section of its own has its proof there.
    ...(hasSection ? [] : [`${proof}: ${markdown(evidence, 300)}`]),
  ].join('; ');
}

function section(part: Part, rung: Rung, tellsLegend: boolean): string {
  const { relation, groups, identical, listed, told, frame } = part;
  const { requirement, status, evidence } = relation;
  // What does not fit is cut from the end.
  const shown = listed.slice(0, rung.rows);
  const left = listed.length - shown.length;
  return [
    `### ${relation.relation}: ${status}`,
    `Required: ${requirement}. Proof: ${markdown(evidence)}.`,
    list(told),
    promptTable(shown, frame, rung),
    tellsLegend ? `Along the steps: ${markdown(STRIP_LEGEND)}.` : '',
    groups.length === 0
      ? ''
      : left === 0
        ? `${identical} of ${groups.length} identical.`
        : `${identical} of ${groups.length} identical; ${left} rows left out to fit.`,
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

/** Of our own making, and so fit for a block that can be copied. */
function acceptBlock(report: Report): string {
  const words = acceptWords(report);
  if (words === undefined) return '';
  const { intro, command, adds, accept, between, refresh } = words;
  const block = (language: string, lines: readonly string[]) =>
    [`\`\`\`${language}`, ...lines, '```'].join('\n');
  return [
    '### If it is meant',
    markdown(intro),
    ...(accept.length === 0
      ? []
      : [block('console', command), markdown(adds), block('yaml', accept), markdown(between)]),
    block('console', [refresh]),
  ].join('\n\n');
}

function noticeList({ context: { notices } }: Report, { items }: Rung): string {
  return notices
    .slice(0, items)
    .map(
      ({ level, title, message }) =>
        `> ${level === 'warning' ? '⚠️' : 'ℹ️'} **${markdown(title)}.** ${markdown(message, 2000)}`,
    )
    .join('\n>\n');
}

function suiteTable({ context: { rules } }: Report): string {
  if (rules.kind === 'checkout' || rules.changes.length === 0) return '';
  const shown = rules.changes.slice(0, MAX_FACTS);
  const left = rules.changes.length - shown.length;
  return [
    '### Suite: what this change alters',
    [
      '| in force here | key | base branch | this change |',
      '| --- | --- | --- | --- |',
      ...shown.map(
        ({ field, before, after, inForce }) =>
          `| ${inForce ? 'yes' : 'after the merge'} | <code>${markdown(field)}</code> | ${markdown(before, 120)} | ${markdown(after, 120)} |`,
      ),
    ].join('\n'),
    left === 0 ? '' : `${left} more left out.`,
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

const bullets = (lines: readonly string[]) => lines.map((line) => `- ${line}`).join('\n');
const list = (lines: readonly string[]) => bullets(lines.map((line) => markdown(line, 2000)));

const hasStrip = ({ listed }: Part, { rows }: Rung) =>
  listed.slice(0, Math.max(1, rows)).some(({ findings }) => tellingStrip(findings) !== undefined);

function changeTable(changes: readonly Change[], compared: boolean): string {
  if (!compared) return '';
  if (changes.length === 0) return 'No recorded fact of the environment differs from the baseline’s.';
  const shown = changes.slice(0, MAX_FACTS);
  const left = changes.length - shown.length;
  return [
    '### Environment: what changed since the baseline',
    [
      '| whose | fact | baseline | now |',
      '| --- | --- | --- | --- |',
      ...shown.map(
        ({ half, field, before, after }) =>
          `| ${ownerOf({ half, field })} | <code>${markdown(field)}</code> | ${markdown(before, 120)} | ${markdown(after, 120)} |`,
      ),
    ].join('\n'),
    left === 0 ? '' : `${left} more facts left out.`,
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function coverageList({ coverage }: Report): string {
  const { exercised, not } = coverageWords(coverage);
  const told = (lines: readonly string[]) => lines.map((line) => markdown(line, 200)).join(', ');
  return [
    ...(exercised.length === 0 ? [] : [`- Exercised: ${told(exercised)}.`]),
    ...(not.length === 0 ? [] : [`- Not exercised, so a change there goes unseen: ${told(not)}.`]),
  ].join('\n');
}

/** Folded: few look at it. */
function costTable({ work }: Report): string {
  const rows = costRows(work).slice(0, MAX_FACTS);
  if (rows.length === 0) return '';
  return [
    `<details><summary>What this cost: ${counted(work.lifetimes, 'engine start')}</summary>`,
    [
      `| ${COST_HEADS.join(' | ')} |`,
      `| ${COST_HEADS.map(() => '---').join(' | ')} |`,
      ...rows.map((row) => `| ${row.map((cell) => markdown(cell, 130)).join(' | ')} |`),
    ].join('\n'),
    'Seconds that the run waited for each.',
    '</details>',
  ].join('\n\n');
}

function details({ environment, context, outcome, work }: Report): string {
  const { fingerprint, settings } = environment;
  const { runtime, defaults } = context;
  const { engine, image } = fingerprint.declared;
  const forced = defaults.map((name) => `${name}=${JSON.stringify(settings.requested[name])}`).join(', ');
  const scored = work.positions === 0 ? '' : ` and ${counted(work.positions, 'scored position')}`;
  return [
    `${markdown(runtime)} ${markdown(engine.name)} ${markdown(engine.version)}; image ${markdown(image.reference)} (${image.certainty}).`,
    `${counted(work.tokens, 'token')}${scored} in ${work.seconds.toFixed(1)} s, ${counted(work.lifetimes, 'engine start')}. Outcome <code>${outcome.slice(0, 16)}</code>.`,
    forced === ''
      ? ''
      : `Deterministic defaults in force beside the suite’s own arguments: ${markdown(forced)}.`,
    settings.dropped.length === 0
      ? ''
      : `Not known to this engine version and left out: ${markdown(settings.dropped.join(', '))}.`,
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}
