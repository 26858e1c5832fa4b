import { stepsOf } from '../record/channels.ts';
import type { Observation } from '../record/schema.ts';
import type { Side } from '../record/side.ts';
import type { Requirement } from '../suite/schema.ts';
import { onlyTopDiffers, sameOutcome } from './agreement.ts';
import { walk } from './divergence.ts';

/**
 * Did two observations give the same outcome as far as the requirement looks? Digests decide; bodies are opened only
 * where nothing but the top k differs, since tokens that tie at the k-th place compare as sets.
 */
export async function same(
  left: Observation,
  leftSide: Side,
  right: Observation,
  rightSide: Side,
  requirement: Requirement,
): Promise<boolean> {
  if (sameOutcome(left, right, requirement)) return true;
  return onlyTopDiffers(left, right) && (await tiesAlone(left, leftSide, right, rightSide));
}

async function tiesAlone(
  left: Observation,
  leftSide: Side,
  right: Observation,
  rightSide: Side,
): Promise<boolean> {
  const { logprobStep, ties } = walk(
    stepsOf(await leftSide.readBody(left.body)),
    stepsOf(await rightSide.readBody(right.body)),
  );
  return logprobStep === null && ties > 0;
}
