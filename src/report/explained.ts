import type { Verdict } from '../compare/conclusion.ts';
import type { Distance } from '../compare/types.ts';
import type { Explained } from '../explain/types.ts';
import type { Across } from './across.ts';

/** Who agrees with whom, and why, as surfaces tell it. */
export interface Explanations {
  readonly explained: Explained;
  /** Groups that computed other bits, and how far they are apart. */
  readonly apart: readonly Apart[];
  /** Whether they are near enough, where that was required. */
  readonly across?: Across | undefined;
  /** What it comes to, where something was required of them: of a fleet. */
  readonly fleet?: FleetView;
  /** Absolute path of the page. */
  readonly htmlPath: string;
}

/** Two groups of one suite, by one record of each, on the tokens that both were given. */
export interface Apart {
  readonly suite: string;
  /** Two. */
  readonly sides: readonly {
    readonly group: string;
    readonly record: string;
    readonly hardwareClass: string;
    /** What rounding alone makes of its model; null where its record does not tell. */
    readonly floorNats: number | null;
  }[];
  readonly distance: Distance;
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
