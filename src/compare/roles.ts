import { channelOf, type Sketches, sketchesOf } from '../record/channels.ts';
import type { Arrangement, Observation } from '../record/schema.ts';
import type { Side } from '../record/side.ts';
import { ROLES } from './channels.ts';
import { find } from './relations/witness.ts';
import type { RoleDistance, RolesCompared } from './types.ts';

/**
 * Above this multiple of its floor a role is beyond rounding. The floor rounds each number once; a sum of a thousand numbers in
 * another order rounds more, where the format keeps that: of 212 roles of two honest engines in float32 the furthest lay at
 * 7.2x, while their log-probabilities were 1.1x apart (docs/compare.md).
 */
export const BEYOND_FLOORS = 10;

/** Null where not both sides sketched what their roles gave, of one text at least that is the same. */
export async function compareRoles(first: Side, second: Side): Promise<RolesCompared | null> {
  const [a, b] = [scored(first, 'alone'), scored(second, 'alone')];
  const sums = new Map<string, Sums>();
  let texts = 0;
  for (const [prompt, left] of a) {
    const right = b.get(prompt);
    if (right === undefined || !sameSequence(left, right)) continue;
    const [one, other] = [await sketched(first, left), await sketched(second, right)];
    if (one === undefined || other === undefined) continue;
    texts += 1;
    add(sums, one, other);
  }
  if (sums.size === 0) return null;
  const floors = await Promise.all([floorsOf(first), floorsOf(second)]);
  const all = [...sums].map(([role, sum]): RoleDistance => {
    const known = floors.flatMap((of) => of.get(role) ?? []);
    return { role, distance: distanceOf(sum), floor: known.length === 0 ? null : Math.max(...known) };
  });
  return { texts, all, first: all.find(isBeyond) ?? null };
}

export const isBeyond = ({ distance, floor }: RoleDistance) =>
  floor !== null && distance > BEYOND_FLOORS * floor;

interface Sums {
  apart: number;
  squares: number;
}

const distanceOf = ({ apart, squares }: Sums) => (squares === 0 ? 0 : Math.sqrt(apart / (squares / 2)));

/** By prompt, what the first lifetime gave that scored so; empty where none did. */
function scored({ record }: Side, arrangement: Arrangement): ReadonlyMap<string, Observation> {
  for (const lifetime of record.lifetimes) {
    const found = find(record, lifetime, 'score', arrangement);
    if (found !== undefined && found.observations.size > 0) return found.observations;
  }
  return new Map();
}

/** Rows of other tokens are no rows to compare. */
const sameSequence = (left: Observation, right: Observation) =>
  ['prompt-tokens', 'tokens'].every(
    (name) => channelOf(left, name)?.sha256 === channelOf(right, name)?.sha256,
  );

async function sketched({ readBody }: Side, observation: Observation): Promise<Sketches | undefined> {
  return channelOf(observation, ROLES) === undefined
    ? undefined
    : sketchesOf(await readBody(observation.body), ROLES);
}

/** Roles that both have, in the first one's order. */
function add(sums: Map<string, Sums>, one: Sketches, other: Sketches): void {
  if (one.k !== other.k) return;
  const places = new Map(other.names.map((name, at) => [name, at]));
  for (const [at, role] of one.names.entries()) {
    const place = places.get(role);
    if (place === undefined) continue;
    const sum = sums.get(role) ?? { apart: 0, squares: 0 };
    const [left, right] = [rowOf(one, at), rowOf(other, place)];
    sum.squares += (left[0] ?? 0) + (right[0] ?? 0);
    for (let i = 1; i < left.length; i++) sum.apart += ((left[i] ?? 0) - (right[i] ?? 0)) ** 2;
    sums.set(role, sum);
  }
}

const rowOf = ({ values, k }: Sketches, at: number) => values.subarray(at * k, (at + 1) * k);

/** What rounding alone makes of each role: the same texts scored with each number rounded once more. */
async function floorsOf(side: Side): Promise<ReadonlyMap<string, number>> {
  const [alone, noisy] = [scored(side, 'alone'), scored(side, 'noise')];
  const sums = new Map<string, Sums>();
  for (const [prompt, left] of alone) {
    const right = noisy.get(prompt);
    if (right === undefined) continue;
    const [one, other] = [await sketched(side, left), await sketched(side, right)];
    if (one !== undefined && other !== undefined) add(sums, one, other);
  }
  return new Map([...sums].map(([role, sum]) => [role, distanceOf(sum)]));
}
