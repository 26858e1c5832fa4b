import type { Report, ReportedFinding } from '../../report/schema.ts';
import { promptAnchor } from '../../words/anchor.ts';
import { type Frame, findingWords, textHashWords } from '../../words/findings.ts';
import { byKind, type Group, isIdentical, textOf } from '../../words/groups.ts';
import type { ReadGroup } from '../../words/reading.ts';
import { agreementIn, agreementName } from '../../words/words.ts';
import { type Entry, entriesOf, inSuiteOrder, MARK } from './entries.ts';
import { capped, type Html, html, join, markupOf } from './escape.ts';
import { filtersOf } from './filters.ts';
import type { Level } from './level.ts';
import { minimap } from './minimap.ts';
import { closeUp } from './passage.ts';
import { quietStrip, rulerOf, strip, stripLegend } from './strip.ts';

/** Prompts whose tokens and candidates are shown. */
export const CLOSE_UPS = 24;
/** Identical prompts up to which each has its line. */
const MAX_SAME = 12;
/** Of all identical ones, names that are listed. */
const MAX_NAMES = 2000;
const MAX_NAME = 96;
const MAX_WORDS = 900;

/**
 * Every prompt, worst first: as much of each as fits. The ladder: tokens and candidates of the worst, strips and words of
 * the rest, and of what is beyond the budget the number.
 *
 * @param budget bytes for all of them
 */
export function promptsPart(
  report: Report,
  { id, heading, labelled }: Level,
  budget: number,
): Html | undefined {
  const entries = entriesOf(report);
  if (entries.length === 0) return undefined;
  const same = entries.filter(({ state }) => state === 'same');
  const folded = same.length > MAX_SAME ? same : [];
  const listed = folded.length > 0 ? entries.filter(({ state }) => state !== 'same') : entries;
  const sampled = new Set(report.suite.sampled);
  const { part: filters, by, classes } = filtersOf(entries, id);
  const mapOf = (hasPlace: (entry: Entry) => boolean) =>
    minimap(inSuiteOrder(entries, report), { id, hasPlace, classes, budget });
  const rows: Html[] = [];
  const placed = new Set(folded.slice(0, MAX_NAMES));
  // With a link in each cell: which of them lead somewhere is known only afterwards.
  let left = budget - bytesOf(mapOf(() => true));
  for (const [index, entry] of listed.entries()) {
    const markup = row(entry, index, { sampled, classes, id });
    left -= bytesOf(markup);
    if (left < 0) break;
    rows.push(markup);
    placed.add(entry);
  }
  const missing = listed.length - rows.length;
  const plain = listed.slice(CLOSE_UPS, rows.length).filter(({ parts }) => parts.some(hasCloseUp)).length;
  const notes = [
    ...(plain > 0
      ? [
          `Tokens and candidates are shown for the ${CLOSE_UPS} worst; those of ${plain} more are in the report’s JSON.`,
        ]
      : []),
    ...(missing > 0
      ? [
          `${missing} more, less bad than these, are left out to keep the page light: all of them are in the report’s JSON.`,
        ]
      : []),
  ];
  return html`<section id="${id('prompts')}"${labelled('prompts')} class="prompts ${by}">
${heading(2, 'Prompts', id('prompts-h'))}
${mapOf((entry) => placed.has(entry))}
${filters}
${stripLegend()}
${rows.length === 0 ? undefined : html`<ol class="rows">${rows}</ol>`}
${notes.map((note) => html`<p class="note">${note}</p>`)}
${folded.length === 0 ? undefined : foldedSame(folded, id)}
</section>`;
}

const bytesOf = (markup: Html | undefined) =>
  markup === undefined ? 0 : Buffer.byteLength(markupOf(markup));

const hasCloseUp = ({ group }: ReadGroup) =>
  group.findings.some(
    ({ divergence }) => divergence !== null && (divergence.passage ?? divergence.fork) !== null,
  );

interface Rows {
  readonly sampled: ReadonlySet<string>;
  /** By which the filters hide a prompt. */
  classes(entry: Entry): string;
  id: Level['id'];
}

