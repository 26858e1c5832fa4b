import type { BaselineQuery } from '../port.ts';
import type { Packed } from './pack.ts';

/** A packed baseline of a place, not yet fetched. */
export interface Archive {
  /** What its bytes must digest to, 64 hex digits. */
  readonly sha256: string;
  /** @throws Hiccup where the way is broken, UserError `store-unavailable` */
  open(): Promise<AsyncIterable<Uint8Array>>;
}

/**
 * For whom one counts: empty for the default branch and wherever no branches are known, else the ref of a branch that
 * keeps its own.
 */
export type Scope = string;

/** Which baseline counts, of a suite on a hardware class. */
export interface Newest {
  readonly scope: Scope;
  readonly key: string;
  /** Of its archive. */
  readonly sha256: string;
  /** The place's own name for this very state: another run that changes it gives it another one. */
  readonly state: string;
}

/**
 * A place on the network that keeps packed baselines by their keys, and of each suite and hardware class which one
 * counts. All of it throws UserError `store-unavailable` where the place does not answer, and Hiccup for what may pass.
 */
export interface Remote {
  /** As an error names it: `the bucket models at s3.example.org`. */
  readonly name: string;
  /** How what lies under a key is got rid of. */
  remedyOf(key: string): string;
  newest(query: BaselineQuery, scope: Scope): Promise<Newest | undefined>;
  /** Undefined where the place says that it has none. */
  archive(key: string): Promise<Archive | undefined>;
  /** Names of what lies below the suite and hardware class, whether it counts or not. */
  keys(query: BaselineQuery): Promise<readonly string[]>;
  /** Hardware classes of the suite of which one counts, for any of these. */
  classes(suite: string, scopes: readonly Scope[]): Promise<readonly string[]>;
  /** `exists` where there is another one of that key. */
  put(key: string, packed: Packed): Promise<'stored' | 'exists'>;
  /** Makes it the one that counts, in place of `from`; false where that is not the newest any more. */
  advance(query: BaselineQuery, to: Omit<Newest, 'state'>, from: Newest | undefined): Promise<boolean>;
  /** Whether this run may change which one counts; nothing is changed by asking. Undefined where it cannot be told. */
  mayWrite(query: BaselineQuery, newest: Newest): Promise<boolean | undefined>;
}
