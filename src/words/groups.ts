import type { Agreement } from '../compare/types.ts';
import { PASS_KINDS } from '../record/names.ts';
import type { ReportedFinding, ReportedRelation } from '../report/schema.ts';
import { finite } from './figures.ts';
import { besideWords, type Frame, findingWords, OUTSIDE_MODULES, traceUnit, traceWords } from './findings.ts';

/** What a relation found for one prompt, over all kinds of passes. */
export interface Group {
  readonly prompt: string;
  /** Worst first; never empty. */
  readonly findings: readonly ReportedFinding[];
  readonly worst: ReportedFinding;
}

const RANK: Readonly<Record<Agreement, number>> = {
  'inputs-differ': 0,
  'another-model': 0,
  'tokens-differ': 1,
  'text-differs': 2,
  'logprobs-differ': 3,
  'values-differ': 4,
  'vector-differs': 4,
  'modules-differ': 5,
  unmeasured: 6,
  added: 7,
  removed: 8,
  indistinct: 9,
  identical: 10,
};

/** What breaks a requirement first, then by kind; other tokens by how early, other bits by how much. */
export function worstFirst(a: ReportedFinding, b: ReportedFinding): number {
  return (
    Number(a.holds) - Number(b.holds) ||
    RANK[a.agreement] - RANK[b.agreement] ||
    tokenStep(a) - tokenStep(b) ||
    largest(b) - largest(a)
  );
}

const tokenStep = ({ divergence }: ReportedFinding) => divergence?.tokenStep ?? 0;
/** In nats; what is no number is worse than any. */
const largest = ({ divergence, distance }: ReportedFinding) =>
  Math.max(
    ...[divergence, distance].map((one) =>
      one === null ? 0 : (finite(one.largestNats) ?? Number.MAX_VALUE),
    ),
  );

/** A relation's findings by prompt, worst first. */
export function groupsOf(findings: readonly ReportedFinding[]): Group[] {
  const all = new Map<string, ReportedFinding[]>();
  for (const finding of findings) {
    const group = all.get(finding.prompt);
    if (group === undefined) all.set(finding.prompt, [finding]);
    else group.push(finding);
  }
  return [...all.values()]
    .map((group) => group.toSorted(worstFirst))
    .flatMap((sorted): Group[] => {
      const [worst] = sorted;
      return worst === undefined ? [] : [{ prompt: worst.prompt, findings: sorted, worst }];
    })
    .sort((a, b) => worstFirst(a.worst, b.worst));
}

export const isDifferent = ({ agreement }: ReportedFinding) => {
  switch (agreement) {
    case 'inputs-differ':
    case 'tokens-differ':
    case 'text-differs':
    case 'logprobs-differ':
    case 'vector-differs':
    case 'modules-differ':
    case 'another-model':
    case 'values-differ':
      return true;
    case 'identical':
    case 'indistinct':
    case 'unmeasured':
    case 'added':
    case 'removed':
      return false;
  }
};

export const isIdentical = ({ findings }: Group) =>
  findings.every(({ agreement }) => agreement === 'identical');

/** What a hash of the text would have said of this prompt; null where no text was generated. */
export function textOf({ findings }: Group): boolean | null {
  const told = findings.flatMap(({ textIdentical }) => (textIdentical === null ? [] : [textIdentical]));
  return told.length === 0 ? null : told.every((same) => same);
}

/** In the order in which passes run. */
export function byKind({ findings }: Group): ReportedFinding[] {
  return PASS_KINDS.flatMap((kind) => findings.filter((finding) => finding.kind === kind));
}

/** Each kind's own words, e.g. `score: bits differ at …`; kinds without words are left out. */
export function kindWords(group: Group, frame: Frame): string[] {
  // Beside whatever others, the same came of it: told once.
  const told = Map.groupBy(byKind(group), (finding) => {
    const words = findingWords({ ...finding, reason: null }, frame);
    return words === '' || finding.reason === null ? Symbol() : `${finding.kind}: ${words}`;
  });
  return [...told].flatMap(([words, findings]) => {
    const [finding] = findings;
    if (finding === undefined) return [];
    if (findings.length > 1 && typeof words === 'string')
      return [`${words}; ${findings.map(({ reason }) => besideWords(reason ?? '')).join(' and ')}`];
    const own = findingWords(finding, frame);
    return own === '' ? [] : [`${finding.kind}: ${own}`];
  });
}

/** Did modules come to something else, or are there others? */
export const seesModules = ({ trace }: Pick<ReportedFinding, 'trace'>) =>
  trace !== null && (trace.differing > 0 || trace.onlyLeft.length > 0 || trace.onlyRight.length > 0);

/** Does something of the same inputs differ, and yet no module in any text that was traced? */
export function seesNoModule({ findings }: Pick<ReportedRelation, 'findings'>): boolean {
  return (
    findings.some(({ modules }) => modules !== null) &&
    !findings.some(seesModules) &&
    !findings.some(({ modules, agreement }) => modules !== null && agreement === 'unmeasured') &&
    findings.some((finding) => isDifferent(finding) && finding.agreement !== 'inputs-differ')
  );
}

/** Of several the one whose modules part first: what runs later only carries it on. */
export const firstModule = (a: ReportedFinding, b: ReportedFinding) =>
  (a.trace?.firstIndex ?? Number.MAX_VALUE) - (b.trace?.firstIndex ?? Number.MAX_VALUE);

/**
 * What traces say of what differs in a prompt, beyond its worst finding: of the prompt's own sequence, else of another's,
 * which is then named; empty where there is none.
 */
export function traceHint(relation: Pick<ReportedRelation, 'findings'>, { worst, findings }: Group): string {
  // Other inputs explain everything; and what a finding tells itself need not be told again.
  if (worst.agreement === 'inputs-differ' || seesModules(worst)) return '';
  const own = findings.find(seesModules)?.trace ?? null;
  if (own !== null) return traceWords(own, undefined, traceUnit(worst));
  const [other] = relation.findings.filter(seesModules).toSorted(firstModule);
  if (other?.trace != null) return `in ${other.prompt}: ${traceWords(other.trace)}`;
  return seesNoModule(relation) ? OUTSIDE_MODULES : '';
}