/**
 * The worst one is open: whoever looks on wants to see that first. The place of one that can be opened is inside of it: a
 * browser opens what hides the place that it goes to.
 */
function row(entry: Entry, index: number, { sampled, classes, id }: Rows): Html {
  const isClose = index < CLOSE_UPS;
  const { prompt, state, worst, parts } = entry;
  const hash = textHash(parts);
  const place = id(promptAnchor(prompt));
  const drawn = sampled.has(prompt) ? html` <small>sampled</small>` : undefined;
  const line = html`<span class="glyph s-${state}" aria-hidden="true">${MARK[state].glyph}</span>
<span class="name">${capped(prompt, MAX_NAME)}${drawn}</span>
<span class="came">${came(entry)}</span>
${quietStrip(worst)}
<span class="hash">text hash: <b>${hash}</b></span>`;
  if (parts.every(({ group }) => isIdentical(group)))
    return html`<li class="row ${classes(entry)}" id="${place}"><div class="line">${line}</div></li>`;
  return html`<li class="row ${classes(entry)}"><details${index === 0 ? html` open` : undefined}><summary class="line">${line}</summary>
<div class="inside" id="${place}">${parts.filter(({ group }) => !isIdentical(group)).map((part, at) => partOf(part, isClose, at === 0))}${agreeing(parts)}</div></details></li>`;
}

/** Where nothing but the rule lets it pass, the relation says whose rule. */
function came({ worst, parts, state }: Entry): string {
  const relation = parts[0]?.relation.relation;
  const words = agreementIn(worst);
  return state === 'same' || relation === 'baseline' || relation === undefined
    ? words
    : `${words} (${relation})`;
}

/** What a hash of the text would have said, in any relation. */
function textHash(parts: readonly ReadGroup[]): string {
  const told = parts.flatMap(({ group }) => textOf(group) ?? []);
  return textHashWords(told.length === 0 ? null : told.every((same) => same));
}

function partOf({ relation, frame, group }: ReadGroup, isClose: boolean, isWorst: boolean): Html {
  const kinds = byKind(group);
  return html`<div class="part"><p class="which"><b>${relation.relation}</b> requires ${relation.requirement}: ${agreementIn(group.worst)}</p>
${kinds.map((finding) => kindLine(finding, frame, isClose))}${isClose && isWorst ? closest(group, frame) : undefined}</div>`;
}

function kindLine(finding: ReportedFinding, frame: Frame, isClose: boolean): Html {
  const words = findingWords(finding, frame);
  return html`<div class="kind"><span class="pass">${finding.kind}</span>${isClose ? rulerOf(finding) : strip(finding)}<p>${words === '' ? agreementIn(finding) : capped(words, MAX_WORDS)}</p></div>`;
}

/** The one finding that shows best how the sides part: where tokens do, else the worst that has tokens to show. */
function closest({ findings }: Group, frame: Frame): Html | undefined {
  const finding =
    findings.find(({ divergence }) => divergence !== null && divergence.fork !== null) ??
    findings.find(({ divergence }) => divergence !== null && divergence.passage !== null);
  return finding === undefined ? undefined : closeUp(finding, frame);
}

function agreeing(parts: readonly ReadGroup[]): Html | undefined {
  const names = parts.filter(({ group }) => isIdentical(group)).map(({ relation }) => relation.relation);
  return names.length === 0
    ? undefined
    : html`<p class="quiet">${agreementName('identical')} in ${join(names, html`, `)}</p>`;
}

function foldedSame(entries: readonly Entry[], id: Level['id']): Html {
  const named = entries.slice(0, MAX_NAMES);
  const more = entries.length - named.length;
  return html`<details class="folded p-same"><summary><span class="glyph s-same" aria-hidden="true">=</span> ${entries.length} prompts with identical bits</summary><ul class="names">${named.map(
    ({ prompt }) => html`<li id="${id(promptAnchor(prompt))}">${capped(prompt, MAX_NAME)}</li>`,
  )}</ul>${more === 0 ? undefined : html`<p class="note">${more} more are in the report’s JSON.</p>`}</details>`;
}
