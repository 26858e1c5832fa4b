import type { Report } from '../report/schema.ts';
import { plainWords } from './plain-words.ts';
import { refreshCommand } from './refresh-command.ts';

/** What decides whether a report's drift can be accepted. */
export type Acceptable = Pick<
  Report,
  'conclusion' | 'accepted' | 'acceptable' | 'hardwareClass' | 'context' | 'suite'
>;

interface AcceptWords {
  readonly intro: string;
  /** What writes the lines; empty where no acceptance would do. */
  readonly command: readonly string[];
  readonly adds: string;
  /** Lines of YAML; empty where no acceptance would do. */
  readonly accept: readonly string[];
  readonly between: string;
  readonly refresh: string;
}

/**
 * The two ways to make a drift the new baseline, ready to be copied; empty where there is nothing to accept. All that
 * stands in them is of our own making: digests, names of a narrow grammar.
 */
export function acceptWords(report: Acceptable): AcceptWords | undefined {
  const { conclusion, accepted, acceptable, hardwareClass, context } = report;
  if (conclusion !== 'drift' || accepted !== null) return undefined;
  const refusal = refusalOf(report);
  const isOffered = refusal === undefined;
  return {
    command: isOffered
      ? [`deterministic-ml accept ${commandPath(context)} --reason "why these bits are meant"`]
      : [],
    accept: isOffered
      ? [
          'accept:',
          `  - record: ${acceptable}`,
          `    hardware-class: ${hardwareClass}`,
          '    reason: "why these bits are meant"',
        ]
      : [],
    intro: isOffered
      ? `To accept exactly this record, run this where the repository is checked out${context.run.url === '' ? '' : ', with this run’s report'}, and commit:`
      : `${refusal.message} ${refusal.instead}`,
    adds: `It adds to ${context.places.file} what can also be added by hand (one more entry, if it has \`accept\` already):`,
    between: 'Or, once it is merged:',
    refresh: refreshCommand(report),
  };
}

/** On a terminal the file lies where it says; of a job it is downloaded. A path that a shell would read otherwise is not told. */
function commandPath({ run, reportPath }: Report['context']): string {
  const path = run.url === '' ? reportPath : (reportPath.split(/[\\/]/).at(-1) ?? '');
  return /^[\w./@:+][\w./@:+-]{0,500}$/.test(path) ? path : 'path/to/record.report.json';
}

/** Why no line in the suite would let a report's run pass. */
export interface Refusal {
  readonly message: string;
  /** The end of what surfaces say before the command that refreshes. */
  readonly instead: string;
  readonly remedy: string;
}

export function refusalOf({
  conclusion,
  accepted,
  acceptable,
  context,
  suite,
}: Omit<Acceptable, 'hardwareClass'>): Refusal | undefined {
  const { rules } = context;
  const refused = (message: string, remedy: string, instead = 'Once the change is merged:') => ({
    ...{ message, remedy, instead },
  });
  const byHand = 'Merge it, and refresh by hand, with a reason.';
  if (conclusion === 'reproduced')
    return refused('The run reproduced its baseline: there is nothing to accept.', 'Nothing is to be done.');
  if (conclusion !== 'drift')
    return refused(
      `An acceptance lets a drift pass and nothing else, and this is \`${conclusion}\`.`,
      plainWords(conclusion).next,
    );
  if (accepted !== null)
    return refused(
      'The suite accepts this record already: the run passed by it.',
      'Nothing is to be done: merge it, and accept.yml stores the record.',
    );
  if (suite.leaving.length > 0)
    return refused(
      'The change takes prompts away or alters them, and its record will be another one after the merge: merge that apart.',
      'Bring what changes the prompts in a change of its own, and accept what a check of the rest reports.',
      'Or, once all of it is merged:',
    );
  if (acceptable === null)
    return refused(
      'No single record can be accepted: the engine has several outcomes, or the suite lets bits move.',
      byHand,
    );
  if (context.baseline.kind === 'found' && context.baseline.newer !== undefined)
    return refused(
      'The commit lacks a change that was accepted meanwhile, and its record will be another one with it: merge that first.',
      'Merge the branch that accepted it, and accept what the next check reports.',
    );
  // The push is judged by the merged suite: another depth or name gives another record there.
  const judge = rules.kind === 'base' ? rules.changes.filter(({ inForce }) => !inForce) : [];
  if (judge.some(({ field }) => /^(?:name|depth|relations)\b/.test(field)))
    return refused(
      'The change alters what judges it, and its record will be another one after the merge: merge that apart.',
      'Bring what changes `name`, `depth` or `relations` in a change of its own.',
      'Or, once all of it is merged:',
    );
  return undefined;
}

export function acceptLines(report: Acceptable): string[] {
  const words = acceptWords(report);
  if (words === undefined) return [];
  const { intro, command, adds, accept, between, refresh } = words;
  return [intro, ...command, ...(accept.length === 0 ? [] : [adds, ...accept, between]), refresh];
}
