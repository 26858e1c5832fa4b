import { devicesName } from '../../record/devices.ts';
import { PASS_KINDS } from '../../record/names.ts';
import type { Lifetime, PassKind, RunRecord } from '../../record/schema.ts';
import { lifetimesOf } from '../../record/select.ts';
import type { Side } from '../../record/side.ts';
import type { Pair, Pairing, PassNeed, Relation } from '../types.ts';
import { exercised, find, objection, pairsOf, type Seen, UNKNOWN, unproven } from './witness.ts';

/** An engine that is started anew gives the same bits: this is where autotuning shows. */
export const restart: Relation = {
  name: 'restart',
  what: 'an engine that is started anew gives the same bits: this is where autotuning shows',
  witness: 'two processes, neither of them a fork of what the other is a fork of',
  sides: ['at the first start', 'at a later start'],
  byDefault: false,
  decoding: false,
  breaks: {
    means: 'unstable',
    sentence: 'The same work after a restart of the engine gave other bits.',
  },
  ofRefresh: 'unless-measured',
  requires: () => 'identical',
  needs: (depth): PassNeed[] => [
    ...(depth === 'full' ? [{ kind: 'generate', arrangement: 'alone' } as const] : []),
    { kind: 'score', arrangement: 'alone' },
  ],
  lifetimes: 2,
  pair(run: Side): Pairing {
    const { record } = run;
    const pairs = PASS_KINDS.flatMap((kind) => ofKind(record, kind));
    const starts = lifetimesOf(record);
    const lifetimes = starts.length;
    return exercised(
      pairs,
      () => `${lifetimes} engine starts, each in a process of its own${forks(starts)}${where(starts)}`,
      run,
      lifetimes < 2 ? 'the engine was started once only' : 'no two engine starts were asked the same',
    );
  },
};

function ofKind(record: RunRecord, kind: PassKind): Pair[] {
  // A start that only traces holds no other pass, and so stands beside the others for its trace alone.
  const asked = record.lifetimes.flatMap((lifetime) => {
    const one = find(record, lifetime, kind, 'alone');
    return one === undefined ? [] : [{ lifetime, seen: one }];
  });
  const [first, ...further] = asked;
  if (first === undefined) return [];
  // What forks of one process share, its import and all that came of it, is the same in all of them.
  const apart = new Set(asked.map(({ lifetime }) => lifetime.start?.process ?? lifetime.lifetime));
  if (further.length > 0 && apart.size < 2)
    return further.flatMap(({ lifetime, seen }) =>
      unproven(
        first.seen,
        seen,
        'all engine starts are forks of one process, so that none was started anew',
        `${first.lifetime.lifetime} and ${lifetime.lifetime}`,
      ),
    );
  return further.flatMap(({ lifetime, seen }) => {
    const note = bothOf(first.lifetime, lifetime);
    const missing = doubt(first.seen, seen);
    return missing === undefined
      ? alike(pairsOf(first.seen, seen, note))
      : unproven(first.seen, seen, missing, note);
  });
}

/** What of the starts was not anew. */
function forks(lifetimes: readonly Lifetime[]): string {
  const warm = lifetimes.filter(({ start }) => start?.how === 'warm').length;
  if (warm === 0) return '';
  const are = warm === 1 ? 'is a fork of one that had' : 'are forks of one that had';
  return `, ${warm} of which ${are} imported the engine`;
}

const placeOf = ({ devices }: Lifetime) => (devices === undefined ? undefined : devicesName(devices));

/** On how many GPUs, or sets of CPUs: a break on one tells of the engine, one between two perhaps of a card. */
function where(lifetimes: readonly Lifetime[]): string {
  const places = new Set(lifetimes.map(placeOf));
  if (lifetimes.length < 2 || places.has(undefined)) return '';
  return places.size === 1 ? `, all on ${[...places]}` : `, on ${[...places].join(' and on ')}`;
}

function bothOf(first: Lifetime, second: Lifetime): string {
  const [one, other] = [placeOf(first), placeOf(second)];
  const [a, b] = [first.lifetime, second.lifetime];
  if (one === undefined || other === undefined) return `${a} and ${b}`;
  return one === other ? `${a} and ${b}, both on ${one}` : `${a} on ${one} and ${b} on ${other}`;
}

/** Two lifetimes that were asked otherwise cannot be held against one another. */
const alike = (pairs: readonly Pair[]) =>
  pairs.map((pair): Pair => {
    if (!('right' in pair) || pair.left.input === pair.right.input) return pair;
    const { prompt, kind, note = '' } = pair;
    return { prompt, kind, note, unmeasured: 'the two were asked otherwise' };
  });

function doubt(first: Seen, second: Seen): string | undefined {
  const wrong = objection(first) ?? objection(second);
  if (wrong !== undefined) return wrong;
  const [a, b] = [first.pass.witness.process, second.pass.witness.process];
  if (a === UNKNOWN || b === UNKNOWN)
    return 'it is not known which process ran the model, so that nothing shows a new start';
  return a === b ? `both ran in the process ${a}: the engine was not started anew` : undefined;
}
