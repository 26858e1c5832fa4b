import type { Claim, RelationResult } from '../compare/types.ts';
import { counted } from '../counted.ts';
import type { ErrorCode } from '../errors.ts';
import type { Change } from '../fingerprint/diff.ts';
import type { EngineSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { OpenedRecord, Side } from '../record/side.ts';
import type { Bisection } from '../report/answers.ts';
import { differences } from '../report/environment.ts';
import { makePlan } from '../run/plan.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import { declaredChanges } from './declared.ts';
import { once, REFUSALS, tryOnce } from './measure.ts';
import { type Outcome, type Search, setName, smallest } from './smallest.ts';

type Tried = Bisection['tried'][number];
/** Of an engine start. */
export type Told = Pick<Tried, 'outcome' | 'why'>;

/** A run of the suite as it is, beside its baseline. */
export interface Whole {
  readonly loaded: LoadedSuite;
  readonly side: OpenedRecord;
  readonly before: Side;
  /** What both are held to: that of the check. */
  readonly claim: Claim;
  readonly outcome: Outcome;
  /** Where it is a start of this search: one of the budget. */
  readonly start?: Omit<Tried, 'changes'>;
}

/**
 * Looks for the smallest set of declared changes that moves the bits. Each try is the suite as the baseline's record has it
 * with some of the changes made: one engine start on the baseline's tokens, held against the baseline.
 *
 * @param budget engine starts, at most
 */
export async function bisectDrift(
  { loaded, side, before, claim, outcome, start }: Whole,
  budget: number,
  settings: EngineSettings,
  tools: Tools,
): Promise<Bisection> {
  const { changes, fixed } = declaredChanges(before.record, side.record, loaded, tools.suiteSchema);
  const all = changes.map((_, at) => at);
  const tried: Tried[] = start === undefined ? [] : [{ ...start, changes: namesOf(all) }];
  // Nothing to put back: the run itself is the one with all of it put back.
  let left: readonly Change[] | null =
    changes.length === 0 ? differences(before.record, side.record).changes : null;
  const known = new Map([[setName(all), outcome]]);
  if (outcome === 'moved')
    tools.console.info(
      `${counted(changes.length, 'declared change')} can be put back: ${namesOf(all).join(', ')}.`,
    );
  const search = await smallest(changes.length, budget - tried.length, run, known);
  return {
    ...resultOf(search),
    changes: changes.map(({ name, before, after }) => ({ name, before, after })),
    fixed: [...fixed],
    left: left === null ? null : [...left],
    ...{ tried, budget },
  };

  async function run(made: readonly number[]): Promise<Outcome> {
    const suite = changes.reduce(
      (one, change, at) => (made.includes(at) ? one : change.putBack(one)),
      loaded.suite,
    );
    const some = { ...loaded, suite };
    const whole = makePlan(some, 'check');
    const names = namesOf(made);
    const title = names.length === 0 ? 'all changes put back' : `with ${names.join(', ')} alone`;
    const folder = made.length === 0 ? 'none' : made.map((at) => at + 1).join('+');
    const recordPath = `${settings.recordPath}.bisect/${folder}`;
    const began = performance.now();
    const measured = await tryOnce(
      `Engine start ${tried.length + 1} of at most ${budget}: ${title}`,
      { loaded: some, plan: once(whole, whole.repeats) },
      { reference: before, claim, refusals: [...REFUSALS, ...NOT_TO_BE_HAD] },
      { ...settings, recordPath },
      tools,
    );
    const seconds = (performance.now() - began) / 1000;
    const isCompared = measured.kind === 'compared';
    const told: Told = isCompared
      ? toldOf(measured.baseline)
      : { outcome: 'unresolved', why: measured.reason };
    if (made.length === 0 && isCompared) left = differences(before.record, measured.side.record).changes;
    tried.push({ changes: names, ...told, seconds, recordPath });
    return told.outcome;
  }

  function namesOf(places: readonly number[]): string[] {
    return places.flatMap((at) => changes[at]?.name ?? []);
  }

  function resultOf(search: Search): Pick<Bisection, 'result' | 'cause' | 'needed' | 'limit'> {
    switch (search.kind) {
      case 'steady':
      case 'unresolved':
      case 'elsewhere':
        return { result: search.kind, cause: [], needed: [], limit: null };
      case 'found': {
        const cause = namesOf(search.changes);
        return { result: 'found', cause, needed: cause, limit: null };
      }
      case 'within': {
        const { changes: within, needed, limit } = search;
        return { result: 'within', cause: namesOf(within), needed: namesOf(needed), limit };
      }
    }
  }
}

/** Where nothing runs with some of the changes, another set may tell: what the baseline ran in may be gone. */
const NOT_TO_BE_HAD: readonly ErrorCode[] = [
  'engine-missing',
  'engine-not-as-asked',
  'engine-hung',
  'prompt-rejected',
  'image-not-pinned',
  'image-pull-failed',
  'model-fetch-failed',
];

/** Whether the bits moved, as a comparison with the baseline has it. */
export function toldOf({ status, evidence }: Pick<RelationResult, 'status' | 'evidence'>): Told {
  switch (status) {
    case 'broken':
      return { outcome: 'moved', why: null };
    case 'held':
      return { outcome: 'same', why: null };
    case 'unmeasured':
    case 'measured':
      return { outcome: 'unresolved', why: evidence.slice(0, 500) };
  }
}

/** What a check holds its baseline to; a suite that only looks at it, or does not, is held to its bits here. */
export function claimOf(claims: readonly Claim[]): Claim {
  const found = claims.find(({ relation }) => relation === 'baseline');
  return found === undefined || found.requirement === 'measure'
    ? { relation: 'baseline', requirement: 'identical' }
    : found;
}
