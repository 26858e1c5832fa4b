import type { Accepted } from '../../compare/acceptance.ts';
import type { Report } from '../../report/schema.ts';
import { ownerOf } from '../../words/owner.ts';
import { baselineWords, coverageWords } from '../../words/words.ts';
import { capped, dotted, type Html, html, link, prose } from './escape.ts';
import type { Level } from './level.ts';

/** Rows of a table, and names in a list. */
const MAX_ROWS = 200;
const MAX_FACT = 400;

/** What differs around the engine: facts of the environment, and keys of the suite. */
export function environmentPart(report: Report, { id, heading, labelled }: Level): Html {
  return html`<section id="${id('environment')}"${labelled('environment')}>
${heading(2, 'What changed around it', id('environment-h'))}
${changes(report)}
${suiteChanges(report)}
</section>`;
}

function changes({ changes, digests }: Report): Html {
  if (digests.baselineRecord === null)
    return html`<p>There is no baseline whose environment this one could be compared with.</p>`;
  if (changes.length === 0)
    return html`<p>No recorded fact of the environment differs from the baseline’s.</p>`;
  const shown = changes.slice(0, MAX_ROWS);
  return html`<table class="facts"><caption>Facts of the environment that differ from the baseline’s</caption>
<thead><tr><th scope="col">Fact</th><th scope="col">Whose</th><th scope="col">Baseline</th><th scope="col">Now</th></tr></thead>
<tbody>${shown.map(
    ({ half, field, before, after }) =>
      html`<tr><th scope="row"><code>${dotted(field, MAX_FACT)}</code></th><td>${ownerOf({ half, field })}</td><td class="before">${capped(before, MAX_FACT)}</td><td class="after">${capped(after, MAX_FACT)}</td></tr>`,
  )}</tbody></table>${more(changes.length - shown.length, 'facts')}`;
}

function suiteChanges({ context: { rules } }: Report): Html | undefined {
  if (rules.kind === 'checkout') return undefined;
  const judge = html`<p>Judged by the suite of <code>${rules.ref}</code>${rules.sha === '' ? '' : ` at ${rules.sha.slice(0, 12)}`} (<code>${rules.path}</code>)${rules.missing ? ', which is missing there: the strict defaults judge' : ''}.</p>`;
  if (rules.changes.length === 0) return judge;
  const shown = rules.changes.slice(0, MAX_ROWS);
  return html`${judge}<table class="facts"><caption>What this change alters in the suite</caption>
<thead><tr><th scope="col">Key</th><th scope="col">In force</th><th scope="col">Base branch</th><th scope="col">This change</th></tr></thead>
<tbody>${shown.map(
    ({ field, before, after, inForce }) =>
      html`<tr><th scope="row"><code>${dotted(field, MAX_FACT)}</code></th><td>${inForce ? 'here' : 'after the merge'}</td><td class="before">${capped(before, MAX_FACT)}</td><td class="after">${capped(after, MAX_FACT)}</td></tr>`,
  )}</tbody></table>${more(rules.changes.length - shown.length, 'keys')}`;
}

const more = (left: number, what: string) =>
  left === 0 ? undefined : html`<p class="note">${left} more ${what} are in the report’s JSON.</p>`;

/** Whether this run would have noticed a change in a part of the engine. */
export function coveragePart({ coverage }: Report, { id, heading, labelled }: Level): Html | undefined {
  if (coverage.length === 0) return undefined;
  const { exercised, not } = coverageWords(coverage);
  const list = (title: string, lines: readonly string[], glyph: string, className: string) =>
    lines.length === 0
      ? undefined
      : html`<div><p><b>${title}</b></p><ul class="plain">${lines
          .slice(0, MAX_ROWS)
          .map(
            (line) =>
              html`<li><span class="glyph ${className}" aria-hidden="true">${glyph}</span> ${capped(line, MAX_FACT)}</li>`,
          )}</ul></div>`;
  return html`<section id="${id('coverage')}"${labelled('coverage')}>
${heading(2, 'What this run would have noticed', id('coverage-h'))}
<div class="sides">${list('Exercised', exercised, '✓', 's-same')}${list('Not exercised: a change there goes unseen', not, '–', 's-unmeasured')}</div>
</section>`;
}

const STATE: Readonly<Record<Accepted['state'], string>> = {
  matched: 'this run gave it',
  baseline: 'is the baseline by now',
  elsewhere: 'is for another hardware class',
  stale: 'nothing here gives it',
};

/** Which baseline, who vouches for it, and what the suite accepts beside it. */
export function baselinePart(
  { context: { baseline }, createdAt, acceptances }: Report,
  { id, heading, labelled }: Level,
): Html | undefined {
  const lines = baselineWords(baseline, createdAt);
  if (lines.length === 0 && acceptances.length === 0) return undefined;
  const runUrl = baseline.kind === 'found' ? baseline.provenance.runUrl : '';
  return html`<section id="${id('baseline')}"${labelled('baseline')}>
${heading(2, 'Baseline', id('baseline-h'))}
${lines.slice(0, MAX_ROWS).map((line) => (runUrl !== '' && line === `Its run: ${runUrl}` ? html`<p>Its run: ${link(runUrl, runUrl)}</p>` : html`<p>${prose(line)}</p>`))}
${
  acceptances.length === 0
    ? undefined
    : html`<table><caption>Records that the suite accepts</caption><thead><tr><th scope="col">Record</th><th scope="col">Why</th><th scope="col">Here</th></tr></thead><tbody>${acceptances
        .slice(0, MAX_ROWS)
        .map(
          ({ record, reason, state }) =>
            html`<tr><th scope="row"><code>${record}</code></th><td>${capped(reason, 1000)}</td><td>${STATE[state]}</td></tr>`,
        )}</tbody></table>`
}
</section>`;
}
