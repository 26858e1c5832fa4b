import type { RelationResult } from '../compare/types.ts';
import type { Change } from '../fingerprint/diff.ts';
import { markdown } from './inert.ts';
import type { Report } from './model.ts';
import { verdictLine, worstFirst } from './verdict.ts';
import { agreementWords, baselineWords, conclusionWords, findingWords, textHashWords } from './words.ts';

/** The runner drops a job summary of more than 1 MiB whole; the rest is left to what else the job writes. */
const MAX_BYTES = 1024 * 1024 - 64 * 1024;

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
  const { meaning, next } = conclusionWords(report.conclusion, report.mode);
  return [
    `## ${ICON[report.verdict]} ${markdown(verdictLine(report))}`,
    `${meaning} **Next:** ${next}`,
    baselineList(report),
    ...report.relations.map((relation) => relationTable(relation, rows)),
    changeTable(report.changes, rows, report.baseline.kind === 'found'),
    details(report),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n');
}

function baselineList({ baseline }: Report): string {
  return baselineWords(baseline)
    .map((line) => `- ${markdown(line, 2000)}`)
    .join('\n');
}

function relationTable(
  { relation, requirement, status, evidence, findings }: RelationResult,
  rows: number,
): string {
  const identical = findings.filter(({ agreement }) => agreement === 'identical').length;
  const head = `### ${relation}: ${status}\n\nRequired: ${requirement}. Proof: ${markdown(evidence)}.`;
  if (findings.length === 0) return head;
  // What does not fit is cut from the end.
  const shown = findings.toSorted(worstFirst).slice(0, rows);
  const body = shown.map((finding) => {
    return `| <code>${markdown(finding.prompt)}</code> | ${finding.holds ? '' : '❗ '}${agreementWords(finding.agreement)} | ${markdown(findingWords(finding))} | ${textHashWords(finding)} |`;
  });
  const left = findings.length - shown.length;
  return [
    head,
    ['| prompt | agreement | where | hash of the text alone |', '| --- | --- | --- | --- |', ...body].join(
      '\n',
    ),
    left === 0
      ? `${identical} of ${findings.length} identical.`
      : `${identical} of ${findings.length} identical; ${left} rows left out to fit.`,
  ].join('\n\n');
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

function details({ environment, defaults, runtime, outcome, work }: Report): string {
  const { fingerprint, settings } = environment;
  const { engine, image } = fingerprint.declared;
  const forced = defaults.map((name) => `${name}=${JSON.stringify(settings.requested[name])}`).join(', ');
  return [
    `${markdown(runtime)} ${markdown(engine.name)} ${markdown(engine.version)}; image ${markdown(image.reference)} (${image.certainty}).`,
    `${work.tokens} tokens in ${work.seconds.toFixed(1)} s. Outcome <code>${outcome.slice(0, 16)}</code>.`,
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
