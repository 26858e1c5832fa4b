import type { ModuleDigest } from '../engine/protocol.ts';
import { digestJson } from './digest.ts';
import type { Trace } from './schema.ts';

/** Everything `record.json` keeps of a trace's modules. */
export function describeModules(modules: readonly ModuleDigest[]): Trace['modules'] {
  return {
    count: modules.length,
    sha256: digestJson(modules.map(({ name, sha256: digest }) => [name, digest])),
    nans: modules.reduce((sum, { nans }) => sum + nans, 0),
  };
}
