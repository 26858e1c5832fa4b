import { relations } from '../compare/relations/index.ts';
import { engines } from '../engine/engines/index.ts';
import { TUNING } from '../engine/engines/variables.ts';
import { suiteSchema } from '../suite/schema.ts';
import { stores } from './stores.ts';

/** Engines that run a program of the user's. */
export const PROGRAMS: readonly string[] = engines.flatMap(({ name, program }) =>
  program === true ? [name] : [],
);

/** A suite in the words of this version: its lists say what there is. */
export const SUITE_SCHEMA = suiteSchema({
  engines: engines.map(({ name, takes }) => ({ name, takes })),
  programs: PROGRAMS,
  modelless: engines.flatMap(({ name, probes }) => (probes === undefined ? [] : [{ name, probes }])),
  serving: engines.flatMap(({ name, served }) =>
    served === undefined ? [] : [{ name, programs: served.programs }],
  ),
  remote: engines.flatMap(({ name, remote }) =>
    remote === undefined ? [] : [{ name, problems: remote.problems }],
  ),
  relations: relations.map(({ name, byDefault, decoding }) => ({ name, byDefault, decoding })),
  stores: stores.map(({ name }) => name),
  variables: [...TUNING.flatMap(({ names }) => names), ...engines.flatMap(({ tuning }) => tuning)],
});
