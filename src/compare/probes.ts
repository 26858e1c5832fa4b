import type { CalledProbes, RunRecord } from '../record/schema.ts';

/** One probe, of which calls give other bits than in the baseline. */
export interface ProbeDrift {
  readonly probe: string;
  /** Calls that both records have. */
  readonly calls: number;
  readonly differing: number;
  /** The first of them, as the probe orders its calls. */
  readonly first: string;
}

/** What the probes of a run say beside those of its baseline. They explain, and decide nothing. */
export interface ProbesCompared {
  /** Calls that both have, and that were compared. */
  readonly compared: number;
  readonly moved: readonly ProbeDrift[];
  /** Why some or all were not compared; null where all of both sides were. */
  readonly unmeasured: string | null;
}

type Told = Pick<RunRecord, 'lifetimes'>;

/** Of probes that moved: there are nine, and a record from elsewhere may name any. */
const MAX_MOVED = 100;

/** Where none was asked for in this run, or there is no baseline, nothing is told. */
export function compareProbes(before: Told | undefined, now: Told): ProbesCompared | undefined {
  const called = probesOf(now);
  if (called === undefined || before === undefined) return undefined;
  const then = probesOf(before);
  if (called.unavailable !== null) return without(`none could be called: ${called.unavailable}`);
  if (then === undefined) return without('the baseline has none');
  if (then.unavailable !== null) return without(`none could be called for the baseline: ${then.unavailable}`);
  const known = new Map(Object.entries(then.calls));
  const both = Object.entries(called.calls).flatMap(([call, sha256]) => {
    const was = known.get(call);
    return was === undefined ? [] : [{ call, moved: was !== sha256 }];
  });
  const moved = [...Map.groupBy(both, ({ call }) => probeOf(call))].flatMap(
    ([probe, calls]): ProbeDrift[] => {
      const differing = calls.filter((one) => one.moved);
      const [first] = differing;
      return first === undefined
        ? []
        : [{ probe, calls: calls.length, differing: differing.length, first: first.call }];
    },
  );
  const onlyOne = known.size + Object.keys(called.calls).length - 2 * both.length;
  return {
    compared: both.length,
    moved: moved.slice(0, MAX_MOVED),
    unmeasured: onlyOne === 0 ? null : `${onlyOne} calls that only one of the two has`,
  };
}

const without = (unmeasured: string): ProbesCompared => ({ compared: 0, moved: [], unmeasured });

const probesOf = ({ lifetimes }: Told): CalledProbes | undefined =>
  lifetimes.find(({ probes }) => probes !== undefined)?.probes;

/** A call's name begins with its probe's. */
const probeOf = (call: string) => call.split(' ', 1)[0] ?? call;
