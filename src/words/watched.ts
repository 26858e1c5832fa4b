import { counted } from '../counted.ts';
import type { ReportedSize } from '../report/schema.ts';
import { shortSize } from './sizes.ts';

/** What was found of a prompt or text, by either side's word. */
interface Found {
  readonly prompt: string;
  readonly agreement: string;
  readonly textIdentical: boolean | null;
}

const SAME: readonly string[] = ['identical'];
const OTHER_QUESTION: readonly string[] = ['inputs-differ', 'added', 'removed'];
const UNTOLD: readonly string[] = ['unmeasured', 'indistinct'];

/**
 * How far two runs are apart, prompt by prompt: `2 of 3 prompts differ, 12x the size of rounding, 1 text changed`.
 * What was asked otherwise is no difference, and is told beside it.
 */
export function marginWords(findings: readonly Found[], size: ReportedSize | null): string {
  const byPrompt = Map.groupBy(findings, ({ prompt }) => prompt);
  const told = [...byPrompt.values()].map((all) => all.filter(({ agreement }) => !SAME.includes(agreement)));
  const only = (agreements: readonly string[]) =>
    told.filter((all) => all.length > 0 && all.every(({ agreement }) => agreements.includes(agreement)))
      .length;
  const other = told.filter((all) => all.some(({ agreement }) => OTHER_QUESTION.includes(agreement))).length;
  const untold = only(UNTOLD);
  const compared = told.length - other - untold;
  const differing =
    told.filter((all) => all.some(({ agreement }) => !UNTOLD.includes(agreement))).length - other;
  const texts = new Set(
    findings.flatMap(({ prompt, textIdentical }) => (textIdentical === false ? [prompt] : [])),
  ).size;
  const parts = [
    compared <= 0
      ? 'nothing was compared'
      : differing === 0
        ? `the same bits in ${counted(compared, 'prompt')}`
        : `${differing} of ${counted(compared, 'prompt')} differ`,
    differing === 0 ? '' : shortSize(size),
    differing === 0 ? '' : texts === 0 ? 'no text changed' : `${counted(texts, 'text')} changed`,
    other === 0 ? '' : `${other} asked otherwise`,
    untold === 0 ? '' : `${untold} unmeasured`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}

/** How an engine came to run a round. */
export interface EngineOfRound {
  readonly how: 'cold' | 'warm' | 'kept';
  /** Why the one of the round before was not it; undefined where there was none. */
  readonly why: string | undefined;
  /** Until the first pass could begin, and of the whole round. */
  readonly readySeconds: number | null;
  readonly seconds: number;
}

/** `Engine: kept, loaded as it was: 0.0 s until its passes, 1.4 s in all`. */
export function engineWords({ how, why, readySeconds, seconds }: EngineOfRound): string {
  const because = why === undefined ? '' : ` (${why})`;
  const ready = readySeconds === null ? '' : `${readySeconds.toFixed(1)} s until its passes, `;
  return `Engine: ${HOW[how]}${because}: ${ready}${seconds.toFixed(1)} s in all`;
}

const HOW: Readonly<Record<EngineOfRound['how'], string>> = {
  cold: 'cold, in a process of its own',
  warm: 'forked from a process that had imported it',
  kept: 'kept, loaded as it was',
};
