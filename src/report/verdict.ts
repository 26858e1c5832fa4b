import type { Agreement, Finding } from '../compare/types.ts';
import type { Report } from './model.ts';
import { conclusionWords } from './words.ts';

/** Findings that broke their requirement, of all relations, worst first. */
export function drifted(report: Report): Finding[] {
  return report.relations
    .flatMap(({ findings }) => findings)
    .filter(({ holds, agreement }) => !holds && agreement !== 'unmeasured')
    .sort(worstFirst);
}

const RANK: Readonly<Record<Agreement, number>> = {
  'inputs-differ': 0,
  'tokens-differ': 1,
  'logprobs-differ': 2,
  unmeasured: 3,
  added: 4,
  removed: 5,
  identical: 6,
};

/** What breaks a requirement first, then by how much differs, then by how early. */
export function worstFirst(a: Finding, b: Finding): number {
  return (
    Number(a.holds) - Number(b.holds) || RANK[a.agreement] - RANK[b.agreement] || firstStep(a) - firstStep(b)
  );
}

const firstStep = ({ divergence }: Finding) => divergence?.tokenStep ?? divergence?.logprobStep ?? 0;

/** The verdict line: the same words on every surface. */
export function verdictLine(report: Report): string {
  const { title } = conclusionWords(report.conclusion, report.mode);
  const findings = drifted(report);
  const seen = new Set(findings.map(({ prompt }) => prompt)).size;
  const visible = new Set(findings.filter(({ textIdentical }) => !textIdentical).map(({ prompt }) => prompt))
    .size;
  const count =
    findings.length === 0
      ? `${report.work.prompts} prompts`
      : `${seen} of ${report.work.prompts} prompts (a hash of the text sees ${visible === 0 ? 'none of them' : visible})`;
  const stored = report.mode === 'refresh' ? refreshSuffix(report) : '';
  return `${title}: ${count} on ${report.hardwareClass}${stored}`;
}

function refreshSuffix({ baseline }: Report): string {
  switch (baseline.kind) {
    case 'stored':
      return ', baseline stored';
    case 'not-stored':
      return ', baseline NOT stored';
    case 'found':
    case 'incomparable':
    case 'absent':
    case 'not-asked':
      return '';
  }
}
