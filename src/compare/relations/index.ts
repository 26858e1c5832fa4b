import type { Relation } from '../types.ts';
import { baseline } from './baseline.ts';
import { batch } from './batch.ts';
import { order } from './order.ts';
import { prefill } from './prefill.ts';
import { prefixCache } from './prefix-cache.ts';
import { rerun } from './rerun.ts';
import { restart } from './restart.ts';
import { sameModel } from './same-model.ts';
import { isVariant, variant } from './variant.ts';

/** Every relation that a suite can ask for. */
export const relations: readonly Relation[] = [
  // In the order in which a suite's schema lists them.
  rerun,
  restart,
  batch,
  order,
  prefixCache,
  prefill,
  baseline,
  sameModel,
];

/** Whether a relation holds a run against a trusted record, and not against itself. */
export const comparesWithBaseline = (name: string): boolean => relationNamed(name).breaks.means === 'drift';

/** The one of a name that the suite's schema let pass, or that all variants share. */
export function relationNamed(name: string): Relation {
  if (isVariant(name)) return variant;
  const found = relations.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no relation is called ${name}`);
  return found;
}
