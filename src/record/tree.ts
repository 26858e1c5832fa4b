import { digestJson } from './digest.ts';
import type { Lifetime, Observation, Pass, RunRecord } from './schema.ts';

/*
 * The tree of digests: a pass over its observations, a lifetime over its passes, a record over its lifetimes. Equal
 * digests at any level decide that all below is equal, before anything of it is looked at.
 */

/** Of what a pass gave, in no order: prompts by their id. Where and when it ran is not among it. */
export function passDigest(
  observations: readonly Pick<Observation, 'prompt' | 'input' | 'finishReason' | 'channels'>[],
): string {
  const leaves = observations
    .map(({ prompt, input, finishReason, channels }) => ({ prompt, input, finishReason, channels }))
    .sort((a, b) => (a.prompt < b.prompt ? -1 : a.prompt > b.prompt ? 1 : 0));
  return digestJson(leaves);
}

export const lifetimeDigest = (
  passes: readonly Pick<Pass, 'pass' | 'kind' | 'arrangement' | 'digest'>[],
): string =>
  digestJson(passes.map(({ pass, kind, arrangement, digest }) => [pass, kind, arrangement, digest]));

export const recordDigest = (lifetimes: readonly Pick<Lifetime, 'lifetime' | 'digest'>[]): string =>
  digestJson(lifetimes.map(({ lifetime, digest }) => [lifetime, digest]));

/** What stands in the tree otherwise than its leaves give it; undefined where nothing does. */
export function wrongDigest({ lifetimes, observations, digest }: RunRecord): string | undefined {
  const of = Map.groupBy(observations, (one) => `${one.lifetime}/${one.pass}`);
  for (const { lifetime, passes, digest: told } of lifetimes) {
    for (const { pass, digest: ofPass } of passes)
      if (passDigest(of.get(`${lifetime}/${pass}`) ?? []) !== ofPass) return `pass ${lifetime}/${pass}`;
    if (lifetimeDigest(passes) !== told) return lifetime;
  }
  return recordDigest(lifetimes) === digest ? undefined : 'whole';
}
