import type { Arrangement, Observation, PassKind } from '../record/schema.ts';
import type { Side } from '../record/side.ts';
import type { Requirement } from '../suite/schema.ts';

/** A relation as the suite asks for it. */
export interface Claim {
  /** Name of one in `relations/index.ts`. */
  readonly relation: string;
  readonly requirement: Requirement;
}

/** How two observations of one prompt compare. */
export type Agreement =
  | 'identical'
  /** The log-probabilities agree where they were looked at, and yet a module computes something else. */
  | 'modules-differ'
  /** Results under names of a program's own are others. */
  | 'values-differ'
  | 'logprobs-differ'
  /** Of a model that gives vectors: another one. */
  | 'vector-differs'
  | 'tokens-differ'
  /** The same tokens where they are known, and another text. */
  | 'text-differs'
  | 'inputs-differ'
  /** A test of samples tells them apart, or does not: no bits were held against each other. */
  | 'another-model'
  | 'indistinct'
  | 'unmeasured'
  | 'added'
  | 'removed';

/** Where and by how much two observations part. Steps count from 0; of a score, a step is a position. */
export interface Divergence {
  /** First step whose log-probability bits (chosen or top-k) differ. */
  readonly logprobStep: number | null;
  /** Steps whose log-probability bits differ, up to where the tokens part. */
  readonly logprobSteps: number;
  /** First step whose tokens differ. */
  readonly tokenStep: number | null;
  /** Steps that both sides have. */
  readonly steps: number;
  /** Largest difference of the chosen tokens' log-probabilities, in nats, while the tokens agree. */
  readonly largestNats: number;
  /** At `tokenStep`. */
  readonly fork: Fork | null;
  /**
   * How the two go along the steps: at most `CELLS` cells of equally many steps (to within one), each as the worst in
   * it. `=` the same bits, `~` other bits, `x` another token, `.` nothing to compare, since the tokens parted before.
   */
  readonly strip: string;
  /** Root mean square of the differences in each cell of `strip`, in nats; null but of known tokens. */
  readonly profile: readonly number[] | null;
  /** Both sides at `logprobStep`, where their tokens still agree; null where they part at once, or never differ. */
  readonly parting: Parting | null;
  /** The tokens around `tokenStep`, or else around `logprobStep`; null where neither is known. */
  readonly passage: Passage | null;
}

/** The distributions at one step from which both sides took the same token. Best first. */
export interface Parting {
  readonly token: Token;
  readonly left: { readonly nats: number; readonly top: readonly Candidate[] };
  readonly right: { readonly nats: number; readonly top: readonly Candidate[] };
}

/** Neighbouring tokens of both sides. */
export interface Passage {
  /** Step of the first of them. */
  readonly from: number;
  readonly left: readonly Token[];
  readonly right: readonly Token[];
}

export interface Token {
  readonly id: number;
  /** Null where it is not known. */
  readonly text: string | null;
}

export interface Candidate extends Token {
  readonly nats: number;
}

export interface Fork {
  readonly left: ForkSide;
  readonly right: ForkSide;
}

export interface ForkSide {
  /** Null where this side had ended. */
  readonly token: number | null;
  readonly text: string | null;
  /** By how many nats this side preferred its own token to the other's; null where that is not in its top k. */
  readonly marginNats: number | null;
  /** The same in steps of the logits' dtype, as spaced between 2 and 4; null for an unknown dtype. */
  readonly marginSteps: number | null;
  readonly tie: 'exact' | 'near' | 'none' | 'unknown';
  /** Best first. */
  readonly top: readonly Candidate[];
}

/** How far two computations of the same tokens are apart. */
export interface Distance {
  readonly positions: number;
  /** Root mean square over the top k of all positions, in nats. */
  readonly rmsNats: number;
  readonly largestNats: number;
  /** Positions whose most probable token is another one; ties compare as sets. */
  readonly argmaxChanges: number;
  /** Mean of left minus right over the known tokens, in nats: above 0, the right side finds them less likely. */
  readonly crossEntropyNats: number;
  /** Every difference vanishes within a position, up to the logits' rounding: log-softmax changed, not the logits. */
  readonly normaliserOnly: boolean;
}

