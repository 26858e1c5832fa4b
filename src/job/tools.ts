import type { BaselineMeta, BaselineStore } from '../baseline/port.ts';
import type { KeptCaches } from '../engine/caches.ts';
import type { KeptEngine } from '../engine/kept.ts';
import type { Endpoint, Runtime } from '../engine/runtime.ts';
import type { Harness } from '../engine/session.ts';
import type { GitHubPosts, GitHubReader } from '../github/port.ts';
import type { Channel } from '../record/channels.ts';
import type { RunRecord } from '../record/schema.ts';
import type { OpenedRecord, Side } from '../record/side.ts';
import type { Report } from '../report/schema.ts';
import type { Fleet } from '../suite/fleet.ts';
import type { Launch } from '../suite/launcher.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import type { Change, Suite, SuiteSchema } from '../suite/schema.ts';
import type { Server } from '../suite/serve-line.ts';
import type { Console } from './console.ts';

/**
 * What a use-case is handed: all that it needs from outside. `front/wiring.ts` makes it of the adapters, and knows the
 * tokens and the environment; tests make it of memory.
 */
export interface Tools {
  readonly console: Console;
  /** Aborts the run: everything that it started is stopped and given back. */
  readonly signal: AbortSignal;
  /** What a suite may say in this version. */
  readonly suiteSchema: SuiteSchema;
  readonly open: Openers;
  readonly records: Records;
  readonly reports: Reports;
  readonly many: Many;
  /** What of an engine stays from run to run, where one suite is checked again and again. */
  readonly kept?: KeptEngine;
}

/** Folders of many records, and of what other programs left. */
export interface Many {
  /**
   * A folder and all below it, those that hold files.
   * @throws UserError `records-missing` for what is not there, `import-invalid` for more than can be read
   */
  results(path: string): Promise<readonly ForeignFolder[]>;
  /** Records at or below folders, by name. @throws UserError `records-missing` for a folder that is not there */
  records(paths: readonly string[]): Promise<readonly FoundRecord[]>;
  /** A place for records that come all or not at all. @throws UserError `input-invalid` for one that is not empty */
  place(folder: string): Promise<RecordBatch>;
}

export interface ForeignFolder {
  /** Below the one that was named; empty for that itself. */
  readonly path: string;
  /** Names, sorted. */
  readonly files: readonly string[];
  /** The text of one; or why there is none. */
  read(name: string): Promise<{ readonly text: string } | { readonly failed: string }>;
}

export interface FoundRecord {
  readonly folder: string;
  /** What a reader calls it: its path below the folder that was named. */
  readonly name: string;
}

/** Disposing without `commit` leaves nothing. */
export interface RecordBatch extends AsyncDisposable {
  /** Where the records are to be created until then. */
  readonly folder: string;
  commit(): Promise<void>;
}

/** Each opens what it names when it is called: who needs none pays for none, and needs no right to it. */
export interface Openers {
  /**
   * @param path relative to the checkout
   * @throws UserError `suite-missing`, `suite-invalid`, `prompt-file-invalid`
   */
  suite(path: string): Promise<LoadedSuite>;
  /**
   * The same suite with a change made to it.
   * @throws UserError `suite-invalid` for one that no suite could have
   */
  changed(loaded: LoadedSuite, change: Change): Promise<LoadedSuite>;
  /**
   * @param own the branch of this run, where it keeps baselines of its own
   * @throws UserError `suite-invalid` for a place that cannot be one
   */
  store(baseline: Suite['baseline'], own?: readonly string[]): BaselineStore;
  /**
   * The suite as it stands in the checkout, to be changed.
   * @throws UserError `suite-missing`, `suite-invalid`
   */
  suiteText(path: string): Promise<SuiteText>;
  /** Where to learn what a name means now. */
  pins(): Pins;
  /** Files of the repository. */
  checkout(): Checkout;
  /** The documented workflows by the names of their files. */
  workflows(): Promise<ReadonlyMap<string, string>>;
  /** How engines are served. */
  servers(): readonly Server[];
  /** An image that has an engine, without a tag; undefined where nothing is started for it. */
  imageOf(engine: string): string | undefined;
  /** Whether an engine runs a program of the user's. */
  runsProgram(engine: string): boolean;
  /** Whether an engine computes without a model. */
  isModelless(engine: string): boolean;
  /** Undefined where nobody is there to answer. */
  ask(): Ask | undefined;
  /** Undefined where nobody is there to press one. */
  keys(): Keys | undefined;
  /** Looks at nothing but its name. @throws UserError `image-not-pinned` */
  image(reference: string): void;
  /**
   * Files of a model's folder that an engine may read, as far as a look without an engine tells that they are whole.
   * @throws UserError `model-missing`, `model-unreadable`
   */
  modelFiles(folder: string): Promise<readonly string[]>;
  /**
   * With its image in place.
   *
   * @param atOnce engines that the run has work for at one time: `planned` from its beginning, `most` later on
   * @param endpoint whom to ask, where nothing is to be started here
   * @throws UserError what `chooseRuntime` throws
   */
  runtime(
    runtime: Suite['runtime'],
    keepsCaches: boolean,
    atOnce: { readonly planned: number; readonly most: number },
    endpoint?: Endpoint | undefined,
  ): Promise<Runtime>;
  /** @param path relative to the checkout @throws UserError `fleet-invalid` */
  fleet(path: string): Promise<Fleet>;
  /** As `runtime`, but where a launcher takes it, and told to a console and within a time of its own. */
  through(
    launch: Launch,
    own: Pick<Tools, 'console' | 'signal'> & { readonly timeoutSeconds: number },
  ): Openers['runtime'];
  /** What engines of earlier runs have compiled on this machine, where a suite has it kept. */
  caches(): KeptCaches;
  /** What an engine is sent. */
  harness(engine: { readonly name: string; readonly program?: boolean }): Promise<Harness>;
  /**
   * Absolute paths of the suite and of all that it names: files of prompts, a program's, a model's folder. Of one that cannot
   * be read, or is wrong, the suite alone.
   */
  filesOf(path: string): Promise<readonly string[]>;
  /** @param sources absolute paths that an engine may have imported beside itself */
  kept(sources: readonly string[]): KeptEngine;
  /** @param apart absolute folders below which nothing counts */
  watching(apart: readonly string[]): Watching;
  /** A file of its own for all that the engine prints. @throws UserError `input-invalid` */
  log(path: string): Promise<EngineLog>;
  /** What earlier runs keep on this machine, or left there. */
  leftovers(): Promise<readonly Leftover[]>;
  /** Files for other programs. */
  documents(): Documents;
  /** To read, with the job's token. */
  github(): GitHubReader;
  /** To write, with the job's token. */
  posts(): GitHubPosts;
}

