import type { Verdict } from '../compare/conclusion.ts';

/** What a use-case finds that needs no surface of its own. */
export interface Answer {
  readonly verdict: Verdict;
  /** For people; whatever they hold, surfaces make them inert. */
  readonly lines: readonly string[];
  /** The same for a program, as JSON can hold it. */
  readonly value: unknown;
}
