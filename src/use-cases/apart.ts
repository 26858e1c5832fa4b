import { Envelope } from '../compare/envelope.ts';
import { compareSides } from '../compare/sides.ts';
import type { Explained, Family } from '../explain/types.ts';
import type { Side } from '../record/side.ts';
import type { Apart } from '../report/explained.ts';

/** Pairs of one suite: each opens the bodies of two records. */
const MAX_PAIRS = 8;

/**
 * How far groups that computed other bits are apart on the same tokens: of each suite the largest group beside each other
 * one, by one record of either.
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
    const left = first && memberOf(family, first.cases);
    if (first === undefined || left === undefined) continue;
    for (const other of others.slice(0, MAX_PAIRS)) {
      const right = memberOf(family, other.cases);
      if (right === undefined) continue;
      const { size } = await compareSides(left.side, right.side, 'measure');
      // Nothing that both scored on the same tokens differs, so that there is no distance to tell.
      if (size === null) continue;
      all.push({
        suite: family.suite,
        sides: await Promise.all(
          [
            { group: first.name, ...left },
            { group: other.name, ...right },
          ].map(async ({ group, name, side }) => {
            const floor = await new Envelope(side).floor();
            const { hardwareClass } = side.record;
            return { group, record: name, hardwareClass, floorNats: floor?.nats ?? null };
          }),
        ),
        distance: size.distance,
      });
    }
  }
  return all;

  /** The first of them of which there is a record. */
  function memberOf(family: Family, cases: readonly number[]) {
    for (const place of cases) {
      const name = family.cases[place]?.name ?? '';
      const side = sideOf(family.suite, name);
      if (side !== undefined) return { name, side };
    }
    return undefined;
  }
}
