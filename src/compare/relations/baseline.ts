import { firstObservations } from '../../record/outcome.ts';
import type { Arrangement, Pair, Relation, Side } from '../types.ts';

/** The run gives the bits of a trusted record. Its left observations come from a file: else it is like any other. */
export const baseline: Relation = {
  name: 'baseline',
  requires: 'identical',
  passes: 1,
  arrange(run: Side, trusted: Side | undefined): Arrangement {
    if (trusted === undefined) return { kind: 'unmeasured', reason: 'there is no baseline to compare with' };
    const left = new Map(firstObservations(trusted.record).map((o) => [o.prompt, o]));
    const right = new Map(firstObservations(run.record).map((o) => [o.prompt, o]));
    // Comparability is per prompt, by the digest of its input: another question under an old id is a new prompt.
    const ids = [...new Set([...right.keys(), ...left.keys()])];
    const pairs = ids.map((prompt): Pair => {
      const [a, b] = [left.get(prompt), right.get(prompt)];
      if (b === undefined) return { prompt, only: 'removed' };
      if (a === undefined || a.input !== b.input) return { prompt, only: 'added' };
      return { prompt, left: a, right: b };
    });
    const compared = pairs.filter((pair) => 'left' in pair).length;
    if (compared === 0)
      return {
        kind: 'unmeasured',
        reason: `none of the ${right.size} prompts has the same text and sampling as one of the baseline's ${left.size}`,
      };
    return {
      kind: 'exercised',
      evidence: `${compared} of ${right.size} prompts ask what the baseline asked`,
      pairs,
      left: trusted.readBody,
      right: run.readBody,
    };
  },
};
