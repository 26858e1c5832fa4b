import type { ReadBody } from '../record/body.ts';
import type { Observation, RunRecord } from '../record/schema.ts';
import type { RelationName, Requirement } from '../suite/schema.ts';

/** How two observations of one prompt compare. */
export type Agreement =
  | 'identical'
  | 'logprobs-differ'
  | 'tokens-differ'
  | 'inputs-differ'
  | 'unmeasured'
  | 'added'
  | 'removed';

/** One side of a comparison: a record and a way to its bits. */
export interface Side {
  readonly record: RunRecord;
  readonly readBody: ReadBody;
}

/** Where and by how much two observations part. Steps count from 0. */
export interface Divergence {
  /** First step whose log-probability bits (chosen or top-k) differ. */
  readonly logprobStep: number | null;
  /** First step whose tokens differ. */
  readonly tokenStep: number | null;
  /** Steps that both sides have. */
  readonly steps: number;
  /** Largest difference of the chosen tokens' log-probabilities, in nats, while the tokens agree. */
  readonly largestNats: number;
  /** At `tokenStep`: both tokens, and on each side by how many nats its own choice leads the other side's. */
  readonly fork: Fork | null;
}

export interface Fork {
  readonly leftToken: number | null;
  readonly rightToken: number | null;
  /** Null where the other token is not among that side's top k. */
  readonly leftMarginNats: number | null;
  readonly rightMarginNats: number | null;
}

/** What a relation found for one prompt. */
export interface Finding {
  readonly prompt: string;
  readonly agreement: Agreement;
  /** Does the agreement satisfy the requirement? `added` and `removed` do; `unmeasured` never does. */
  readonly holds: boolean;
  /** Whether a hash of the text alone would have called the two the same. */
  readonly textIdentical: boolean | null;
  readonly divergence: Divergence | null;
  /** What digests and divergence do not say, e.g. why it is unmeasured. */
  readonly reason: string | null;
}

export interface RelationResult {
  readonly relation: RelationName;
  readonly requirement: Requirement;
  /** `measured` is the status under the requirement `measure`, whatever was found. */
  readonly status: 'held' | 'broken' | 'unmeasured' | 'measured';
  /** Proof that the relation was exercised, or what is missing. */
  readonly evidence: string;
  readonly findings: readonly Finding[];
}

/** Two observations that a relation claims to agree; one is missing for `added` and `removed`. */
export type Pair =
  | { readonly prompt: string; readonly left: Observation; readonly right: Observation }
  | { readonly prompt: string; readonly only: 'added' | 'removed' };

/** What to compare, and the proof that comparing it means something. */
export type Arrangement =
  | {
      readonly kind: 'exercised';
      readonly evidence: string;
      readonly pairs: readonly Pair[];
      readonly left: ReadBody;
      readonly right: ReadBody;
    }
  | { readonly kind: 'unmeasured'; readonly reason: string };

/** A claim that pairs of observations must agree. One file each in `relations/`. */
export interface Relation {
  readonly name: RelationName;
  readonly requires: Requirement;
  /** Generate passes that one lifetime must hold for it. */
  readonly passes: number;
  /** Pairs observations and reads the witness. `baseline` is undefined when there is none to compare with. */
  arrange(run: Side, baseline: Side | undefined): Arrangement;
}
