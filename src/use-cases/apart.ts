import { Envelope, MIN_POSITIONS } from '../compare/envelope.ts';
import { type ComparedSides, compareSides } from '../compare/sides.ts';
import { counted } from '../counted.ts';
import type { Explained, Family, Group } from '../explain/types.ts';
import { countOf } from '../record/channels.ts';
import { aloneOf, lifetimesOf, nansIn } from '../record/select.ts';
import type { Side } from '../record/side.ts';
import type { Across, AcrossPair } from '../report/across.ts';
import type { Apart } from '../report/explained.ts';
import { floorsIn } from '../suite/variant.ts';
import { times } from '../words/figures.ts';

/** Pairs of one suite: each opens the bodies of two records. Where something is required of them, all are looked at. */
const MAX_PAIRS = 8;
/** Records of a group that are asked for a floor. */
const MAX_ASKED = 8;

/** A case's bits. */
export interface Bits {
  readonly side: Side;
  /** What it was held to: it knows what rounding makes of the model where a check does not measure it. */
  readonly baseline?: Side | undefined;
}

export interface Distances {
  readonly apart: readonly Apart[];
  /** Undefined where nothing was required. */
  readonly across?: Across;
}

type Member = Apart['sides'][number] & { readonly side: Side };

/**
 * How far groups that computed other bits are apart on the same tokens: of each suite the largest group beside each other
 * one, by one record of either, one that knows its floor where there is any.
 *
 * @param bitsOf a case's; undefined where only digests of it are known
 * @param required how far they may be apart, as `within 2x floor`
 */
export async function groupsApart(
  { families }: Explained,
  bitsOf: (suite: string, name: string) => Bits | undefined,
  required?: string,
): Promise<Distances> {
  const apart: Apart[] = [];
  const pairs: AcrossPair[] = [];
  const most = required === undefined ? undefined : floorsIn(required);
  for (const family of families) {
    const { suite } = family;
    const [whole] = family.groupings;
    const [first, ...others] = whole?.groups ?? [];
    const lacking = whole?.unmeasured.length ?? family.cases.length;
    if (lacking > 0)
      pairs.push(
        unknown(suite, `${lacking} of ${counted(family.cases.length, 'record')} did not give all of it`),
      );
    else if (family.cases.length < 2)
      pairs.push(unknown(suite, 'there is one alone, which nothing was held against'));
    if (first === undefined || others.length === 0) continue;
    const left = await memberOf(family, first);
    for (const other of most === undefined ? others.slice(0, MAX_PAIRS) : others) {
      if (left === undefined && most === undefined) break;
      const right = await memberOf(family, other);
      if (left === undefined || right === undefined) {
        const gone = left === undefined ? first : other;
        pairs.push(unknown(suite, `no record of ${gone.name} is there, and reports tell no distance`));
        continue;
      }
      const compared = await compareSides(left.side, right.side, 'measure');
      if (most !== undefined) pairs.push(pairOf(suite, left, right, compared, most));
      // Nothing that both scored on the same tokens differs, so that there is no distance to tell.
      if (compared.size === null) continue;
      const told = [left, right].map(({ side: _, ...member }) => member);
      apart.push({ suite, sides: told, distance: compared.size.distance });
    }
  }
  return required === undefined ? { apart } : { apart, across: acrossOf(required, pairs) };

  async function memberOf(family: Family, { name: group, cases }: Group): Promise<Member | undefined> {
    const members = cases.flatMap((place) => {
      const record = family.cases[place]?.name ?? '';
      const bits = bitsOf(family.suite, record);
      if (bits === undefined) return [];
      const { hardwareClass } = bits.side.record;
      return [{ member: { group, record, hardwareClass, side: bits.side }, baseline: bits.baseline }];
    });
    for (const { member, baseline } of members.slice(0, MAX_ASKED)) {
      const floor = (await floorOf(member.side)) ?? (baseline && (await floorOf(baseline)));
      if (floor !== undefined) return { ...member, floorNats: floor };
    }
    const [first] = members;
    return first && { ...first.member, floorNats: null };
  }
}

const floorOf = async (side: Side): Promise<number | undefined> => (await new Envelope(side).floor())?.nats;

const unknown = (suite: string, what: string): AcrossPair => ({
  ...{ suite, status: 'unmeasured', floors: null, what },
});

/** Held to the larger of both floors: what rounding alone makes of the coarser one. */
function pairOf(
  suite: string,
  left: Member,
  right: Member,
  { size, findings }: ComparedSides,
  most: number,
): AcrossPair {
  const who = [left, right]
    .map(({ hardwareClass, group }) => `${hardwareClass} (${group})`)
    .join(' against ');
  const told = (status: AcrossPair['status'], what: string, floors: number | null = null): AcrossPair => ({
    ...{ suite, status, floors, what: `${who}: ${what}` },
  });
  const scored = findings.filter(({ kind, agreement }) => kind === 'score' && SCORED.includes(agreement));
  const ids = new Set(scored.map(({ prompt }) => prompt));
  const positions = size?.distance.positions ?? positionsIn(right.side, ids);
  if (positions === 0) return told('unmeasured', 'nothing was scored on the same tokens');
  const broken = [left, right].find(({ side }) => nansIn(side.record) > 0);
  if (broken !== undefined)
    return told('unmeasured', `${broken.record} holds NaN: the model is broken there`);
  if (size === null && scored.some(({ agreement }) => agreement === 'logprobs-differ'))
    return told('broken', 'log-probabilities are infinitely far apart');
  if (positions < MIN_POSITIONS)
    return told('unmeasured', `${positions} scored positions are too few: ${MIN_POSITIONS} are needed`);
  const on = `on ${counted(positions, 'scored position')}`;
  if (size === null) return told('held', `the same bits ${on}`, 0);
  const floor = Math.max(left.floorNats ?? 0, right.floorNats ?? 0);
  if (floor === 0) return told('unmeasured', 'neither tells what rounding alone makes of its model');
  const floors = size.distance.rmsNats / floor;
  return told(floors <= most ? 'held' : 'broken', `${times(floors)} the floor ${on}`, floors);
}

const SCORED: readonly string[] = ['identical', 'logprobs-differ', 'modules-differ'];

function positionsIn({ record }: Side, ids: ReadonlySet<string>): number {
  const [lifetime] = lifetimesOf(record);
  const all = lifetime === undefined ? [] : aloneOf(record, lifetime.lifetime, 'score');
  return all.reduce((sum, one) => (ids.has(one.prompt) ? sum + countOf(one, 'tokens') : sum), 0);
}

const WORST = ['broken', 'unmeasured'] as const;
/** Pairs that the line names. */
const MAX_NAMED = 3;

function acrossOf(required: string, pairs: readonly AcrossPair[]): Across {
  const status = WORST.find((one) => pairs.some((pair) => pair.status === one)) ?? 'held';
  const named = pairs.filter((pair) => pair.status === status);
  const several = new Set(pairs.map(({ suite }) => suite)).size > 1;
  const list = named
    .slice(0, MAX_NAMED)
    .map(({ suite, what }) => (several ? `${suite}: ${what}` : what))
    .join('; ');
  const more = named.length > MAX_NAMED ? `; and ${named.length - MAX_NAMED} more` : '';
  return {
    required,
    status,
    verdict: status === 'held' ? 'pass' : 'fail',
    line: `Across classes, ${required}: ${status}${list === '' ? ': all computed the same bits' : `: ${list}${more}`}.`,
    pairs,
  };
}
