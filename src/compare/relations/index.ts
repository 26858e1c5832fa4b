import type { RelationName } from '../../suite/schema.ts';
import type { Relation } from '../types.ts';
import { baseline } from './baseline.ts';
import { batch } from './batch.ts';
import { order } from './order.ts';
import { prefill } from './prefill.ts';
import { prefixCache } from './prefix-cache.ts';
import { rerun } from './rerun.ts';
import { restart } from './restart.ts';

/** Every relation that a suite can ask for. */
export const relations: Readonly<Record<RelationName, Relation>> = {
  rerun,
  restart,
  batch,
  order,
  'prefix-cache': prefixCache,
  prefill,
  baseline,
};
