import { UserError } from '../errors.ts';
import type { ValidateSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { RunRecord } from '../record/schema.ts';
import { recordPathOf } from '../report/paths.ts';
import type { Suite } from '../suite/schema.ts';
import { findTrusted } from '../trust/baseline.ts';

/** Where a terminal's runs leave theirs. */
export const RECORDS_PATH = '.deterministic-ml/records';
/** The newest so many tell what a run costs: older ones are of another engine or of other prompts. */
const MAX_RECORDS = 5;

export interface Earlier {
  /** Of one hardware class, newest first. */
  readonly found: readonly RunRecord[];
  /** What could not be read, and why. */
  readonly untold: readonly string[];
}

/** Earlier records of a suite: those below a folder that lie beside their reports, and baselines that are files. */
export async function earlierRecords(
  { recordsPath = RECORDS_PATH }: Pick<ValidateSettings, 'recordsPath'>,
  { name, baseline }: Pick<Suite, 'name' | 'baseline'>,
  { open, reports, records }: Pick<Tools, 'open' | 'reports' | 'records'>,
): Promise<Earlier> {
  const all: RunRecord[] = [];
  const untold: string[] = [];
  const told = async (what: string, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof UserError) || error.code === 'cancelled') throw error;
      untold.push(`${what} tells nothing here: ${error.message}`);
    }
  };
  await told(recordsPath, async () => {
    for (const path of await reports.find(recordsPath, 0)) {
      const folder = recordPathOf(path);
      if ((await records.missing(folder)) !== undefined) continue;
      await told(folder, async () => void all.push((await records.open(folder)).record));
    }
  });
  if (baseline.store === 'files')
    await told(baseline.path, async () => {
      const store = open.store(baseline);
      for (const hardwareClass of await store.classes(name)) {
        await using owned = new AsyncDisposableStack();
        const trusted = await findTrusted(store, { suite: name, hardwareClass }, records, owned);
        if (trusted.kind === 'found') all.push(trusted.side.record);
      }
    });
  const own = all
    .filter((record) => record.suite.name === name)
    .toSorted((a, b) => b.createdAt.localeCompare(a.createdAt));
  const found = own.filter(({ hardwareClass }) => hardwareClass === own[0]?.hardwareClass);
  return { found: found.slice(0, MAX_RECORDS), untold };
}
