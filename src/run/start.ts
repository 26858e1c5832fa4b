import type { CacheKey } from '../engine/caches.ts';
import type { ModelSource, ProvidedModel, Runtime } from '../engine/runtime.ts';
import type { Harness, SessionOptions } from '../engine/session.ts';
import { UserError } from '../errors.ts';
import { hardwareClass } from '../fingerprint/hardware-class.ts';
import type { Fingerprint } from '../fingerprint/schema.ts';
import { assess } from '../health/policy.ts';
import type { HealthReading, HealthView } from '../health/schema.ts';
import type { Console } from '../job/console.ts';
import type { EngineSettings, RunSettings } from '../job/settings.ts';
import type { EngineLog, Tools } from '../job/tools.ts';
import type { OpenedRecord, Side } from '../record/side.ts';
import type { Evidence } from '../report/make.ts';
import type { RunView } from '../report/schema.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import { counted } from '../words/figures.ts';
import { RunCaches } from './caches.ts';
import { refuseTooMuch } from './limits.ts';
import { completeFingerprint } from './pass.ts';
import type { Plan, PlannedPass } from './plan.ts';
import { ProgressLine } from './progress.ts';
import { Recording } from './recording.ts';
import type { KnownTokens } from './requests.ts';
import { type Started, Starts } from './starts.ts';

/** An engine that is started and fingerprinted but has loaded no model: the fingerprint chooses the baseline. */
export interface Run extends AsyncDisposable {
  readonly fingerprint: Fingerprint;
  readonly hardwareClass: string;
  /** What a report tells of the run beside its record. */
  readonly facts: Pick<
    Evidence,
    'run' | 'suite' | 'places' | 'defaults' | 'environment' | 'runtime' | 'exposed' | 'logPath' | 'recordPath'
  >;
  /** @param known tokens of the baseline by prompt: what force and score are given */
  begin(known: KnownTokens): Promise<Lifetimes>;
}

