/** A value of a setting or a variable; compared as text, since engines tell `1` and `true` as they please. */
type Scalar = string | number | boolean;

/** What a value must be. A variable that is not set is nothing: it is no value of `is`, and none of `isNot`. */
export type Wanted =
  | { readonly is: readonly Scalar[] }
  | { readonly isNot: readonly Scalar[] }
  | { readonly atLeast: number }
  /** Holds this text, in small or capital letters. */
  | { readonly like: string }
  /** Anything but nothing. */
  | { readonly isSet: true };

/**
 * Versions of a package, or compute capabilities, that have it: from the first one, before the first without it. What
 * the thread does not say is left out, and is told as not looked at.
 */
export interface Versions {
  readonly from?: string;
  readonly before?: string;
}

/** What differs where the issue shows. */
export interface Shape {
  /** Relations that it breaks, any of them. */
  readonly relations: readonly string[];
  /** Kinds of pass in which it is seen; any where it is left out. */
  readonly kinds?: readonly ('generate' | 'force' | 'score' | 'trace')[];
  /** Agreements that it leads to; any where it is left out. */
  readonly agreements?: readonly (
    | 'modules-differ'
    | 'logprobs-differ'
    | 'vector-differs'
    | 'tokens-differ'
    | 'text-differs'
    | 'inputs-differ'
  )[];
  /** Regular expression of the name of the module that differs first; null: what was traced has no module that differs. */
  readonly module?: string | null;
  /** Largest difference of a log-probability, in nats. */
  readonly nats?: { readonly atLeast?: number; readonly atMost?: number };
  /** Tokens, or requests, that one step of the scheduler must hold at least. */
  readonly tokensInStep?: number;
  readonly requestsInStep?: number;
  /** Facts of the environment of which one must have changed since the baseline: the end of its name. */
  readonly changed?: readonly string[];
}

/** An upstream problem with a public thread, and what a run that shows it looks like. A link, never a verdict. */
export interface KnownIssue {
  /** The thread as GitHub refers to it, e.g. `pytorch/pytorch#45422`: an issue or a pull request. */
  readonly thread: string;
  /** Others that belong to it: its cause, its repair, the same seen elsewhere. */
  readonly see?: readonly string[];
  /** What is wrong, in our words, to be read after `looks like pytorch#45422:`. No full stop. */
  readonly what: string;
  /** What the thread says: where it was seen, what became of it. Sentences of ours. */
  readonly says: string;
  /** What to try. One sentence. */
  readonly remedy: string;
  /** Of the list's own package. */
  readonly versions: Versions;
  /** Of PyTorch, in an engine's list. */
  readonly torch?: Versions;
  readonly device?: 'gpu' | 'cpu';
  /** Compute capabilities of the first GPU. */
  readonly capability?: Versions;
  /** Of the model in the engine's own words, e.g. `bfloat16`. */
  readonly dtypes?: readonly string[];
  readonly compiled?: boolean;
  /** Whether the engine was asked to compute the same in every batch. */
  readonly batchInvariant?: boolean;
  /** The engine's settings by name: as in force, else as asked for. */
  readonly settings?: Readonly<Record<string, Wanted>>;
  readonly environment?: Readonly<Record<string, Wanted>>;
  readonly shape: Shape;
  /** What no record tells of it, e.g. which kernel ran. */
  readonly untold?: readonly string[];
}

/** What is known of one package. */
export interface IssueList {
  /** The engine to which its issues belong; null for PyTorch and CUDA, which every engine stands on. */
  readonly engine: string | null;
  readonly issues: readonly KnownIssue[];
}
