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
      const missing = unproven(lifetime, first, run) ?? unproven(lifetime, second, run);
      if (missing !== undefined) return { kind: 'unmeasured', reason: missing };
      if (first.witness.process !== second.witness.process)
        return { kind: 'unmeasured', reason: 'the two passes ran in different processes' };
      const of = (pass: Pass) =>
        new Map(
          record.observations
            .filter((o) => o.lifetime === lifetime.lifetime && o.pass === pass.pass)
            .map((o) => [o.prompt, o]),
        );
      const [left, right] = [of(first), of(second)];
      return {
        kind: 'exercised',
        evidence: `the engine's counters show ${first.witness.generatedTokens} tokens in ${first.pass} and ${second.witness.generatedTokens} in ${second.pass}, none from the prefix cache, in one process`,
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
 * The engine's own counters must show that a pass computed what it returned. A repeat that was answered from a
 * cache, or that never ran, would agree with anything.
 */
function unproven(lifetime: Lifetime, pass: Pass, { record }: Side): string | undefined {
  const returned = record.observations
    .filter((o) => o.lifetime === lifetime.lifetime && o.pass === pass.pass)
    .reduce((sum, o) => sum + o.tokens.count, 0);
  const { generatedTokens, cachedTokens } = pass.witness;
  if (generatedTokens === null)
    return `the engine does not tell how many tokens it generated in ${pass.pass}`;
  if (cachedTokens === null) return `the engine does not tell what ${pass.pass} took from its prefix cache`;
  if (generatedTokens < returned)
    return `${pass.pass} returned ${returned} tokens but the engine's counter shows ${generatedTokens}`;
  if (cachedTokens > 0) return `${pass.pass} took ${cachedTokens} prompt tokens from the prefix cache`;
  return undefined;
}
