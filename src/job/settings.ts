import type { Situation } from '../github/event.ts';
import type { JobIdentity } from '../runtime/options.ts';

/** What one invocation was told, whoever told it: inputs of the action or flags of the command line. */
export interface Settings {
  /** Path of the suite, relative to `workspace`. */
  readonly suite: string;
  readonly runtime: 'auto' | 'docker' | 'process';
  readonly python: string;
  readonly gpuDevices: readonly string[];
  readonly timeoutSeconds: number;
  readonly inactivitySeconds: number;
  readonly hubToken: string | undefined;
  /** Absolute folders. */
  readonly workspace: string;
  readonly recordPath: string;
  /** Private copies, gone after the run. */
  readonly temporary: string;
  /** What outlives a run on this machine: digests of weights, fetched models. */
  readonly statePath: string;
  /** Folder of the harness's Python files. */
  readonly harnessPath: string;
  /** What started this run. */
  readonly situation: Situation;
  /** Reads the base branch's suite and the list of caches; undefined where nobody gave one. */
  readonly githubToken: string | undefined;
  /** Names this run on containers and in baseline keys. */
  readonly job: JobIdentity;
  /** Name of the workflow; empty on a terminal. */
  readonly workflow: string;
  /** Page of the run; empty on a terminal. */
  readonly runUrl: string;
  /** What @actions/cache and Docker need from the process environment, picked once. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Where on GitHub a report is told beside the run's own page. */
export interface AnnouncingSettings {
  /** Of the pull request: on drift only, always or never. */
  readonly comment: 'drift' | 'always' | 'never';
  readonly checkRun: boolean;
}

/** Reports of other jobs, to be shown as one. */
export interface MergeSettings {
  /** Absolute folder, or file, that holds them. */
  readonly reports: string;
  /** How many there must be at least: a leg that died leaves none. */
  readonly expected: number;
}

/** Who refreshes, from where and why. */
export interface RefreshSettings {
  readonly reason: string;
  /** Whether known changes are measured too, one engine start each. */
  readonly yardstick: boolean;
  /** Do all of it, but store nothing. */
  readonly dryRun: boolean;
  /** Store what did not change too: a newer entry of the same bits, for a cache that evicts. */
  readonly storeUnchanged: boolean;
  readonly actor: string;
}
