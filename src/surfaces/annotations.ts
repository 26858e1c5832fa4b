import { counted } from '../counted.ts';
import { excerpt, within } from '../inert.ts';
import type { Report } from '../report/schema.ts';
import { promptAnchor } from '../words/anchor.ts';
import { answerOf, promptLine } from '../words/answer.ts';
import { issueLine } from '../words/issues.ts';
import { type Drifted, read } from '../words/reading.ts';
import type { Annotation, Surface } from './surface.ts';

export const onLines: Surface = { name: 'annotations', report: { annotations } };

/** The runner keeps 10 annotations of a kind for each step and drops the rest silently; one is the failed step's own. */
const MAX_OF_A_KIND = 9;
/** Of them, where prompts would take all: notices tell whether the comparison can be believed at all. */
const MAX_NOTICES = 3;
/** The runner cuts at 4096 characters what it has unescaped, and GitHub a title at 255. */
const MAX_MESSAGE = 4000;
const MAX_TITLE = 250;

/**
 * One for each prompt, worst first, then what to know beside the verdict. Of a kind there are nine at most, and where
 * there would be more, the last of them counts the rest.
 */
export function annotations(report: Report): Annotation[] {
  const { verdict, context } = report;
  const { places, notices } = context;
  const level = verdict === 'fail' ? 'error' : verdict === 'warn' ? 'warning' : 'notice';
  const found = read(report).drifted;
  const noted = (wanted: Annotation['level']) =>
    notices
      .filter((notice) => notice.level === wanted)
      .map(
        ({ title, message }) =>
          () =>
            inert({ level: wanted, title, message, file: places.file, ...places.accept }),
      );
  const told = found.length > 0 ? drifts(report, level, found) : whole(report, level);
  return LEVELS.flatMap((one) => kept(one === level ? told : [], noted(one), one, context));
}

const LEVELS = ['error', 'warning', 'notice'] as const;

/** Made only where it is shown: of 100,000 prompts, nine. */
type Later = () => Annotation;

/** A line for each prompt; what is common to all stands once, with the worst. */
function drifts(report: Report, level: Annotation['level'], found: readonly Drifted[]): Later[] {
  const { places, run } = report.context;
  const { title } = read(report).words;
  const positions = new Map(places.prompts.map(({ id, ...position }) => [id, position]));
  const common = () => {
    const answer = answerOf(report);
    return [
      answer !== '' && report.changes.length === 0 ? '' : causes(report),
      run.url === '' ? '' : `All of it: ${run.url}`,
    ];
  };
  const issue = looksLike(report, found);
  const leaving = new Set(report.suite.leaving);
  return found.map(
    (drifted, index) => () =>
      inert({
        level,
        title: `${title}: prompt ${drifted.prompt}`,
        message: sentences([
          // What all of it comes to, before what this one prompt shows.
          index === 0 ? answerOf(report) : '',
          promptLine(drifted),
          `See #${promptAnchor(drifted.prompt)} on the page`,
          leaving.has(drifted.prompt) ? LEAVES : '',
          drifted === issue?.drifted ? issue.words : '',
          ...(index === 0 ? common() : []),
        ]),
        file: places.file,
        ...(positions.get(drifted.prompt) ?? places.relations),
      }),
  );
}

const LEAVES = 'This change takes the prompt away or alters it; until the merge it counts.';

/** Of a run in which no prompt drifted. */
function whole(report: Report, level: Annotation['level']): Later[] {
  const { verdict, context } = report;
  const { meaning, next } = read(report).words;
  if (verdict === 'pass') return [];
  return [
    () =>
      inert({
        level,
        title: read(report).line,
        message: `${meaning} ${unmeasured(report)}${next}`,
        file: context.places.file,
        ...context.places.relations,
      }),
  ];
}

function kept(
  told: readonly Later[],
  noted: readonly Later[],
  level: Annotation['level'],
  { places, reportPath }: Report['context'],
): Annotation[] {
  const make = (one: Later) => one();
  if (told.length + noted.length <= MAX_OF_A_KIND) return [...told, ...noted].map(make);
  // One place is the count's.
  const room = MAX_OF_A_KIND - 1;
  const notices = noted.slice(0, Math.max(MAX_NOTICES, room - told.length));
  const prompts = told.slice(0, room - notices.length);
  const left = [
    ...(told.length > prompts.length ? [counted(told.length - prompts.length, 'more prompt')] : []),
    ...(noted.length > notices.length ? [counted(noted.length - notices.length, 'more notice')] : []),
  ];
  const file = reportPath.slice(reportPath.search(/[^/\\]*$/));
  const rest = {
    level,
    title: `${told.length + noted.length - room} more`,
    message: `${left.join(' and ')}: the job summary has them, as far as they fit, and ${file} all.`,
    file: places.file,
    line: 1,
    column: 1,
  };
  return [...[...prompts, ...notices].map(make), inert(rest)];
}

const inert = ({ title, message, ...place }: Annotation): Annotation => ({
  title: within(title, MAX_TITLE),
  message: within(message, MAX_MESSAGE),
  ...place,
});

/** Each with a full stop, but for an address, which would take it for a part of itself. */
const sentences = (parts: readonly string[]) =>
  parts
    .filter((part) => part !== '')
    .map((part) => (/[.!?]$|:\/\/\S+$/.test(part) ? part : `${part}.`))
    .join(' ');

/** The known issue that fits best, and the worst of the prompts that it may be about: those of its own relations. */
function looksLike(
  report: Report,
  found: readonly Drifted[],
): { readonly drifted: Drifted; readonly words: string } | undefined {
  for (const issue of read(report).issues) {
    const drifted = found.find(({ broken }) =>
      broken.some(({ relation }) => issue.relations.some((one) => one === relation.relation)),
    );
    if (drifted !== undefined)
      return { drifted, words: `${issueLine(issue)} A link, never a verdict: ${issue.url}` };
  }
  return undefined;
}

/** The repository's own changes first: they are what the pull request can explain. */
function causes({ changes, digests }: Report): string {
  if (digests.baselineRecord === null) return '';
  if (changes.length === 0) return 'No recorded fact of the environment differs from the baseline’s.';
  const shown = changes
    .slice(0, 5)
    .map(
      ({ field, before, after }) =>
        `${excerpt(field, 150)}: ${excerpt(shortDigest(before), 90)} → ${excerpt(shortDigest(after), 90)}`,
    );
  const rest = changes.length - shown.length;
  return `Changed since the baseline: ${shown.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}.`;
}

/** Enough to tell two apart. */
const shortDigest = (value: string) => value.replace(/^(sha256:[0-9a-f]{12})[0-9a-f]{52}$/, '$1…');

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
