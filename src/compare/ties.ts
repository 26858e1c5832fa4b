import { stepsOf } from '../record/channels.ts';
import type { Observation } from '../record/schema.ts';
import type { Side } from '../record/side.ts';
import { onlyTopDiffers } from './agreement.ts';
import { walk } from './divergence.ts';

/**
 * Of two outcomes whose digests differ: is it no more than which of several equal tokens got into the top k? Bodies are opened
 * only where nothing but the top k differs, since tokens that tie at the k-th place compare as sets.
 */
export async function tie(
  left: Observation,
  leftSide: Side,
  right: Observation,
  rightSide: Side,
): Promise<boolean> {
  if (!onlyTopDiffers(left, right)) return false;
  const { logprobStep, ties } = walk(
    stepsOf(await leftSide.readBody(left.body)),
    stepsOf(await rightSide.readBody(right.body)),
  );
  return logprobStep === null && ties > 0;
}
