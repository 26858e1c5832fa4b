import type { Agreement } from '../compare/types.ts';
import { counted } from '../counted.ts';
import { isBroken } from '../report/finding.ts';
import type { Report, ReportedFinding, ReportedRelation } from '../report/schema.ts';
import { type Frame, frameOf, givesModulesAlone } from './findings.ts';
import { type Group, groupsOf, textOf, worstFirst } from './groups.ts';
import { issuesOf, type ReadIssue } from './issues.ts';
import { sizeWords } from './sizes.ts';
import { conclusionWords, type Words } from './words.ts';

/** A report as all surfaces read it. */
export interface Reading {
  /** The verdict line: the same words on every surface. */
  readonly line: string;
  readonly words: Words;
  /** As the suite names them. */
  readonly relations: readonly ReadRelation[];
  /** That of the baseline; undefined where the suite asks for none. */
  readonly baseline: ReadRelation | undefined;
  /** Prompts that broke a requirement, worst first; without those that a change takes away where the policy lets them. */
  readonly drifted: readonly Drifted[];
  /** Upstream problems that it looks like, most alike first. */
  readonly issues: readonly ReadIssue[];
}

export interface ReadRelation {
  readonly relation: ReportedRelation;
  /** What was found, prompt by prompt, worst first. */
  readonly groups: readonly Group[];
  readonly frame: Frame;
  /** How large what differs is, a sentence each. Not yet inert. */
  readonly sizes: readonly string[];
}

/** What one relation found of one prompt. */
export interface ReadGroup extends ReadRelation {
  readonly group: Group;
}

/** A prompt that broke a requirement, and in which relations. */
export interface Drifted {
  readonly prompt: string;
  /** Worst first; never empty. */
  readonly broken: readonly ReadGroup[];
  readonly worst: ReportedFinding;
}

/** A report never changes, and there is one that is told on a dozen surfaces. */
const READ = new WeakMap<Report, Reading>();

/** Reads a report, once however often it is asked for: of 100,000 prompts that takes a while. */
export function read(report: Report): Reading {
  const known = READ.get(report);
  if (known !== undefined) return known;
  const relations = report.relations.map(
    (relation): ReadRelation => ({
      relation,
      groups: groupsOf(relation.findings),
      frame: frameOf(relation.relation, report),
      sizes: sizeWords(relation, report.yardstick),
    }),
  );
  const words = conclusionWords(report);
  const leaving = new Set(report.suite.leaving);
  const all = driftedOf(relations);
  const counts = ({ prompt }: Drifted) => report.asked.policy.removed !== 'pass' || !leaving.has(prompt);
  const drifted = all.filter(counts);
  const reading: Reading = {
    line: lineOf(words.title, report, drifted, all.length - drifted.length),
    words,
    relations,
    baseline: relations.find(({ relation }) => relation.relation === 'baseline'),
    drifted,
    issues: issuesOf(report),
  };
  READ.set(report, reading);
  return reading;
}

function driftedOf(relations: readonly ReadRelation[]): Drifted[] {
  const all = relations.flatMap((relation) =>
    relation.groups.flatMap((group) => (group.findings.some(isBroken) ? [{ ...relation, group }] : [])),
  );
  return [...Map.groupBy(all, ({ group }) => group.prompt).values()]
    .flatMap((parts): Drifted[] => {
      const broken = parts.sort((a, b) => worstFirst(a.group.worst, b.group.worst));
      const [first] = broken;
      if (first === undefined) return [];
      const { prompt, worst } = first.group;
      return [{ prompt, broken, worst }];
    })
    .sort((a, b) => worstFirst(a.worst, b.worst));
}

