import type { Readable, Writable } from 'node:stream';
import type { Declared } from '../fingerprint/schema.ts';

/** Where an engine runs. Two exist: a pinned container (`docker`) and a Python of this machine (`process`). */
export interface Runtime extends AsyncDisposable {
  readonly kind: 'docker' | 'process';
  /** One sentence for the log: what was chosen and why. */
  readonly description: string;
  readonly image: Declared['image'];
  /** Why nothing keeps the engine from what the job knows; undefined where something does. */
  readonly exposed: string | undefined;
  /**
   * Makes the model readable for the harness and gives its folder as the harness sees it. A hub model is
   * fetched first by a process of its own that has the network and the token but no GPU.
   *
   * @throws UserError `model-missing`, `model-unreadable`, `model-fetch-failed`
   */
  provideModel(model: ModelSource): Promise<string>;
  /**
   * Starts one Python with `boot` as its program (`python3 -c`) and its stdin open. Disposing the peer stops
   * it, whatever it is doing, and gives everything back: container, process group, GPU.
   *
   * @throws UserError `docker-unavailable`, `gpu-unavailable`, `engine-missing`
   */
  start(boot: string): Promise<Peer>;
}

export type ModelSource =
  | { readonly kind: 'path' /** Absolute path on this machine. */; readonly path: string }
  | { readonly kind: 'hub'; readonly id: string /** 40 hex digits. */; readonly revision: string };

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