/** Looks at files and folders, until it is disposed of. */
export interface Watching extends AsyncDisposable {
  /** At these from now on, by their absolute paths, whether they are there or not. */
  at(paths: readonly string[]): Promise<void>;
  /**
   * Those that changed since that was last told, or since they are looked at; once nothing has changed for a moment.
   * @throws UserError `cancelled`
   */
  changed(): Promise<readonly string[]>;
}

/** Files that inputs name. All throw UserError `input-invalid` for a place that is none, `disk-full`. */
export interface Documents {
  /** Takes away what an earlier run left, which would stand for this one should it die. */
  clear(path: string): Promise<void>;
  /** Whole or not at all. */
  write(path: string, text: string): Promise<void>;
}

export interface SuiteText {
  readonly text: string;
  /** Over what was there, whole or not at all. @throws UserError `disk-full` */
  write(text: string): Promise<void>;
}

export interface Pins {
  /** At which commit a branch or tag of a hub's model is. @throws UserError `model-fetch-failed` */
  commit(model: string, ref: string): Promise<string>;
  /** `sha256:…` of an image with its tag. @throws UserError `image-pull-failed` */
  digest(image: string): Promise<string>;
}

export interface Checkout {
  /** Undefined for a file that is not there. */
  read(path: string): Promise<string | undefined>;
  /** With its folders. @throws UserError `file-exists` for a link, `disk-full` */
  write(path: string, text: string): Promise<void>;
  defaultBranch(): Promise<string>;
  /** What is checked out, where that is a commit and no branch. */
  commit(): Promise<string | undefined>;
}

/** Gives the answer, trimmed. */
export type Ask = (question: string) => Promise<string>;

/** Keys that somebody presses, until it is disposed of. */
export interface Keys extends Disposable {
  /** The next one, as the terminal sends it. @throws UserError `cancelled` */
  next(): Promise<string>;
}

export interface Leftover {
  readonly what: string;
  readonly path: string;
  readonly bytes: number;
  readonly usedAt: Date;
  /** @throws Error with the system's code */
  remove(): Promise<void>;
}

export interface EngineLog extends AsyncDisposable {
  readonly path: string;
  add(line: string): void;
}

/** Records and baselines, a folder each. */
export interface Records {
  /** A new one, which takes an older one's place when it is whole. @throws UserError `input-invalid`, `disk-full` */
  create(folder: string): Promise<NewRecord>;
  /** Why a folder holds no record at all, e.g. `ENOENT`; undefined where it holds one, whatever it is worth. */
  missing(folder: string): Promise<string | undefined>;
  /** @throws UserError `record-invalid` */
  open(folder: string): Promise<OpenedRecord>;
  /** Bytes of the `baseline.json` beside a record: `parseMeta` reads them. @throws Error that says why not */
  metaOf(folder: string): Promise<Buffer>;
  /** Makes a record a baseline. @throws UserError `disk-full` */
  addMeta(folder: string, meta: BaselineMeta): Promise<void>;
  /** Copies a baseline, over an older copy. @throws UserError `input-invalid`, `disk-full` */
  keepCopy(from: string, to: string): Promise<void>;
}

/** A record's bits as they come in; disposing without `commit` leaves nothing. All give the digest that names a body. */
export interface NewRecord extends AsyncDisposable {
  addBody(channels: readonly Channel[]): Promise<string>;
  /** @param tokens uint32 little-endian */
  addTokens(tokens: Buffer): Promise<string>;
  addVocabulary(texts: ReadonlyMap<number, string>): Promise<string>;
  /** A side of what was added until now. */
  side(record: RunRecord): Side;
  /** Leaves the record in its place, whole. */
  commit(record: RunRecord): Promise<OpenedRecord>;
}

/** What is left for readers, and read again. */
export interface Reports {
  /** Writes a file whole or not at all, over an older one. @throws UserError `disk-full` */
  write(path: string, text: string): Promise<void>;
  /**
   * @param maxValues numbers, texts and the like in it
   * @throws UserError `report-invalid`; whether its digest is right is for `verify` to say
   */
  read(path: string, maxValues?: number): Promise<Report>;
  /**
   * Paths of the reports below a folder, or the one that a path names.
   * @throws UserError `reports-missing` for fewer than expected, `report-invalid` for more than can be shown
   */
  find(path: string, expected: number): Promise<readonly string[]>;
}
