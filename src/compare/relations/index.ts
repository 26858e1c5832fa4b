import type { RelationName } from '../../suite/schema.ts';
import type { Relation } from '../types.ts';
import { baseline } from './baseline.ts';
import { rerun } from './rerun.ts';

/** Every relation that a suite can ask for. */
export const relations: Readonly<Record<RelationName, Relation>> = { rerun, baseline };
