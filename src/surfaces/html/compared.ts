import type { Comparison, ComparisonPage } from '../../report/comparison.ts';
import { rolesTable, rolesWords } from '../../words/roles.ts';
import { capped, type Html, html } from './escape.ts';
import { framed } from './frame.ts';

/** What one page shows: the JSON has the rest. */
const MAX_TOLD = 200;
const MAX_CHANGES = 200;
const MAX_TEXT = 600;

/** Two sides as one page: whether they are the same, how far apart, in which modules, and what else differs of them. */
export function comparedPage({ verdict, value, page }: Comparison): string {
  const { ending, sizes, told, roles, changes } = page;
  const title = value.same ? 'The two compute the same' : `The two: ${value.outcome}`;
  const body = html`<header><h1><span class="title tally">${title}</span><span class="rest">${value.required} is required, and ${verdict === 'pass' ? 'holds' : 'does not hold'}</span></h1></header>
<p class="answer">${capped(ending, MAX_TEXT)}</p>
<div class="ids"><div><span>A</span><span>${capped(value.sides.first, MAX_TEXT)}</span></div><div><span>B</span><span>${capped(value.sides.second, MAX_TEXT)}</span></div></div>
${section('size', 'How far apart', sizes.length === 0 ? undefined : html`<ul class="plain">${sizes.map((one) => html`<li>${capped(one, MAX_TEXT)}</li>`)}</ul>`)}
${section('modules', 'Which module', roles === null ? undefined : modulesPart(roles))}
${section('results', 'What differs', toldPart(told))}
${section('environment', 'What else differs of the two', changesPart(changes))}`;
  return framed('Two sides, compared', body, { skip: 'Skip to the comparison', madeOf: html`two records` });
}

const section = (id: string, title: string, part: Html | undefined): Html | undefined =>
  part === undefined
    ? undefined
    : html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>${part}</section>`;

/** A row for each layer, a column for each role within it. */
function modulesPart(roles: Parameters<typeof rolesTable>[0]): Html {
  const [head = [], ...rows] = rolesTable(roles);
  return html`<p>${capped(rolesWords(roles), MAX_TEXT)}</p>
<table><caption>Distance of what each role gave in A and in B, in multiples of its floor: what rounding each module’s numbers once more makes of it. 0: the same numbers.</caption>
<thead><tr>${head.map((name, at) => html`<th scope="col"${at === 0 ? undefined : html` class="n"`}>${at === 0 ? 'module' : at === 1 ? 'by itself' : name}</th>`)}</tr></thead>
<tbody>${rows.map(([name = '', ...cells]) => html`<tr><th scope="row">${name}</th>${cells.map((cell) => html`<td class="n">${cell}</td>`)}</tr>`)}</tbody></table>`;
}

function toldPart(told: readonly string[]): Html | undefined {
  if (told.length === 0) return undefined;
  const rest = told.length - MAX_TOLD;
  return html`<ul class="plain">${told.slice(0, MAX_TOLD).map((one) => html`<li>${capped(one, MAX_TEXT)}</li>`)}</ul>
${rest > 0 ? html`<p class="note">${rest} more are left out.</p>` : undefined}`;
}

function changesPart(changes: ComparisonPage['changes']): Html | undefined {
  if (changes.length === 0) return undefined;
  const rest = changes.length - MAX_CHANGES;
  return html`<table class="facts"><caption>Facts that the two tell otherwise</caption>
<thead><tr><th scope="col">Fact</th><th scope="col">Whose</th><th scope="col">A</th><th scope="col">B</th></tr></thead>
<tbody>${changes
    .slice(0, MAX_CHANGES)
    .map(
      ({ half, field, before, after }) =>
        html`<tr><th scope="row">${capped(field, 160)}</th><td>${half}</td><td>${capped(before, 200)}</td><td>${capped(after, 200)}</td></tr>`,
    )}</tbody></table>
${rest > 0 ? html`<p class="note">${rest} more facts are left out.</p>` : undefined}`;
}
