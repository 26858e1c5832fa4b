import type { Explained } from '../explain/types.ts';
import type { Across } from './across.ts';
import type { Report } from './schema.ts';

/** What the legs of a matrix found, each on its own hardware. */
export interface Merged {
  /** Worst first; never empty. */
  readonly reports: readonly Report[];
  readonly conclusion: Report['conclusion'];
  readonly verdict: Report['verdict'];
  /** Which legs computed the same, and why; undefined of a single one. */
  readonly explained?: Explained | undefined;
  /** Whether legs that computed other bits are near enough, where that was required. */
  readonly across?: Across | undefined;
  /** All of them on one page. */
  readonly htmlPath: string;
}
