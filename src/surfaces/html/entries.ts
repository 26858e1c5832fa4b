import { isBroken } from '../../report/finding.ts';
import type { Report, ReportedFinding } from '../../report/schema.ts';
import { isDifferent, isIdentical, worstFirst } from '../../words/groups.ts';
import { type ReadGroup, read } from '../../words/reading.ts';

/** What a prompt came to, over all relations: what a reader filters by. */
export const STATES = ['tokens', 'bits', 'unmeasured', 'allowed', 'new', 'same'] as const;
export type State = (typeof STATES)[number];

/** One prompt, with all that any relation found of it. */
export interface Entry {
  readonly prompt: string;
  readonly state: State;
  readonly worst: ReportedFinding;
  /** Worst first; never empty. */
  readonly parts: readonly ReadGroup[];
}

/** Every prompt and text of a report, worst first. A trace is of none of them. */
export function entriesOf(report: Report): Entry[] {
  const all = new Map<string, ReadGroup[]>();
  for (const relation of read(report).relations)
    for (const group of relation.groups) {
      const parts = all.get(group.prompt);
      if (parts === undefined) all.set(group.prompt, [{ ...relation, group }]);
      else parts.push({ ...relation, group });
    }
  return [...all]
    .flatMap(([prompt, found]): Entry[] => {
      const parts = found.toSorted((a, b) => worstFirst(a.group.worst, b.group.worst));
      const worst = parts[0]?.group.worst;
      return worst === undefined ? [] : [{ prompt, state: stateOf(parts), worst, parts }];
    })
    .sort((a, b) => rank(a) - rank(b) || worstFirst(a.worst, b.worst));
}

const rank = ({ state }: Entry) => STATES.indexOf(state);

function stateOf(parts: readonly ReadGroup[]): State {
  const findings = parts.flatMap(({ group }) => group.findings);
  const broken = findings.filter(isBroken);
  if (broken.some(({ agreement }) => agreement === 'tokens-differ' || agreement === 'inputs-differ'))
    return 'tokens';
  if (broken.length > 0) return 'bits';
  if (findings.some(({ agreement, holds }) => agreement === 'unmeasured' && !holds)) return 'unmeasured';
  if (findings.some(isDifferent)) return 'allowed';
  return parts.every(({ group }) => isIdentical(group)) ? 'same' : 'new';
}
