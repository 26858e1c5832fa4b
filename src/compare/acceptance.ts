import type { Acceptance } from '../suite/schema.ts';

/** What an acceptance of the suite means for this run. */
export interface Accepted {
  readonly record: string;
  readonly reason: string;
  /**
   * `matched`: this run gave that record. `baseline`: it is the baseline by now, and the line has done its work.
   * `elsewhere`: it is for another hardware class. `stale`: nothing here gives it any more.
   */
  readonly state: 'matched' | 'baseline' | 'elsewhere' | 'stale';
}

export interface Outcomes {
  readonly hardwareClass: string;
  /** Outcome of each of this run's lifetimes. */
  readonly run: readonly string[];
  /** Those of the baseline's; empty without one. */
  readonly baseline: readonly string[];
}

/** Looks at every acceptance of a suite, in its order. */
export function acceptances(
  accept: readonly Acceptance[],
  { hardwareClass, run, baseline }: Outcomes,
): Accepted[] {
  return accept.map((acceptance): Accepted => {
    const { record, reason } = acceptance;
    const here = (acceptance['hardware-class'] ?? hardwareClass) === hardwareClass;
    const state = !here
      ? 'elsewhere'
      : baseline.includes(record)
        ? 'baseline'
        : run.includes(record)
          ? 'matched'
          : 'stale';
    return { record, reason, state };
  });
}

/**
 * The acceptance that lets this run's drift pass: only if every outcome that the baseline does not know is accepted,
 * so that one more change does not slip through beside it.
 */
export function acceptedBy(all: readonly Accepted[], { run, baseline }: Outcomes): Accepted | undefined {
  const matched = all.filter(({ state }) => state === 'matched');
  const strange = run.filter((outcome) => !baseline.includes(outcome));
  return strange.every((outcome) => matched.some(({ record }) => record === outcome))
    ? matched[0]
    : undefined;
}
