import type { Verdict } from '../compare/conclusion.ts';
import type { Explained } from '../explain/types.ts';

/** Who agrees with whom, and why, as surfaces tell it. */
export interface Explanations {
  readonly explained: Explained;
  /** What it comes to, where something was required of them: of a fleet. */
  readonly fleet?: FleetView;
  /** Absolute path of the page. */
  readonly htmlPath: string;
}

export interface FleetView {
  readonly verdict: Verdict;
  /** That in one line. */
  readonly line: string;
  readonly measured: readonly string[];
  /** Who gave nothing, and why. */
  readonly absent: readonly Absent[];
}

export interface Absent {
  readonly name: string;
  /** Of the error. */
  readonly code: string;
  readonly reason: string;
  readonly isOptional: boolean;
}
