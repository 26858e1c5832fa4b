import { isBroken } from '../report/finding.ts';
import type { Report, ReportedFinding, ReportedRelation } from '../report/schema.ts';
import { type Group, groupsOf, textOf, worstFirst } from './groups.ts';
import { conclusionWords } from './words.ts';

/** How a verdict looks where a symbol stands for it. */
export const ICON = { pass: '✅', warn: '⚠️', fail: '❌' } as const;

/** Findings that broke their requirement, of all relations, worst first. */
export function drifted(report: Pick<Report, 'relations'>): ReportedFinding[] {
  return report.relations
    .flatMap(({ findings }) => findings)
    .filter(isBroken)
    .sort(worstFirst);
}

/** A prompt that broke a requirement, and in which relations. */
export interface Drifted {
  readonly prompt: string;
  /** Worst first; never empty. */
  readonly broken: readonly { readonly relation: ReportedRelation; readonly group: Group }[];
  readonly worst: ReportedFinding;
}

/** Prompts that broke a requirement, worst first. */
export function driftedPrompts({ relations }: Pick<Report, 'relations'>): Drifted[] {
  const all = relations.flatMap((relation) =>
    groupsOf(relation.findings).flatMap((group) =>
      group.findings.some(isBroken) ? [{ relation, group }] : [],
    ),
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

/** The verdict line: the same words on every surface. */
export function verdictLine(report: Report): string {
  const { title } = conclusionWords(report);
  const { prompts, texts } = report.work;
  const total = prompts + texts;
  const what = texts === 0 ? 'prompts' : 'prompts and texts';
  const stored = report.context.mode === 'refresh' ? refreshSuffix(report) : '';
  return `${title}: ${count()} on ${report.hardwareClass}${stored}`;

  function count(): string {
    const found = driftedPrompts(report);
    if (found.length === 0) return agreeing(total, what, report);
    return `${found.length} of ${total} ${what} (${textHash(found)})`;
  }
}

/** What was compared with the baseline, where that is not all that the suite has. */
function agreeing(total: number, what: string, { relations }: Pick<Report, 'relations'>): string {
  const baseline = relations.find(({ relation }) => relation === 'baseline');
  const added = new Set(
    baseline?.findings.flatMap(({ prompt, agreement }) => (agreement === 'added' ? [prompt] : [])),
  );
  if (added.size > 0) return `${total - added.size} of ${total} ${what}, the others are not in the baseline,`;
  return total === 1 ? '1 prompt' : `${total} ${what}`;
}

function textHash(prompts: readonly Drifted[]): string {
  const texts = prompts.map(({ broken }) => broken.map(({ group }) => textOf(group)));
  if (!texts.flat().some((same) => same !== null)) return 'no text was compared';
  const differ = texts.filter((told) => told.includes(false)).length;
  return `a hash of the text sees ${differ === 0 ? 'none of them' : differ}`;
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
