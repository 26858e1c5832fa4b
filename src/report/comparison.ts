import type { RolesCompared } from '../compare/types.ts';
import type { Change } from '../fingerprint/diff.ts';
import type { Answer } from './answer.ts';
import type { CompareAnswer } from './answers.ts';

/** Two sides held against each other, as surfaces tell it: the answer in lines, and as a page. */
export interface Comparison extends Answer {
  readonly value: CompareAnswer;
  /** Absolute path of the page. */
  readonly htmlPath: string;
  readonly page: ComparisonPage;
}

/** What the page shows beside what a program is told. Text in it is not yet inert. */
export interface ComparisonPage {
  /** What it comes to, in one line. */
  readonly ending: string;
  /** How large what differs is, a sentence each. */
  readonly sizes: readonly string[];
  /** What differs, or was not compared: a line each, all of them. */
  readonly told: readonly string[];
  /** Role by role; null where nothing differs or a side was not looked at so. */
  readonly roles: RolesCompared | null;
  /** What the two tell of their environments otherwise. */
  readonly changes: readonly Change[];
}
