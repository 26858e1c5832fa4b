import type { Side } from '../../record/side.ts';
import type { Pair, Pairing, PassNeed, Relation } from '../types.ts';
import { exercised, find, objection, type Seen, share, unwatched } from './witness.ts';

/** A prompt whose beginning comes from the prefix cache gives the same bits as one that was computed whole. */
export const prefixCache: Relation = {
  name: 'prefix-cache',
  what: 'a prompt whose beginning comes from the prefix cache gives the same bits as one that was computed whole',
  witness: 'no token from the cache, and then some',
  sides: ['cold', 'from the prefix cache'],
  byDefault: false,
  decoding: true,
  breaks: { means: 'broken' },
  ofRefresh: 'never',
  requires: (batchInvariant) => (batchInvariant ? 'identical' : 'measure'),
  // A score asks for log-probabilities of the prompt, and so never reads the cache: nothing to measure at that depth.
  needs: (depth): PassNeed[] =>
    depth === 'full'
      ? [
          { kind: 'generate', arrangement: 'alone' },
          { kind: 'generate', arrangement: 'warm' },
        ]
      : [],
  lifetimes: 1,
  pair(run: Side): Pairing {
    const { record } = run;
    for (const lifetime of record.lifetimes) {
      const cold = find(record, lifetime, 'generate', 'alone');
      const warm = find(record, lifetime, 'generate', 'warm');
      if (cold !== undefined && warm !== undefined) return between(run, cold, warm);
    }
    return {
      kind: 'unmeasured',
      reason: 'no lifetime generated from a cold and from a warm prefix cache',
    };
  },
};

function between(run: Side, cold: Seen, warm: Seen): Pairing {
  const wrong = objection(cold) ?? objection(warm);
  if (wrong !== undefined) return { kind: 'unmeasured', reason: wrong };
  const pairs = [...cold.observations].map(([prompt, left]): Pair => {
    const right = warm.observations.get(prompt);
    const why = doubt(prompt, cold, warm);
    if (why !== undefined) return { prompt, kind: 'generate', unmeasured: why };
    return right === undefined
      ? { prompt, kind: 'generate', unmeasured: `${warm.pass.pass} has no observation of it` }
      : { prompt, kind: 'generate', left, right };
  });
  return exercised(
    pairs,
    (compared) => {
      const tokens = pairs.reduce(
        (sum, pair) => sum + ('right' in pair ? (warm.requests?.get(pair.prompt)?.cachedTokens ?? 0) : 0),
        0,
      );
      return `${share(compared, pairs.length)} took ${tokens} tokens from the prefix cache in ${warm.pass.pass}, and none in ${cold.pass.pass}`;
    },
    run,
    'nothing was observed',
  );
}

function doubt(prompt: string, cold: Seen, warm: Seen): string | undefined {
  const why = unwatched([cold, warm], prompt);
  if (why !== undefined) return why;
  const found = cold.requests?.get(prompt)?.cachedTokens ?? 0;
  if (found > 0)
    return `${cold.pass.pass} took ${found} of its tokens from the prefix cache: it did not start cold`;
  return (warm.requests?.get(prompt)?.cachedTokens ?? 0) > 0
    ? undefined
    : `none of its tokens came from the prefix cache in ${warm.pass.pass}: the prompt is perhaps shorter than a block of it`;
}
