import type { PassKind } from '../record/schema.ts';
import type { ReportedDivergence, ReportedFinding } from '../report/schema.ts';
import { isDifferent } from './groups.ts';

/** Worst first; what is none of them is not compared. */
const CELLS = ['x', '~', '='] as const;
const NOT_COMPARED = '.';

/** What the cells of a strip mean. Of our own making, but for Markdown its `~` must be escaped like the strip's. */
export const STRIP_LEGEND =
  '= same bits, ~ other bits, x another token, . nothing to compare since the tokens parted before; a cell is as the worst of its steps';

/**
 * A divergence along the steps, one character for each of at most `width` cells. Cells are merged, never stretched,
 * and the worst of them wins: `x`, `~`, `=`, and only where nothing is compared in any of them `.`. So no single step
 * that differs is ever smoothed away. Gives nothing but these four characters.
 */
export function textStrip({ strip }: Pick<ReportedDivergence, 'strip'>, width = 32): string {
  const cells = Math.min(strip.length, Math.max(0, Math.floor(width)));
  return Array.from({ length: cells }, (_, cell) => {
    // As the strip itself was made of steps: parts of equal length, to within one.
    const part = strip.slice(
      Math.floor((cell * strip.length) / cells),
      Math.floor(((cell + 1) * strip.length) / cells),
    );
    return CELLS.find((one) => part.includes(one)) ?? NOT_COMPARED;
  }).join('');
}

/** A strip, and the kind of pass that it is of. */
export interface TellingStrip {
  readonly kind: PassKind;
  readonly divergence: ReportedDivergence;
}

/**
 * Of what all kinds of passes saw of a prompt, the strip that tells most: the worst finding's that has one. None where
 * nothing differs along the steps: of other prompt tokens, or of modules alone, there is nothing to draw.
 *
 * @param findings worst first, as a group has them
 */
export function tellingStrip(findings: readonly ReportedFinding[]): TellingStrip | undefined {
  for (const finding of findings) {
    const { kind, divergence } = finding;
    if (divergence !== null && isDifferent(finding) && /[x~]/.test(divergence.strip))
      return { kind, divergence };
  }
  return undefined;
}