/** Which modules compute something else. */
export interface TraceDifference {
  readonly modules: number;
  readonly differing: number;
  /** In the order in which they ran; null when none differs or the two have other modules. */
  readonly first: string | null;
  /** How many modules had run before it. */
  readonly firstIndex: number | null;
  /** Names that only one side has, the first 20. */
  readonly onlyLeft: readonly string[];
  readonly onlyRight: readonly string[];
  /** What each module came to: a row for each layer, or for each module outside of layers, in the order in which they ran. */
  readonly map: ModuleMap;
}

export interface ModuleMap {
  /** Names of modules within their layer, e.g. `mlp.down_proj`; the empty one is the layer itself. */
  readonly parts: readonly string[];
  /**
   * @property cells one character for each of `parts`: `=` the same output, `x` another, `-` on the left only, `+` on
   *   the right only, a space where the layer has no such module
   */
  readonly layers: readonly { readonly name: string; readonly cells: string }[];
  /** Modules that are left out: a map shows no more than a page can. */
  readonly omitted: number;
}

/** What a relation found for one prompt in one kind of pass. */
export interface Finding {
  readonly prompt: string;
  readonly kind: PassKind;
  readonly agreement: Agreement;
  /** Does the agreement satisfy the requirement? `added` and `removed` do; `unmeasured` never does. */
  readonly holds: boolean;
  /** Whether a hash of the text alone would have called the two the same; null where no text was generated. */
  readonly textIdentical: boolean | null;
  readonly divergence: Divergence | null;
  /** Of passes whose tokens are known, where their bits differ. */
  readonly distance: Distance | null;
  /** Where modules were compared and anything differs: which of them do. */
  readonly trace: TraceDifference | null;
  /** Modules that were compared; null where none were. */
  readonly modules: number | null;
  /** Channels that only one of the two has. */
  readonly unmeasured: readonly string[];
  /** What all of this does not say, e.g. why it is unmeasured. */
  readonly reason: string | null;
}

/** Whether what the first lifetime showed is the engine's new way or one of several. */
export interface Decision {
  /** Lifetimes of this run, and how many of them gave only outcomes that the baseline knows. */
  readonly of: number;
  readonly known: number;
  /** Outcomes that this run's lifetimes gave, known or not. */
  readonly distinct: number;
  /** Lifetimes that the baseline's set of outcomes comes from. */
  readonly baselineLifetimes: number;
  /**
   * Largest chance that an honest engine looks like this: max over p of p^(of-1) (1-p)^baselineLifetimes, the
   * lifetimes independent; null but where several lifetimes gave one and the same outcome that is not known.
   */
  readonly falseAlarm: number | null;
}

/** The size of a drift, and what to measure it with. All in nats; null where it was not measured. */
export interface Size {
  readonly distance: Distance;
  /** What rounding alone makes of the baseline's model: the first of the two that was measured and is more than 0. */
  readonly floorNats: number | null;
  /** `noise`: each module's numbers rounded once more. `batching`: scored beside strangers. */
  readonly floorBy: 'noise' | 'batching' | null;
  /** What neighbours in a batch make of it; 0 where they change no bit. */
  readonly batchingNats: number | null;
  /** 1.5 x the largest distance between the baseline's honest lifetimes; null with fewer than three. */
  readonly boundNats: number | null;
}

export interface RelationResult {
  /** Name of one in `relations/index.ts`. */
  readonly relation: string;
  readonly requirement: Requirement;
  /** `measured` is the status under the requirement `measure`, whatever was found. */
  readonly status: 'held' | 'broken' | 'unmeasured' | 'measured';
  /** Proof that the relation was exercised, or what is missing. */
  readonly evidence: string;
  readonly findings: readonly Finding[];
  /** Pooled over all scored sequences that differ or agree; null where none was scored or all bits agree. */
  readonly size: Size | null;
  /** Only of `baseline`. */
  readonly decision: Decision | null;
  /** What the same relation showed at the refresh, by agreement; null without a baseline, or for `baseline`. */
  readonly atRefresh: Readonly<Partial<Record<Agreement, number>>> | null;
  /** Of a variant that differs, how far each module is from the suite's own, by role. */
  readonly roles?: RolesCompared;
}

