import { concluded } from './derive.ts';
import { isBroken } from './finding.ts';
import type { Report } from './schema.ts';

/**
 * How a report contradicts itself: undefined where it does not. What it claims may be made up all the same; only
 * `verify` holds it against its record.
 */
export function contradiction(report: Report): string | undefined {
  const { relations, health, conclusion, verdict, accepted, acceptances, context, asked, digests, suite } =
    report;
  const comesTo = (isAccepted: boolean) => {
    const judged = concluded({
      ...{ mode: context.mode, policy: asked.policy, baseline: context.baseline.kind, relations, health },
      ...{ leaving: suite.leaving, isCompared: digests.baselineRecord !== null, isAccepted },
    });
    return judged.conclusion === conclusion && judged.verdict === verdict;
  };
  const matched = acceptances.filter(({ state }) => state === 'matched');
  if (!comesTo(false) && !(matched.length > 0 && comesTo(true)))
    return `its relations do not come to \`${conclusion}\` with the verdict \`${verdict}\``;
  if (accepted === null ? conclusion === 'drift' && verdict === 'pass' : conclusion !== 'drift')
    return 'what it says of an acceptance does not fit its conclusion';
  if (accepted !== null && !matched.some(({ record }) => record === accepted.record))
    return 'no acceptance of the suite matches the one that it passes by';
  for (const { relation, status, findings } of relations) {
    const compared = findings.filter(({ agreement }) => agreement !== 'added' && agreement !== 'removed');
    if (status === 'held' && (compared.length === 0 || findings.some(isBroken)))
      return `it says that \`${relation}\` holds, and what was found says otherwise`;
  }
  return undefined;
}
