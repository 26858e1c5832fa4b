import { BEYOND_FLOORS, isBeyond } from '../compare/roles.ts';
import type { RoleDistance, RolesCompared } from '../compare/types.ts';
import { counted } from '../counted.ts';
import { excerpt } from '../inert.ts';
import { times } from './figures.ts';

/** More layers than the largest models have. */
const MAX_ROWS = 200;
const MAX_NAME = 40;

/** Which role is the first that parts by more than rounding. Not yet inert. */
export function rolesWords({ all, first, texts }: RolesCompared): string {
  const of = `${counted(all.length, 'module')} matched by role, in ${counted(texts, 'text')}`;
  if (all.every(({ floor }) => floor === null))
    return `Modules: ${of}; neither side tells what rounding makes of them.`;
  if (first === null) {
    const furthest = all.reduce((most, one) => (floorsOf(one) > floorsOf(most) ? one : most));
    const told =
      furthest.distance === 0
        ? ''
        : `; the furthest, ${excerpt(furthest.role, MAX_NAME)}, is at ${multiple(furthest)} its floor`;
    return `Modules: none is beyond rounding, which is ${BEYOND_FLOORS}x its floor (${of}${told}).`;
  }
  const beyond = all.filter(isBeyond).length;
  return `First module beyond rounding: ${excerpt(first.role, MAX_NAME)}, ${multiple(first)} its floor (${beyond} of ${of}).`;
}

const floorsOf = ({ distance, floor }: RoleDistance) =>
  floor === null || floor === 0 ? 0 : distance / floor;

/** A row for each layer, a column for each role within it: distances in multiples of the floor, as cells. */
export function rolesTable({ all }: RolesCompared): readonly (readonly string[])[] {
  const rows = new Map<string, Map<string, string>>();
  const columns = new Set<string>();
  for (const one of all) {
    const [, layer = '', role = one.role] = /^(layers\.\d+)\.(.+)$/.exec(one.role) ?? [];
    const name = layer === '' ? role : layer;
    const row = rows.get(name) ?? new Map<string, string>();
    if (layer !== '') columns.add(role);
    rows.set(name, row.set(layer === '' ? '' : role, multiple(one)));
  }
  const names = [...columns];
  return [
    ['', '', ...names].map((name) => excerpt(name, MAX_NAME)),
    ...[...rows]
      .slice(0, MAX_ROWS)
      .map(([name, row]) => [excerpt(name, MAX_NAME), ...['', ...names].map((role) => row.get(role) ?? '')]),
  ];
}

/** `1.2x`; of a floor of nothing, whether there is a distance. */
function multiple({ distance, floor }: RoleDistance): string {
  if (floor === null) return distance.toExponential(1);
  if (floor === 0) return distance === 0 ? '0' : 'more';
  return distance === 0 ? '0' : times(distance / floor);
}

/** Cells under one another. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
