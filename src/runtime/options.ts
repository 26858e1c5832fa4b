import type {
  FarModel,
  LocalModel,
  Models,
  NO_MODEL,
  OnProgress,
  Peer,
  ProvidedModel,
  Runtime,
} from '../engine/runtime.ts';

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** `auto`: the most that this machine lets us have; `required`: nothing runs without; `none`: not even tried. */
export type IsolationChoice = 'auto' | 'required' | 'none';

/** What both runtimes need. */
export interface CommonOptions {
  readonly gpus: 'none' | number;
  /** UUIDs or indices of the GPUs that this runner may use, in order; empty: the machine's first ones. */
  readonly devices: readonly string[];
  /** Sets of CPUs, one for each engine that runs at a time, as `taskset` takes them; empty: all CPUs for one. */
  readonly cpuSets: readonly string[];
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

/** Where an engine is started. */
export interface On {
  /** As in `devices`: what of them it has. */
  readonly gpus: readonly string[];
  readonly cpus: string | undefined;
  /** Engines that share the machine meanwhile, itself among them. */
  readonly engines: number;
}

/** What starts engines, each on what it is told. */
export interface Starter
  extends Omit<Runtime, 'kind' | 'provideModel' | 'start' | 'slot' | 'slots' | 'beside' | 'indexOf'> {
  readonly kind: 'docker' | 'process' | 'launcher';
  provideModel(model: LocalModel): Promise<ProvidedModel | FarModel | typeof NO_MODEL>;
  start(boot: string, lives: number, on: On): Promise<Peer>;
}
