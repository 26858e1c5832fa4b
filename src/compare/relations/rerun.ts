import type { Lifetime, Pass } from '../../record/schema.ts';
import type { Arrangement, Relation, Side } from '../types.ts';

/** The same work twice in one lifetime gives the same bits. */
export const rerun: Relation = {
  name: 'rerun',
  requires: 'identical',
  passes: 2,
  arrange(run: Side): Arrangement {
    const { record, readBody } = run;
    for (const lifetime of record.lifetimes) {
      const [first, second] = lifetime.passes;
      if (first === undefined || second === undefined) continue;
      const missing = unproven(first, second, lifetime, run);
      if (missing !== undefined) return { kind: 'unmeasured', reason: missing };
      const of = (pass: Pass) =>
        new Map(
          record.observations
            .filter((o) => o.lifetime === lifetime.lifetime && o.pass === pass.pass)
            .map((o) => [o.prompt, o]),
        );
      const [left, right] = [of(first), of(second)];
      return {
        kind: 'exercised',
        evidence: `the engine's counters show ${first.witness.generatedTokens} tokens in ${first.pass} and ${second.witness.generatedTokens} in ${second.pass}, none of them from what the first left in a cache, in one process`,
        pairs: record.suite.prompts.flatMap(({ id }) => {
          const [a, b] = [left.get(id), right.get(id)];
          return a === undefined || b === undefined ? [] : [{ prompt: id, left: a, right: b }];
        }),
        left: readBody,
        right: readBody,
      };
    }
    return { kind: 'unmeasured', reason: 'no lifetime holds two passes' };
  },
};

/**
 * The engine's own counters must show that both passes computed what they returned, in one process. A repeat that
 * was answered from a cache, or that never ran, would agree with anything.
 */
function unproven(first: Pass, second: Pass, lifetime: Lifetime, { record }: Side): string | undefined {
  for (const { pass, witness } of [first, second]) {
    const returned = record.observations
      .filter((o) => o.lifetime === lifetime.lifetime && o.pass === pass)
      .reduce((sum, o) => sum + o.tokens.count, 0);
    if (witness.generatedTokens === null)
      return `the engine does not tell how many tokens it generated in ${pass}`;
    if (witness.generatedTokens < returned)
      return `${pass} returned ${returned} tokens but the engine's counter shows ${witness.generatedTokens}`;
  }
  const [cold, warm] = [first.witness.cachedTokens, second.witness.cachedTokens];
  if (cold === null || warm === null) return 'the engine does not tell what it took from its prefix cache';
  // Prompts of one pass may share a prefix; only what the repeat found beyond that is the first pass's work.
  if (warm > cold)
    return `${second.pass} took ${warm} prompt tokens from the prefix cache, ${first.pass} ${cold}: it did not start cold`;
  if (first.witness.process === UNKNOWN || first.witness.process !== second.witness.process)
    return 'the two passes are not known to have run in one process';
  return undefined;
}

const UNKNOWN = 'unknown';
