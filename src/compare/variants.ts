import type { Side } from '../record/side.ts';
import type { VariantRequirement } from '../suite/schema.ts';
import { WITHIN } from '../suite/variant.ts';
import { variantName } from './relations/variant.ts';
import { type ComparedSides, compareSides } from './sides.ts';
import type { RelationResult } from './types.ts';

/** A variant as a report asks for it. */
export interface AskedVariant {
  readonly name: string;
  /** What it has otherwise than its suite, in words. */
  readonly change: string;
  readonly required: VariantRequirement;
}

export { variantName };

/** What a variant came to beside its suite: the same comparison as that of any two sides. */
export async function compareVariant(suite: Side, own: Side, asked: AskedVariant): Promise<RelationResult> {
  const compared = await compareSides(suite, own, asked.required);
  const { findings, size, floor, roles } = compared;
  return {
    ...common(asked),
    status: statusOf(compared, asked.required),
    evidence: `${asked.change}: ${compared.evidence}`,
    findings,
    size:
      size === null
        ? null
        : { ...size, floorNats: floor?.nats ?? null, floorBy: floor?.by ?? null, boundNats: null },
    ...(roles === null ? {} : { roles }),
  };
}

/** Of one that gave nothing to compare: its engine refused the change, or died of it. */
export const unmeasuredVariant = (asked: AskedVariant, reason: string): RelationResult => ({
  ...common(asked),
  status: 'unmeasured',
  evidence: `${asked.change}: ${reason}`,
  findings: [],
  size: null,
});

const common = ({ name, required }: AskedVariant) =>
  ({
    relation: variantName(name),
    requirement: WITHIN.test(required) ? 'within-envelope' : requirementNamed(required),
    decision: null,
    atRefresh: null,
  }) as const;

function requirementNamed(required: VariantRequirement): 'identical' | 'tokens' | 'measure' {
  if (required === 'identical' || required === 'tokens' || required === 'measure') return required;
  throw new Error(`no requirement is called ${required}`);
}

function statusOf({ holds, status, outcome }: ComparedSides, required: string): RelationResult['status'] {
  if (holds) return required === 'measure' ? 'measured' : 'held';
  if (status === 'held' || status === 'measured')
    return outcome === 'inputs-differ' ? 'broken' : 'unmeasured';
  return status;
}