/** How far what a role gave is apart on two sides, over all texts that both scored. */
export interface RoleDistance {
  /** `layers.3.qkv`; docker/harness/…/common/roles.py has the table. */
  readonly role: string;
  /** Root of the squared distance over the mean of both sides' squares: 0 for the same numbers. To some percent. */
  readonly distance: number;
  /** What rounding alone makes of it, the larger of both sides'; null where neither tells. */
  readonly floor: number | null;
}

export interface RolesCompared {
  /** Texts that were compared. */
  readonly texts: number;
  /** In the order in which they run. */
  readonly all: readonly RoleDistance[];
  /** The first whose distance is larger than rounding makes; null where none is. */
  readonly first: RoleDistance | null;
}

/** Two observations that a relation claims to agree; one is missing for `added` and `removed`. */
export type Pair = {
  readonly prompt: string;
  readonly kind: PassKind;
  /** Tells pairs of one prompt and kind apart; leads the finding's reason. */
  readonly note?: string;
} & (
  | { readonly left: Observation; readonly right: Observation }
  /** The end of a score's positions against decoded steps. */
  | { readonly left: Observation; readonly rightTail: Observation }
  /** Decided over all pairs together, by a test. */
  | { readonly agreement: 'another-model' | 'indistinct'; readonly reason: string }
  | { readonly only: 'added' | 'removed' }
  | { readonly unmeasured: string }
);

/** What to compare, and the proof that comparing it means something. */
export type Pairing =
  | {
      readonly kind: 'exercised';
      readonly evidence: string;
      readonly pairs: readonly Pair[];
      readonly left: Side;
      readonly right: Side;
      /** Only of `baseline`. */
      readonly decision?: Decision;
    }
  | { readonly kind: 'unmeasured'; readonly reason: string };

/** A pass that a relation needs. */
export interface PassNeed {
  readonly kind: PassKind;
  readonly arrangement: Arrangement;
}

/** A claim that pairs of observations must agree. One file each in `relations/`. */
export interface Relation {
  readonly name: string;
  /** What it claims, in one sentence for the docs. */
  readonly what: string;
  /** What proves that it was exercised, for the docs. */
  readonly witness: string;
  /** What to call the left and the right observation of a pair. */
  readonly sides: readonly [left: string, right: string];
  /** A suite that names none asks for it. */
  readonly byDefault: boolean;
  /** It looks at decoding, and says nothing where nothing is decoded. */
  readonly decoding: boolean;
  /**
   * What its break means. `unstable`: the engine does not repeat itself, and no comparison with a baseline would mean
   * anything; told in `sentence`. `broken`: it alone does not hold. `drift`: the bits are others than the baseline's.
   */
  readonly breaks:
    | { readonly means: 'unstable'; readonly sentence: string }
    | { readonly means: 'broken' | 'drift' };
  /**
   * Whether a refresh holds an engine to it, whatever the suite asks for: `always`, or `unless-measured`, where a suite
   * may ask to have it only looked at.
   */
  readonly ofRefresh: 'always' | 'unless-measured' | 'never';
  /** What a suite that does not say gets. @param batchInvariant whether the engine promises it */
  requires(batchInvariant: boolean): Requirement;
  /** Passes that a lifetime must hold for it, at either depth. */
  needs(depth: 'full' | 'score'): readonly PassNeed[];
  /** Lifetimes that a check must hold for it. */
  readonly lifetimes: number;
  /**
   * Pairs observations and reads the witness. `baseline` is undefined when there is none to compare with; the
   * requirement tells what makes two lifetimes of one run the same outcome.
   */
  pair(run: Side, baseline: Side | undefined, requirement: Requirement): Pairing | Promise<Pairing>;
}
