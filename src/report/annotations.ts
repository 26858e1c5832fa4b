import { findingWords, frameOf } from './findings.ts';
import { isBroken, seenWords, textOf, traceHint } from './groups.ts';
import { cap, visible } from './inert.ts';
import type { Report } from './model.ts';
import { type Drifted, driftedPrompts, verdictLine } from './verdict.ts';
import { agreementWords, conclusionWords } from './words.ts';

/** One annotation on a line of the suite. Text is already inert and capped. */
export interface Annotation {
  readonly level: 'error' | 'warning' | 'notice';
  readonly title: string;
  readonly message: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** The runner keeps 10 annotations of a kind for each step and drops the rest silently; one is the failed step's own. */
const MAX_OF_A_KIND = 9;
/** Longer messages are dropped by the runner. */
const MAX_MESSAGE = 4000;
/** So that what caused it is not cut off by what it did. */
const MAX_PART = 1500;

/** One for each prompt, worst first; what does not fit is counted in the last one. */
export function annotations(report: Report): Annotation[] {
  const { verdict, context } = report;
  const { places } = context;
  const level = verdict === 'fail' ? 'error' : verdict === 'warn' ? 'warning' : 'notice';
  const { title, meaning, next } = conclusionWords(report);
  const positions = new Map(places.prompts.map(({ id, ...position }) => [id, position]));
  const found = driftedPrompts(report);
  const all = found.slice(0, MAX_OF_A_KIND).map(
    (drifted): Annotation => ({
      level,
      title: cap(
        visible(`${title}: ${drifted.isTrace ? 'traced modules' : `prompt ${drifted.prompt}`}`),
        250,
      ),
      message: cap(
        visible([message(report, drifted), causes(report)].filter((part) => part !== '').join(' ')),
        MAX_MESSAGE,
      ),
      file: places.file,
      ...((drifted.isTrace ? undefined : positions.get(drifted.prompt)) ?? places.relations),
    }),
  );
  const noted = context.notices.slice(0, MAX_OF_A_KIND).map(
    (notice): Annotation => ({
      level: notice.level,
      title: cap(visible(notice.title), 250),
      message: cap(visible(notice.message), MAX_MESSAGE),
      file: places.file,
      ...places.accept,
    }),
  );
  if (all.length > 0) return [...capped(all, found.length, places.file), ...noted];
  if (verdict === 'pass') return noted;
  return [
    ...noted,
    {
      level,
      title: visible(verdictLine(report)),
      message: cap(visible(`${meaning} ${unmeasured(report)}${next}`), MAX_MESSAGE),
      file: places.file,
      ...places.relations,
    },
  ];
}

/** What was found, worst first: how it differs, which passes saw it, where it begins. */
function message(report: Report, { broken, worst, isTrace }: Drifted): string {
  return broken
    .map(({ relation, group }, index) => {
      const frame = frameOf(relation.relation, report);
      const own = group.findings.find(isBroken) ?? worst;
      const where = findingWords(own, frame);
      // With one relation alone its name says nothing that the title does not say.
      const name = broken.length === 1 ? '' : `${relation.relation}: `;
      const trace = isTrace ? '' : traceHint(relation, group, frame);
      const text = index === 0 && textOf(group) === true ? 'A hash of the text saw nothing.' : '';
      return cap(
        visible(
          [
            `${name}${agreementWords(own.agreement)}${where === '' ? '' : `: ${where}`}.`,
            isTrace ? '' : sentence(seenWords(group)),
            trace === '' ? '' : `Trace: ${trace}.`,
            text,
          ]
            .filter((part) => part !== '')
            .join(' '),
        ),
        MAX_PART,
      );
    })
    .join(' ');
}

const sentence = (text: string) => (text === '' ? '' : `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`);

function capped(shown: readonly Annotation[], total: number, file: string): Annotation[] {
  if (total <= MAX_OF_A_KIND) return [...shown];
  const kept = shown.slice(0, MAX_OF_A_KIND - 1);
  const [first] = shown;
  const rest = total - kept.length;
  return [
    ...kept,
    {
      level: first?.level ?? 'error',
      title: `${rest} more`,
      message: `${rest} more prompts: the job summary has them.`,
      file,
      line: 1,
      column: 1,
    },
  ];
}

/** The repository's own changes first: they are what the pull request can explain. */
function causes({ changes, digests }: Report): string {
  if (digests.baselineRecord === null) return '';
  if (changes.length === 0) return 'No recorded fact of the environment differs from the baseline’s.';
  const shown = changes
    .slice(0, 5)
    .map(({ field, before, after }) => [
      cap(visible(field), 120),
      cap(visible(before), 60),
      cap(visible(after), 60),
    ])
    .map(([field, before, after]) => `${field}: ${before} → ${after}`);
  const rest = changes.length - shown.length;
  return `Changed since the baseline: ${shown.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}.`;
}

function unmeasured({ relations, context: { baseline } }: Report): string {
  // That there is no baseline is told already, and better.
  const told = baseline.kind === 'absent' || baseline.kind === 'incomparable' ? 'baseline' : undefined;
  return relations
    .filter(({ relation, status }) => status === 'unmeasured' && relation !== told)
    .map(({ relation, evidence, findings }) => {
      const reasons = new Set(
        findings.flatMap(({ prompt, kind, agreement, reason }) =>
          agreement !== 'unmeasured'
            ? []
            : `${prompt}${kind === 'generate' ? '' : ` (${kind})`}: ${reason ?? 'no reason is known'}`,
        ),
      );
      return `${relation}: ${reasons.size > 0 ? [...reasons].join('; ') : evidence}. `;
    })
    .join('');
}
