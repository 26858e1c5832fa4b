import { knownChanges } from '../changes/known/index.ts';
import type { KnownChange } from '../changes/make.ts';
import { inFolder, type Measured, measureChange, measureOnce, once } from '../changes/measure.ts';
import type { Finding } from '../compare/types.ts';
import type { Asks, PowerSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { RunRecord } from '../record/schema.ts';
import {
  type Noticed,
  OBSERVERS,
  type Observer,
  type Perturbed,
  POWER_SCHEMA,
  type Power,
} from '../report/power.ts';
import { makePlan } from '../run/plan.ts';
import { loadRuled } from '../trust/judge.ts';

/**
 * Measures what a suite would notice: one engine start unchanged, then one for each known change, compared as a
 * check compares with its baseline. Nothing is tuned to the outcome: the changes are the same for all suites.
 */
export async function power(settings: PowerSettings & Asks<'long'>, tools: Tools): Promise<Power> {
  const { loaded } = await loadRuled(settings, tools);
  const whole = makePlan({ ...loaded, suite: { ...loaded.suite, relations: ['baseline'] } }, 'check');
  const plan = once(whole, whole.repeats);
  const reference = await tools.console.section('Unchanged', () =>
    measureOnce(loaded, plan, undefined, inFolder(settings, 'unchanged'), tools),
  );
  const { fingerprint, lifetimes, hardwareClass } = reference.record;
  const subject = { loaded, plan, fingerprint, effective: lifetimes[0]?.settings.effective ?? {} };
  const found: Perturbed[] = [];
  for (const known of knownChanges)
    found.push(describe(known, await measureChange(known, subject, reference, settings, tools)));
  const made = (equivalent: boolean) =>
    found.filter((one) => one.equivalent === equivalent && one.caught !== null);
  return {
    schema: POWER_SCHEMA,
    suite: plan.suite.name,
    hardwareClass,
    real: {
      made: made(false).length,
      caught: made(false).filter(({ caught }) => caught).length,
      caughtByText: made(false).filter(({ by }) => by.includes('text')).length,
    },
    equivalent: { made: made(true).length, flagged: made(true).filter(({ caught }) => caught).length },
    perturbations: found,
  };
}

function describe(
  { id, what, equivalent, mayMoveNothing, remedy }: KnownChange,
  measured: Measured,
): Perturbed {
  const base = { id, what, equivalent };
  if (measured.kind === 'unavailable')
    return {
      ...base,
      made: false,
      caught: null,
      by: [],
      noticed: [],
      rmsNats: null,
      changed: null,
      note: measured.reason,
    };
  const { side, baseline } = measured;
  const noticed = OBSERVERS.flatMap((by) => notice(by, baseline.findings, side.record));
  const seen = noticed.length > 0;
  const caught = seen || !mayMoveNothing ? seen : null;
  return {
    ...base,
    made: true,
    caught,
    by: noticed.map((one) => one.by),
    noticed,
    rmsNats: baseline.size?.distance.rmsNats ?? null,
    changed: side.record.lifetimes[0]?.perturbed ?? null,
    note: noteOf(caught, equivalent, remedy),
  };
}

function noteOf(caught: boolean | null, equivalent: boolean, remedy: string): string {
  if (caught === null) return `it may move none in this engine; else add ${remedy}`;
  return caught || equivalent ? '' : `add ${remedy}`;
}

/** Where an observer first sees a difference. */
function notice(by: Observer, findings: readonly Finding[], record: RunRecord): Noticed[] {
  const seen = findings.flatMap((finding) => {
    const after = firstSeen(by, finding);
    return after === null ? [] : [{ after, kind: finding.kind }];
  });
  if (seen.length === 0) return [];
  const kinds = new Set(seen.map(({ kind }) => kind));
  const passes = record.lifetimes
    .flatMap((lifetime) => lifetime.passes)
    .filter(({ kind }) => kinds.has(kind));
  return [
    {
      by,
      after: Math.min(...seen.map(({ after }) => after)),
      engineSeconds: passes.reduce((sum, { seconds }) => sum + seconds, 0),
    },
  ];
}

function firstSeen(by: Observer, finding: Finding): number | null {
  const { kind, agreement, textIdentical, divergence, trace } = finding;
  if (agreement === 'inputs-differ') return by === 'inputs' ? 0 : null;
  const bits = divergence?.logprobStep ?? null;
  switch (by) {
    case 'inputs':
      return null;
    case 'text':
      return textIdentical === false ? (divergence?.tokenStep ?? 0) + 1 : null;
    case 'tokens':
      return kind === 'generate' && divergence?.tokenStep != null ? divergence.tokenStep + 1 : null;
    case 'decode':
      return (kind === 'force' || kind === 'generate') && bits !== null ? bits + 1 : null;
    case 'score':
      return kind === 'score' && bits !== null ? bits + 1 : null;
    case 'trace':
      return trace !== null && trace.differing > 0 ? (trace.firstIndex ?? 0) + 1 : null;
  }
}
