import type { Link } from '../baseline/port.ts';

/** What was trusted on a hardware class, newest first; the first is the baseline of today. */
export interface History {
  readonly suite: string;
  readonly hardwareClass: string;
  readonly baselines: readonly Link[];
}
