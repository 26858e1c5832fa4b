import { compare } from '../compare/compare.ts';
import type { Claim, RelationResult } from '../compare/types.ts';
import { type ErrorCode, userErrorIn } from '../errors.ts';
import type { EngineSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { OpenedRecord, Side } from '../record/side.ts';
import type { Plan, PlannedPass } from '../run/plan.ts';
import { type Run, startRun } from '../run/start.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import { knownTokens } from '../trust/baseline.ts';
import { refuseDoubt } from '../trust/health.ts';
import type { Changed, KnownChange, Subject } from './make.ts';

/** What became of one change. */
export type Measured =
  | { readonly kind: 'compared'; readonly side: OpenedRecord; readonly baseline: RelationResult }
  | { readonly kind: 'unavailable'; readonly reason: string };

/**
 * One engine start of a plan, in a folder of its own.
 *
 * @param refuse throws where what the engine found out must not run, before it loads anything
 */
export async function measureOnce(
  loaded: LoadedSuite,
  plan: Plan,
  reference: Side | undefined,
  settings: EngineSettings,
  tools: Tools,
  refuse: (run: Run) => void = () => {},
): Promise<OpenedRecord> {
  await using run = await startRun(loaded, plan, settings, tools);
  refuse(run);
  await using lifetimes = await run.begin(
    reference === undefined ? new Map() : await knownTokens(reference, plan.prompts),
  );
  await lifetimes.planned();
  refuseDoubt(lifetimes.health, ['unhealthy']);
  return await lifetimes.commit();
}

/** What a changed run is held against, and which errors of it are an answer. */
export interface Against {
  readonly reference: Side;
  readonly claim: Claim;
  readonly refusals: readonly ErrorCode[];
}

/** Makes a known change, runs it once and compares it with the unchanged run, as a check would. */
export async function measureChange(
  known: KnownChange,
  subject: Subject,
  reference: Side,
  settings: EngineSettings,
  tools: Tools,
): Promise<Measured> {
  const changed = known.make(subject);
  if (typeof changed === 'string') return { kind: 'unavailable', reason: changed };
  const against = { reference, claim: IDENTICAL, refusals: REFUSALS };
  return await tryOnce(`${known.id}: ${known.what}`, changed, against, inFolder(settings, known.id), tools);
}

/** Runs what was changed once, on the tokens of the reference, and compares the two. */
export async function tryOnce(
  title: string,
  { loaded, plan }: Changed,
  { reference, claim, refusals }: Against,
  settings: EngineSettings,
  tools: Tools,
): Promise<Measured> {
  try {
    const side = await tools.console.section(title, () =>
      measureOnce(loaded, plan, reference, settings, tools),
    );
    const [baseline] = await compare(side, reference, [claim]);
    if (baseline === undefined) throw new Error('nothing was compared');
    return { kind: 'compared', side, baseline };
  } catch (error) {
    return { kind: 'unavailable', reason: reasonOf(error, refusals) };
  }
}

/**
 * What an engine said against a change, in one line.
 *
 * @throws the error itself where it is no answer of an engine: of a runner that fails, for one
 */
export function reasonOf(error: unknown, refusals: readonly ErrorCode[]): string {
  const refusal = userErrorIn(error);
  if (refusal === undefined || !refusals.includes(refusal.code)) throw error;
  return refusal.message.split('\n')[0]?.slice(0, MAX_REASON) ?? refusal.code;
}

const MAX_REASON = 500;

const IDENTICAL: Claim = { relation: 'baseline', requirement: 'identical' };

/** An engine that refuses a change, or dies of it, is an answer; a runner that fails is not. */
export const REFUSALS: readonly ErrorCode[] = [
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
  // What is compared is the model alone.
  probes: false,
});

/** The record of one known change, beside all others. */
export const inFolder = (settings: EngineSettings, id: string): EngineSettings => ({
  ...settings,
  recordPath: `${settings.recordPath}.power/${id}`,
});
