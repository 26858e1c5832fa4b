import type { Provenance } from '../baseline/store.ts';
import type { Conclusion, Verdict } from '../compare/conclusion.ts';
import type { Claim } from '../compare/types.ts';
import type { Change, Environment } from '../fingerprint/diff.ts';
import type { Position } from '../suite/parse.ts';
import type { Suite } from '../suite/schema.ts';
import type { Nats, REPORT_SCHEMA, ReportedRelation } from './schema.ts';

/**
 * One run as every surface shows it, and as `<record>.report.json` keeps it: plain JSON. Text in it may come from a
 * model or a pull request: surfaces escape.
 */
export interface Report extends Derived {
  readonly schema: typeof REPORT_SCHEMA;
  /** SHA-256 of the canonical JSON of everything else. */
  readonly sha256: string;
  readonly context: Context;
  readonly asked: Asked;
  readonly digests: Digests;
}

/** What record and baseline do not tell. */
export interface Context {
  readonly mode: 'check' | 'refresh';
  readonly places: Places;
  /** Names of engine arguments that are our deterministic defaults. */
  readonly defaults: readonly string[];
  readonly runtime: string;
  /** What the engine printed, one file. */
  readonly logPath: string;
  /** Absolute folder of the record. */
  readonly recordPath: string;
  /** This report as a file. */
  readonly reportPath: string;
  readonly baseline: BaselineView;
}

/** Where things stand in the suite's file. */
export interface Places {
  readonly file: string;
  readonly prompts: readonly ({ readonly id: string } & Position)[];
  readonly model: Position;
  readonly engine: Position;
  readonly runtime: Position;
  readonly relations: Position;
}

/** What the suite held the run to. */
export interface Asked {
  readonly claims: readonly Claim[];
  readonly policy: Suite['policy'];
  readonly depth: Suite['depth'];
}

/** SHA-256 of the files that the report is made from; null where there is none. */
export interface Digests {
  /** The run's `record.json`. */
  readonly record: string;
  /** The baseline's `record.json`. */
  readonly baselineRecord: string | null;
  /** The baseline's `baseline.json`. */
  readonly baselineMeta: string | null;
}

/** What follows from record, baseline and what was asked: `verify` makes it anew. */
export interface Derived {
  readonly conclusion: Conclusion;
  readonly verdict: Verdict;
  readonly suite: { readonly name: string; readonly digest: string };
  readonly hardwareClass: string;
  /** Digest of what this run computed; equal digests, equal bits. */
  readonly outcome: string;
  readonly environment: Environment;
  readonly relations: readonly ReportedRelation[];
  /** How the environment differs from the baseline's; empty without one. */
  readonly changes: readonly Change[];
  readonly coverage: readonly Coverage[];
  /** Distances of known perturbations on the baseline's machine; empty where none were measured. */
  readonly yardstick: readonly YardstickMark[];
  /** What the engine did over all passes: tokens decoded, positions scored, seconds. */
  readonly work: {
    readonly prompts: number;
    readonly texts: number;
    readonly lifetimes: number;
    readonly tokens: number;
    readonly positions: number;
    readonly seconds: number;
  };
}

/** A part of the engine, and whether this run would have noticed a change in it. */
export interface Coverage {
  readonly what: string;
  readonly exercised: boolean;
  /** By which passes, or why not. */
  readonly by: string;
}

export interface YardstickMark {
  readonly id: string;
  readonly what: string;
  readonly rmsNats: Nats;
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
