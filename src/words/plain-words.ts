import type { Conclusion } from '../compare/conclusion.ts';
import type { ReportedRelation } from '../report/schema.ts';
import { conclusionWords, type Words } from './words.ts';

/** A conclusion in the words of a plain check; a run adds its numbers to them. */
export const plainWords = (conclusion: Conclusion): Words =>
  conclusionWords({
    conclusion,
    relations: examples(conclusion),
    accepted: null,
    suite: { leaving: [] },
    changes: [],
    context: { mode: 'check', baseline: { kind: 'not-asked' }, notices: [], places: { file: '' } },
  });

/** What the words of a conclusion tell, where they tell more than the conclusion itself. */
function examples(conclusion: Conclusion): readonly ReportedRelation[] {
  const example = (
    relation: ReportedRelation['relation'],
    status: ReportedRelation['status'],
  ): ReportedRelation => ({
    relation,
    requirement: 'identical',
    status,
    evidence: '',
    findings: [],
    decision: null,
    size: null,
    atRefresh: null,
  });
  switch (conclusion) {
    case 'unstable':
      return [example('rerun', 'broken')];
    case 'drift':
      return [example('rerun', 'held')];
    case 'relation-broken':
      return [example('batch', 'broken')];
    case 'unhealthy-gpu':
    case 'incomparable':
    case 'no-baseline':
    case 'unmeasured':
    case 'reproduced':
      return [];
  }
}
