/*
 * What `explain` is asked, and what it finds: plain values, so that a page, a terminal and a program read the same. Names
 * and values may come from anybody: surfaces escape.
 */

/** What one prompt gave in one kind of pass. */
export interface Answered {
  readonly prompt: string;
  /** e.g. `generate`. */
  readonly kind: string;
  /** Name of a channel -> digest of its bits. */
  readonly channels: ReadonlyMap<string, string>;
}

/** One run, or one engine start of it where those gave different bits: its environment, and what it computed. */
export interface Case {
  readonly name: string;
  /** What was asked, by name: only cases that were asked the same can agree. */
  readonly suite: string;
  /** Field -> value. What nobody told is not there. */
  readonly facts: ReadonlyMap<string, string>;
  /**
   * Kinds of fields of which all were told, by the first word of their names, e.g. `argument`: one that is not there is
   * known to be none.
   */
  readonly whole?: ReadonlySet<string>;
  /** Facts that were not read on the machine, but worked out: a sentence each. */
  readonly notes?: readonly string[];
  /** By what was asked, whatever it is called. */
  readonly answers: ReadonlyMap<string, Answered>;
}

/** Cases that computed the same bits. */
export interface Group {
  /** `A`, `B`… by size, then by the names of their cases. */
  readonly name: string;
  /** Places in the list of cases. */
  readonly cases: readonly number[];
}

/** Fields that take other values together in these cases: this data cannot tell them apart. */
export interface FieldClass {
  readonly fields: readonly string[];
  /** How many values there are. */
  readonly values: number;
  /** Cases that tell it. */
  readonly told: number;
}

/** Values of an explaining set, and what ran with them. */
export interface Rule {
  /** Of each class of the set, of each of its fields. */
  readonly values: readonly (readonly string[])[];
  readonly group: string;
  readonly cases: readonly number[];
}

/** Fields of which equal values always came with equal bits. */
export interface ExplainingSet {
  readonly classes: readonly FieldClass[];
  /** One for each combination of values. */
  readonly rules: readonly Rule[];
  /** Cases whose values another case had before them: as often it could have been wrong, and was not. */
  readonly repeats: number;
}

/** Fields that explain all but a few cases. */
export interface AlmostSet {
  readonly classes: readonly FieldClass[];
  readonly repeats: number;
  /** Cases that computed otherwise than most with the same values. */
  readonly exceptions: readonly number[];
}

/** What a field by itself says; fields that changed together say it together. */
export interface FieldFinding extends FieldClass {
  readonly state: /** The same in all: it was never varied, so that nothing is known of it. */
    | 'constant'
    /** Another one in every case: it fits whatever happened. */
    | 'unique'
    /** Equal values came with equal bits. */
    | 'explains'
    /** Part of a set that explains and was repeated most, and not enough by itself. */
    | 'part'
    /** Equal values came with other bits, and no such set needs it. */
    | 'not';
  /** Two cases of one value and other bits; undefined where there are none. */
  readonly against:
    | { readonly values: readonly string[]; readonly cases: readonly [number, number] }
    | undefined;
  /** Most values that it took on equal values of the best set, and the bits stayed the same; 0 where it did not. */
  readonly varied: number;
}

/** Cases that no field tells apart, and which yet computed otherwise. */
export interface Contradiction {
  readonly cases: readonly number[];
  readonly groups: readonly string[];
  /** `same`: all that they tell is equal. `untold`: what could tell them apart, only one of them tells. */
  readonly kind: 'same' | 'untold';
}

/** A run that nobody has done yet. */
export interface NextRun {
  /** The case whose environment it begins with. */
  readonly from: number;
  /** What is to be another: the values of a second case. */
  readonly change: readonly { readonly field: string; readonly value: string }[];
  readonly of: number;
  /** What each explanation says would come of it; undefined where it says nothing. */
  readonly says: readonly { readonly set: number; readonly group: string | undefined }[];
  /** In bits, over the explanations by their repeats. */
  readonly gain: number;
}

/** Fields that always changed together, and could be changed apart. */
export interface Inseparable {
  readonly fields: readonly string[];
  /** How a run would tell them apart; undefined where each has but one owner, e.g. all belong to the GPU. */
  readonly apart: Pick<NextRun, 'from' | 'change' | 'of'> | undefined;
}

/** A grouping, and what explains it. */
export interface Explanation {
  /** Best first. */
  readonly sets: readonly ExplainingSet[];
  /** How many there are, shown or not. */
  readonly found: number;
  /** How many of them never met a repeat: they fit as a list of names does. */
  readonly untested: number;
  readonly search: Search;
  /** Where nothing explains all: what explains most. */
  readonly almost: readonly AlmostSet[];
  readonly fields: readonly FieldFinding[];
  readonly inseparable: readonly Inseparable[];
  readonly contradictions: readonly Contradiction[];
  readonly next: readonly NextRun[];
}

/** How far the search went. */
export type Search =
  /** Every smallest set is found. */
  | { readonly kind: 'exact' }
  /** Every smallest set of up to so many fields is found; larger ones were not looked for, or not all of them. */
  | { readonly kind: 'bounded'; readonly fields: number };

/** What a grouping is of. */
export interface View {
  /** Undefined of all prompts. */
  readonly prompt: string | undefined;
  /** Undefined of all channels. */
  readonly channel: string | undefined;
}

export interface Grouping {
  /** All views that group alike; the first says what this is. */
  readonly views: readonly View[];
  readonly groups: readonly Group[];
  /** Cases that did not give all of it. */
  readonly unmeasured: readonly number[];
  /** Undefined where there is nothing to explain, or where too many groupings came before. */
  readonly explanation: Explanation | undefined;
}

/** Cases of one suite. */
export interface Family {
  readonly suite: string;
  readonly cases: readonly { readonly name: string }[];
  /** What was worked out, and of how many cases. */
  readonly notes: readonly { readonly note: string; readonly cases: number }[];
  /** Prompts that most cases answered. */
  readonly prompts: readonly string[];
  readonly channels: readonly string[];
  /** The whole first, then by channel, then by prompt. */
  readonly groupings: readonly Grouping[];
  /** Share of the prompts, in all channels that both gave, on which two cases agree; null where they have none in common. */
  readonly agreement: readonly (readonly (number | null)[])[];
}

export interface Explained {
  readonly families: readonly Family[];
}
