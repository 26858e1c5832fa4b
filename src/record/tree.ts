import canonicalize from 'canonicalize';
import { digestJson, sha256 } from './digest.ts';
import type { Given, Lifetime, Pass, RecordFile } from './schema.ts';

/*
 * The tree of digests: a pass over its observations, a lifetime over its passes, a record over its lifetimes. Equal
 * digests at any level decide that all below is equal, before anything of it is looked at.
 */

/** What a pass gave, as its file holds it: RFC 8785 JSON, by the ids of the prompts. Where and when it ran is not in it. */
export function packPass(observations: readonly Given[]): Buffer {
  const given = observations
    .map(
      ({ prompt, input, finishReason, channels, body }): Given => ({
        ...{ prompt, input, finishReason, channels, body },
      }),
    )
    .sort((a, b) => (a.prompt < b.prompt ? -1 : a.prompt > b.prompt ? 1 : 0));
  return Buffer.from(canonicalize(given) ?? '');
}

/** The digest that names that file. */
export const passDigest = (observations: readonly Given[]): string => sha256(packPass(observations));

export const lifetimeDigest = (
  passes: readonly Pick<Pass, 'pass' | 'kind' | 'arrangement' | 'digest'>[],
): string =>
  digestJson(passes.map(({ pass, kind, arrangement, digest }) => [pass, kind, arrangement, digest]));

export const recordDigest = (lifetimes: readonly Pick<Lifetime, 'lifetime' | 'digest'>[]): string =>
  digestJson(lifetimes.map(({ lifetime, digest }) => [lifetime, digest]));

/** Which digest above the passes is not the one that its parts give; undefined where all are. */
export function wrongDigest({ lifetimes, digest }: RecordFile): string | undefined {
  for (const { lifetime, passes, digest: told } of lifetimes)
    if (lifetimeDigest(passes) !== told) return lifetime;
  return recordDigest(lifetimes) === digest ? undefined : 'whole';
}
