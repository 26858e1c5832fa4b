import type { Agreement, Decision } from '../compare/types.ts';
import { counted, percentUp } from './figures.ts';
import { OUTSIDE_MODULES } from './findings.ts';
import { seesNoModule } from './groups.ts';
import type { BaselineView, Coverage, Report } from './model.ts';
import type { ReportedRelation } from './schema.ts';
import { sizeWords } from './sizes.ts';

/** One sentence each for what happened, what it means and what to do. All surfaces speak with these. */
export interface Words {
  readonly title: string;
  readonly meaning: string;
  readonly next: string;
}

/** What the words depend on. */
export type Told = Pick<Report, 'conclusion' | 'relations'> & {
  readonly context: Pick<Report['context'], 'mode'>;
};

export function conclusionWords({ conclusion, relations, context }: Told): Words {
  switch (conclusion) {
    case 'reproduced':
      return context.mode === 'check'
        ? {
            title: 'Reproduced',
            meaning: 'Every compared prompt agrees as the suite requires.',
            next: 'Nothing to do.',
          }
        : {
            title: 'Agrees with itself',
            meaning: 'The engine repeated its own tokens and log-probability bits.',
            next: 'Nothing to do.',
          };
    case 'drift':
      return {
        title: 'Drift',
        meaning: driftMeaning(relations),
        next: 'If the change is meant, merge it and then run the refresh workflow on the default branch (`gh workflow run <refresh workflow> -f reason="…"`). If not, look at the changed facts of the environment first.',
      };
    case 'unstable':
      return {
        title: 'Unstable',
        meaning: unstableMeaning(relations),
        next: 'Look for autotuning, races between requests and non-deterministic kernels; docs/determinism.md lists the usual causes.',
      };
    case 'relation-broken': {
      const broken = relations.filter(
        ({ relation, status }) => status === 'broken' && relation !== 'baseline',
      );
      return {
        title: 'Relation broken',
        meaning: `The suite holds this engine to ${broken.map(({ relation, requirement }) => `\`${relation}: ${requirement}\``).join(', ')}, and that does not hold here. It is no drift from the baseline.`,
        next: 'If the engine promises it, see whether that mode is in force. If it does not, ask for `measure`: the relation is then compared with what it showed at the refresh.',
      };
    }
    case 'no-baseline':
      return {
        title: 'No baseline',
        meaning: 'The store answered and holds no baseline of this suite: nothing was compared.',
        next: 'Run the refresh workflow on the default branch once (`gh workflow run <refresh workflow> -f reason="first baseline"`). It must be on the default branch first, and caches unused for 7 days are evicted.',
      };
    case 'incomparable':
      return {
        title: 'Incomparable',
        meaning:
          'Baselines exist, but of another hardware class: other hardware rounds otherwise, which is no drift.',
        next: 'Run the check on a runner of that class, or run the refresh workflow on this one.',
      };
    case 'unmeasured':
      return {
        title: 'Unmeasured',
        meaning:
          'Something that the suite asks for was not proven to have been exercised, so it says nothing.',
        next: 'The table names what is missing.',
      };
    case 'unhealthy-gpu':
      return {
        title: 'Unhealthy GPU',
        meaning: 'The GPU reports a fault: whatever it computes cannot be trusted.',
        next: 'Take the runner out of service and see `nvidia-smi -q`.',
      };
  }
}

function driftMeaning(relations: readonly ReportedRelation[]): string {
  const held = relations.some(({ relation, status }) => relation === 'rerun' && status === 'held');
  const decision = decisionOf(relations);
  const drifted = held
    ? 'The engine repeats itself here, but it no longer computes what the baseline recorded.'
    : 'The engine no longer computes what the baseline recorded.';
  return decision === null || decision.known === decision.of
    ? drifted
    : `${drifted} ${decisionWords(decision)}`;
}

function unstableMeaning(relations: readonly ReportedRelation[]): string {
  const broken = relations.flatMap(({ relation, status }) =>
    status === 'broken' && (relation === 'rerun' || relation === 'restart') ? relation : [],
  );
  const decision = decisionOf(relations);
  const parts = [
    ...(broken.includes('rerun') ? ['The same work in the same engine gave other bits.'] : []),
    ...(broken.includes('restart') ? ['The same work after a restart of the engine gave other bits.'] : []),
    ...(decision !== null && decision.of > 1 && (decision.known > 0 || decision.distinct > 1)
      ? [decisionWords(decision)]
      : []),
    'A comparison with a baseline would be noise.',
  ];
  return parts.join(' ');
}

const decisionOf = (relations: readonly ReportedRelation[]) =>
  relations.find(({ relation }) => relation === 'baseline')?.decision ?? null;

/** What the engine starts of this run say beside those of the baseline. */
export function decisionWords({ of, known, distinct, baselineLifetimes, falseAlarm }: Decision): string {
  const baseline = `the baseline’s ${counted(baselineLifetimes, 'engine start')}`;
  if (known === of)
    return of === 1
      ? `The one engine start gave an outcome that the baseline knows, from ${counted(baselineLifetimes, 'engine start')}.`
      : `${of} of ${of} engine starts gave outcomes that the baseline knows, from ${counted(baselineLifetimes, 'engine start')}.`;
  if (of === 1)
    return 'This is one engine start only: it may also be an engine that does not repeat between starts.';
  if (known > 0)
    return `${known} of ${of} engine starts gave outcomes that the baseline knows, ${of - known} did not: this engine has more than one outcome.`;
  const chance =
    falseAlarm === null
      ? ''
      : ` A false alarm of that kind has a chance of at most ${percentUp(falseAlarm)}, if engine starts are independent.`;
  return distinct > 1
    ? `None of ${of} engine starts gave an outcome that ${baseline} had given, and they gave ${distinct} different ones: this engine does not repeat between starts.${chance}`
    : `${of} of ${of} engine starts gave this, and none of ${baseline} did.${chance}`;
}

export function agreementWords(agreement: Agreement): string {
  switch (agreement) {
    case 'identical':
      return 'identical bits';
    case 'modules-differ':
      return 'modules compute something else';
    case 'logprobs-differ':
      return 'same tokens, other log-probability bits';
    case 'tokens-differ':
      return 'other tokens';
    case 'inputs-differ':
      return 'the prompt itself tokenises differently';
    case 'unmeasured':
      return 'unmeasured';
    case 'added':
      return 'new prompt, nothing to compare with';
    case 'removed':
      return 'no longer in the suite';
  }
}

/** `at the refresh: 4 identical bits, 1 other tokens`; empty where there was none. */
export function atRefreshWords({ atRefresh }: Pick<ReportedRelation, 'atRefresh'>): string {
  if (atRefresh === null) return '';
  const counts = (Object.entries(atRefresh) as [Agreement, number][]).filter(([, count]) => count > 0);
  return counts.length === 0
    ? 'at the refresh: not measured'
    : `at the refresh: ${counts.map(([agreement, count]) => `${count} ${agreementName(agreement)}`).join(', ')}`;
}

/** What a relation tells beside its table. Not yet inert. */
export function relationLines(
  relation: ReportedRelation,
  { conclusion, yardstick }: Pick<Report, 'conclusion' | 'yardstick'>,
): readonly string[] {
  const { size, decision } = relation;
  // What the verdict rests on is told with the verdict.
  const told = conclusion === 'drift' || conclusion === 'unstable';
  const refresh = atRefreshWords(relation);
  return [
    ...(decision === null || decision.of === 0 || told ? [] : [decisionWords(decision)]),
    ...(size === null ? [] : sizeWords(size, yardstick)),
    ...(seesNoModule(relation) ? [`Trace: ${OUTSIDE_MODULES}.`] : []),
    ...(refresh === '' ? [] : [`${refresh.slice(0, 1).toUpperCase()}${refresh.slice(1)}.`]),
  ];
}

/** Of several, in a list: one or two words. */
export function agreementName(agreement: Agreement): string {
  switch (agreement) {
    case 'identical':
      return 'identical';
    case 'modules-differ':
      return 'with other modules';
    case 'logprobs-differ':
      return 'with other bits';
    case 'tokens-differ':
      return 'with other tokens';
    case 'inputs-differ':
      return 'with other prompt tokens';
    case 'unmeasured':
      return 'unmeasured';
    case 'added':
      return 'new';
    case 'removed':
      return 'removed';
  }
}

/** `prefill (score: 511 positions)`, `top_p, min_p (no prompt uses it)`. Not yet inert. */
export function coverageWords(coverage: readonly Coverage[]): {
  readonly exercised: readonly string[];
  readonly not: readonly string[];
} {
  const told = (wanted: boolean) => {
    const reasons = new Map<string, string[]>();
    for (const { what, exercised, by } of coverage)
      if (exercised === wanted) reasons.set(by, [...(reasons.get(by) ?? []), what]);
    return [...reasons].map(([by, parts]) => `${parts.join(', ')} (${by})`);
  };
  return { exercised: told(true), not: told(false) };
}

/** Which baseline: of when, by whom, why and where it is kept; or why there is none. Not yet inert. */
export function baselineWords(baseline: BaselineView): readonly string[] {
  switch (baseline.kind) {
    case 'found':
    case 'stored': {
      const { actor, reason, createdAt, commit, runId } = baseline.provenance;
      const verb = baseline.kind === 'found' ? 'Compared with the baseline' : 'Stored a baseline';
      const source = [`run ${runId}`, ...(commit === '' ? [] : [`commit ${commit.slice(0, 12)}`])];
      return [
        `${verb} of ${createdAt.slice(0, 16).replace('T', ' ')} UTC, refreshed by ${actor} for “${reason}” (${source.join(', ')}).`,
        `Its key: ${baseline.key}`,
      ];
    }
    case 'not-stored':
      return [`No baseline was stored: ${baseline.reason}`];
    case 'incomparable':
    case 'absent':
      return baseline.explanation;
    case 'not-asked':
      return [];
  }
}
