import type { ReportedFinding } from './schema.ts';

/** Findings that broke what their relation requires; one that was not measured says nothing of the engine. */
export const isBroken = ({ holds, agreement }: Pick<ReportedFinding, 'holds' | 'agreement'>) =>
  !holds && agreement !== 'unmeasured';
