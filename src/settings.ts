import type { JobIdentity } from './engine/runtimes/options.ts';

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
  /** Names this run on containers and in baseline keys. */
  readonly job: JobIdentity;
  /** What @actions/cache and Docker need from the process environment, picked once. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Who refreshes, from where and why. */
export interface RefreshSettings {
  readonly reason: string;
  /** Whether known changes are measured too, one engine start each. */
  readonly yardstick: boolean;
  /** As the event's payload names it; undefined where it names none, as on a terminal. */
  readonly defaultBranch: string | undefined;
  readonly commit: string;
  readonly ref: string;
  readonly workflow: string;
  readonly runUrl: string;
  readonly actor: string;
  readonly event: string;
}
