import type { KeptEngine, MadeOf } from '../engine/kept.ts';
import type { EventOf, Task } from '../engine/protocol.ts';
import type { FarModel, ModelFile } from '../engine/runtime.ts';
import { Session, type SessionOptions } from '../engine/session.ts';
import { WarmParent } from '../engine/warm-parent.ts';
import { cancelled, UserError } from '../errors.ts';
import type { Fingerprint, HarnessFingerprint } from '../fingerprint/schema.ts';
import { type Stranger, withStrangers } from '../health/strangers.ts';
import { excerpt } from '../inert.ts';
import type { Console } from '../job/console.ts';
import type { LifetimeStart, Phases } from '../record/schema.ts';
import { type Place, placeOf, refuseMoved } from './place.ts';

/** An engine that has said what it sees and has loaded nothing. */
export interface Started {
  readonly session: Session;
  readonly seen: EventOf<'fingerprint'>;
  readonly start: LifetimeStart;
  /** Seconds that it took until here. */
  readonly took: Pick<Phases, 'open' | 'import'>;
  /** What it said as it had loaded, where it did so for an earlier run. */
  readonly loaded?: EventOf<'lifetime'>;
}

/** What stays of an engine from run to run, and what this run's is made of. */
export interface Keeping {
  readonly kept: KeptEngine;
  /** A process that imports the engine. */
  readonly process: MadeOf;
  /** One that has loaded it. */
  readonly engine: MadeOf;
}

/** Engine starts that a process which is kept may live as long as. */
export const KEPT_LIVES = 12;

export interface StartsOptions {
  readonly session: SessionOptions;
  /** The same for a process that lives as long as so many lifetimes may. */
  readonly parent: (lives: number) => SessionOptions;
  readonly task: Task;
  readonly environment: Readonly<Record<string, string>>;
  /** The model as this machine has it: whatever an engine sees must be this. Of another machine's, what the first one saw. */
  readonly files: readonly ModelFile[] | FarModel['files'];
  /** Whether a launcher takes each of them somewhere. */
  readonly isFar: boolean;
  /** Whether later ones may be forks of a process that has imported the engine. */
  readonly warm: boolean;
  /** Whether the suite asks for that in so many words, and why it cannot be, where that is known. */
  readonly asksWarm: { readonly cannot: string | undefined } | undefined;
  /** Who computes on the GPUs of this machine, where that is told. */
  readonly strangers?: (() => Promise<readonly Stranger[]>) | undefined;
  readonly console: Console;
  /** Where a later run goes on with what is there. */
  readonly keeping?: Keeping | undefined;
}

/** Where a start is to be, and what it is called there; unless told, where all are that run alone. */
export type Beside = Pick<SessionOptions, 'start' | 'onOutput' | 'onProgress'>;

/** The engine starts of a run. The first is always cold, so that forks are held against a process of its own. */
export class Starts implements AsyncDisposable {
  readonly #options: StartsOptions;
  readonly #owned = new AsyncDisposableStack();
  #parent: { readonly process: number; readonly opened: Promise<WarmParent> } | undefined;
  readonly #stop = new AbortController();
  #processes = 0;
  /** Where the first start was, where a launcher took it. */
  #first: Place | undefined;
  #isWarm: boolean;
  /** Why later starts are cold, where that is known. */
  #unfit: string | undefined;

