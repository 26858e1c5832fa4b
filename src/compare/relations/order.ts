import type { Side } from '../../record/side.ts';
import type { Pair, Pairing, Relation } from '../types.ts';
import { exercised, find, objection, pairsOf, type Seen, share } from './witness.ts';

/** Prompts that are submitted together give the same bits in whatever order they come. */
export const order: Relation = {
  name: 'order',
  what: 'prompts that are submitted together give the same bits in whatever order they come',
  witness: 'the scheduler took prompts up at another place',
  sides: ['in order', 'in reverse'],
  byDefault: false,
  decoding: false,
  breaks: { means: 'broken' },
  ofRefresh: 'never',
  requires: (batchInvariant) => (batchInvariant ? 'identical' : 'measure'),
  needs: (depth) => {
    const kind = depth === 'full' ? 'generate' : 'score';
    return [
      { kind, arrangement: 'together' },
      { kind, arrangement: 'reversed' },
    ];
  },
  lifetimes: 1,
  pair(run: Side): Pairing {
    const { record } = run;
    for (const lifetime of record.lifetimes)
      for (const kind of ['generate', 'score'] as const) {
        const together = find(record, lifetime, kind, 'together');
        const reversed = find(record, lifetime, kind, 'reversed');
        if (together !== undefined && reversed !== undefined) return between(run, together, reversed);
      }
    return { kind: 'unmeasured', reason: 'no lifetime holds its prompts in two orders' };
  },
};

function between(run: Side, together: Seen, reversed: Seen): Pairing {
  const wrong = objection(together) ?? objection(reversed);
  if (wrong !== undefined) return { kind: 'unmeasured', reason: wrong };
  const [first, second] = [taken(together), taken(reversed)];
  if (first === undefined || second === undefined)
    return {
      kind: 'unmeasured',
      reason: 'the engine does not tell in which order its scheduler took the prompts up',
    };
  const moved = first.filter((prompt, index) => second[index] !== prompt).length;
  if (moved === 0)
    return {
      kind: 'unmeasured',
      reason:
        first.length < 2
          ? 'a single prompt has no order'
          : 'the scheduler took the prompts up in the same order both times',
    };
  const pairs: Pair[] = pairsOf(together, reversed);
  return exercised(
    pairs,
    () => `the scheduler took ${share(moved, first.length)} up at another place`,
    run,
    'nothing was observed',
  );
}

/** Prompts in the order in which the scheduler took them up; undefined unless it tells of every one. */
function taken({ observations, requests }: Seen): string[] | undefined {
  const known = [...observations.keys()].flatMap((id) => requests?.get(id) ?? []);
  if (known.length < observations.size) return undefined;
  return known.sort((a, b) => a.order - b.order).map(({ id }) => id);
}
