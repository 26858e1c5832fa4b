import { isBroken } from '../../report/finding.ts';
import type { Report, ReportedFinding } from '../../report/schema.ts';
import { firstModule, isDifferent, isIdentical, worstFirst } from '../../words/groups.ts';
import { type ReadGroup, read } from '../../words/reading.ts';

/** What a prompt came to, over all relations: what a reader filters by. */
export const STATES = ['tokens', 'bits', 'unmeasured', 'allowed', 'new', 'same'] as const;
export type State = (typeof STATES)[number];

/** Told apart by a letter and by words, and not by colour alone. */
export const MARK: Readonly<Record<State, { readonly glyph: string; readonly name: string }>> = {
  tokens: { glyph: '✕', name: 'other tokens' },
  bits: { glyph: '≈', name: 'other bits' },
  unmeasured: { glyph: '?', name: 'unmeasured' },
  allowed: { glyph: '~', name: 'differs where that is allowed' },
  new: { glyph: '+', name: 'only on one side' },
  same: { glyph: '=', name: 'identical' },
};

/** One prompt, with all that any relation found of it. */
export interface Entry {
  readonly prompt: string;
  readonly state: State;
  readonly worst: ReportedFinding;
  /** Worst first; never empty. */
  readonly parts: readonly ReadGroup[];
  /** That computes something else, of all relations the one that runs first; undefined where none was seen to. */
  readonly module: string | undefined;
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
      return worst === undefined
        ? []
        : [{ prompt, state: stateOf(parts), worst, parts, module: moduleOf(parts) }];
    })
    .sort((a, b) => rank(a) - rank(b) || worstFirst(a.worst, b.worst));
}

const rank = ({ state }: Entry) => STATES.indexOf(state);

function moduleOf(parts: readonly ReadGroup[]): string | undefined {
  const [earliest] = parts
    .flatMap(({ group }) => group.findings)
    .filter(({ trace }) => trace !== null && trace.first !== null)
    .sort(firstModule);
  return earliest?.trace?.first ?? undefined;
}

/** The same as the suite has them; what it no longer asks comes last. */
export function inSuiteOrder(entries: readonly Entry[], report: Report): Entry[] {
  const asked = new Map(report.context.places.prompts.map(({ id }, index) => [id, index]));
  const found = new Map<string, number>();
  for (const { findings } of report.relations)
    for (const { prompt } of findings) if (!found.has(prompt)) found.set(prompt, asked.size + found.size);
  const place = ({ prompt }: Entry) => asked.get(prompt) ?? found.get(prompt) ?? 0;
  return entries.toSorted((a, b) => place(a) - place(b));
}

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
