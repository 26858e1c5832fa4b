import type { Provenance } from '../baseline/port.ts';
import { comparesWithBaseline, relationNamed } from '../compare/relations/index.ts';
import { isVariant } from '../compare/relations/variant.ts';
import type { Agreement, Decision } from '../compare/types.ts';
import { counted } from '../counted.ts';
import { isBroken } from '../report/finding.ts';
import { daysBetween } from '../report/notices.ts';
import { rootsOf } from '../report/roots.ts';
import type { BaselineView, Coverage, Report, ReportedRelation } from '../report/schema.ts';
import { BISECTED } from './bisect.ts';
import { percentUp } from './figures.ts';
import { givesModulesAlone, OUTSIDE_MODULES } from './findings.ts';
import { seesNoModule } from './groups.ts';
import { isAsked } from './owner.ts';
import { rolesWords } from './roles.ts';
import { sizeWords } from './sizes.ts';

/** One sentence each for what happened, what it means and what to do. All surfaces speak with these. */
export interface Words {
  readonly title: string;
  readonly meaning: string;
  readonly next: string;
}

/** What the words depend on. */
export type Told = Pick<Report, 'conclusion' | 'relations' | 'accepted' | 'health'> & {
  readonly suite: Pick<Report['suite'], 'leaving'>;
  readonly changes: Report['changes'];
  readonly context: Pick<Report['context'], 'mode' | 'baseline' | 'notices'> & {
    readonly places: Pick<Report['context']['places'], 'file'>;
  };
};

