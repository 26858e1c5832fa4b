import type { Provenance } from '../baseline/port.ts';
import type { Accepted } from '../compare/acceptance.ts';
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
  readonly run: RunView;
  readonly places: Places;
  /** Names of engine arguments that are our deterministic defaults. */
  readonly defaults: readonly string[];
  readonly runtime: string;
  /** What the engine printed, one file. */
  readonly logPath: string;
  /** Absolute folder of the record. */
  readonly recordPath: string;
  /** This report as a file, and as a page. */
  readonly reportPath: string;
  readonly htmlPath: string;
  readonly baseline: BaselineView;
  readonly rules: Rules;
  /** What a reader should know beside the verdict, e.g. an old baseline or a stale acceptance. */
  readonly notices: readonly Notice[];
}

/** What ran. */
export interface RunView {
  /** `owner/name`; `local` on a terminal. */
  readonly repository: string;
  readonly workflow: string;
  readonly id: string;
  readonly attempt: string;
  readonly event: string;
  readonly ref: string;
  /** Empty where nobody knows it. */
  readonly commit: string;
  /** Page of the run; empty on a terminal. */
  readonly url: string;
}

/** Whose suite judged: policy, relations, depth and store. */
export type Rules =
  | { readonly kind: 'checkout' }
  | {
      readonly kind: 'base';
      readonly ref: string;
      readonly sha: string;
      /** Of the suite, in the repository. */
      readonly path: string;
      /** The base branch has no suite there, or none that can be read: then the strict defaults judge. */
      readonly missing: boolean;
      /** How the change's own suite differs from it. */
      readonly changes: readonly SuiteChange[];
    };

export interface SuiteChange {
  /** e.g. `policy.no-baseline`. */
  readonly field: string;
  readonly before: string;
  readonly after: string;
  /** Whether this run follows the change: what is measured is the change's own, what judges is the base's. */
  readonly inForce: boolean;
}

export interface Notice {
  readonly level: 'warning' | 'notice';
  readonly title: string;
  readonly message: string;
}

/** Where things stand in the suite's file. */
export interface Places {
  readonly file: string;
  readonly prompts: readonly ({ readonly id: string } & Position)[];
  readonly model: Position;
  readonly engine: Position;
  readonly runtime: Position;
  readonly relations: Position;
  readonly accept: Position;
}

/** What the suite held the run to. */
export interface Asked {
  readonly claims: readonly Claim[];
  readonly policy: Suite['policy'];
  readonly depth: Suite['depth'];
  readonly accept: Suite['accept'];
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
  readonly suite: {
    readonly name: string;
    readonly digest: string;
    /** Prompts whose tokens are drawn, and not the most probable ones. */
    readonly sampled: readonly string[];
  };
  readonly hardwareClass: string;
  /** When the run began. */
  readonly createdAt: string;
  /** Digest of what this run computed; equal digests, equal bits. */
  readonly outcome: string;
  /** What each acceptance of the suite means for this run. */
  readonly acceptances: readonly Accepted[];
  /** The acceptance by which this run's drift passes. */
  readonly accepted: { readonly record: string; readonly reason: string } | null;
  /** The record whose acceptance would let this run's drift pass; null where none would. */
  readonly acceptable: string | null;
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

interface Trusted {
  readonly key: string;
  readonly store: string;
  readonly provenance: Provenance;
}

export type BaselineView =
  | (Trusted & {
      readonly kind: 'found';
      /** How many baselines it has replaced. */
      readonly replaced: number;
      /** How it is known that only the default or base branch can have stored it; null where that is not proven. */
      readonly proof: string | null;
    })
  | (Trusted & { readonly kind: 'stored'; readonly replaced: string | null })
  /** A refresh that changed nothing: this one stays. */
  | (Trusted & { readonly kind: 'unchanged' })
  /** What a refresh would have stored. */
  | { readonly kind: 'dry-run'; readonly key: string; readonly replaced: string | null }
  | { readonly kind: 'not-stored'; readonly reason: string }
  | {
      readonly kind: 'incomparable';
      readonly otherClasses: readonly string[];
      readonly explanation: readonly string[];
    }
  | { readonly kind: 'absent'; readonly explanation: readonly string[] }
  | { readonly kind: 'not-asked' };
