import { isVariant } from '../compare/relations/variant.ts';
import { counted } from '../counted.ts';
import { excerpt } from '../inert.ts';
import type { ReportedDistance, ReportedRelation, ReportedSize, YardstickMark } from '../report/schema.ts';
import { finite, likelier, nats, times } from './figures.ts';

/** Up to this multiple of the floor a distance is what rounding makes too. Honest repeats lay at 0.7 to 1.03 (measured). */
const ROUNDING = 1.5;
/** Nearer than this factor, two sizes are told as equal. */
const ALIKE = 1.2;
const MAX_NAME = 80;

/** What no size can decide. */
export const SIZE_CAVEAT =
  'A small distance is no proof of harmlessness: one flipped weight bit, fp16 for bf16, a rope theta 0.1 % off and, in 16-bit formats, weights rounded to int8 can be as small as rounding.';
/** Above this multiple of the floor nobody takes it for rounding, and the caveat would only play it down. */
const LARGE = 10;

/**
 * How large what differs in a relation is, a sentence each: beside rounding, beside honest repeats, beside known changes.
 * What is only measured is no drift, and gets its distance alone.
 */
export function sizeWords(
  { relation, requirement, size }: Pick<ReportedRelation, 'relation' | 'requirement' | 'size'>,
  yardstick: readonly YardstickMark[],
): readonly string[] {
  if (size === null) return [];
  const { distance, floorNats, boundNats } = size;
  if (requirement === 'measure' && relation !== 'baseline' && !isVariant(relation))
    return [`Measured: ${distanceWords(distance)}.`];
  const rms = finite(distance.rmsNats);
  if (rms === undefined)
    return [
      `Size: the distance is ${nats(distance.rmsNats)} over ${counted(distance.positions, 'position')}.`,
    ];
  const marks = yardstickWords(rms, yardstick);
  return [
    `Size: ${floorWords(rms, size)} (${distanceWords(distance)}).`,
    ...(boundNats === null ? [] : [boundWords(rms, boundNats)]),
    ...(marks === '' ? [] : [`By the yardstick: ${marks}.`]),
    ...(isLarge(rms, floorNats) ? [] : [SIZE_CAVEAT]),
  ];
}

/** The same in three words, for whoever reads one sentence; empty where no scale of rounding is known. */
export function shortSize(size: ReportedSize | null): string {
  const rms = size === null ? undefined : finite(size.distance.rmsNats);
  const floor = size === null || size.floorNats === null ? undefined : finite(size.floorNats);
  if (rms === undefined || floor === undefined || floor === 0) return '';
  const ratio = rms / floor;
  return ratio <= ROUNDING ? 'the size of rounding' : `${times(ratio)} the size of rounding`;
}

function isLarge(rms: number, floorNats: ReportedSize['floorNats']): boolean {
  const floor = floorNats === null ? undefined : finite(floorNats);
  return floor !== undefined && floor > 0 && rms > LARGE * floor;
}

function floorWords(rms: number, { floorNats, floorBy, batchingNats }: ReportedSize): string {
  const floor = floorNats === null ? undefined : finite(floorNats);
  if (floor === undefined) return `${nats(rms)}, and no floor of rounding is known to measure it with`;
  if (floor === 0)
    return rms === 0
      ? '0 nats'
      : `${nats(rms)}; at the refresh a text kept its bits whatever was beside it in the batch, so that there is no scale of rounding here`;
  const ratio = rms / floor;
  const size = ratio <= ROUNDING ? 'the size of rounding' : 'more than rounding makes of this model';
  const by =
    floorBy === 'noise'
      ? `, made by rounding each number of each module once more${besideWords(batchingNats)}`
      : '';
  return `${times(ratio)} the floor: ${size}; floor ${nats(floor)}${by}`;
}

/** What batching makes, where it is not the floor itself. */
function besideWords(batchingNats: ReportedSize['batchingNats']): string {
  const batching = batchingNats === null ? undefined : finite(batchingNats);
  if (batching === undefined) return '';
  return batching === 0
    ? '; neighbours in a batch change no bit here'
    : `; neighbours in a batch make ${nats(batching)}`;
}

function boundWords(rms: number, boundNats: NonNullable<ReportedSize['boundNats']>): string {
  const bound = finite(boundNats);
  if (bound === undefined) return `Honest repeats have no bound: ${nats(boundNats)}.`;
  if (rms <= bound) return `Within the envelope of honest repeats, ${nats(bound)}.`;
  return bound === 0
    ? 'Outside the envelope of honest repeats, which did not differ at all.'
    : `Outside the envelope of honest repeats, which is ${nats(bound)}.`;
}

/** `smaller than fp8 KV cache by 9.8x, larger than int8 weights by 1.9x`. Not yet inert, but capped. */
export function yardstickWords(rms: number, yardstick: readonly YardstickMark[]): string {
  const known = yardstick.flatMap(({ what, rmsNats }) => {
    const mark = finite(rmsNats);
    return mark === undefined ? [] : [{ what: excerpt(what, MAX_NAME), mark }];
  });
  return known
    .toSorted((a, b) => b.mark - a.mark)
    .map(({ what, mark }) => {
      if (mark === 0 && rms === 0) return `as large as ${what}: nothing`;
      if (mark === 0) return `larger than ${what}, which moved nothing`;
      if (rms === 0) return `smaller than ${what}`;
      const ratio = rms / mark;
      if (ratio <= ALIKE && ratio >= 1 / ALIKE) return `about as large as ${what}`;
      return ratio < 1
        ? `smaller than ${what} by ${times(1 / ratio)}`
        : `larger than ${what} by ${times(ratio)}`;
    })
    .join(', ');
}

/** All that a distance says, in one line. */
export function distanceWords(distance: ReportedDistance): string {
  const { positions, rmsNats, largestNats, argmaxChanges, crossEntropyNats, normaliserOnly } = distance;
  const entropy = finite(crossEntropyNats);
  return [
    `distance ${nats(rmsNats)} rms over ${counted(positions, 'position')}, largest ${nats(largestNats)}`,
    argmaxChanges === 0
      ? 'the most probable token never changes'
      : `another most probable token at ${counted(argmaxChanges, 'position')}`,
    entropy === undefined
      ? `mean ${nats(crossEntropyNats)}`
      : entropy === 0
        ? 'the known tokens are as likely as before'
        : `the known tokens are ${likelier(-entropy)} on average`,
    ...(normaliserOnly ? ['only the normaliser (log-softmax) changed'] : []),
  ].join('; ');
}
