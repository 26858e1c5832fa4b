import { engines, ownArguments } from '../engine/engines/index.ts';
import { type Change, diffEnvironments, type Environment } from '../fingerprint/diff.ts';
import { diffSoftware } from '../fingerprint/software-diff.ts';
import type { RunRecord } from '../record/schema.ts';
import { softwareOf } from '../record/software.ts';
import { diffCaches } from './caches.ts';

type Told = Pick<RunRecord, 'fingerprint' | 'lifetimes' | 'software'>;

/** The first lifetime's settings stand for the record: all lifetimes of a run ask for the same. */
export function environmentOf({ fingerprint, lifetimes }: Told): Environment {
  const settings = lifetimes[0]?.settings ?? { requested: {}, dropped: [], effective: {} };
  return { fingerprint, settings };
}

/** How two environments differ. */
export interface Differences {
  readonly changes: readonly Change[];
  /** Arguments that differ only since the two runs were asked for other relations: nobody changed them. */
  readonly byRelations: readonly Change[];
}

export function differences(before: Told, after: Told): Differences {
  const [left, right] = [givenByPasses(before), givenByPasses(after)];
  const following = new Set(
    [...left].filter((name) => right.has(name)).map((name) => `engine.requested.${name}`),
  );
  const all = diffEnvironments(environmentOf(before), environmentOf(after));
  const told = all.filter(({ field }) => !following.has(field));
  const isAmbient = ({ half }: Change) => half === 'ambient';
  return {
    // What was installed is the repository's doing too; it explains less than what the suite says itself.
    changes: [
      ...told.filter((one) => !isAmbient(one)),
      ...diffSoftware(softwareOf(before), softwareOf(after)).filter((one) => !isTold(one, told)),
      ...diffCaches(before, after),
      ...told.filter(isAmbient),
    ],
    byRelations: all.filter(({ field }) => following.has(field)),
  };
}

/** Of what computes, the fingerprint knows the version already. */
const isTold = ({ field, before, after }: Change, told: readonly Change[]) =>
  told.some(
    (one) =>
      one.before === before &&
      one.after === after &&
      one.field.replace(/^libraries\./, 'packages.python.') === field,
  );

/** Arguments that a record's passes decide, and that have just the value which those give: no suite set another. */
function givenByPasses(record: Told): ReadonlySet<string> {
  const engine = engines.find(({ name }) => name === record.fingerprint.declared.engine.name);
  if (engine === undefined) return new Set();
  const given: Readonly<Record<string, unknown>> = ownArguments(
    engine,
    record.lifetimes.flatMap(({ passes }) => passes),
  );
  const { requested } = environmentOf(record).settings;
  return new Set(Object.keys(engine.prefixCaching).filter((name) => requested[name] === given[name]));
}