  constructor(options: StartsOptions) {
    const { session } = options;
    const signal = AbortSignal.any([session.signal, this.#stop.signal]);
    this.#options = { ...options, session: { ...session, signal } };
    this.#isWarm = options.warm && options.keeping?.kept.isUnfit !== true;
    this.#unfit = options.asksWarm?.cannot;
  }

  /** Aborts when the run is cancelled, or stopped as below. */
  get signal(): AbortSignal {
    return this.#options.session.signal;
  }

  /** Ends all that run: one of them has failed, and the others are for nothing. */
  stop(): void {
    this.#stop.abort(cancelled());
  }

  /** Lets a process import the engine beside whatever else goes on: so many starts are to come of it. */
  prepare(starts: number): void {
    if (!this.#isWarm || this.#parent !== undefined || starts < 1) return;
    const { parent, task, environment, keeping } = this.#options;
    const lives = keeping === undefined ? starts + 1 : KEPT_LIVES;
    const options = parent(lives);
    const open = () => {
      const seconds = options.deadlineSeconds * (keeping === undefined ? lives : 1);
      return WarmParent.open(options, task, environment, seconds, keeping?.kept.sources);
    };
    const opened = keeping === undefined ? open() : keeping.kept.parent(keeping.process, open);
    // Whoever waits for it is told.
    opened.catch(() => {});
    if (keeping === undefined)
      this.#owned.defer(async () => {
        const held = await opened.catch(() => undefined);
        await held?.[Symbol.asyncDispose]();
      });
    this.#processes += 1;
    this.#parent = { process: this.#processes, opened };
  }

  /**
   * The run's first: one that is loaded already, else a fork of a process that an earlier run left, else a process of its own.
   *
   * @param further starts that are to come after it
   */
  async first(further: number): Promise<Started> {
    const { keeping, session } = this.#options;
    const loaded = await keeping?.kept.take(keeping.engine);
    if (keeping !== undefined && loaded !== undefined) {
      keeping.kept.started('kept');
      loaded.session.adopt(session);
      this.#processes += 1;
      return { ...loaded, start: { how: 'kept', process: this.#processes }, took: { open: 0, import: 0 } };
    }
    const isForked = this.#isWarm && (await keeping?.kept.hasParent(keeping.process)) === true;
    if (isForked) this.prepare(1);
    const opening = isForked ? this.next() : this.cold();
    // Beside the first import: once there are passes, nothing else shall compute.
    this.prepare(keeping === undefined ? further : 1);
    const started = await opening;
    keeping?.kept.started(started.start.how);
    return started;
  }

  /** A process of its own. */
  async cold(beside?: Beside): Promise<Started> {
    const { session: own, task, environment } = this.#options;
    const session = { ...own, ...beside };
    this.#processes += 1;
    // The first is cold in any case.
    const isInVain = this.#options.asksWarm !== undefined && this.#processes > 1;
    const start: LifetimeStart = {
      ...{ how: 'cold', process: this.#processes },
      ...(isInVain && this.#unfit !== undefined && { unfit: this.#unfit }),
    };
    const began = performance.now();
    // While nothing of ours computes there.
    const { strangers: ask } = this.#options;
    const strangers = ask === undefined ? [] : await ask();
    const opened = await Session.open(session, task, environment);
    const started = await this.#seen(opened, start, { began, ready: began });
    const { seen } = started;
    return { ...started, seen: { ...seen, health: withStrangers(seen.health, strangers) } };
  }

  /** Warm where that is possible. */
  async next(): Promise<Started> {
    const parent = this.#isWarm ? this.#parent : undefined;
    if (parent === undefined) return await this.cold();
    const began = performance.now();
    const opened = await parent.opened;
    opened.adopt(this.#options.parent(KEPT_LIVES));
    const session = await Session.fork(this.#options.session, opened);
    if (typeof session === 'string') {
      this.#isWarm = false;
      this.#unfit = excerpt(session, 300);
      this.#options.console.info(`No engine start is warm: ${excerpt(session, 300)}.`);
      await opened[Symbol.asyncDispose]();
      await this.#options.keeping?.kept.unfit();
      return await this.cold();
    }
    const start: LifetimeStart = { how: 'warm', process: parent.process };
    return await this.#seen(session, start, { began, ready: performance.now() });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }

  async #seen(
    opened: Session,
    start: LifetimeStart,
    { began, ready }: { readonly began: number; readonly ready: number },
  ): Promise<Started> {
    await using owned = new AsyncDisposableStack();
    const session = owned.use(opened);
    const seen = await session.expect('fingerprint');
    this.#refuseOther(seen.fingerprint);
    owned.move();
    const took = { import: (ready - began) / 1000, open: (performance.now() - ready) / 1000 };
    return { session, seen, start, took };
  }

  #refuseOther(seen: HarnessFingerprint): void {
    const { files, isFar } = this.#options;
    if (files !== 'declared') refuseOtherModel(files, seen.files);
    if (!isFar) return;
    const place = placeOf(seen);
    this.#first ??= place;
    refuseMoved(this.#first, place);
  }
}

type SeenFile = Fingerprint['declared']['model']['files'][number];

/** What the harness sees must be the model that this machine has, whatever an image says of it. */
function refuseOtherModel(own: readonly SeenFile[], seen: readonly SeenFile[]): void {
  const digests = new Map(seen.map(({ path, sha256 }) => [path, sha256]));
  const other =
    own.find(({ path, sha256 }) => digests.get(path) !== sha256)?.path ??
    seen.find(({ path }) => !own.some((file) => file.path === path))?.path;
  if (other === undefined) return;
  throw new UserError(
    'model-changed',
    `The engine does not see the model that this machine has: ${excerpt(other, 200)} is not the same there.`,
    'Let nothing write to the model while a run goes on. If the Docker daemon is on another machine, what it has under this path must be the same files; a copy in a volume that the log names can be removed (`docker volume rm`), the next run makes it anew.',
  );
}
