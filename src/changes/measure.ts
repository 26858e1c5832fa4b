import { join } from 'node:path';
import { compare } from '../compare/compare.ts';
import type { RelationResult, Side } from '../compare/types.ts';
import type { OpenedRecord } from '../disk/record-folder.ts';
import type { LoadedSuite } from '../disk/suite-file.ts';
import { type ErrorCode, userErrorIn } from '../errors.ts';
import type { Settings } from '../job/settings.ts';
import type { Plan, PlannedPass } from '../run/plan.ts';
import { startRun, type Tools } from '../run/start.ts';
import { knownTokens } from '../trust/baseline.ts';
import type { Known, Subject } from './known.ts';

/** What became of one change. */
export type Measured =
  | { readonly kind: 'compared'; readonly side: OpenedRecord; readonly baseline: RelationResult }
  | { readonly kind: 'unavailable'; readonly reason: string };

/** One engine start of a plan, in a folder of its own. */
export async function measureOnce(
  loaded: LoadedSuite,
  plan: Plan,
  reference: Side | undefined,
  settings: Settings,
  tools: Tools,
): Promise<OpenedRecord> {
  await using run = await startRun(loaded, plan, settings, tools);
  await using lifetimes = await run.begin(
    reference === undefined ? new Map() : await knownTokens(reference, plan.prompts),
  );
  await lifetimes.planned();
  return await lifetimes.commit();
}

/** Makes a known change, runs it once and compares it with the unchanged run, as a check would. */
export async function measureChange(
  known: Known,
  subject: Subject,
  reference: Side,
  settings: Settings,
  tools: Tools,
): Promise<Measured> {
  const changed = known.make(subject);
  if (typeof changed === 'string') return { kind: 'unavailable', reason: changed };
  try {
    const side = await tools.console.section(`${known.id}: ${known.what}`, () =>
      measureOnce(changed.loaded, changed.plan, reference, inFolder(settings, known.id), tools),
    );
    const [baseline] = await compare(side, reference, [{ relation: 'baseline', requirement: 'identical' }]);
    if (baseline === undefined) throw new Error('nothing was compared');
    return { kind: 'compared', side, baseline };
  } catch (error) {
    // An engine that refuses the change, or dies of it, is an answer; a runner that fails is not.
    const refusal = userErrorIn(error);
    if (refusal === undefined || !REFUSALS.includes(refusal.code)) throw error;
    return { kind: 'unavailable', reason: refusal.message.split('\n')[0]?.slice(0, 500) ?? refusal.code };
  }
}

const REFUSALS: readonly ErrorCode[] = [
  'engine-rejected',
  'engine-failed',
  'engine-died',
  'engine-out-of-memory',
];

/** One start, and only what is asked for. */
export const once = (plan: Plan, passes: readonly PlannedPass[]): Plan => ({
  ...plan,
  passes,
  lifetimes: 1,
});

export const inFolder = (settings: Settings, id: string): Settings => ({
  ...settings,
  recordPath: join(`${settings.recordPath}.power`, id),
});
