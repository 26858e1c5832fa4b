import type { Fingerprint } from '../fingerprint/schema.ts';
import type { Settings } from '../job/settings.ts';
import { makePlan } from '../run/plan.ts';
import { startRun, type Tools } from '../run/start.ts';
import { loadRuled } from '../trust/judge.ts';

/** What the numbers may depend on here. Starts the suite's runtime, but loads no model. */
export async function fingerprint(
  settings: Settings,
  tools: Tools,
): Promise<{ readonly hardwareClass: string; readonly fingerprint: Fingerprint }> {
  const loaded = (await loadRuled('check', settings, tools)).loaded;
  await using run = await startRun(loaded, makePlan(loaded, 'check'), settings, tools);
  return { hardwareClass: run.hardwareClass, fingerprint: run.fingerprint };
}
