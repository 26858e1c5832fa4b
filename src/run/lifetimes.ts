import type { EventOf } from '../engine/protocol.ts';
import type { Runtime, Slot } from '../engine/runtime.ts';
import { UserError } from '../errors.ts';
import { hardwareClass } from '../fingerprint/hardware-class.ts';
import type { HealthView } from '../health/schema.ts';
import { excerpt } from '../inert.ts';
import type { Console } from '../job/console.ts';
import { type Devices, devicesName } from '../record/devices.ts';
import type { OpenedRecord, Side } from '../record/side.ts';
import type { RunCaches } from './caches.ts';
import type { Plan, PlannedPass } from './plan.ts';
import type { Recording } from './recording.ts';
import { share, type Worker } from './share.ts';
import type { Keeping, Started, Starts } from './starts.ts';
import type { Voices } from './voices.ts';

const TRACE_LIFETIME = 'trace';

/** What the engine starts of a run are made with. */
export interface Means {
  readonly starts: Starts;
  readonly voices: Voices;
  readonly runtime: Pick<Runtime, 'slot' | 'beside' | 'indexOf'>;
  readonly console: Console;
  readonly caches: RunCaches | undefined;
  /** Where a later run goes on with this one's engine. */
  readonly keeping: Keeping | undefined;
  /** Of the run: what runs elsewhere is none of it. */
  readonly hardwareClass: string;
}

interface Job {
  readonly name: string;
  readonly passes: readonly PlannedPass[];
}

/**
 * The engine starts of a run and the record that grows with them: one at a time, or side by side where the runner has
 * GPUs or CPUs for several. GPUs that are found unhealthy end it: no engine is loaded after that, and the record says why.
 */
export class Lifetimes implements AsyncDisposable {
  readonly #plan: Plan;
  readonly #recording: Recording;
  readonly #means: Means;
  readonly #owned = new AsyncDisposableStack();
  #first: Started | undefined;
  /** Where engines run beside the runtime's own place, once that was asked for. */
  #slots: readonly Slot[] | undefined;
  /** GPUs of an engine that may run now -> where that is. */
  readonly #taken = new Map<string, string>();
  /** How the runtime's own place is called. */
  readonly #home: string;
  #named = 0;
  /** Seconds that the last start took, from the start of its process to its end. */
  #seconds: number;

  constructor(plan: Plan, recording: Recording, first: Started, means: Means) {
    this.#plan = plan;
    this.#recording = recording;
    this.#means = means;
    this.#first = first;
    this.#seconds = first.took.open;
    const devices = this.#devicesOf(first, undefined);
    this.#home = means.runtime.slot ?? (devices && devicesName(devices)) ?? 'this machine';
    for (const { uuidHash } of first.seen.fingerprint.gpus) this.#taken.set(uuidHash, this.#home);
    recording.note('lifetime-1', first.seen.health);
  }

  /** Whatever the plan says before anything is known; or only so many of its engine starts, until `rest`. */
  async planned(starts = this.#plan.lifetimes): Promise<void> {
    const { passes, repeats } = this.#plan;
    await this.#all(starts, (at) => (at === 0 ? passes : repeats));
  }

