import { Envelope } from '../compare/envelope.ts';
import { compareSides } from '../compare/sides.ts';
import type { Explained, Family, Group } from '../explain/types.ts';
import type { Side } from '../record/side.ts';
import type { Apart } from '../report/explained.ts';

/** Pairs of one suite: each opens the bodies of two records. */
const MAX_PAIRS = 8;
/** Records of a group that are asked for a floor. */
const MAX_ASKED = 8;

/**
 * How far groups that computed other bits are apart on the same tokens: of each suite the largest group beside each other
 * one, by one record of either, one that knows its floor where there is any.
 *
 * @param sideOf a case's record; undefined where only digests of it are known
 */
export async function groupsApart(
  { families }: Explained,
  sideOf: (suite: string, name: string) => Side | undefined,
): Promise<readonly Apart[]> {
  const all: Apart[] = [];
  for (const family of families) {
    const [first, ...others] = family.groupings[0]?.groups ?? [];
    if (first === undefined || others.length === 0) continue;
    const left = await memberOf(family, first);
    for (const other of left === undefined ? [] : others.slice(0, MAX_PAIRS)) {
      const right = await memberOf(family, other);
      if (left === undefined || right === undefined) continue;
      const { size } = await compareSides(left.side, right.side, 'measure');
      // Nothing that both scored on the same tokens differs, so that there is no distance to tell.
      if (size === null) continue;
      const told = [left, right].map(({ side: _, ...member }) => member);
      all.push({ suite: family.suite, sides: told, distance: size.distance });
    }
  }
  return all;

  async function memberOf(
    family: Family,
    { name: group, cases }: Group,
  ): Promise<(Apart['sides'][number] & { readonly side: Side }) | undefined> {
    const members = cases.flatMap((place) => {
      const record = family.cases[place]?.name ?? '';
      const side = sideOf(family.suite, record);
      return side === undefined ? [] : [{ group, record, hardwareClass: side.record.hardwareClass, side }];
    });
    for (const member of members.slice(0, MAX_ASKED)) {
      const floor = await new Envelope(member.side).floor();
      if (floor !== null) return { ...member, floorNats: floor.nats };
    }
    const [first] = members;
    return first && { ...first, floorNats: null };
  }
}
