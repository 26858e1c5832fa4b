import type { Agreement } from '../../compare/types.ts';
import { AGREEMENTS, type Report, type ReportedRelation } from '../../report/schema.ts';
import type { Group } from '../../words/groups.ts';
import { type ReadRelation, read } from '../../words/reading.ts';
import { agreementName, relationLines } from '../../words/words.ts';
import { type Html, html, prose } from './escape.ts';
import type { Level } from './level.ts';

const STATUS: Readonly<
  Record<ReportedRelation['status'], { readonly glyph: string; readonly className: string }>
> = {
  held: { glyph: '✓', className: 's-same' },
  broken: { glyph: '✕', className: 's-tokens' },
  unmeasured: { glyph: '?', className: 's-unmeasured' },
  measured: { glyph: '~', className: 's-allowed' },
};

/** Every relation that the suite asks for: what it had to show, what it came to, and the proof that it was exercised. */
export function relationsPart(report: Report, { id, heading, labelled }: Level): Html | undefined {
  if (report.relations.length === 0) return undefined;
  return html`<section id="${id('relations')}"${labelled('relations')}>
${heading(2, 'Relations', id('relations-h'))}
<ul class="relations">${read(report).relations.map((relation) => relationPart(relation, report))}</ul>
</section>`;
}

function relationPart({ relation, groups, sizes: told }: ReadRelation, report: Report): Html {
  const { requirement, status, evidence } = relation;
  const { glyph, className } = STATUS[status];
  // Sizes have a part of their own.
  const sizes = new Set(told);
  const lines = relationLines(relation, report).filter((line) => !sizes.has(line));
  const counts = countsOf(groups);
  return html`<li><p class="head"><span class="glyph ${className}" aria-hidden="true">${glyph}</span> <b>${relation.relation}</b> <span class="came ${className}">${status}</span> <span class="quiet">requires ${requirement}</span></p>
${counts === '' ? undefined : html`<p>${counts}</p>`}<p class="quiet">Proof: ${prose(evidence)}</p>${lines.map((line) => html`<p>${prose(line)}</p>`)}</li>`;
}

/** `4 identical, 1 with other bits`: prompts by the worst that was found of each. */
function countsOf(groups: readonly Group[]): string {
  const counts = new Map<Agreement, number>();
  for (const { worst } of groups) counts.set(worst.agreement, (counts.get(worst.agreement) ?? 0) + 1);
  return AGREEMENTS.flatMap((agreement) => {
    const count = counts.get(agreement);
    return count === undefined ? [] : [`${count} ${agreementName(agreement)}`];
  }).join(', ');
}
