import type { Lifetime, PassKind, RunRecord } from '../../record/schema.ts';
import type { Side } from '../../record/side.ts';
import type { Pair, Pairing, PassNeed, Relation } from '../types.ts';
import { exercised, find, objection, type Seen, share, unwatched } from './witness.ts';

/** A prompt gives the same bits alone as beside others. Ordinary kernels do not: their sums depend on the batch. */
export const batch: Relation = {
  name: 'batch',
  what: 'a prompt gives the same bits alone as beside others',
  witness: 'it had its steps to itself, and then shared some',
  sides: ['alone', 'in a batch'],
  byDefault: false,
  decoding: false,
  breaks: { means: 'broken' },
  ofRefresh: 'never',
  requires: (batchInvariant) => (batchInvariant ? 'identical' : 'measure'),
  needs: (depth): PassNeed[] => {
    const kind: PassKind = depth === 'full' ? 'generate' : 'score';
    return [{ kind, arrangement: 'alone' }, ...BESIDE.map((arrangement) => ({ kind, arrangement }))];
  },
  lifetimes: 1,
  pair(run: Side): Pairing {
    const { record } = run;
    for (const lifetime of record.lifetimes)
      for (const kind of ['generate', 'score'] as const) {
        const alone = find(record, lifetime, kind, 'alone');
        // Strangers without a pass together were there to measure the floor.
        if (find(record, lifetime, kind, 'together') === undefined) continue;
        if (alone !== undefined) return between(run, alone, besideOf(record, lifetime, kind));
      }
    return { kind: 'unmeasured', reason: 'no lifetime holds a pass alone and one beside others' };
  },
};

const BESIDE = ['together', 'strangers'] as const;

const besideOf = (record: RunRecord, lifetime: Lifetime, kind: PassKind) =>
  BESIDE.flatMap((arrangement) => find(record, lifetime, kind, arrangement) ?? []);

function between(run: Side, alone: Seen, beside: readonly Seen[]): Pairing {
  const wrong = objection(alone);
  if (wrong !== undefined) return { kind: 'unmeasured', reason: wrong };
  const pairs = [...alone.observations.keys()].flatMap((prompt) => ofPrompt(prompt, alone, beside));
  const most = Math.max(0, ...beside.map(({ pass }) => pass.witness.maxRunning ?? 0));
  return exercised(
    pairs,
    () => {
      const shared = new Set(pairs.flatMap((pair) => ('right' in pair ? [pair.prompt] : [])));
      return `${share(shared.size, alone.observations.size)} shared steps with others${most > 1 ? `, up to ${most} requests in one` : ''}, and had theirs to themselves alone`;
    },
    run,
    beside.map(objection).find((reason) => reason !== undefined) ?? 'nothing was observed',
  );
}

/** A prompt is unmeasured where no arrangement put it beside others: one is enough. */
function ofPrompt(prompt: string, alone: Seen, beside: readonly Seen[]): Pair[] {
  const { kind } = alone.pass;
  const tried = beside.map((other): Pair => {
    const note = other.pass.arrangement;
    const [left, right] = [alone.observations.get(prompt), other.observations.get(prompt)];
    const why = doubt(prompt, alone, other);
    if (why !== undefined) return { prompt, kind, note, unmeasured: why };
    if (left === undefined || right === undefined)
      return { prompt, kind, note, unmeasured: `${other.pass.pass} has no observation of it` };
    return { prompt, kind, note, left, right };
  });
  const proven = tried.filter((pair) => 'right' in pair);
  return proven.length > 0 ? proven : tried.slice(0, 1);
}

function doubt(prompt: string, alone: Seen, other: Seen): string | undefined {
  const why = objection(other) ?? unwatched([alone, other], prompt);
  if (why !== undefined) return why;
  if (alone.requests?.get(prompt)?.together !== 1)
    return `it was not alone in its steps in ${alone.pass.pass}`;
  return (other.requests?.get(prompt)?.together ?? 0) > 1
    ? undefined
    : `it shared no step with another request in ${other.pass.pass}`;
}
