import type { Side } from '../record/side.ts';
import type { Requirement } from '../suite/schema.ts';
import { joined, sameTokens, satisfies } from './agreement.ts';
import { Gauge } from './distance.ts';
import { type Bounds, Envelope, type Gauges, sizeOf, type Within, withinEnvelope } from './envelope.ts';
import { examine, FIRST_NAN, type Found, reader } from './examine.ts';
import { relationNamed } from './relations/index.ts';
import type { Agreement, Claim, Finding, Pair, Pairing, RelationResult } from './types.ts';

/**
 * The one comparator: a baseline is just one more relation.
 *
 * @param bounds in place of the baseline's envelope, for what may differ within bounds
 */
export async function compare(
  run: Side,
  baseline: Side | undefined,
  claims: readonly Claim[],
  bounds?: Bounds,
): Promise<RelationResult[]> {
  const envelope = new Envelope(baseline ?? run);
  const within = bounds ?? (baseline === undefined ? undefined : envelope);
  const results: RelationResult[] = [];
  for (const claim of claims) results.push(await judge(claim, run, baseline, envelope, within));
  return results;
}

async function judge(
  claim: Claim,
  run: Side,
  baseline: Side | undefined,
  envelope: Envelope,
  bounds: Bounds | undefined,
): Promise<RelationResult> {
  const { relation, requirement } = claim;
  const { pair, lifetimes } = relationNamed(relation);
  const pairing = await pair(run, baseline, requirement);
  const before = await atRefresh(claim, baseline);
  const base = { relation, requirement, atRefresh: before };
  if (pairing.kind === 'unmeasured')
    return {
      ...base,
      status: 'unmeasured',
      evidence: pairing.reason,
      findings: [],
      size: null,
      decision: null,
    };

  const { found, gauges, decoded } = await examineAll(pairing);
  // Honest repeats are engine starts: two arrangements within one are no repeat of each other.
  const repeats = lifetimes > 1 || pairing.left !== pairing.right;
  const size = await sizeOf(gauges, envelope, baseline !== undefined && repeats);
  const within =
    requirement === 'within-envelope' && found.some(differs)
      ? await withinEnvelope(gauges, bounds, decoded)
      : undefined;
  const findings = found.map(
    ({ finding, chosenOtherwise }, index): Finding => ({
      ...finding,
      holds:
        satisfies(finding.agreement, requirement, within?.kind === 'within' && !chosenOtherwise) ||
        (requirement === 'tokens' && tokensAgree(pairing.pairs[index])),
    }),
  );
  const shown = status(found, findings, pairing.pairs, requirement, within);
  const cause = shown === 'unmeasured' ? causeOf(findings) : null;
  return {
    ...base,
    status: shown,
    evidence: joined(cause, pairing.evidence, lackingIn(pairing, findings), within?.evidence) ?? '',
    findings,
    size,
    decision: pairing.decision ?? null,
  };
}

/** Why nothing was measured where something was observed: a witness of work that says nothing would come first. */
function causeOf(findings: readonly Finding[]): string | null {
  const reasons = findings.flatMap(({ agreement, reason }) =>
    agreement === 'unmeasured' && reason !== null ? [reason] : [],
  );
  return reasons.find((reason) => reason.includes(FIRST_NAN)) ?? reasons[0] ?? null;
}

/**
 * Channels that only one of two records has, by name. Within one record, passes are asked for other channels on purpose.
 */
function lackingIn(
  { left, right }: Extract<Pairing, { kind: 'exercised' }>,
  findings: readonly Finding[],
): string | null {
  if (left === right) return null;
  const counts = new Map<string, number>();
  for (const name of findings.flatMap(({ unmeasured }) => unmeasured))
    counts.set(name, (counts.get(name) ?? 0) + 1);
  if (counts.size === 0) return null;
  const named = [...counts].map(([name, count]) => `\`${name}\` in ${count}`).join(', ');
  return `not compared, since the two sides have not the same of it: ${named} of ${findings.length} observations`;
}

