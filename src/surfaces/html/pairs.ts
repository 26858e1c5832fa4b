import type { Family } from '../../explain/types.ts';
import { excerpt } from '../../inert.ts';
import { type Html, html } from './escape.ts';

/** Names are shown while they can be read; the list of groups has them all. */
const MAX_NAMED = 60;
const MAX_NAME = 38;

/**
 * Who agrees with whom: cases by their groups, down and across. A whole square where two agree on everything that both
 * gave, a smaller one for a share of the prompts, a ring where they agree on none.
 */
export function pairsPart(family: Family): Html | undefined {
  const [whole] = family.groupings;
  const size = family.agreement.length;
  if (whole === undefined || size < 2) return undefined;
  const letters = new Map(whole.groups.flatMap(({ name, cases }) => cases.map((at) => [at, name] as const)));
  const order = [...whole.groups.flatMap(({ cases }) => cases), ...whole.unmeasured].filter(
    (at) => at < size,
  );
  const cell = order.length <= MAX_NAMED ? 22 : order.length <= 120 ? 10 : 5;
  const isNamed = order.length <= MAX_NAMED;
  const [left, top] = isNamed ? [300, 22] : [6, 6];
  const [width, height] = [left + order.length * cell + 4, top + order.length * cell + 4];
  const cells = order.flatMap((a, y) =>
    order.map((b, x) => square(family.agreement[a]?.[b] ?? null, left + x * cell, top + y * cell, cell)),
  );
  let from = 0;
  const edges = whole.groups.map(({ cases }) => {
    const own = cases.filter((at) => at < size).length;
    const at = from * cell;
    from += own;
    return html`<rect class="edge" x="${left + at}" y="${top + at}" width="${own * cell}" height="${own * cell}"/>`;
  });
  const names = isNamed
    ? order.map(
        (at, index) =>
          html`<text x="${left - 34}" y="${top + index * cell + cell / 2}" text-anchor="end" dominant-baseline="central">${short(family.cases[at]?.name ?? '')}</text><text class="letter" x="${left - 16}" y="${top + index * cell + cell / 2}" text-anchor="middle" dominant-baseline="central">${letters.get(at) ?? '–'}</text><text class="letter" x="${left + index * cell + cell / 2}" y="${top - 10}" text-anchor="middle" dominant-baseline="central">${letters.get(at) ?? '–'}</text>`,
      )
    : [];
  const rest = family.cases.length - size;
  return html`<ul class="legend" aria-label="Legend of the map">
<li><svg class="key" aria-hidden="true" viewBox="0 0 16 16"><rect class="a-all" x="1" y="1" width="14" height="14"/></svg>the same bits of every prompt that both gave</li>
<li><svg class="key" aria-hidden="true" viewBox="0 0 16 16"><rect class="a-some" x="4" y="4" width="8" height="8"/></svg>of some prompts; larger: of more</li>
<li><svg class="key" aria-hidden="true" viewBox="0 0 16 16"><circle class="a-none" cx="8" cy="8" r="3"/></svg>of none</li>
<li>empty: nothing in common</li></ul>
<div class="scroll" tabindex="0" role="group" aria-label="Map of who agrees with whom"><svg class="pairs" role="img" aria-label="Who agrees with whom, ${order.length} records: the groups below say the same in words" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${cells}${edges}${names}</svg></div>
${rest > 0 ? html`<p class="note">${rest} more records are left out of the map, which shows ${size}.</p>` : undefined}`;
}

function square(share: number | null, x: number, y: number, cell: number): Html | undefined {
  if (share === null) return undefined;
  const room = cell - 2;
  if (share === 1)
    return html`<rect class="a-all" x="${x + 1}" y="${y + 1}" width="${room}" height="${room}"/>`;
  const middle = cell / 2;
  if (share === 0)
    return cell < 10
      ? undefined
      : html`<circle class="a-none" cx="${x + middle}" cy="${y + middle}" r="${cell / 8}"/>`;
  const side = Math.max(3, room * Math.sqrt(share) * 0.8);
  return html`<rect class="a-some" x="${(x + middle - side / 2).toFixed(1)}" y="${(y + middle - side / 2).toFixed(1)}" width="${side.toFixed(1)}" height="${side.toFixed(1)}"/>`;
}

/** The end of a path says most of what it is. */
function short(name: string): string {
  const shown = excerpt(name, 400);
  return shown.length <= MAX_NAME ? shown : `…${shown.slice(-(MAX_NAME - 1))}`;
}
