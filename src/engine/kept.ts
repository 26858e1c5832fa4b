import type { Side } from '../record/side.ts';
import type { EventOf } from './protocol.ts';
import type { Runtime } from './runtime.ts';
import type { Session } from './session.ts';
import type { WarmParent } from './warm-parent.ts';

/** An engine that has done its passes, stays loaded and waits for others. */
export interface LoadedEngine {
  readonly session: Session;
  /** What it said of itself as it was started, and as it had loaded. */
  readonly seen: EventOf<'fingerprint'>;
  readonly loaded: EventOf<'lifetime'>;
}

/** What a thing was made of, each part by its name as a text: another text, and it has to be made anew. */
export type MadeOf = Readonly<Record<string, string>>;

/** How the engine of a run came to be, and why the one of the run before was of no use; undefined where there was none. */
export interface Reused {
  readonly how: 'kept' | 'warm' | 'cold';
  readonly why: string | undefined;
}

/** One thing, and what it was made of. */
interface Held<T> {
  readonly of: MadeOf;
  readonly value: T;
}

/**
 * What of a run's engine stays for the next run of the same suite: the runtime, in it a process that has imported the engine,
 * and the engine itself with its model. Whatever was made of something else is given back before its like is made anew, since
 * two of them may not fit beside each other. Of one run at a time. Disposing gives back all of it.
 */
export class KeptEngine implements AsyncDisposable {
  /** Files and folders that an engine may have imported beside itself: absolute, as they are without links. */
  readonly sources: readonly string[];
  /** What the run before gave: where there is no baseline, the tokens that the next is measured on are its. */
  before: Side | undefined;
  #runtime: Held<Runtime> | undefined;
  #parent: Held<Promise<WarmParent>> | undefined;
  #engine: Held<LoadedEngine> | undefined;
  #isUnfit = false;
  #why: string | undefined;
  #reused: Reused | undefined;

  constructor(sources: readonly string[] = []) {
    this.sources = sources;
  }

  /** Of the run that was last; undefined where it started no engine. */
  get reused(): Reused | undefined {
    return this.#reused;
  }

  /** To be called before each run. @param changed of the sources: what has read them is given back */
  async begin(changed: readonly string[]): Promise<void> {
    this.#reused = undefined;
    this.#why = undefined;
    if (changed.length === 0) return;
    await this.#retire('source changed');
    const parent = await this.#parent?.value.catch(() => undefined);
    // One that has not said yet may be reading them now.
    if (parent === undefined || parent.imported?.every((file) => !changed.includes(file)) !== true)
      await this.#giveParent();
  }

  async runtime(of: MadeOf, open: () => Promise<Runtime>): Promise<Runtime> {
    const other = differing(this.#runtime?.of, of);
    if (this.#runtime !== undefined && other === undefined) return this.#runtime.value;
    await this.#giveRuntime(other);
    const value = await open();
    this.#runtime = { of, value };
    return value;
  }

  /** A process that imports the engine, or has. @param start is called where there is none of this kind */
  parent(of: MadeOf, start: () => Promise<WarmParent>): Promise<WarmParent> {
    if (this.#parent !== undefined && differing(this.#parent.of, of) === undefined) return this.#parent.value;
    const older = this.#giveParent();
    const value = older.then(start);
    // Whoever waits for it is told.
    value.catch(() => {});
    this.#parent = { of, value };
    return value;
  }

  /** Whether such a process is there, and lives. */
  async hasParent(of: MadeOf): Promise<boolean> {
    if (this.#parent === undefined || differing(this.#parent.of, of) !== undefined) return false;
    const parent = await this.#parent.value.catch(() => undefined);
    if (parent !== undefined && !parent.gone) return true;
    await this.#giveParent();
    return false;
  }

  /** Forks of it would not be what new processes are: nobody asks for another one. */
  async unfit(): Promise<void> {
    this.#isUnfit = true;
    await this.#giveParent();
  }

  get isUnfit(): boolean {
    return this.#isUnfit;
  }

  /** The engine, which is its taker's alone now. Any other that was here is given back. */
  async take(of: MadeOf): Promise<LoadedEngine | undefined> {
    const held = this.#engine;
    if (held === undefined) return undefined;
    const other = held.value.session.gone ? 'it had ended' : differing(held.of, of);
    if (other !== undefined) {
      await this.#retire(other);
      return undefined;
    }
    this.#engine = undefined;
    return held.value;
  }

  /** For the next run. */
  put(of: MadeOf, value: LoadedEngine): void {
    this.#engine = { of, value };
  }

  /** Whether a session is no run's to give back. */
  holds(session: Session): boolean {
    return this.#engine?.value.session === session;
  }

  started(how: Reused['how']): void {
    this.#reused = { how, why: this.#why };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#giveRuntime(undefined);
  }

  /** In an orderly way: a fork that is only stopped takes the process with it that it is a fork of. */
  async #retire(why: string): Promise<void> {
    const held = this.#engine;
    if (held === undefined) return;
    this.#engine = undefined;
    this.#why = why;
    const { session } = held.value;
    // It was asked to go: whatever it says instead, it is stopped.
    if (!session.gone) await session.end().catch(() => {});
    await session[Symbol.asyncDispose]();
  }

  async #giveParent(): Promise<void> {
    const held = this.#parent;
    this.#parent = undefined;
    const parent = await held?.value.catch(() => undefined);
    await parent?.[Symbol.asyncDispose]();
  }

  async #giveRuntime(why: string | undefined): Promise<void> {
    const [engine, runtime] = [this.#engine, this.#runtime];
    if (engine !== undefined && why !== undefined) this.#why = why;
    this.#engine = undefined;
    this.#runtime = undefined;
    await engine?.value.session[Symbol.asyncDispose]();
    await this.#giveParent();
    await runtime?.value[Symbol.asyncDispose]();
  }
}

/** The parts that differ, in words; undefined where none does, or there is nothing to differ from. */
function differing(old: MadeOf | undefined, of: MadeOf): string | undefined {
  if (old === undefined) return undefined;
  const names = Object.keys({ ...old, ...of }).filter((name) => old[name] !== of[name]);
  return names.length === 0 ? undefined : `${names.join(' and ')} changed`;
}
