import type { Fingerprint } from '../fingerprint/schema.ts';
import type { Asks, FingerprintSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import { makePlan } from '../run/plan.ts';
import { startRun } from '../run/start.ts';
import { loadRuled } from '../trust/judge.ts';

/** What the numbers may depend on here. Starts the suite's runtime, but loads no model. */
export async function fingerprint(
  settings: FingerprintSettings & Asks<'look'>,
  tools: Tools,
): Promise<{ readonly hardwareClass: string; readonly fingerprint: Fingerprint }> {
  const { loaded } = await loadRuled(settings, tools);
  await using run = await startRun(loaded, makePlan(loaded, 'check'), settings, tools);
  return { hardwareClass: run.hardwareClass, fingerprint: run.fingerprint };
}
