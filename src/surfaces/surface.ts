import type { Verdict } from '../compare/conclusion.ts';
import type { Place } from '../errors.ts';
import type { Fingerprint } from '../fingerprint/schema.ts';
import type { Across } from '../report/across.ts';
import type { Answer } from '../report/answer.ts';
import type { CompletionAnswer } from '../report/answers.ts';
import type { Comparison } from '../report/comparison.ts';
import type { Explanations } from '../report/explained.ts';
import type { History } from '../report/history.ts';
import type { Merged } from '../report/merged.ts';
import type { Power } from '../report/power.ts';
import type { Report } from '../report/schema.ts';
import type { Verification } from '../report/verification.ts';
import type { Whence } from '../words/brief.ts';
import type { ToldError } from '../words/errors.ts';
import type { Marker, RunName, Thread } from '../words/thread.ts';

/** What there is to be told, by its kind. */
export interface Results {
  /** Of a check or a refresh. */
  readonly report: Report;
  /** Of a refresh, before anything is stored: what the old baseline knew otherwise. */
  readonly found: Report;
  /** The reports of several jobs as one. */
  readonly merged: Merged;
  readonly power: Power;
  /** Of each hardware class. */
  readonly history: readonly History[];
  readonly verification: Verification;
  readonly fingerprint: { readonly hardwareClass: string; readonly fingerprint: Fingerprint };
  /** Of records: who agrees with whom, and why. */
  readonly explained: Explanations;
  /** Of two sides, held against each other. */
  readonly compared: Comparison;
  /** A script for a shell. */
  readonly completion: CompletionAnswer;
  /** Of whatever needs no kind of its own. */
  readonly answer: Answer;
  /** Of a run that ended before it had a result. */
  readonly failure: Failure;
}
export type Kind = keyof Results;

/** What ended a run. Its texts may quote a model, a container or a file. */
export interface Failure {
  readonly error: ToldError;
  /** Lines of files that are to blame. */
  readonly places: readonly Place[];
  /** Path of the suite, relative to the checkout. */
  readonly suite: string;
}

/** What each recipient takes. All text is inert: whoever takes it shows it as it is. */
export interface Contents {
  /** A file beside the record. */
  readonly file: TextFile;
  /** A file that is written where an input of its name says so. */
  readonly document: TextDocument;
  /** Lines of a job's log. */
  readonly log: readonly string[];
  /** Lines for whoever sits at a terminal. */
  readonly terminal: readonly string[];
  /** For a program, in place of what a terminal shows. */
  readonly json: unknown;
  /** On lines of the suite: GitHub keeps ten of a level for each step. */
  readonly annotations: readonly Annotation[];
  /** Of the step, by name as in action.yml. */
  readonly outputs: Readonly<Record<string, string>>;
  /** GitHub Markdown: all that a step writes must fit into 1 MiB. */
  readonly summary: string;
}
export type Recipient = keyof Contents;

export interface TextFile {
  /** Absolute. */
  readonly path: string;
  readonly text: string;
}

/** Formats that other programs read, by the inputs that name their places. */
export const FORMATS = ['junit', 'sarif', 'code-quality'] as const;
/** Those, and a page for people of what has none by itself. */
export const DOCUMENTS = [...FORMATS, 'html'] as const;
export type DocumentName = (typeof DOCUMENTS)[number];

export interface TextDocument {
  readonly name: DocumentName;
  /** Made only where somebody wants it. */
  text(): string;
}

/** One annotation on a line of the suite. Text is already inert and capped. */
export interface Annotation {
  readonly level: 'error' | 'warning' | 'notice';
  readonly title: string;
  readonly message: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** What a surface makes of a result, for each recipient that it has something for. */
export type Shown<Value> = {
  readonly [R in Recipient]?: (value: Value) => Contents[R] | Promise<Contents[R]>;
};

/**
 * One way to tell results, in one file of this room and one line of `tell/surfaces.ts`. Pure: results in, text out.
 * Several may tell the same recipient, and follow each other as in the list.
 */
export type Surface = {
  readonly name: string;
  /** What a pull request is told of reports. */
  readonly post?: Post;
} & ShownByKind;
export type ShownByKind = { readonly [K in Kind]?: Shown<Results[K]> };

/** What is posted on GitHub about a change, beside the run's own page. */
export type Post = CommentPost | CheckRunPost;

interface Posted {
  /** What readers call it. */
  readonly name: string;
  /** Of the token, as a workflow asks for it. */
  readonly permission: string;
  /** The input that does without it. */
  readonly off: string;
  /** Whether the inputs ask for it. */
  isAsked(asked: PostInputs): boolean;
  /** Whether one is made where there is none. */
  isNew(reports: readonly Report[], asked: Posting): boolean;
}

/** One comment for each thread of a pull request, edited in place. */
export interface CommentPost extends Posted {
  readonly to: 'comment';
  /**
   * From the longest that may do down to the shortest.
   *
   * @param reports worst first; not empty
   * @param before the marker of the comment that this one replaces
   */
  ladder(
    reports: readonly Report[],
    thread: Thread,
    run: PostedRun,
    whence: Whence,
    before: Marker | undefined,
  ): readonly string[];
}

/** A check run of the change's commit. */
export interface CheckRunPost extends Posted {
  readonly to: 'check-run';
  /** @param reports worst first; not empty */
  ladder(reports: readonly Report[], thread: Thread, run: PostedRun, whence: Whence): readonly CheckRun[];
}

/** The inputs that ask for posts. */
export interface PostInputs {
  /** Of the pull request: on drift only, always or never. */
  readonly comment: 'drift' | 'always' | 'never';
  readonly checkRun: boolean;
}

/** What is posted beside the reports themselves. */
export interface Posting extends PostInputs {
  /** Of the suite's classes, where they were held to a distance. */
  readonly across?: Across | undefined;
}

/** The run that posts, and its page. */
export type PostedRun = RunName & { readonly url: string };

/** As GitHub's REST API takes it. */
export interface CheckRun {
  readonly name: string;
  readonly head_sha: string;
  readonly details_url?: string;
  /** Tells the thread and the run: what was posted twice is found by it. */
  readonly external_id: string;
  readonly status: 'completed';
  readonly conclusion: 'success' | 'failure' | 'neutral' | 'action_required';
  readonly output: { readonly title: string; readonly summary: string };
  /** More than one request takes, perhaps. */
  readonly annotations: readonly CheckAnnotation[];
}

export interface CheckAnnotation {
  readonly path: string;
  readonly start_line: number;
  readonly end_line: number;
  readonly annotation_level: 'notice' | 'warning' | 'failure';
  readonly title: string;
  readonly message: string;
}

/** What a result comes to. */
export interface Headline {
  readonly verdict: Verdict;
  /** The one line that says it; undefined where a result is no verdict. */
  readonly line: string | undefined;
}
