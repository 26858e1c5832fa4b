import type { Change } from '../fingerprint/diff.ts';
import { counted } from './figures.ts';
import { type Frame, frameOf, textHashWords } from './findings.ts';
import { type Group, groupsOf, isIdentical, kindWords, textOf } from './groups.ts';
import { markdown } from './inert.ts';
import type { Report } from './model.ts';
import type { ReportedFinding, ReportedRelation } from './schema.ts';
import { verdictLine } from './verdict.ts';
import {
  acceptWords,
  agreementWords,
  baselineWords,
  conclusionWords,
  coverageWords,
  relationLines,
} from './words.ts';

/** The runner drops a job summary of more than 1 MiB whole; the rest is left to what else the job writes. */
const MAX_BYTES = 1024 * 1024 - 64 * 1024;
/** Up to here every prompt has its row; of more, those that are identical are only counted. */
const MAX_IDENTICAL = 20;

const ICON = { pass: '✅', warn: '⚠️', fail: '❌' } as const;

/** The job summary: GitHub Markdown in which nothing that came from outside acts. Shrinks until it fits. */
export function summary(report: Report): string {
  for (const rows of [Number.POSITIVE_INFINITY, 500, 100, 10]) {
    const text = render(report, rows);
    if (Buffer.byteLength(text) <= MAX_BYTES) return text;
  }
  return `## ${ICON[report.verdict]} ${markdown(verdictLine(report))}\n`;
}

