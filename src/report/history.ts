import type { Link } from '../baseline/port.ts';
import type { SidesOutcome } from '../compare/sides.ts';
import type { Change } from '../fingerprint/diff.ts';
import type { ReportedSize } from './schema.ts';

/** What was trusted on a hardware class, newest first; the first is the baseline of today. */
export interface History {
  readonly suite: string;
  readonly hardwareClass: string;
  readonly baselines: readonly Link[];
  /** Of the newest ones, each against the one that it replaced; only where somebody asked for it. */
  readonly since?: readonly Since[];
}

/** A baseline against the one before it. */
export type Since =
  | {
      readonly kind: 'compared';
      /** Facts of the environment. */
      readonly changes: readonly Change[];
      readonly outcome: SidesOutcome;
      /** Prompts and texts of both, and those of which something is not the same. */
      readonly prompts: number;
      readonly differ: number;
      readonly size: ReportedSize | null;
    }
  /** `why` is the end of a sentence. */
  | { readonly kind: 'unknown'; readonly why: string };
