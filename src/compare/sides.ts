import type { PassKind, RunRecord } from '../record/schema.ts';
import type { Side } from '../record/side.ts';
import type { Requirement, VariantRequirement } from '../suite/schema.ts';
import { floorsIn } from '../suite/variant.ts';
import { compare } from './compare.ts';
import { Envelope, type Floor, FloorBound } from './envelope.ts';
import { compareRoles } from './roles.ts';
import type { Agreement, Finding, RelationResult, RolesCompared } from './types.ts';

/** What two sides come to, the first that is true. */
export const SIDES_OUTCOMES = ['inputs-differ', 'differs', 'unmeasured', 'identical'] as const;
export type SidesOutcome = (typeof SIDES_OUTCOMES)[number];

export interface ComparedSides {
  readonly outcome: SidesOutcome;
  /** Whether that is what the requirement asks for. */
  readonly holds: boolean;
  readonly status: RelationResult['status'];
  readonly evidence: string;
  /** Left is the first side. `added`: only the second asks for it; `removed`: only the first does. */
  readonly findings: readonly Finding[];
  readonly size: RelationResult['size'];
  /** The larger of both sides': what rounding alone makes of the coarser one; null where neither has one. */
  readonly floor: Floor | null;
  /** Role by role, in the order in which they run; null where a side was not looked at so, or nothing differs. */
  readonly roles: RolesCompared | null;
  /** Kinds of pass that only one side was asked for. */
  readonly onlyFirst: readonly PassKind[];
  readonly onlySecond: readonly PassKind[];
}

/**
 * Holds two sides against each other by the relation `baseline`, neither of which is trusted more than the other: what only
 * one of them has is no equality, whichever it is.
 *
 * @param second an imported record, where only one of the two is: of its passes nobody tells how they were arranged
 */
export async function compareSides(
  first: Side,
  second: Side,
  required: VariantRequirement,
): Promise<ComparedSides> {
  const { requirement, floors } = requirementOf(required);
  const floor = await floorOfBoth(first, second);
  const bound = floors === undefined ? undefined : new FloorBound(floor, floors);
  const [found] = await compare(second, first, [{ relation: 'baseline', requirement }], bound);
  if (found === undefined) throw new Error('a claim has a result');
  const asked = new Set(idsOf(first.record));
  const findings = found.findings.map((finding) => {
    // Both ask under this name, and not the same.
    if (finding.agreement !== 'added' || !asked.has(finding.prompt)) return finding;
    const holds = requirement === 'measure';
    return { ...finding, agreement: 'inputs-differ' as const, holds, reason: 'the two ask something else' };
  });
  const [kinds, others] = [kindsOf(first.record), kindsOf(second.record)];
  const onlyFirst = kinds.filter((kind) => !others.includes(kind));
  const onlySecond = others.filter((kind) => !kinds.includes(kind));
  const isPartial = onlyFirst.length > 0 || onlySecond.length > 0;
  const has = (...agreements: readonly Agreement[]) =>
    findings.some(({ agreement }) => agreements.includes(agreement));
  const isCompared = findings.some(({ agreement }) => !UNCOMPARED.includes(agreement));
  const isUnlike =
    has('inputs-differ', 'added', 'removed') || (!isCompared && !sharesQuestion(first, second));
  const outcome: SidesOutcome = isUnlike
    ? 'inputs-differ'
    : has('modules-differ', 'values-differ', 'logprobs-differ', 'text-differs', 'tokens-differ')
      ? 'differs'
      : isPartial || !isCompared || has('unmeasured')
        ? 'unmeasured'
        : 'identical';
  const isMet = found.status === 'held' || found.status === 'measured';
  const roles = outcome === 'identical' ? null : await compareRoles(first, second);
  return {
    ...{ outcome, roles },
    holds: isMet && (requirement === 'measure' || (!isUnlike && !isPartial)),
    // The relation calls the first side a baseline, which it is not.
    evidence: found.evidence
      .replace('ask what the baseline asked', 'are asked of both')
      .replace("one of the baseline's", "one of the other side's"),
    ...{ status: found.status, findings, size: found.size, floor },
    ...{ onlyFirst, onlySecond },
  };
}

const UNCOMPARED: readonly Agreement[] = ['added', 'removed', 'unmeasured', 'inputs-differ'];

function requirementOf(required: VariantRequirement): {
  readonly requirement: Requirement;
  readonly floors?: number;
} {
  const floors = floorsIn(required);
  if (floors !== undefined) return { requirement: 'within-envelope', floors };
  switch (required) {
    case 'identical':
    case 'tokens':
    case 'measure':
      return { requirement: required };
    default:
      throw new Error(`no requirement is called ${required}`);
  }
}

async function floorOfBoth(first: Side, second: Side): Promise<Floor | null> {
  const floors = await Promise.all([first, second].map((side) => new Envelope(side).floor()));
  // Neighbours that change no bit tell nothing of rounding.
  const told = floors.filter((floor) => floor !== null && floor.nats > 0);
  return told.reduce((most, one) => (most === null || (one?.nats ?? 0) > most.nats ? one : most), null);
}

/** Each prompt and text with what it asks. */
export const questionsOf = ({ suite }: Pick<RunRecord, 'suite'>): ReadonlyMap<string, string> =>
  new Map([...suite.prompts, ...suite.texts].map(({ id, input }) => [id, input]));

const idsOf = (record: RunRecord) => questionsOf(record).keys();

function sharesQuestion(first: Side, second: Side): boolean {
  const asked = questionsOf(first.record);
  return [...questionsOf(second.record)].some(([id, input]) => asked.get(id) === input);
}

/** Not `trace`: where an engine computes otherwise than it is traced, that is a start beside. */
const kindsOf = ({ lifetimes }: RunRecord): PassKind[] => [
  ...new Set(
    lifetimes
      .flatMap(({ passes }) => passes)
      .flatMap(({ kind, arrangement }) =>
        (arrangement === 'alone' || arrangement === 'untold') && kind !== 'trace' ? [kind] : [],
      ),
  ),
];
