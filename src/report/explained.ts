import type { Explained } from '../explain/types.ts';

/** Who agrees with whom, and why, as surfaces tell it. */
export interface Explanations {
  readonly explained: Explained;
  /** Absolute path of the page. */
  readonly htmlPath: string;
}
