import type { Readable, Writable } from 'node:stream';
import type { Declared } from '../fingerprint/schema.ts';
import type { Stranger } from '../health/strangers.ts';

export type { Stranger };

import type { CacheFolder } from './caches.ts';

/**
 * Where an engine runs: a pinned container (`docker`), a Python of this machine (`process`), wherever a command takes it
 * (`launcher`), or somebody else's server that is asked (`endpoint`).
 */
export interface Runtime extends AsyncDisposable {
  readonly kind: 'docker' | 'process' | 'launcher' | 'endpoint';
  /** One sentence for the log: what was chosen and why. */
  readonly description: string;
  readonly image: Declared['image'];
  /** Host of the server that is asked; only of an `endpoint`. */
  readonly endpoint?: string;
  /** Why nothing keeps the engine from what the job knows; undefined where something does. */
  readonly exposed: string | undefined;
  /** Where its engines have their caches, one after another: only where a suite has them kept. */
  readonly caches: CacheFolder | undefined;
  /**
   * Makes the model readable for the harness. A hub's model is fetched first, by this process: no engine and no image
   * ever has the network or the token.
   *
   * @throws UserError `model-missing`, `model-unreadable`, `model-changed`, `model-fetch-failed`, `disk-full`
   */
  provideModel(model: ModelSource): Promise<ProvidedModel | FarModel | typeof NO_MODEL>;
  /**
   * Starts one Python with `boot` as its program (`python3 -S -c`) and its stdin open. Disposing the peer stops
   * it, whatever it is doing, and gives everything back: container, process group, GPU.
   *
   * @param lives how many engine starts it may live as long as; 1 unless told
   * @throws UserError `docker-unavailable`, `gpu-unavailable`, `engine-missing`
   */
  start(boot: string, lives?: number): Promise<Peer>;
  /** What `start` uses alone, as people know it, e.g. `CPUs 0-7`; undefined where nothing is set apart. */
  readonly slot: string | undefined;
  /** How many engines can run at once, the one of `start` among them: as this machine looked when it was opened. */
  readonly slots: number;
  /**
   * Slots for engines beside the one of `start`, as many as are free now and `count` at most: empty where there are none.
   *
   * @param used hashes of the UUIDs of GPUs that the one of `start` says it uses
   */
  beside(count: number, used: readonly string[]): Promise<readonly Slot[]>;
  /** Who computes on the GPUs of this machine now; empty where nobody tells. Absent of one that uses none of them. */
  strangers?(): Promise<readonly Stranger[]>;
  /** Which of the machine's GPUs that is, as nvidia-smi counts there; undefined where this machine does not tell. */
  indexOf(uuidHash: string): number | undefined;
}

/** GPUs or CPUs that one engine start at a time has for itself. Disposing lets other runs of the machine have them. */
export interface Slot extends AsyncDisposable {
  /** `GPU 1`, `CPUs 8-15`. */
  readonly name: string;
  /** CPUs that it is bound to. */
  readonly cpus: string | undefined;
  /** As the runtime's own. */
  start(boot: string): Promise<Peer>;
}

/** `none`: the engine computes without one. */
export type ModelSource = LocalModel | ServedModel;

/** What an engine of this machine loads. */
export type LocalModel = { readonly kind: 'none' } | PathModel | HubModel;

export interface PathModel {
  readonly kind: 'path';
  /** Absolute path on this machine. */
  readonly path: string;
}

/** Where a server has it, and what it is there, only that server knows. */
export interface ServedModel {
  readonly kind: 'served';
  readonly name: string;
}

/** What is asked of a server. */
export interface Endpoint {
  /** Where OpenAI's API begins. */
  readonly url: string;
  /** The name that it serves the model by. */
  readonly model: string;
}

export interface HubModel {
  readonly kind: 'hub';
  readonly id: string;
  /** 40 hex digits. */
  readonly revision: string;
}

/** A model in its place, and what it is by this machine's own word. */
export interface ProvidedModel {
  /** As the harness sees it. */
  readonly folder: string;
  /** All that an engine may read of it: whatever the harness sees must be this. */
  readonly files: readonly ModelFile[];
}

/** A model of another machine, of which this one knows nothing: what it is, the first engine start tells, and none may differ. */
export interface FarModel {
  /** As the harness sees it. */
  readonly folder: string;
  readonly files: 'declared';
}

/** Of an engine that computes without one. */
export const NO_MODEL = { folder: null, files: [] } as const;

export interface ModelFile {
  /** Below the folder, with `/` between its parts. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  /** `dev:ino:size:mtime:ctime` as this machine sees it: another one may be another content. */
  readonly identity: string;
}

/** The models of this machine, where only this program writes. */
export interface Models {
  /** @throws UserError `model-missing`, `model-unreadable`, `model-changed` */
  digest(folder: string): Promise<readonly ModelFile[]>;
  /**
   * The folder of a hub's model, which holds its needed files and nothing else; fetched unless it is there whole.
   *
   * @throws UserError `model-fetch-failed`, `model-unreadable`, `disk-full`, `deadline-exceeded`, `cancelled`
   */
  fetch(model: HubModel): Promise<ProvidedModel>;
  /**
   * What of a hub's model is needed, for whoever fetches it elsewhere.
   *
   * @throws UserError `model-fetch-failed`, `deadline-exceeded`, `cancelled`
   */
  list(model: HubModel): Promise<HubListing>;
}

/** Where a hub's model is to be had without a token, and what each of its files must be. */
export interface HubListing {
  /** URL of the hub, with a slash at its end. */
  readonly base: string;
  readonly files: readonly {
    readonly path: string;
    readonly bytes: number;
    /** `git-blob`: SHA-1 of a small file as git has it. */
    readonly kind: 'sha256' | 'git-blob';
    readonly hex: string;
  }[];
}

export interface Peer extends AsyncDisposable {
  readonly stdin: Writable;
  /** Both must be read: Docker sends them over one connection, and an unread one holds up the other. */
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves once, when the process has ended for whatever reason; never rejects. */
  readonly exit: Promise<Exit>;
}

export interface Exit {
  readonly code: number | null;
  /** e.g. `SIGILL`; derived from 128 + n where only a code is known. */
  readonly signal: string | null;
  /** The kernel's OOM killer took it, as far as the runtime can prove. */
  readonly outOfMemory: boolean;
  /** What stood between us and it and is gone: nothing is known of how it ended then. */
  readonly lost?: Lost;
}

/** An error of what an engine is reached by, and not its own. */
export interface Lost {
  readonly code:
    | 'docker-unavailable'
    | 'launcher-missing'
    | 'launcher-untrusted'
    | 'launcher-refused'
    | 'launcher-unreachable'
    | 'launcher-failed'
    | 'launcher-lost';
  readonly message: string;
  readonly hint: string;
}

/** Whose work this is. A runner does one job at a time, so this tells the legs of a matrix apart too. */
export interface JobIdentity {
  /** `owner/name`. */
  readonly repository: string;
  readonly run: string;
  readonly attempt: string;
  /** Name of the runner. */
  readonly runner: string;
}

/** Progress of long work outside the harness: image layers, model files. Bytes; `total` 0 when unknown. */
export type OnProgress = (what: string, done: number, total: number) => void;
