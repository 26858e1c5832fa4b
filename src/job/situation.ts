/** By which door a run came in: as a step of a workflow, or on a terminal, where whoever types is trusted. */
export type Door = 'action' | 'terminal';

/** What started this run, as far as trust goes. */
export interface Situation {
  readonly door: Door;
  /** Name of the event; on a terminal, where there is none, `cli`: a label for readers, which nothing asks about. */
  readonly event: string;
  /** e.g. `refs/heads/main`. A merged pull request that is closed has the branch it went into, not its own. */
  readonly ref: string;
  readonly commit: string;
  /** Undefined where the event does not tell. */
  readonly defaultBranch: string | undefined;
  /** Branch that a change is asked to go into, as `refs/heads/…`; undefined where there is none. */
  readonly base: string | undefined;
  /** Whether the change comes from another repository, whose authors nobody here knows. */
  readonly fork: boolean;
  /** What a report of this run is about. */
  readonly subject: Subject;
}

/** A commit's head is never the merge commit that GitHub makes to be checked out: no page shows that one. */
export type Subject =
  | { readonly kind: 'pull-request'; readonly number: number; readonly head: string }
  /** What another workflow measured, of which only the event is to be believed. */
  | {
      readonly kind: 'workflow-run';
      readonly run: { readonly id: string; readonly attempt: string };
      readonly head: string;
      /** e.g. `success`; what failed may have left reports that do not say so. */
      readonly conclusion: string;
      /** Of this repository, at this head. Empty for a fork's. */
      readonly pullRequests: readonly number[];
      /** Where the branch lies; undefined for a repository that is gone. */
      readonly from:
        | { readonly owner: string; readonly repositoryId: number; readonly branch: string }
        | undefined;
    }
  | { readonly kind: 'commit'; readonly head: string }
  /** The event does not say. */
  | { readonly kind: 'none' };
