/*
 * The port of kept caches: what an engine compiled in one run, for the next. What a cache holds is a choice of kernels, so
 * that kept ones are an input to the numbers: they are digested before an engine start and after it, and named in the record.
 */

/** Where a run's engine has its caches: one folder, as this machine sees it and as the engine does. */
export interface CacheFolder {
  readonly host: string;
  readonly inside: string;
}

/** Whose caches they are: what differs in one of these never meets. */
export interface CacheKey {
  readonly suite: string;
  /** Digest of the image; `none` where the engine runs in a Python of this machine, which its libraries then tell. */
  readonly image: string;
  readonly engine: { readonly name: string; readonly version: string };
  /** Versions of what computes. */
  readonly libraries: Readonly<Record<string, string>>;
  readonly hardwareClass: string;
  /** The folder as the engine sees it: caches hold paths. */
  readonly place: string;
}

/** What caches hold. */
export interface CacheContent {
  /** SHA-256 over the paths and digests of all files. */
  readonly digest: string;
  readonly files: number;
  readonly bytes: number;
  /** Path below the folder, with `/` between its parts -> SHA-256. */
  readonly list: Readonly<Record<string, string>>;
}

/** What an engine start was given. */
export interface Given {
  readonly content: CacheContent;
  /** Why what is kept was not given, and thrown away; undefined where all is well, or nothing is kept. */
  readonly refused: string | undefined;
}

/** What was found after an engine start; a reason where it is no content that could be kept. */
export type Found = { readonly content: CacheContent } | { readonly unfit: string };

export interface KeptCaches {
  open(key: CacheKey): CachesOfRun;
}

/** The caches of one run: its own copies of what is kept. Disposing forgets what was taken and not kept. */
export interface CachesOfRun extends AsyncDisposable {
  /**
   * Empties the folder and fills it: with what this run has taken last, else with what is kept, verified file by file; or
   * with nothing.
   *
   * @throws UserError `disk-full`
   */
  give(folder: string, kept: boolean): Promise<Given>;
  /**
   * What is in the folder once its engine has gone.
   *
   * @param take whether later engine starts of this run are to be given this
   * @throws UserError `disk-full`
   */
  look(folder: string, take: boolean): Promise<Found>;
  /** Puts what was taken last in the place of what is kept, in one step. @throws UserError `disk-full` */
  keep(): Promise<void>;
}
