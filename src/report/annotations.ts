import { cap, visible } from './inert.ts';
import type { Report } from './model.ts';
import { drifted, verdictLine } from './verdict.ts';
import { agreementWords, conclusionWords, findingWords } from './words.ts';

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

/** Worst first; what does not fit is counted in the last one. */
export function annotations(report: Report): Annotation[] {
  const { places, conclusion, mode, verdict } = report;
  const level = verdict === 'fail' ? 'error' : verdict === 'warn' ? 'warning' : 'notice';
  const { meaning, next } = conclusionWords(conclusion, mode);
  const all = drifted(report).map((finding): Annotation => {
    const place = places.prompts.get(finding.prompt) ?? places.relations;
    const where = findingWords(finding);
    const text = finding.textIdentical === true ? ' A hash of the text saw nothing.' : '';
    return {
      level,
      title: visible(`${conclusionWords(conclusion, mode).title}: prompt ${finding.prompt}`),
      message: cap(
        visible(
          `${agreementWords(finding.agreement)}${where === '' ? '' : `: ${where}`}.${text} ${causes(report)}`,
        ),
        MAX_MESSAGE,
      ),
      file: places.file,
      ...place,
    };
  });
  if (all.length > 0) return capped(all, places.file);
  if (verdict === 'pass') return [];
  return [
    {
      level,
      title: visible(verdictLine(report)),
      message: cap(visible(`${meaning} ${unmeasured(report)}${next}`), MAX_MESSAGE),
      file: places.file,
      ...places.relations,
    },
  ];
}

function capped(all: readonly Annotation[], file: string): Annotation[] {
  if (all.length <= MAX_OF_A_KIND) return [...all];
  const shown = all.slice(0, MAX_OF_A_KIND - 1);
  const [first] = all;
  const rest = all.length - shown.length;
  return [
    ...shown,
    {
      level: first?.level ?? 'error',
      title: `${rest} more`,
      message: `${rest} more differences: the job summary has them.`,
      file,
      line: 1,
      column: 1,
    },
  ];
}

/** The repository's own changes first: they are what the pull request can explain. */
function causes({ changes, baseline }: Report): string {
  if (baseline.kind !== 'found') return '';
  if (changes.length === 0) return 'No recorded fact of the environment differs from the baseline’s.';
  const shown = changes
    .slice(0, 5)
    .map(({ field, before, after }) => `${field}: ${cap(before, 60)} → ${cap(after, 60)}`);
  const rest = changes.length - shown.length;
  return `Changed since the baseline: ${shown.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}.`;
}

function unmeasured({ relations, baseline }: Report): string {
  // That there is no baseline is told already, and better.
  const told = baseline.kind === 'absent' || baseline.kind === 'incomparable' ? 'baseline' : undefined;
  return relations
    .filter(({ relation, status }) => status === 'unmeasured' && relation !== told)
    .map(({ relation, evidence, findings }) => {
      const reasons = findings.flatMap(({ prompt, agreement, reason }) =>
        agreement !== 'unmeasured' ? [] : `${prompt}: ${reason}`,
      );
      return `${relation}: ${reasons.length > 0 ? reasons.join('; ') : evidence}. `;
    })
    .join('');
}
