import { devicesKey, devicesName } from '../record/devices.ts';
import { outcomesOf } from '../record/outcome.ts';
import type { RunRecord } from '../record/schema.ts';

/** Devices on which lifetimes of a run ran. */
export interface Ran {
  /** `GPU 1`. */
  readonly name: string;
  readonly lifetimes: readonly string[];
}

/** How the outcomes of a run go with the devices. */
export type ByDevices =
  /** All others have one outcome: two of them at least, so that there is a majority. */
  | {
      readonly kind: 'one-disagrees';
      /** With those of its lifetimes alone that gave something else. */
      readonly suspect: Ran;
      /** Those of them that gave what all others did. */
      readonly agreeing: readonly string[];
      readonly others: readonly Ran[];
    }
  /** Each repeats itself, and they do not agree: which of them is right nobody knows. */
  | { readonly kind: 'each-its-own'; readonly all: readonly Ran[] };

/** Undefined where all outcomes are the same, all ran in one place, or the places explain nothing. */
export function byDevices(record: Pick<RunRecord, 'lifetimes' | 'observations'>): ByDevices | undefined {
  const places = new Map<string, { name: string; lifetimes: string[]; outcomes: string[] }>();
  for (const { lifetime, outcome } of outcomesOf(record)) {
    const { devices } = record.lifetimes.find((one) => one.lifetime === lifetime) ?? {};
    const [key, name] = devices === undefined ? [] : [devicesKey(devices), devicesName(devices)];
    // Of one that ran nobody knows where, nothing is known of the others either.
    if (key === undefined || name === undefined) return undefined;
    const place = places.get(key) ?? { name, lifetimes: [], outcomes: [] };
    place.lifetimes.push(lifetime);
    place.outcomes.push(outcome);
    places.set(key, place);
  }
  const all = [...places.values()];
  const outcomes = (some: typeof all) => new Set(some.flatMap(({ outcomes: own }) => own)).size;
  if (all.length < 2 || outcomes(all) < 2) return undefined;
  const suspects = all.filter((one) => outcomes(all.filter((other) => other !== one)) === 1);
  const [suspect] = suspects;
  if (all.length > 2 && suspect !== undefined && suspects.length === 1) {
    const others = all.filter((one) => one !== suspect);
    const agrees = (_: string, at: number) => suspect.outcomes[at] === others[0]?.outcomes[0];
    const agreeing = suspect.lifetimes.filter(agrees);
    const lifetimes = suspect.lifetimes.filter((one) => !agreeing.includes(one));
    return { kind: 'one-disagrees', suspect: { name: suspect.name, lifetimes }, agreeing, others };
  }
  return all.every((one) => outcomes([one]) === 1) ? { kind: 'each-its-own', all } : undefined;
}
