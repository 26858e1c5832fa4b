import type { Report } from './schema.ts';

/** What the legs of a matrix found, each on its own hardware. */
export interface Merged {
  /** Worst first; never empty. */
  readonly reports: readonly Report[];
  readonly conclusion: Report['conclusion'];
  readonly verdict: Report['verdict'];
  /** All of them on one page. */
  readonly htmlPath: string;
}