export function conclusionWords(told: Told): Words {
  const { conclusion, relations, context, accepted, health, suite } = told;
  switch (conclusion) {
    case 'reproduced':
      return context.mode === 'check'
        ? {
            title: 'Reproduced',
            meaning:
              suite.leaving.length === 0
                ? 'Every compared prompt agrees as the suite requires.'
                : 'Every compared prompt that counts agrees as the suite requires.',
            next: 'Nothing to do.',
          }
        : {
            title: 'Agrees with itself',
            meaning: 'The engine repeated its own bits.',
            next: 'Nothing to do.',
          };
    case 'drift':
      return accepted === null
        ? {
            title: 'Drift',
            meaning: driftMeaning(relations),
            next: onlyLeavingDiffers(relations, suite.leaving)
              ? LEAVING_NEXT
              : `If it is not meant, look at the changed facts of the environment first.${bisectOffer(told)} If it is, accept exactly this record in the suite, or refresh the baseline once it is merged.`,
          }
        : {
            title: 'Drift (accepted)',
            meaning: `The suite accepts exactly this record, for “${accepted.reason}”. ${driftMeaning(relations)}`,
            next: acceptedNext(context.baseline),
          };
    case 'unstable':
      return {
        title: 'Unstable',
        meaning: unstableMeaning(relations),
        next: `${told.changes.some(isAsked) ? 'Look first at what changed since the baseline, then for' : 'Look for'} autotuning, races between requests and non-deterministic kernels; docs/determinism/README.md lists the usual causes.`,
      };
    case 'relation-broken': {
      const broken = relations.filter(
        ({ relation, status }) => status === 'broken' && relation !== 'baseline',
      );
      return {
        title: 'Relation broken',
        meaning: `The suite requires ${broken.map(({ relation, requirement }) => `\`${relation}: ${requirement}\` (${relationNamed(relation).what})`).join(', ')}, and that does not hold here. It is no drift from the baseline.`,
        next: broken.every(({ relation }) => isVariant(relation))
          ? 'See where the variant parts from its suite. If that is what the change makes, hold it to `tokens`, `within 2x floor` or `measure`.'
          : 'If the engine promises it, see whether that mode is in force. If it does not, ask for `measure`: the relation is then compared with what it showed at the refresh.',
      };
    }
    case 'no-baseline':
      return {
        title: 'No baseline',
        meaning: 'The store answered and holds no baseline of this suite: nothing was compared.',
        next: 'Run the refresh workflow on the default branch (`gh workflow run refresh.yml -f reason="first baseline"`). Usual reasons: it never ran, it is not on the default branch or not merged yet; or, in the cache, its entry was not used for 7 days and was evicted.',
      };
    case 'incomparable':
      return {
        title: 'Incomparable',
        meaning: `Baselines exist, but of another hardware class${classesOf(context.baseline)}: other hardware rounds otherwise, which is no drift.`,
        next: 'Run the check on a runner of that class, or run the refresh workflow on this one.',
      };
    case 'unmeasured':
      return {
        title: 'Unmeasured',
        meaning:
          'Something that the suite asks for was not proven to have been exercised, so it says nothing.',
        next: 'The table names what is missing. If every prompt asks something else on purpose, keep the old ones beside the new under ids of their own, or refresh once it is merged.',
      };
    case 'unhealthy-gpu':
      return {
        title: 'Unhealthy GPU',
        meaning: `${faultWords(health)}: whatever was computed here does not count.`,
        next: faultsOf(health)[0]?.remedy ?? 'Take the runner out of service and see `nvidia-smi -q`.',
      };
  }
}

const faultsOf = (health: Told['health']) =>
  (health?.signs ?? []).filter(({ level }) => level === 'unhealthy');

const MAX_FAULTS = 3;

/** `GPU 0 (NVIDIA H100) waits for a recovery action: Reset`. */
function faultWords(health: Told['health']): string {
  const faults = faultsOf(health);
  if (faults.length === 0) return 'A GPU shows a fault, or another program uses it';
  const told = faults
    .slice(0, MAX_FAULTS)
    .map(({ gpu, reason }) => `${gpu === null ? '' : `${gpu} `}${reason}`);
  return `${told.join('; ')}${faults.length > MAX_FAULTS ? `; and ${counted(faults.length - MAX_FAULTS, 'sign')} more` : ''}`;
}

const classesOf = (baseline: BaselineView) =>
  baseline.kind === 'incomparable' && baseline.otherClasses.length > 0
    ? ` (${baseline.otherClasses.slice(0, 5).join(', ')})`
    : '';

function acceptedNext(baseline: BaselineView): string {
  if (baseline.kind !== 'stored')
    return 'Once it is merged, the workflow that runs on the push stores it as the baseline.';
  return baseline.inCheckout
    ? 'The files of the new baseline lie in the checkout: it counts once they are committed and merged.'
    : 'It is the baseline now: the acceptance can go from the suite.';
}

/** Of one change there is nothing to be found, and what the check has looked for needs no command. */
function bisectOffer({ changes, context: { notices, places } }: Told): string {
  const roots = rootsOf(changes).filter(({ kind }) => kind !== 'other');
  if (roots.length < 2 || notices.some(({ title }) => title === BISECTED)) return '';
  return ` ${roots.length} declared changes stand beside it: \`deterministic-ml bisect ${shellPath(places.file)}\`, on such a machine, finds which of them did it.`;
}

/** A path that a shell or Markdown would read otherwise is not told. */
const shellPath = (path: string) =>
  /^[\w./@:+][\w./@:+-]{0,200}$/.test(path) ? path : 'path/to/determinism.yml';

const LEAVING_NEXT =
  'Only prompts that this change takes away or alters show it, and until the merge they count: look at what else the change does. If it is meant, bring the prompts and the drift in two changes, or let the base branch’s `policy: { removed }` decide otherwise.';

function onlyLeavingDiffers(relations: readonly ReportedRelation[], leaving: readonly string[]): boolean {
  const gone = new Set(leaving);
  const broken = relations.flatMap(({ findings }) => findings.filter(isBroken));
  return broken.length > 0 && broken.every(({ prompt }) => gone.has(prompt));
}

function driftMeaning(relations: readonly ReportedRelation[]): string {
  const held = relations.some(
    ({ relation, status }) => status === 'held' && relationNamed(relation).ofRefresh === 'always',
  );
  const decision = decisionOf(relations);
  const drifted = held
    ? `The engine repeats itself ${decision?.of === 1 ? 'within this start' : 'here'}, but it no longer computes what the baseline recorded.`
    : 'The engine no longer computes what the baseline recorded.';
  // What was decided otherwise than by bits says how.
  const tested = relations.flatMap(({ relation, status, evidence }) =>
    status === 'broken' && relation !== 'baseline' && comparesWithBaseline(relation)
      ? `By \`${relation}\`: ${evidence}.`
      : [],
  );
  return [
    drifted,
    ...(decision === null || decision.known === decision.of ? [] : [decisionWords(decision)]),
    ...tested,
  ].join(' ');
}

function unstableMeaning(relations: readonly ReportedRelation[]): string {
  const broken = relations.flatMap(({ relation, status }) => {
    const { breaks } = relationNamed(relation);
    return status === 'broken' && breaks.means === 'unstable' ? breaks.sentence : [];
  });
  const decision = decisionOf(relations);
  const parts = [
    ...broken,
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
    return 'Only one engine start was looked at: an engine that does not repeat from start to start would look the same.';
  if (known > 0)
    return `${known} of ${of} engine starts gave outcomes that the baseline knows, ${of - known} did not: this engine has more than one outcome.`;
  const chance =
    falseAlarm === null
      ? ''
      : ` An engine that did not change looks like that with a chance of at most ${percentUp(falseAlarm)}, if engine starts are independent.`;
  return distinct > 1
    ? `None of ${of} engine starts gave an outcome that ${baseline} had given, and they gave ${distinct} different ones: this engine does not repeat between starts.${chance}`
    : `${of} of ${of} engine starts gave this, and none of ${baseline} did.${chance}`;
}

/** How a finding agrees; of probes, by what they are. */
export const agreementIn = (
  finding: { readonly agreement: Agreement } & Parameters<typeof givesModulesAlone>[0],
): string =>
  finding.agreement === 'modules-differ' && givesModulesAlone(finding)
    ? 'calls give something else'
    : agreementWords(finding.agreement);

export function agreementWords(agreement: Agreement): string {
  switch (agreement) {
    case 'identical':
      return 'identical bits';
    case 'modules-differ':
      return 'modules compute something else';
    case 'values-differ':
      return 'other values';
    case 'logprobs-differ':
      return 'same tokens, other log-probability bits';
    case 'vector-differs':
      return 'another vector';
    case 'text-differs':
      return 'another text';
    case 'tokens-differ':
      return 'other tokens';
    case 'inputs-differ':
      return 'the prompt itself tokenises differently';
    case 'another-model':
      return 'another model';
    case 'indistinct':
      return 'no other model is seen';
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
  const { decision } = relation;
  // What the verdict rests on is told with the verdict.
  const told = conclusion === 'drift' || conclusion === 'unstable';
  const refresh = atRefreshWords(relation);
  return [
    ...(decision === null || decision.of === 0 || told ? [] : [decisionWords(decision)]),
    ...sizeWords(relation, yardstick),
    ...(relation.roles === undefined ? [] : [rolesWords(relation.roles)]),
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
    case 'values-differ':
      return 'with other values';
    case 'logprobs-differ':
      return 'with other bits';
    case 'vector-differs':
      return 'with another vector';
    case 'text-differs':
      return 'with another text';
    case 'tokens-differ':
      return 'with other tokens';
    case 'inputs-differ':
      return 'with other prompt tokens';
    case 'another-model':
      return 'of another model';
    case 'indistinct':
      return 'not told apart';
    case 'unmeasured':
      return 'unmeasured';
    case 'added':
      return 'new';
    case 'removed':
      return 'removed';
  }
}

/** Where a machine does not tell who works on it. */
const NOBODY: ReadonlySet<string> = new Set(['', 'unknown']);

/** `of 2026-11-23 10:00 UTC (3 days ago), refreshed by @octocat for “a new driver” (run 123, commit a1b2c3)`. */
function provenanceWords(provenance: Provenance, now: string): string {
  const { actor, reason, createdAt, commit, runId, pullRequest } = provenance;
  const days = daysBetween(createdAt, now);
  const source = [
    `run ${runId}`,
    ...(commit === '' ? [] : [`commit ${commit.slice(0, 12)}`]),
    ...(pullRequest === null ? [] : [`pull request #${pullRequest}`]),
  ];
  const ago = days === 0 ? '' : ` (${counted(days, 'day')} ago)`;
  return `of ${createdAt.slice(0, 16).replace('T', ' ')} UTC${ago}, refreshed${NOBODY.has(actor) ? '' : ` by ${actor}`} for “${reason}” (${source.join(', ')})`;
}

/** `prefill (score: 511 positions)`, `top_p, min_p (no prompt uses it)`. Not yet inert. */
export function coverageWords(coverage: readonly Coverage[]): {
  readonly exercised: readonly string[];
  readonly not: readonly string[];
} {
  const told = (wanted: boolean) => {
    const reasons = new Map<string, string[]>();
    for (const { what, exercised, by } of coverage) {
      if (exercised !== wanted) continue;
      const parts = reasons.get(by);
      if (parts === undefined) reasons.set(by, [what]);
      else parts.push(what);
    }
    return [...reasons].map(([by, parts]) => `${parts.join(', ')} (${by})`);
  };
  return { exercised: told(true), not: told(false) };
}

/**
 * Which baseline: of when, by whom, why and where it is kept; or why there is none. Not yet inert.
 *
 * @param now when the run began
 */
export function baselineWords(baseline: BaselineView, now: string): readonly string[] {
  switch (baseline.kind) {
    case 'found': {
      const history = baseline.replaced === 0 ? '' : ` It has ${counted(baseline.replaced, 'predecessor')}.`;
      return [
        `Compared with the baseline ${provenanceWords(baseline.provenance, now)}.${history}`,
        `Its key: ${baseline.key}`,
        ...(baseline.provenance.runUrl === '' ? [] : [`Its run: ${baseline.provenance.runUrl}`]),
        ...(baseline.proof === null ? [] : [`Its place is proven: ${baseline.proof}.`]),
      ];
    }
    case 'stored':
      return [
        baseline.inCheckout
          ? `Wrote the files of a baseline ${provenanceWords(baseline.provenance, now)}. It counts once they are committed and merged.`
          : `Stored a baseline ${provenanceWords(baseline.provenance, now)}.`,
        `Its key: ${baseline.key}`,
        ...(baseline.replaced === null ? [] : [`It replaces ${baseline.replaced}`]),
      ];
    case 'unchanged':
      return [
        `Nothing that can be compared changed, and nothing was stored: the baseline ${provenanceWords(baseline.provenance, now)} stays.`,
        `Its key: ${baseline.key}`,
      ];
    case 'dry-run':
      return [
        `Nothing was stored, since \`dry-run\` was asked for. It would be ${baseline.key}`,
        baseline.replaced === null ? 'It would replace nothing.' : `It would replace ${baseline.replaced}`,
      ];
    case 'not-stored':
      return [`No baseline was stored: ${baseline.reason}`];
    case 'incomparable':
    case 'absent':
      return baseline.explanation;
    case 'not-asked':
      return [];
  }
}
