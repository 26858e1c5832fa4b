import type { JobIdentity } from '../engine/runtime.ts';
import type { Change, VariantRequirement } from '../suite/schema.ts';
import type { DocumentName, PostInputs } from '../surfaces/surface.ts';
import type { Situation } from './situation.ts';

/*
 * What each use-case takes of what it was told, by inputs of the action or by flags. What only adapters need (tokens,
 * the environment, folders of this machine) is not here: the openers in `Tools` have it.
 */

/** Which run this is, and what started it. */
export interface RunSettings {
  readonly situation: Situation;
  /** Names this run on containers and in baseline keys. */
  readonly job: JobIdentity;
  /** Name of the workflow; empty on a terminal. */
  readonly workflow: string;
  /** Page of the run; empty on a terminal. */
  readonly runUrl: string;
}

/** What a run must be allowed to do, by what started it; `trust/events.ts` says which event may. */
export type SuiteNeed =
  /** Measure or read, on whatever is somebody's change or branch. */
  | 'look'
  /** Keep an engine busy for long: no stranger's change may. */
  | 'long'
  /** Write a baseline. */
  | 'store';
export type Need =
  | SuiteNeed
  /** Tell what other jobs measured: starts nothing and reads no suite. */
  | 'show'
  /** Read files that are named to it. */
  | 'nothing';

/** By which mode a use-case was asked for, and what that needs: its row in `front/modes.ts`. */
export interface Asks<N extends Need> {
  readonly mode: { readonly name: string; readonly needs: N };
}

/** The suite, and what is to run it. */
export interface SuiteSettings extends RunSettings {
  /** Path of the suite, relative to the checkout. */
  readonly suite: string;
  readonly runtime: 'auto' | 'docker' | 'process' | 'launcher';
}

/** An engine's starts, and the record of what they gave. */
export interface EngineSettings extends RunSettings {
  /** From the start of an engine until it is stopped. */
  readonly timeoutSeconds: number;
  /** Without a sign of life until it counts as hung. */
  readonly inactivitySeconds: number;
  /** Absolute folder. */
  readonly recordPath: string;
}

export interface CheckSettings extends SuiteSettings, EngineSettings {}

/** Of a suite that is checked again at each save. */
export interface WatchSettings {
  /** Absolute paths of files and folders that the engine may have read beside what the suite names: a kernel's source. */
  readonly sources: readonly string[];
}

/** Who refreshes, from where and why. */
export interface RefreshSettings extends CheckSettings {
  readonly reason: string;
  /** Whether known changes are measured too, one engine start each. */
  readonly yardstick: boolean;
  /** Do all of it, but store nothing. */
  readonly dryRun: boolean;
  /** Store what did not change too: a newer entry of the same bits, for a cache that evicts. */
  readonly storeUnchanged: boolean;
  /** Absolute folder of what the merged pull request's own runs left, whose engine starts are to count. */
  readonly promote?: string | undefined;
  readonly actor: string;
}

export interface PowerSettings extends CheckSettings {}

export interface BisectSettings extends CheckSettings {
  /** Engine starts, at most. */
  readonly budget: number;
}

export interface FingerprintSettings extends CheckSettings {}

export interface HistorySettings extends SuiteSettings {}

/** Reports of other jobs, to be shown as one. */
export interface MergeSettings extends Pick<RunSettings, 'situation' | 'job'> {
  /** Absolute folder, or file, that holds them. */
  readonly reports: string;
  /** How many there must be at least: a leg that died leaves none. */
  readonly expected: number;
  /** Absolute folder: the page of all goes into it. */
  readonly recordPath: string;
  /** How far legs may be apart, as `within 2x floor`: their records must lie beside the reports then. */
  readonly acrossClasses?: string | undefined;
}

/** Files for other programs, each by its absolute path. */
export interface DocumentSettings {
  readonly documents: Readonly<Partial<Record<DocumentName, string>>>;
}

/** Where on GitHub a report is told beside the run's own page. */
export interface TellSettings extends RunSettings, PostInputs {
  /** URL of GitHub, without a slash at its end. */
  readonly server: string;
}

export interface CleanSettings {
  /** What was not used for as many days is deleted; undefined where nothing is to be. As it was typed. */
  readonly days?: string | undefined;
}

export interface AcceptSettings {
  readonly reportPath: string;
  /** Path of the suite, relative to the checkout; else as the report names it. */
  readonly suite?: string | undefined;
  readonly reason: string;
}

export interface ReviewSettings {
  /** Absolute folder that holds reports, or one of them. */
  readonly reports: string;
  /** How many there must be at least. */
  readonly expected: number;
  /** Path of the suite that accepts, relative to the checkout; else as each report names it. */
  readonly suite?: string | undefined;
}

export interface InitSettings {
  /** A command line that serves a model. */
  readonly from?: string | undefined;
  readonly model?: string | undefined;
  readonly engine?: string | undefined;
  readonly image?: string | undefined;
  /** A count, or `none`. */
  readonly gpus?: string | undefined;
  /** The action as the workflows name it. */
  readonly action: string;
  /** Write over files that are there. */
  readonly force: boolean;
  /** Show all, write nothing. */
  readonly dryRun: boolean;
}

export interface ValidateSettings {
  /** Path of the suite, relative to the checkout. */
  readonly suite: string;
  /** Folder below which earlier records lie beside their reports; else where a terminal's runs leave theirs. */
  readonly recordsPath?: string | undefined;
}

export interface WhySettings {
  /** Of an error, or a conclusion; undefined for a list of all. */
  readonly code?: string | undefined;
}

export interface CompletionSettings {
  readonly shell: string;
}

/** Records that are to be explained, and where their page goes. */
export interface ExplainSettings {
  /** Absolute folders that hold records or reports, at any depth. */
  readonly paths: readonly string[];
  /** Absolute folder: the page goes into it. */
  readonly recordPath: string;
  /** How far groups may be apart, as `within 2x floor`. */
  readonly acrossClasses?: string | undefined;
}

/** Who is asked, and where the records of all go. */
export interface FleetSettings extends SuiteSettings, EngineSettings {
  /** Path of the file, relative to the checkout. */
  readonly fleet: string;
}

export interface ImportSettings {
  /** One absolute folder, or file. */
  readonly paths: readonly string[];
  /** Absolute folder: the records go into it. */
  readonly recordPath: string;
}

/** Two sides, neither of which is trusted more than the other. */
export interface SidesSettings extends SuiteSettings, EngineSettings {
  /** Of one or two sides: a suite, relative to the checkout or absolute, or the absolute folder of a record. */
  readonly paths: readonly string[];
  /** What the second side has otherwise than its suite. */
  readonly change: Change;
  /** What the two must show. */
  readonly required: VariantRequirement;
}

export interface VerifySettings {
  /** Of a report; or the folder of a record that has none. */
  readonly reportPath: string;
  /** Folder of the run's record; else the report's sibling without `.report.json`. */
  readonly recordPath?: string | undefined;
  /** Folder of the baseline; else what the check left beside the record, `<record>.baseline`. */
  readonly baselinePath?: string | undefined;
}
