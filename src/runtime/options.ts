import type { OnProgress, Peer } from '../engine/runtime.ts';

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** How to reach the model hub. Only the fetching process ever sees it. */
export interface Hub {
  readonly token?: string | undefined;
  /** URL; the hub client's own default when absent. */
  readonly endpoint?: string | undefined;
}

/**
 * Fetches a hub model into `folder` as the started Python sees it, and returns once it is complete.
 *
 * @throws UserError `model-fetch-failed`, `disk-full`, `deadline-exceeded`, `cancelled`
 */
export type FetchModel = (
  start: (boot: string) => Promise<Peer>,
  request: { readonly model: string; readonly revision: string; readonly folder: string },
  deps: {
    readonly log: (line: string) => void;
    readonly onProgress: OnProgress;
    readonly deadlineSeconds: number;
    readonly signal: AbortSignal;
  },
) => Promise<void>;

/** `auto`: the most that this machine lets us have; `required`: nothing runs without; `none`: not even tried. */
export type IsolationChoice = 'auto' | 'required' | 'none';

/** What both runtimes need. */
export interface CommonOptions {
  readonly gpus: 'none' | number;
  /** UUIDs or indices of the GPUs that this runner may use, in order; empty: the machine's first ones. */
  readonly devices: readonly string[];
  /** Environment of this process: the runtimes pick from it by name, and hand on nothing else. */
  readonly environment: Environment;
  readonly hub: Hub;
  readonly fetchModel: FetchModel;
  /** Seconds that one peer may live at most. */
  readonly deadlineSeconds: number;
  /** Stops a pull or a fetch. What runs is stopped by disposing it. */
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  readonly onProgress: OnProgress;
}