/** Starts the suite's engine, and stops where the baseline has to be known. */
export async function startRun(
  loaded: LoadedSuite,
  plan: Plan,
  settings: EngineSettings,
  tools: Tools,
): Promise<Run> {
  const { console, open } = tools;
  refuseTooMuch(plan, loaded.places);
  for (const why of plan.unmeasurable) console.info(why);
  await using owned = new AsyncDisposableStack();
  const log = owned.use(await open.log(`${settings.recordPath}.log`));
  const runtime = owned.use(await open.runtime(loaded.suite.runtime, plan.caches !== 'fresh'));
  console.info(runtime.description);
  const model = await console.section('Model', () => runtime.provideModel(modelSource(loaded)));
  const harness = await open.harness();
  const starts = owned.use(startsOf(plan, loaded, runtime, harness, model, log, settings, tools));
  const { first, fingerprint } = await console.section('Fingerprint', async () => {
    const opening = starts.cold();
    // Beside the first import: once there are passes, nothing else shall compute.
    starts.prepare(plan.lifetimes - 1);
    const opened = await opening;
    const { session, seen } = opened;
    owned.use(session);
    refuseOtherGpus(seen.fingerprint.gpus.length, loaded.suite.runtime.gpus, seen.health);
    return {
      first: opened,
      fingerprint: completeFingerprint(seen.fingerprint, runtime, modelLabel(loaded)),
    };
  });
  const caches = cachesOf(plan, fingerprint, runtime, tools);
  if (caches !== undefined) owned.use(caches);
  const kept = owned.move();
  return {
    fingerprint,
    hardwareClass: hardwareClass(fingerprint.ambient),
    facts: {
      run: runView(settings),
      suite: loaded.suite,
      places: loaded.places,
      defaults: plan.defaults,
      environment: plan.environment,
      runtime: runtime.description,
      exposed: runtime.exposed,
      logPath: log.path,
      recordPath: settings.recordPath,
    },
    begin: async (known) =>
      new Lifetimes(
        plan,
        new Recording(plan, fingerprint, known, await tools.records.create(settings.recordPath)),
        first,
        starts,
        console,
        caches,
      ),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function cachesOf(
  { suite, caches }: Plan,
  { declared, ambient }: Fingerprint,
  { caches: folder }: Runtime,
  { console, open }: Tools,
): RunCaches | undefined {
  if (caches === 'fresh' || folder === undefined) return undefined;
  const { image, engine, libraries } = declared;
  const key: CacheKey = {
    ...{ suite: suite.name, image: image.digest, engine, libraries },
    ...{ hardwareClass: hardwareClass(ambient), place: folder.inside },
  };
  return new RunCaches(caches, folder, open.caches().open(key), console);
}

/** Fewer or more GPUs are another hardware class, whose baseline would be looked for, or made, unasked. */
function refuseOtherGpus(seen: number, wanted: 'none' | number, health: HealthReading): void {
  if (seen === (wanted === 'none' ? 0 : wanted)) return;
  // A card that is lost is one that the engine does not see.
  const [fault] = assess([{ lifetime: 'lifetime-1', ...health }]).signs.filter(
    ({ level }) => level === 'unhealthy',
  );
  const why = fault === undefined ? '' : ` ${fault.gpu ?? ''} ${fault.reason}.`.replace(/^ +/, ' ');
  throw new UserError(
    'gpu-unavailable',
    `The suite asks for ${wanted === 'none' ? 'no GPU' : counted(wanted, 'GPU')} (\`runtime.gpus\`), and the engine sees ${seen}.${why}`,
    fault?.remedy ??
      'Check `nvidia-smi` on the runner, and in the image; or let `runtime.gpus` say what the engine is to use.',
  );
}

function startsOf(
  plan: Plan,
  loaded: LoadedSuite,
  runtime: Runtime,
  harness: Harness,
  model: ProvidedModel,
  log: EngineLog,
  { inactivitySeconds, timeoutSeconds: deadlineSeconds }: EngineSettings,
  { console, signal }: Tools,
): Starts {
  const line = new ProgressLine(Date.now);
  const { file, prompts } = loaded.places;
  const session: SessionOptions = {
    harness,
    start: (boot) => runtime.start(boot),
    inactivitySeconds,
    deadlineSeconds,
    signal,
    onOutput: (text) => log.add(text),
    onProgress: (event) => console.progress(event.what, line.next(event)),
    // What the base branch's suite asks and this one does not has no line here.
    placeOf: (id) => ({ file, ...(prompts.get(id) ?? { line: 1, column: 1 }) }),
  };
  const { gpus, warm = gpus === 'none' } = loaded.suite.runtime;
  return new Starts({
    session,
    parent: (lives) => ({ ...session, start: (boot) => runtime.start(boot, lives) }),
    task: {
      engine: plan.engine.name,
      model: model.folder,
      // Of this model alone: an image learns nothing of what else lies on the machine.
      knownDigests: Object.fromEntries(model.files.map(({ identity, sha256 }) => [identity, sha256])),
    },
    environment: plan.environment,
    files: model.files,
    // Kept ones are given and looked at by folder, and two processes would share it.
    warm: warm && plan.engine.warm === true && plan.caches === 'fresh',
    console,
  });
}

const TRACE_LIFETIME = 'trace';

/**
 * The engine starts of a run, one at a time, and the record that grows with them. GPUs that are found unhealthy end it:
 * no engine is loaded after that, and the record says why.
 */
export class Lifetimes implements AsyncDisposable {
  readonly #plan: Plan;
  readonly #recording: Recording;
  readonly #starts: Starts;
  readonly #console: Console;
  readonly #caches: RunCaches | undefined;
  #first: Started | undefined;
  /** Seconds that the last start took, from the start of its process to its end. */
  #seconds: number;

  constructor(
    plan: Plan,
    recording: Recording,
    first: Started,
    starts: Starts,
    console: Console,
    caches?: RunCaches,
  ) {
    this.#caches = caches;
    this.#plan = plan;
    this.#seconds = first.took.open;
    this.#recording = recording;
    this.#first = first;
    recording.note(this.#next(), first.seen.health);
    this.#starts = starts;
    this.#console = console;
  }

  /** Whatever the plan says before anything is known. */
  async planned(): Promise<void> {
    const { lifetimes, passes, repeats } = this.#plan;
    for (let i = 0; i < lifetimes; i++) await this.#run(this.#next(), i === 0 ? passes : repeats);
  }

  /** More of the same, to tell a drift from an engine that does not repeat between starts. */
  async more(count: number): Promise<void> {
    if (this.#isStopped()) return;
    this.#console.info(
      `Not what the baseline knows. ${count} more engine ${count === 1 ? 'start tells' : 'starts tell'} whether this is its new way or one of several: about ${Math.ceil(count * this.#seconds)} s (\`policy: { confirm: 0 }\` leaves it open).`,
    );
    // What one start alone would need is not worth a process more.
    if (count > 1) this.#starts.prepare(count);
    for (let i = 0; i < count; i++) await this.#run(this.#next(), this.#plan.repeats);
  }

  /** A start that computes without compilation: it traces, and for a baseline measures what rounding makes. */
  async trace(): Promise<void> {
    if (this.#isStopped()) return;
    const { args, engine, traces } = this.#plan;
    this.#console.info(
      'One eager engine start more traces the modules: compiled ones cannot be looked into.',
    );
    await this.#run(TRACE_LIFETIME, traces, { ...args, ...engine.tracing });
  }

  /** Lets later runs find what was compiled: only where this run may store, and what it computed is trusted. */
  async keepCaches(): Promise<void> {
    await this.#caches?.keep();
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
  }

  #next(): string {
    return `lifetime-${this.#recording.lifetimes + 1}`;
  }

  async #run(name: string, passes: readonly PlannedPass[], args = this.#plan.args): Promise<void> {
    // What was found after the last one ended.
    if (this.#isStopped() && this.#first === undefined) return;
    await this.#console.section(`Engine, ${name}`, async () => {
      // The first one was opened long before, to be fingerprinted.
      const before = this.#first === undefined ? 0 : this.#seconds;
      const began = performance.now();
      // One engine at a time: the next starts when this one has given its memory back.
      if (!(await this.#live(name, passes, args))) {
        this.#console.info(
          'No engine is loaded: a GPU is unhealthy, and nothing that it computes would count.',
        );
        return;
      }
      // Nobody writes there any more.
      const told = await this.#caches?.look();
      if (told !== undefined) this.#recording.addCaches(told);
      this.#seconds = before + (performance.now() - began) / 1000;
    });
  }

  /** Whether an engine was loaded. It has gone when this returns. */
  async #live(name: string, passes: readonly PlannedPass[], args: Plan['args']): Promise<boolean> {
    const started = await this.#open(name);
    await using session = started.session;
    if (this.#isStopped()) return false;
    await this.#caches?.give(name === TRACE_LIFETIME);
    await this.#recording.add({ ...started, session }, name, passes, args);
    return true;
  }

  #isStopped(): boolean {
    return this.health?.state === 'unhealthy';
  }

  async #open(name: string): Promise<Started> {
    const first = this.#first;
    this.#first = undefined;
    if (first !== undefined) return first;
    const started = await this.#starts.next();
    this.#recording.note(name, started.seen.health);
    return started;
  }
}

function runView({ job, situation, workflow, runUrl }: RunSettings): RunView {
  const { repository, run: id, attempt } = job;
  const { event, ref, commit } = situation;
  return { repository, workflow, id, attempt, event, ref, commit, url: runUrl, fork: situation.fork };
}

function modelSource({ suite, modelFolder }: LoadedSuite): ModelSource {
  const { id, revision } = suite.model;
  if (modelFolder !== undefined) return { kind: 'path', path: modelFolder.path };
  // The schema demands one of the two forms; the compiler cannot see that.
  return { kind: 'hub', id: id ?? '', revision: revision ?? '' };
}

function modelLabel({ suite }: LoadedSuite): { label: string; revision: string } {
  const { id, revision, path } = suite.model;
  return { label: id ?? path ?? 'unknown', revision: revision ?? 'none' };
}
