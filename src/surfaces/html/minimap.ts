import { promptAnchor } from '../../words/anchor.ts';
import { agreementIn } from '../../words/words.ts';
import { type Entry, MARK, STATES } from './entries.ts';
import { capped, type Html, html } from './escape.ts';
import type { Level } from './level.ts';

/** Of more prompts than that, one cell stands for several neighbours. */
export const MAX_CELLS = 2000;
/** Beyond that, cells are as small as a mouse can still point at: the list below has the same links. */
const DENSE = 200;
const MAX_NAME = 96;
/** What one cell takes, about. */
const CELL_BYTES = 220;

/**
 * All prompts at a glance, in the suite's order, so that what drifts together is seen to lie together.
 *
 * @param ordered in the suite's order
 * @param hasPlace whether it can be gone to on this page
 * @param classes by which the filters hide it
 * @param budget bytes of the prompts, of which this takes a quarter at most
 */
export function minimap(
  ordered: readonly Entry[],
  {
    id,
    hasPlace,
    classes,
    budget,
  }: {
    readonly id: Level['id'];
    readonly hasPlace: (entry: Entry) => boolean;
    readonly classes: (entry: Entry) => string;
    readonly budget: number;
  },
): Html | undefined {
  const first = ordered.find(({ state }) => state === 'tokens' || state === 'bits');
  if (ordered.length < 2 || ordered.every(({ state }) => state === 'same')) return undefined;
  const cells = Math.max(1, Math.min(MAX_CELLS, Math.floor(budget / 4 / CELL_BYTES)));
  const each = Math.ceil(ordered.length / cells);
  const shown = Array.from({ length: Math.ceil(ordered.length / each) }, (_, index) =>
    cell(ordered.slice(index * each, (index + 1) * each)),
  );
  return html`${first === undefined || !hasPlace(first) ? undefined : html`<p class="jump"><a href="#${id(promptAnchor(first.prompt))}">Jump to the first difference</a> <span class="quiet">in the suite’s order: ${capped(first.prompt, MAX_NAME)}</span></p>`}
<a class="over" href="#${id('prompts-list')}">Skip the map</a>
<nav class="mini${shown.length > DENSE ? ' dense' : ''}" aria-label="Map of the prompts in the suite’s order${each > 1 ? `, ${each} to a cell, each as the worst of them` : ''}">${shown}</nav>${each > 1 ? html`<p class="note">Each cell of the map stands for ${each} neighbours, and shows the worst of them.</p>` : undefined}
<span id="${id('prompts-list')}"></span>`;

  function cell(entries: readonly Entry[]): Html | undefined {
    const [worst] = entries.toSorted((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state));
    if (worst === undefined) return undefined;
    const { glyph } = MARK[worst.state];
    const told = html`${capped(worst.prompt, MAX_NAME)}: ${agreementIn(worst.worst)}`;
    // One element a cell: of thousands, each more would be felt.
    return hasPlace(worst)
      ? html`<a class="cell ${classes(worst)}" href="#${id(promptAnchor(worst.prompt))}" title="${told}" aria-label="${told}">${glyph}</a>`
      : html`<span class="cell ${classes(worst)}" role="img" aria-label="${told}">${glyph}</span>`;
  }
}