/**
 * One pair after the other: no more than two pairs of bodies are in memory at a time. While one is walked, the next
 * one's bodies are read and digested.
 */
async function examineAll({ pairs, left, right }: Extract<Pairing, { kind: 'exercised' }>) {
  const leftReader = reader(left);
  const rightReader = reader(
    right,
    left.record.vocabulary === right.record.vocabulary ? leftReader : undefined,
  );
  const found: Found[] = [];
  const gauges: Gauges = { score: new Gauge(), force: new Gauge() };
  let decoded = false;
  const begin = (index: number) => {
    const pair = pairs[index];
    return pair && examine(pair, leftReader, rightReader);
  };
  let ahead = begin(0);
  for (let index = 0; index < pairs.length; index++) {
    const current = ahead;
    ahead = begin(index + 1);
    // Waited for in its turn; until then nobody may call it unheeded.
    if (ahead instanceof Promise) ahead.catch(() => {});
    const one = current instanceof Promise ? await current : current;
    const pair = pairs[index];
    if (one === undefined || pair === undefined) break;
    found.push(one);
    // A tail is held against the bound of scores: it is a score that is compared with decoding.
    const steps = !('rightTail' in pair) && (pair.kind === 'generate' || pair.kind === 'force');
    if (steps && differs(one)) decoded = true;
    if (one.gauge !== null) gauges[steps ? 'force' : 'score'].merge(one.gauge);
  }
  return { found, gauges, decoded };
}

const tokensAgree = (pair: Pair | undefined) =>
  pair !== undefined && 'right' in pair && sameTokens(pair.left, pair.right);

const DIFFER: readonly Agreement[] = [
  'modules-differ',
  'values-differ',
  'vector-differs',
  'logprobs-differ',
  'text-differs',
  'tokens-differ',
];
const differs = ({ finding }: Found) => DIFFER.includes(finding.agreement);

function status(
  found: readonly Found[],
  findings: readonly Finding[],
  pairs: readonly Pair[],
  requirement: Requirement,
  within: Within | undefined,
): RelationResult['status'] {
  const unsized = within?.kind === 'unknown';
  let compared = 0;
  let unmeasured = 0;
  for (let index = 0; index < findings.length; index++) {
    const { agreement, holds } = findings[index] as Finding;
    const unexercised = 'unmeasured' in (pairs[index] ?? {});
    if (agreement === 'added' || agreement === 'removed') continue;
    // Held to nothing, a relation is measured where it was exercised; that a prompt could not be is told beside it.
    if (unexercised && requirement === 'measure') continue;
    compared++;
    // What is unmeasured in some channels may hold all the same where a requirement looks at others.
    if (agreement === 'unmeasured') unmeasured += holds ? 0 : 1;
    // What has no size may yet be within the envelope, unless no envelope could hold it.
    else if (!holds && !(unsized && DIFFER.includes(agreement) && !found[index]?.chosenOtherwise))
      return 'broken';
  }
  if (compared === 0 || unmeasured > 0 || unsized) return 'unmeasured';
  return requirement === 'measure' ? 'measured' : 'held';
}

/** What the relation showed on the baseline's own record, by agreement. */
async function atRefresh(
  { relation, requirement }: Claim,
  baseline: Side | undefined,
): Promise<RelationResult['atRefresh']> {
  if (baseline === undefined) return null;
  // The relation `baseline` is unmeasured on it: it has none of its own.
  const pairing = await relationNamed(relation).pair(baseline, undefined, requirement);
  if (pairing.kind === 'unmeasured') return null;
  const [left, right] = [reader(pairing.left), reader(pairing.right)];
  const counts: Partial<Record<Agreement, number>> = {};
  for (const pair of pairing.pairs) {
    const { agreement } = (await examine(pair, left, right, true)).finding;
    counts[agreement] = (counts[agreement] ?? 0) + 1;
  }
  return counts;
}
