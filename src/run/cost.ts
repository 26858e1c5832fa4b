import type { RunRecord } from '../record/schema.ts';
import type { Plan, PlannedPass } from './plan.ts';

/** What a run will take, as far as earlier records tell. */
export interface Cost {
  /** Engine starts, at least. */
  readonly starts: number;
  /** More of them after a first difference from the baseline. */
  readonly perhaps: number;
  /** Of all starts but those perhaps: loading and passes. Null where no record tells of a start. */
  readonly seconds: number | null;
  /** Passes that no record has, which the seconds leave out. */
  readonly unknown: readonly string[];
}

/** Seconds that earlier lifetimes took, on average. */
export interface Paid {
  readonly load: number;
  readonly passes: ReadonlyMap<string, number>;
}

/** Undefined where there was no engine start at all. */
export function paidBy(records: readonly Pick<RunRecord, 'lifetimes'>[]): Paid | undefined {
  const lifetimes = records.flatMap((record) => record.lifetimes);
  if (lifetimes.length === 0) return undefined;
  const seconds = new Map<string, number[]>();
  for (const { passes } of lifetimes)
    for (const { pass, seconds: took } of passes) seconds.set(pass, [...(seconds.get(pass) ?? []), took]);
  return {
    load: mean(lifetimes.map(({ loadSeconds }) => loadSeconds)),
    passes: new Map([...seconds].map(([pass, took]) => [pass, mean(took)])),
  };
}

/** Of a check or a refresh, as planned. @param variants that are measured beside it, each as the run itself is */
export const costOfPlan = (plan: Plan, paid: Paid | undefined, variants = 0): Cost =>
  costOf(
    [
      plan.passes,
      ...Array.from({ length: plan.lifetimes - 1 }, () => plan.repeats),
      ...(plan.traceApart ? [plan.traces] : []),
      ...Array.from({ length: variants }, () => plan.passes),
    ],
    plan.baseline ? plan.confirm + plan.bisect : 0,
    paid,
  );

/** @param starts the passes of each */
export function costOf(
  starts: readonly (readonly Pick<PlannedPass, 'pass'>[])[],
  perhaps: number,
  paid: Paid | undefined,
): Cost {
  const asked = starts.flat().map(({ pass }) => pass);
  return {
    ...{ starts: starts.length, perhaps },
    seconds:
      paid === undefined
        ? null
        : starts.length * paid.load + asked.reduce((sum, pass) => sum + (paid.passes.get(pass) ?? 0), 0),
    unknown: [...new Set(asked.filter((pass) => paid?.passes.has(pass) !== true))],
  };
}

/** Seconds that a run waits for one cold start with these passes, by a record's first; null where there was none. */
export function secondsOfStart(
  passes: readonly Pick<PlannedPass, 'pass'>[],
  record: Pick<RunRecord, 'lifetimes'>,
): number | null {
  const [first] = record.lifetimes;
  const paid = paidBy([record]);
  if (first === undefined || paid === undefined) return null;
  const { phases, loadSeconds } = first;
  // Records of before there were phases have only what the engine says of its loading.
  const around = phases === undefined ? loadSeconds : phases.open + phases.import + phases.load + phases.end;
  return passes.reduce((sum, { pass }) => sum + (paid.passes.get(pass) ?? 0), around);
}

const mean = (values: readonly number[]) => values.reduce((sum, one) => sum + one, 0) / values.length;
