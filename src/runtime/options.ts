import type { Models, OnProgress } from '../engine/runtime.ts';

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** `auto`: the most that this machine lets us have; `required`: nothing runs without; `none`: not even tried. */
export type IsolationChoice = 'auto' | 'required' | 'none';

/** What both runtimes need. */
export interface CommonOptions {
  readonly gpus: 'none' | number;
  /** UUIDs or indices of the GPUs that this runner may use, in order; empty: the machine's first ones. */
  readonly devices: readonly string[];
  /** Environment of this process: the runtimes pick from it by name, and hand on nothing else. */
  readonly environment: Environment;
  readonly models: Models;
  /** Seconds without progress until a pull counts as stuck. */
  readonly inactivitySeconds: number;
  /** Seconds that one peer may live at most. */
  readonly deadlineSeconds: number;
  /** Stops a pull or a copy. What runs is stopped by disposing it. */
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  /** Absolute folder for the caches that a suite has kept; undefined where each engine start makes its own. */
  readonly keptCaches: string | undefined;
  readonly onProgress: OnProgress;
}