function render(report: Report, rows: number): string {
  const { meaning, next } = conclusionWords(report);
  return [
    `## ${ICON[report.verdict]} ${markdown(verdictLine(report))}`,
    `${meaning} **Next:** ${next}`,
    acceptBlock(report),
    baselineList(report),
    noticeList(report),
    ...report.relations.map((relation) => relationPart(relation, report, rows)),
    suiteTable(report, rows),
    changeTable(report.changes, rows, report.digests.baselineRecord !== null),
    coverageList(report),
    details(report),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n');
}

function baselineList({ context: { baseline }, createdAt }: Report): string {
  return list(baselineWords(baseline, createdAt));
}

/** Of our own making, and so fit for a block that can be copied. */
function acceptBlock(report: Report): string {
  const words = acceptWords(report);
  if (words === undefined) return '';
  const { intro, accept, between, refresh } = words;
  const block = (language: string, lines: readonly string[]) =>
    [`\`\`\`${language}`, ...lines, '```'].join('\n');
  return [
    markdown(intro),
    ...(accept.length === 0 ? [] : [block('yaml', accept), markdown(between)]),
    block('console', [refresh]),
  ].join('\n\n');
}

function noticeList({ context: { notices } }: Report): string {
  return notices
    .map(
      ({ level, title, message }) =>
        `> ${level === 'warning' ? '⚠️' : 'ℹ️'} **${markdown(title)}.** ${markdown(message, 2000)}`,
    )
    .join('\n>\n');
}

function suiteTable({ context: { rules } }: Report, rows: number): string {
  if (rules.kind === 'checkout' || rules.changes.length === 0) return '';
  const shown = rules.changes.slice(0, Math.min(rows, 100));
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

const list = (lines: readonly string[]) => lines.map((line) => `- ${markdown(line, 2000)}`).join('\n');

function relationPart(relation: ReportedRelation, report: Report, rows: number): string {
  const { requirement, status, evidence, findings } = relation;
  const head = `### ${relation.relation}: ${status}\n\nRequired: ${requirement}. Proof: ${markdown(evidence)}.`;
  const told = list(relationLines(relation, report));
  if (findings.length === 0) return told === '' ? head : `${head}\n\n${told}`;
  const groups = groupsOf(findings);
  const identical = groups.filter(isIdentical).length;
  const listed = groups.length <= MAX_IDENTICAL ? groups : groups.filter((group) => !isIdentical(group));
  // What does not fit is cut from the end.
  const shown = listed.slice(0, rows);
  const left = listed.length - shown.length;
  return [
    head,
    told,
    table(shown, frameOf(relation.relation, report)),
    left === 0
      ? `${identical} of ${groups.length} identical.`
      : `${identical} of ${groups.length} identical; ${left} rows left out to fit.`,
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

const NOTHING = '–';

/** A column that would say nothing of any prompt is left out. */
function table(groups: readonly Group[], frame: Frame): string {
  if (groups.length === 0) return '';
  const columns: readonly { readonly head: string; readonly cells: readonly string[] }[] = [
    { head: 'prompt', cells: groups.map(nameOf) },
    {
      head: 'agreement',
      cells: groups.map(({ worst }) => `${worst.holds ? '' : '❗ '}${agreementWords(worst.agreement)}`),
    },
    { head: 'hash of the text alone', cells: groups.map((group) => textHashWords(textOf(group))) },
    { head: 'tokens', cells: groups.map(tokensCell) },
    { head: 'decode bits', cells: groups.map(decodeCell) },
    { head: 'score bits', cells: groups.map(scoreCell) },
    { head: 'where', cells: groups.map((group) => markdown(kindWords(group, frame).join('. '), 1500)) },
  ];
  const used = columns.filter(({ cells }) => cells.some((cell) => cell !== NOTHING && cell !== ''));
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(used.map(({ head }) => head)),
    line(used.map(() => '---')),
    ...groups.map((_, row) => line(used.map(({ cells }) => cells[row] ?? ''))),
  ].join('\n');
}

const nameOf = ({ prompt, isTrace }: Group) =>
  isTrace ? 'traced modules' : `<code>${markdown(prompt)}</code>`;

const of = ({ findings }: Group, kind: ReportedFinding['kind']) => findings.find((f) => f.kind === kind);

function tokensCell(group: Group): string {
  const generated = of(group, 'generate');
  switch (generated?.agreement) {
    case undefined:
    case 'added':
    case 'removed':
      return NOTHING;
    case 'identical':
    case 'logprobs-differ':
    case 'modules-differ':
      return 'same';
    case 'tokens-differ': {
      const step = generated.divergence?.tokenStep ?? null;
      return step === null ? 'differ' : `differ at step ${step + 1}`;
    }
    case 'inputs-differ':
      return 'other prompt';
    case 'unmeasured':
      return 'unmeasured';
  }
}

function decodeCell(group: Group): string {
  const [generate, force] = [bitsCell(of(group, 'generate')), bitsCell(of(group, 'force'))];
  if (force === NOTHING || force === generate) return generate;
  return generate === NOTHING ? force : `${generate}; by force ${force}`;
}

const scoreCell = (group: Group) => bitsCell(of(group, 'score'));

function bitsCell(finding: ReportedFinding | undefined): string {
  switch (finding?.agreement) {
    case undefined:
    case 'added':
    case 'removed':
      return NOTHING;
    case 'identical':
    case 'modules-differ':
      return 'same';
    case 'logprobs-differ':
    case 'tokens-differ': {
      const { divergence } = finding;
      if (divergence === null) return 'differ';
      const { logprobSteps, tokenStep, steps } = divergence;
      if (tokenStep === null) return `${logprobSteps} of ${steps} differ`;
      // Beyond the first other token nothing can be compared.
      return logprobSteps === 0 ? `same to step ${tokenStep}` : `${logprobSteps} of ${tokenStep + 1} differ`;
    }
    case 'inputs-differ':
      return 'other prompt';
    case 'unmeasured':
      return 'unmeasured';
  }
}

function changeTable(changes: readonly Change[], rows: number, compared: boolean): string {
  if (!compared) return '';
  if (changes.length === 0) return 'No recorded fact of the environment differs from the baseline’s.';
  const shown = changes.slice(0, Math.min(rows, 200));
  const left = changes.length - shown.length;
  return [
    '### Environment: what changed since the baseline',
    [
      '| whose | fact | baseline | now |',
      '| --- | --- | --- | --- |',
      ...shown.map(
        ({ half, field, before, after }) =>
          `| ${half === 'declared' ? 'repository' : 'runner'} | <code>${markdown(field)}</code> | ${markdown(before, 120)} | ${markdown(after, 120)} |`,
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
