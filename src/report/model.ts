import type { Provenance } from '../baseline/store.ts';
import type { Conclusion, Verdict } from '../compare/conclusion.ts';
import type { RelationResult } from '../compare/types.ts';
import type { Change, Environment } from '../fingerprint/diff.ts';
import type { SuitePlaces } from '../suite/parse.ts';

export const REPORT_SCHEMA = 'deterministic-ml/report/v1';

/** One run as every surface shows it. Text in it may come from a model or a pull request: surfaces escape. */
export interface Report {
  readonly schema: typeof REPORT_SCHEMA;
  readonly mode: 'check' | 'refresh';
  readonly conclusion: Conclusion;
  readonly verdict: Verdict;
  readonly suite: string;
  readonly places: SuitePlaces;
  readonly hardwareClass: string;
  /** Digest of what this run computed; equal digests, equal bits. */
  readonly outcome: string;
  /** Absolute folder of the record. */
  readonly recordPath: string;
  readonly runtime: string;
  readonly environment: Environment;
  /** Names of engine arguments that are our deterministic defaults. */
  readonly defaults: readonly string[];
  readonly relations: readonly RelationResult[];
  readonly baseline: BaselineView;
  /** How the environment differs from the baseline's; empty without one. */
  readonly changes: readonly Change[];
  /** What the engine did: generated tokens over all passes, and seconds. */
  readonly work: { readonly prompts: number; readonly tokens: number; readonly seconds: number };
  /** What the engine printed, one file. */
  readonly logPath: string;
}

export type BaselineView =
  | { readonly kind: 'found'; readonly key: string; readonly store: string; readonly provenance: Provenance }
  | {
      readonly kind: 'stored';
      readonly key: string;
      readonly store: string;
      readonly provenance: Provenance;
      readonly replaced: string | null;
    }
  | { readonly kind: 'not-stored'; readonly reason: string }
  | {
      readonly kind: 'incomparable';
      readonly otherClasses: readonly string[];
      readonly explanation: readonly string[];
    }
  | { readonly kind: 'absent'; readonly explanation: readonly string[] }
  | { readonly kind: 'not-asked' };