  /** The engine starts of the plan that `planned` left out. */
  async rest(): Promise<void> {
    if (this.#isStopped()) return;
    await this.#all(Math.max(0, this.#plan.lifetimes - this.#named), () => this.#plan.repeats);
  }

  /** More of the same, to tell a drift from an engine that does not repeat between starts. */
  async more(count: number): Promise<void> {
    if (this.#isStopped()) return;
    const { console, starts } = this.#means;
    const slots = await this.#beside(count);
    const seconds = Math.ceil(Math.ceil(count / (1 + slots.length)) * this.#seconds);
    console.info(
      `Not what the baseline knows. ${count} more engine ${count === 1 ? 'start tells' : 'starts tell'} whether this is its new way or one of several: about ${seconds} s (\`policy: { confirm: 0 }\` leaves it open).`,
    );
    // What one start alone would need is not worth a process more.
    if (count > 1) starts.prepare(count);
    await this.#all(count, () => this.#plan.repeats);
  }

  /** A start that computes without compilation: it traces, and for a baseline measures what rounding makes. */
  async trace(): Promise<void> {
    if (this.#isStopped()) return;
    const { args, engine, traces } = this.#plan;
    this.#means.console.info(
      'One eager engine start more traces the modules: compiled ones cannot be looked into.',
    );
    await this.#run({ name: TRACE_LIFETIME, passes: traces }, { ...args, ...engine.tracing });
  }

  /** Lets later runs find what was compiled: only where this run may store, and what it computed is trusted. */
  async keepCaches(): Promise<void> {
    await this.#means.caches?.keep();
  }

  side(): Side {
    return this.#recording.side();
  }

  /** What the health of the GPUs comes to until now; undefined where nobody looked. */
  get health(): HealthView | undefined {
    return this.#recording.health;
  }

  /** Leaves the record in its place, whole. */
  async commit(): Promise<OpenedRecord> {
    return await this.#recording.commit();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#recording[Symbol.asyncDispose]();
    await this.#owned.disposeAsync();
  }

  async #all(count: number, passesOf: (at: number) => readonly PlannedPass[]): Promise<void> {
    const jobs = Array.from({ length: count }, (_, at): Job => {
      this.#named += 1;
      return { name: `lifetime-${this.#named}`, passes: passesOf(at) };
    });
    this.#recording.expect(jobs.map(({ name }) => name));
    const slots = await this.#beside(count);
    if (slots.length > 0) await this.#sideBySide(jobs, slots);
    else for (const job of jobs) await this.#run(job);
  }

  /** Slots beside the runtime's own place for so many engine starts in all: held until the run ends. */
  async #beside(starts: number): Promise<readonly Slot[]> {
    if (starts < 2 || this.#taken.has(UNKNOWN)) return [];
    if (this.#slots === undefined) {
      this.#slots = await this.#means.runtime.beside(starts - 1, [...this.#taken.keys()]);
      for (const slot of this.#slots) this.#owned.use(slot);
    }
    return this.#slots.slice(0, starts - 1);
  }

  async #sideBySide(jobs: readonly Job[], slots: readonly Slot[]): Promise<void> {
    const { console, starts, voices } = this.#means;
    const where = [this.#home, ...slots.map(({ name }) => name)].join('; ');
    const title = `Engines, ${jobs[0]?.name} to ${jobs.at(-1)?.name} side by side on ${where}`;
    await console.section(title, async () => {
      const own: Worker<Job> = async (job) => {
        voices.own = labelOf(job.name, this.#home);
        return await this.#labelled(job, this.#home, () => this.#live(job, this.#plan.args));
      };
      const beside = slots.map(
        (slot): Worker<Job> =>
          async (job) => {
            const label = labelOf(job.name, slot.name);
            return await this.#labelled(job, slot.name, () => this.#liveOn(slot, label, job));
          },
      );
      try {
        await share(jobs, [own, ...beside], () => starts.stop());
      } catch (error) {
        // Those beside an unhealthy GPU were stopped for it: the record says so.
        if (!this.#isStopped()) throw error;
      } finally {
        voices.own = undefined;
      }
    });
  }

  /** Says of an error whose it is. */
  async #labelled(
    { name }: Job,
    where: string,
    live: () => Promise<'done' | 'unfit' | 'unhealthy'>,
  ): Promise<'done' | 'unfit'> {
    const { console, starts, voices } = this.#means;
    const label = labelOf(name, where);
    const began = performance.now();
    try {
      const end = await live();
      if (end === 'unhealthy') starts.stop();
      if (end === 'done') {
        this.#seconds = (performance.now() - began) / 1000;
        console.info(`${label}: ${this.#seconds.toFixed(1)} s`);
      }
      return end === 'unfit' ? 'unfit' : 'done';
    } catch (error) {
      if (!(error instanceof UserError) || error.code === 'cancelled') throw error;
      const { code, message, hint, cause, places } = error;
      throw new UserError(code, `${label}: ${message}`, hint, { cause, places });
    } finally {
      voices.end(label);
    }
  }

  async #run(job: Job, args = this.#plan.args): Promise<void> {
    // What was found after the last one ended.
    if (this.#isStopped() && this.#first === undefined) return;
    const { console, caches } = this.#means;
    await console.section(`Engine, ${job.name}`, async () => {
      // The first one was opened long before, to be fingerprinted.
      const before = this.#first === undefined ? 0 : this.#seconds;
      const began = performance.now();
      // The next starts when this one has given its memory back.
      if ((await this.#live(job, args)) === 'unhealthy') {
        console.info('No engine is loaded: a GPU is unhealthy, and nothing that it computes would count.');
        return;
      }
      // Nobody writes there any more.
      const told = await caches?.look();
      if (told !== undefined) this.#recording.addCaches(told);
      this.#seconds = before + (performance.now() - began) / 1000;
    });
  }

  /** In the runtime's own place. The engine has gone when this returns. */
  async #live({ name, passes }: Job, args: Plan['args']): Promise<'done' | 'unhealthy'> {
    const { caches, runtime, keeping } = this.#means;
    const started = await this.#open(name);
    await using owned = new AsyncDisposableStack();
    const session = owned.use(started.session);
    if (this.#isStopped()) return 'unhealthy';
    await caches?.give(name === TRACE_LIFETIME);
    const loaded = await this.#add(started, name, passes, args, runtime.slot?.replace(/^CPUs /, ''));
    if (keeping === undefined) return 'done';
    keeping.kept.put(keeping.engine, { session, seen: started.seen, loaded });
    owned.move();
    return 'done';
  }

  /** Beside it. `unfit`: what is there is not what the run is of. */
  async #liveOn(slot: Slot, label: string, { name, passes }: Job): Promise<'done' | 'unfit' | 'unhealthy'> {
    const { starts, voices } = this.#means;
    if (this.#isStopped()) return 'unhealthy';
    const started = await starts.cold({ start: (boot) => slot.start(boot), ...voices.of(() => label) });
    await using _ = started.session;
    const why = this.#unfit(slot, started);
    if (why !== undefined) {
      this.#means.console.info(`Nothing is measured on ${slot.name}: ${why}.`);
      return 'unfit';
    }
    this.#recording.note(name, started.seen.health);
    if (this.#isStopped()) return 'unhealthy';
    await this.#add(started, name, passes, this.#plan.args, slot.cpus);
    return 'done';
  }

  /** Why what a slot turned out to be is of no use to this run. */
  #unfit(slot: Slot, { seen: { fingerprint } }: Started): string | undefined {
    const own = hardwareClass(fingerprint);
    if (own !== this.#means.hardwareClass)
      return `it is ${excerpt(own, 128)}, and this run is of ${this.#means.hardwareClass}`;
    for (const { uuidHash } of fingerprint.gpus) {
      const other = this.#taken.get(uuidHash);
      if (uuidHash === UNKNOWN || (other !== undefined && other !== slot.name))
        return other === undefined ? 'its GPU does not tell which it is' : `it is the same GPU as ${other}`;
      this.#taken.set(uuidHash, slot.name);
    }
    return undefined;
  }

  async #add(
    started: Started,
    name: string,
    passes: readonly PlannedPass[],
    args: Plan['args'],
    cpus: string | undefined,
  ): Promise<EventOf<'lifetime'>> {
    const devices = this.#devicesOf(started, cpus);
    const { signal } = this.#means.starts;
    return await this.#recording.add(started, name, passes, args, {
      signal,
      ...(devices === undefined ? {} : { devices }),
      stays: this.#means.keeping !== undefined,
    });
  }

  #devicesOf({ seen }: Started, cpus: string | undefined): Devices | undefined {
    const { gpus } = seen.fingerprint;
    if (gpus.length === 0 && cpus === undefined) return undefined;
    return {
      gpus: gpus.map((gpu) => ({ index: this.#means.runtime.indexOf(gpu.uuidHash) ?? null, ...gpu })),
      cpus: cpus ?? null,
    };
  }

  #isStopped(): boolean {
    return this.health?.state === 'unhealthy';
  }

  async #open(name: string): Promise<Started> {
    const first = this.#first;
    this.#first = undefined;
    if (first !== undefined) return first;
    const started = await this.#means.starts.next();
    this.#recording.note(name, started.seen.health);
    return started;
  }
}

const UNKNOWN = 'unknown';

const labelOf = (name: string, where: string) => `${name} (${where})`;
