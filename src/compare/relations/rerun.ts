import { channelOf } from '../../record/channels.ts';
import type { Side } from '../../record/side.ts';
import type { Pair, Pairing, Relation } from '../types.ts';
import { exercised, find, objection, pairsOf, type Seen, UNKNOWN, unproven } from './witness.ts';

/** The same work twice in one lifetime gives the same bits. */
export const rerun: Relation = {
  name: 'rerun',
  what: 'the same work twice in one engine start gives the same bits',
  witness:
    'the counters show all tokens (of an engine without any: all calls) of both passes, none of them cached by the first, in one process',
  sides: ['at first', 'again'],
  byDefault: true,
  decoding: false,
  breaks: { means: 'unstable', sentence: 'The same work in the same engine gave other bits.' },
  ofRefresh: 'always',
  requires: () => 'identical',
  needs: (depth) => {
    const kind = depth === 'full' ? 'generate' : 'score';
    return [
      { kind, arrangement: 'alone' },
      { kind, arrangement: 'again' },
    ];
  },
  lifetimes: 1,
  pair(run: Side): Pairing {
    const { record } = run;
    const pairs: Pair[] = [];
    const proofs: string[] = [];
    let reason = 'no lifetime holds two passes that do the same';
    for (const lifetime of record.lifetimes)
      for (const kind of ['generate', 'score'] as const) {
        const first = find(record, lifetime, kind, 'alone');
        const second = find(record, lifetime, kind, 'again');
        if (first === undefined || second === undefined) continue;
        const note = record.lifetimes.length > 1 ? lifetime.lifetime : undefined;
        const missing = doubt(first, second);
        if (missing === undefined) {
          pairs.push(...pairsOf(first, second, note));
          proofs.push(proof(first, second));
        } else {
          pairs.push(...unproven(first, second, missing, note));
          // An unavailable pass observed nothing that could carry its reason.
          reason = missing;
        }
      }
    return exercised(pairs, () => [...new Set(proofs)].join('; '), run, reason);
  },
};

/** What a pass's work is counted in, and how much of it the engine says it did. */
function workOf({ pass, observations }: Seen): { readonly unit: string; readonly count: number | null } {
  const { kind, witness } = pass;
  if (kind === 'score') return { unit: 'prompt tokens', count: witness.promptTokens };
  // Where no observation has a token, what was done are calls.
  const tokenless =
    observations.size > 0 &&
    [...observations.values()].every((one) => channelOf(one, 'tokens') === undefined);
  return tokenless
    ? { unit: 'calls', count: witness.steps }
    : { unit: 'tokens', count: witness.generatedTokens };
}

function proof(first: Seen, second: Seen): string {
  const [a, b] = [workOf(first), workOf(second)];
  return `the engine's counters show ${a.count} ${a.unit} in ${first.pass.pass} and ${b.count} in ${second.pass.pass}, none of them from what the first left in a cache, in one process`;
}

/**
 * The engine's own counters must show that both passes computed what they returned, in one process. A repeat that
 * was answered from a cache, or that never ran, would agree with anything.
 */
function doubt(first: Seen, second: Seen): string | undefined {
  for (const one of [first, second]) {
    const wrong = objection(one);
    if (wrong !== undefined) return wrong;
    const { unit, count } = workOf(one);
    if (count === null)
      return unit === 'calls'
        ? `the engine does not tell how many calls it made in ${one.pass.pass}`
        : `the engine does not tell how many tokens it ${one.pass.kind === 'score' ? 'processed' : 'generated'} in ${one.pass.pass}`;
  }
  const [a, b] = [first.pass.witness, second.pass.witness];
  if (a.cachedTokens === null || b.cachedTokens === null)
    return 'the engine does not tell what it took from its prefix cache';
  // Prompts of one pass may share a prefix; only what the repeat found beyond that is the first pass's work.
  if (b.cachedTokens > a.cachedTokens)
    return `${second.pass.pass} took ${b.cachedTokens} prompt tokens from the prefix cache, ${first.pass.pass} ${a.cachedTokens}: it did not start cold`;
  if (a.process === UNKNOWN || a.process !== b.process)
    return 'the two passes are not known to have run in one process';
  return undefined;
}
