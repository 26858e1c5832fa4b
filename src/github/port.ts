/** What this action asks of the repository. @throws UserError `github-unavailable` for an outage, in all of them */
export interface GitHubReader {
  /** UTF-8 text of a file at a commit; undefined where that commit has no such file. */
  fileAt(path: string, commit: string): Promise<string | undefined>;
  /** Commit that a branch of this repository is at. An error also where there is no such branch. */
  tipOf(branch: string): Promise<string>;
  /** Whether a commit of the repository is the head, a commit or the name of a branch, or one of its ancestors. */
  isIn(commit: string, head: string): Promise<IsIn>;
  /** Number of the merged pull request that brought a commit; undefined where GitHub knows none or may not tell. */
  pullRequestOf(commit: string): Promise<number | undefined>;
  /** Whether a run of Actions measured a commit of a pull request, which came from a branch of this very repository. */
  isRunOf(run: string, pullRequest: number): Promise<IsIn>;
}

/** `why` is what GitHub answered instead: that it may not tell, or knows no such commit. */
export type IsIn =
  | { readonly kind: 'yes' }
  | { readonly kind: 'no' }
  | { readonly kind: 'unknown'; readonly why: string };

/** As GitHub's REST API takes it. */
export interface CheckRunRequest {
  readonly name: string;
  readonly head_sha: string;
  readonly details_url?: string;
  readonly external_id: string;
  readonly status: 'completed';
  readonly conclusion: 'success' | 'failure' | 'neutral' | 'action_required';
  readonly output: { readonly title: string; readonly summary: string };
}

export interface AnnotationRequest {
  readonly path: string;
  readonly start_line: number;
  readonly end_line: number;
  readonly annotation_level: 'notice' | 'warning' | 'failure';
  readonly title: string;
  readonly message: string;
}

/** Annotations of a request; the rest is appended. */
export const MAX_ANNOTATIONS = 50;

/** What this action writes on GitHub, and reads to write it once. Everything throws `PostError`. */
export interface GitHubPosts {
  /** Aborted when the job is cancelled: a call then throws its reason. */
  readonly signal: AbortSignal | undefined;
  /**
   * Numbers of the open pull requests whose head is this commit of this branch: one into each base. By the
   * repository's number, since a stranger may give a repository any name.
   */
  pullRequestsAt(head: {
    readonly owner: string;
    readonly repositoryId: number;
    readonly branch: string;
    readonly head: string;
  }): Promise<readonly number[]>;
  /** Who comments with this token; undefined where GitHub does not tell, as of a job's own. */
  login(): Promise<string | undefined>;
  /** Oldest first. */
  comments(pullRequest: number): Promise<readonly PostedComment[]>;
  /** Not tried again where it is not known whether it is there now: see `isLost`. */
  createComment(pullRequest: number, body: string): Promise<PostedComment>;
  editComment(id: number, body: string): Promise<void>;
  /** One that is gone already is as good. */
  deleteComment(id: number): Promise<void>;
  /** Of a commit, by name; the latest of each app only. */
  checkRuns(headSha: string, name: string): Promise<readonly PostedCheckRun[]>;
  /** Not tried again where it is not known whether it is there now. */
  createCheckRun(run: CheckRunRequest, annotations: readonly AnnotationRequest[]): Promise<number>;
  /** Nor this: annotations are appended. */
  updateCheckRun(
    id: number,
    run: Omit<CheckRunRequest, 'head_sha'>,
    annotations: readonly AnnotationRequest[],
  ): Promise<void>;
}

export interface PostedComment {
  readonly id: number;
  /** Empty where the account is gone. */
  readonly author: string;
  readonly body: string;
}

export interface PostedCheckRun {
  readonly id: number;
  readonly externalId: string;
  /** How many annotations it has. */
  readonly annotations: number;
}

/** Why something could not be posted; the message is what GitHub answered. */
export class PostError extends Error {
  override readonly name = 'PostError';
  readonly kind: 'denied' | 'missing' | 'gone' | 'invalid' | 'unavailable';

  constructor(kind: PostError['kind'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

/** Too much text for GitHub: less may do. */
export const isTooLong = (error: unknown): boolean =>
  error instanceof PostError &&
  error.kind === 'invalid' &&
  /too long|too large|maximum|characters are allowed/i.test(error.message);

/** Perhaps it was done, and only the answer was lost. */
export const isLost = (error: unknown): boolean => error instanceof PostError && error.kind === 'unavailable';
