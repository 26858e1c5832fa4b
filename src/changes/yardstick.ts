import type { Yardstick } from '../baseline/port.ts';
import type { EngineSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { OpenedRecord } from '../record/side.ts';
import type { Plan } from '../run/plan.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import { knownChanges } from './known/index.ts';
import { measureChange, once } from './measure.ts';

/** The distances of known changes from a new baseline, one engine start each. */
export async function measureYardstick(
  loaded: LoadedSuite,
  plan: Plan,
  baseline: OpenedRecord,
  settings: EngineSettings,
  tools: Tools,
): Promise<Yardstick[]> {
  const { fingerprint, lifetimes } = baseline.record;
  const subject = {
    loaded,
    plan: once(
      plan,
      plan.passes.filter(({ kind, arrangement }) => kind === 'score' && arrangement === 'alone'),
    ),
    fingerprint,
    effective: lifetimes[0]?.settings.effective ?? {},
  };
  const marks: Yardstick[] = [];
  for (const known of knownChanges.filter(({ yardstick }) => yardstick)) {
    const measured = await measureChange(known, subject, baseline, settings, tools);
    if (measured.kind === 'unavailable')
      tools.console.info(`${known.id} cannot be measured here: ${measured.reason}`);
    else if (measured.baseline.size !== null)
      marks.push({ id: known.id, what: known.what, rmsNats: measured.baseline.size.distance.rmsNats });
  }
  return marks;
}
