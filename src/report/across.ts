import type { Verdict } from '../compare/conclusion.ts';

/** Whether classes of hardware, which never agree bit for bit, agree enough. */
export interface Across {
  /** As it was asked: `within 2x floor`. */
  readonly required: string;
  /** `unmeasured`: of a class that nobody could measure, nobody knows that it is near. */
  readonly status: 'held' | 'broken' | 'unmeasured';
  readonly verdict: Verdict;
  /** That in one line. */
  readonly line: string;
  /** One for each group beside the largest one of its suite, and for what could not be held against anything. */
  readonly pairs: readonly AcrossPair[];
}

export interface AcrossPair {
  readonly suite: string;
  readonly status: Across['status'];
  /** In multiples of the floor; null where it is not known. */
  readonly floors: number | null;
  /** Who, and how far or why not; not yet inert. */
  readonly what: string;
}