/** @param letOff prompts that broke a requirement and do not count */
function lineOf(title: string, report: Report, drifted: readonly Drifted[], letOff: number): string {
  const { prompts, texts } = report.work;
  const total = prompts + texts;
  const what = texts === 0 ? 'prompts' : 'prompts and texts';
  const count =
    drifted.length === 0
      ? agreeing(total, what, report, letOff)
      : [`${drifted.length} of ${total} ${what}${aside(harmOf(drifted))}`];
  const told = [...count, ...kept(report)].join(', ');
  const stored = report.context.mode === 'refresh' ? refreshSuffix(report) : '';
  return `${title}: ${told}${told.includes(', ') ? ',' : ''} on ${report.hardwareClass}${stored}`;
}

const aside = (words: string) => (words === '' ? '' : ` (${words})`);

/** What was compared with the baseline, where that is not all that the suite has. */
function agreeing(total: number, what: string, { relations }: Report, letOff: number): string[] {
  const baseline = relations.find(({ relation }) => relation === 'baseline');
  const added = new Set(
    baseline?.findings.flatMap(({ prompt, agreement }) => (agreement === 'added' ? [prompt] : [])),
  );
  const counted = total - added.size - letOff;
  return [
    counted < total ? `${counted} of ${total} ${what}` : total === 1 ? '1 prompt' : `${total} ${what}`,
    ...(letOff > 0 ? [`${letOff} that this change takes away not counted`] : []),
    ...(added.size > 0 ? ['the others are not in the baseline'] : []),
  ];
}

/** Of what the base branch's suite asks, how much the change asks too, where that is not all. */
function kept({ suite, context: { rules } }: Report): string[] {
  if (rules.kind !== 'base' || rules.asks === null || suite.leaving.length === 0) return [];
  return [`${rules.asks - suite.leaving.length} of ${rules.asks} kept by this change`];
}

/** Of each that drifted and had a text: is it the same? */
export const textsOf = (drifted: readonly Drifted[]): boolean[] =>
  drifted
    .map(({ broken }) => broken.flatMap(({ group }) => textOf(group) ?? []))
    .filter((told) => told.length > 0)
    .map((told) => !told.includes(false));

/**
 * What it did to the generated texts: `no text changed`, `1 of 4 texts changed`. Where none were compared, how many calls or what
 * else differs; empty for values of a program, of which nobody expects a text.
 */
export function harmOf(drifted: readonly Drifted[]): string {
  const texts = textsOf(drifted);
  if (texts.length > 0) {
    const changed = texts.filter((same) => !same).length;
    return changed === 0 ? 'no text changed' : `${changed} of ${counted(texts.length, 'text')} changed`;
  }
  const what = [...new Set(drifted.flatMap(({ worst }) => OTHER[worst.agreement] ?? []))];
  return callsOf(drifted) || (what.length === 0 ? '' : `other ${what.join(', ')}`);
}

const OTHER: Partial<Readonly<Record<Agreement, string>>> = {
  'modules-differ': 'values in modules',
  'logprobs-differ': 'log-probabilities',
  'vector-differs': 'vectors',
  'tokens-differ': 'tokens',
  'inputs-differ': 'inputs',
};

/** `45 of their 147 calls differ`, where calls are all that there is. Else empty. */
function callsOf(drifted: readonly Drifted[]): string {
  const own = drifted.map(({ worst }) => worst);
  if (!own.every((finding) => givesModulesAlone(finding) && finding.trace !== null)) return '';
  const sum = (of: 'differing' | 'modules') => own.reduce((all, { trace }) => all + (trace?.[of] ?? 0), 0);
  return `${sum('differing')} of their ${counted(sum('modules'), 'call')} differ`;
}

function refreshSuffix({ context: { baseline } }: Report): string {
  switch (baseline.kind) {
    case 'stored':
      return ', baseline stored';
    case 'unchanged':
      return ', baseline unchanged';
    case 'dry-run':
      return ', dry run';
    case 'not-stored':
      return ', baseline NOT stored';
    case 'found':
    case 'incomparable':
    case 'absent':
    case 'not-asked':
      return '';
  }
}
