import { type Entry, MARK, STATES } from './entries.ts';
import { capped, dotted, type Html, html } from './escape.ts';
import type { Level } from './level.ts';

/** Modules with a filter of their own: those that are the first of the most prompts. */
export const MAX_MODULES = 8;
const OTHERS = MAX_MODULES;
const NONE = MAX_MODULES + 1;

/** What a reader picks prompts by: boxes and rounds that the style sheet looks at. No script runs. */
export interface Filters {
  readonly part: Html | undefined;
  /** Of the whole that holds the prompts. */
  readonly by: string;
  /** Classes of whatever stands for a prompt, by which it is hidden. */
  classes(entry: Entry): string;
}

export function filtersOf(entries: readonly Entry[], id: Level['id']): Filters {
  const differing = entries.filter(({ state }) => state !== 'same');
  const modules = [...Map.groupBy(differing, ({ module }) => module)]
    .flatMap(([module, { length }]) => (module === undefined ? [] : [{ module, count: length }]))
    .sort((a, b) => b.count - a.count);
  const slots = new Map(modules.map(({ module }, index) => [module, Math.min(index, OTHERS)]));
  const slotOf = ({ module }: Entry) => (module === undefined ? NONE : (slots.get(module) ?? NONE));
  const states = statesPart(entries, id);
  const firsts = modulesPart(modules, differing.length, id);
  return {
    part: states === undefined && firsts === undefined ? undefined : html`${states}${firsts}`,
    by: [states && 'by-state', firsts && 'by-module'].filter((one) => one !== undefined).join(' '),
    classes: (entry) => `p-${entry.state} at-${slotOf(entry)}`,
  };
}

/** One box for each state that occurs. */
function statesPart(entries: readonly Entry[], id: Level['id']): Html | undefined {
  const counts = STATES.flatMap((state) => {
    const count = entries.filter((entry) => entry.state === state).length;
    return count === 0 ? [] : [{ state, count }];
  });
  if (counts.length < 2) return undefined;
  return html`<fieldset class="filters"><legend>Show</legend>${counts.map(
    ({ state, count }) =>
      html`<label class="s-${state}" for="${id(`show-${state}`)}"><input type="checkbox" id="${id(`show-${state}`)}" class="f-${state}" checked> <span class="glyph" aria-hidden="true">${MARK[state].glyph}</span> ${MARK[state].name} <b>${count}</b></label>`,
  )}</fieldset>`;
}

/** One choice for each module that is the first to differ, where there is something to choose. */
function modulesPart(
  modules: readonly { readonly module: string; readonly count: number }[],
  differing: number,
  id: Level['id'],
): Html | undefined {
  const own = modules.slice(0, MAX_MODULES);
  const rest = modules.slice(MAX_MODULES).reduce((sum, { count }) => sum + count, 0);
  const none = differing - modules.reduce((sum, { count }) => sum + count, 0);
  const choices = [
    ...own.map(({ module, count }, slot) => ({
      slot,
      count,
      name: html`<code>${dotted(module, 80)}</code>`,
    })),
    ...(rest > 0 ? [{ slot: OTHERS, count: rest, name: html`another module` }] : []),
    ...(none > 0 ? [{ slot: NONE, count: none, name: html`no module seen` }] : []),
  ];
  if (own.length === 0 || choices.length < 2) return undefined;
  const choice = (key: string, className: string, name: Html, count: number, checked: Html | undefined) =>
    html`<label for="${id(`first-${key}`)}"><input type="radio" name="${id('first')}" id="${id(`first-${key}`)}" class="${className}"${checked}> ${name} <b>${count}</b></label>`;
  return html`<fieldset class="filters"><legend>First module that differs</legend>${choice('any', 'g-any', capped('any or none', 40), differing, html` checked`)}${choices.map(
    ({ slot, count, name }) => choice(String(slot), `g-${slot}`, name, count, undefined),
  )}</fieldset>`;
}
