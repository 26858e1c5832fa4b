import type { RelationName, Requirement } from '../suite/schema.ts';
import { agreement, satisfies } from './agreement.ts';
import { divergence } from './divergence.ts';
import { relations } from './relations/index.ts';
import type { Finding, Pair, RelationResult, Side } from './types.ts';

/** A relation as the suite asks for it. */
export interface Claim {
  readonly relation: RelationName;
  readonly requirement: Requirement;
}

/** The one comparator: a baseline is just one more relation. */
export async function compare(
  run: Side,
  baseline: Side | undefined,
  claims: readonly Claim[],
): Promise<RelationResult[]> {
  const results: RelationResult[] = [];
  for (const claim of claims) results.push(await examine(claim, run, baseline));
  return results;
}

async function examine(
  { relation, requirement }: Claim,
  run: Side,
  baseline: Side | undefined,
): Promise<RelationResult> {
  const arrangement = relations[relation].arrange(run, baseline);
  if (arrangement.kind === 'unmeasured')
    return { relation, requirement, status: 'unmeasured', evidence: arrangement.reason, findings: [] };
  const findings: Finding[] = [];
  for (const pair of arrangement.pairs)
    findings.push(await judge(pair, requirement, arrangement.left, arrangement.right));
  return {
    relation,
    requirement,
    status: status(findings, requirement),
    evidence: arrangement.evidence,
    findings,
  };
}

async function judge(
  pair: Pair,
  requirement: Requirement,
  left: Side['readBody'],
  right: Side['readBody'],
): Promise<Finding> {
  const { prompt } = pair;
  if ('only' in pair)
    return { prompt, agreement: pair.only, holds: true, textIdentical: null, divergence: null, reason: null };
  const { agreement: found, reason } = agreement(pair.left, pair.right);
  // Equal digests are decided without opening a body.
  const parted = found === 'logprobs-differ' || found === 'tokens-differ';
  return {
    prompt,
    agreement: found,
    holds: satisfies(found, requirement),
    textIdentical: pair.left.text.sha256 === pair.right.text.sha256,
    divergence: parted ? divergence(await left(pair.left.body), await right(pair.right.body)) : null,
    reason,
  };
}

function status(findings: readonly Finding[], requirement: Requirement): RelationResult['status'] {
  const compared = findings.filter(({ agreement: found }) => found !== 'added' && found !== 'removed');
  if (compared.some((f) => !f.holds && f.agreement !== 'unmeasured')) return 'broken';
  if (compared.length === 0 || compared.some((f) => f.agreement === 'unmeasured')) return 'unmeasured';
  return requirement === 'measure' ? 'measured' : 'held';
}
