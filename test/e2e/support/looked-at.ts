import { basename, dirname } from 'node:path';
import { createFilesStore } from '../../../src/baseline/files.ts';
import { records, reports } from '../../../src/front/wiring.ts';
import type { Verification } from '../../../src/report/verification.ts';
import { findTrusted, type Trusted } from '../../../src/trust/baseline.ts';
import { verify } from '../../../src/use-cases/verify.ts';
import type { Runner } from './spawn.ts';
import { BASELINES } from './suites.ts';

/*
 * What needs no engine is looked at in the test's own process, by the functions that a step calls: a table of cases takes
 * milliseconds there. One test of each table asks the built action itself.
 */

/**
 * What a check finds in a checkout before it loads a model.
 * @param shelf folder of the baseline that belongs to the machine
 * @throws UserError as a check ends by
 */
export async function trustedIn({ workspace, temp }: Runner, shelf: string): Promise<Trusted> {
  await using owned = new AsyncDisposableStack();
  const store = createFilesStore({ workspace, path: BASELINES, tempFolder: temp, log: () => {} });
  const query = { suite: basename(dirname(shelf)), hardwareClass: basename(shelf) };
  return await findTrusted(store, query, records, owned);
}

/** Whether a report follows from the files that lie beside it. */
export const verified = (reportPath: string): Promise<Verification> =>
  verify({ reportPath }, { records, reports });
