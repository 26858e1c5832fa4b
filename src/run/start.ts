import { counted } from '../counted.ts';
import type { CacheKey } from '../engine/caches.ts';
import type { MadeOf } from '../engine/kept.ts';
import type { FarModel, ModelSource, NO_MODEL, ProvidedModel, Runtime } from '../engine/runtime.ts';
import type { Harness, SessionOptions } from '../engine/session.ts';
import { UserError } from '../errors.ts';
import { hardwareClass } from '../fingerprint/hardware-class.ts';
import type { Fingerprint } from '../fingerprint/schema.ts';
import { assess } from '../health/policy.ts';
import type { HealthReading } from '../health/schema.ts';
import type { EngineSettings, RunSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import { digestJson } from '../record/digest.ts';
import type { Evidence } from '../report/make.ts';
import type { RunView } from '../report/schema.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import { RunCaches } from './caches.ts';
import { Lifetimes } from './lifetimes.ts';
import { refuseTooMuch } from './limits.ts';
import { completeFingerprint } from './pass.ts';
import type { Plan } from './plan.ts';
import { questionsWords } from './questions.ts';
import { Recording } from './recording.ts';
import type { KnownTokens } from './requests.ts';
import { KEPT_LIVES, type Keeping, Starts } from './starts.ts';
import { Voices } from './voices.ts';

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
  const questions = questionsWords(plan);
  if (questions !== undefined) console.info(questions);
  await using owned = new AsyncDisposableStack();
  const log = owned.use(await open.log(`${settings.recordPath}.log`));
  const opened = () =>
    open.runtime(loaded.suite.runtime, plan.caches !== 'fresh', atOnce(plan), plan.endpoint);
  const keeper = keptBy(plan, loaded, tools);
  const runtime =
    keeper === undefined ? owned.use(await opened()) : await keeper.runtime(placeOf(plan, loaded), opened);
  console.info(runtime.description);
  const source = modelSource(loaded);
  const provided = () => runtime.provideModel(source);
  const model = await (source.kind === 'none' ? provided() : console.section('Model', provided));
  const harness = withProgram(await open.harness(plan.engine), plan);
  const voices = new Voices(log, console);
  const keeping = keeper && { kept: keeper, ...madeOf(plan, harness, model) };
  const starts = owned.use(startsOf(plan, loaded, runtime, harness, model, voices, settings, tools, keeping));
  const { first, fingerprint } = await console.section('Fingerprint', async () => {
    const opened = await starts.first(plan.lifetimes - 1);
    const { session, seen } = opened;
    owned.defer(async () => {
      if (keeper?.holds(session) !== true) await session[Symbol.asyncDispose]();
    });
    refuseOtherGpus(seen.fingerprint.gpus.length, loaded.suite.runtime.gpus, seen.health);
    return {
      first: opened,
      fingerprint: completeFingerprint(seen.fingerprint, runtime, modelLabel(loaded), plan.program),
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
        {
          ...{ starts, voices, runtime, console, caches, keeping },
          hardwareClass: hardwareClass(fingerprint.ambient),
        },
      ),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** With the user's own files beside it, in a folder that nothing of ours lies in. */
const withProgram = (harness: Harness, { program }: Pick<Plan, 'program'>): Harness => ({
  ...harness,
  files: {
    ...harness.files,
    ...Object.fromEntries((program?.files ?? []).map(({ path, text }) => [`program/${path}`, text])),
  },
});

/** Undefined where none is to be: a run of one engine start alone leaves its engine, whose memory nobody else needs. */
const keptBy = (plan: Plan, { suite: { variants = [] } }: LoadedSuite, { kept }: Tools) =>
  plan.lifetimes === 1 && variants.length === 0 && plan.caches === 'fresh' && plan.endpoint === undefined
    ? kept
    : undefined;

const placeOf = ({ suite }: Plan, { suite: { runtime } }: LoadedSuite): MadeOf => ({
  suite: suite.name,
  runtime: digestJson(runtime),
});

/** A process knows its engine, environment and model from its beginning; what is loaded, all arguments besides. */
function madeOf(
  plan: Plan,
  { boot, files }: Harness,
  model: ProvidedModel | FarModel | typeof NO_MODEL,
): Pick<Keeping, 'process' | 'engine'> {
  const { engine, environment, args, defaults, serve, program, probes } = plan;
  const process = {
    engine: engine.name,
    environment: digestJson(environment),
    program: digestJson([boot, files]),
    model: digestJson([model.folder, model.files]),
  };
  const asked = { args, defaults, serve, file: program?.file ?? null, probes };
  return { process, engine: { ...process, arguments: digestJson(asked) } };
}

/** Kept caches are given and looked at by folder: two engines would share it. */
const atOnce = ({ caches, lifetimes, confirm }: Plan) =>
  caches === 'fresh' ? { planned: lifetimes, most: Math.max(lifetimes, confirm) } : { planned: 1, most: 1 };

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
  model: ProvidedModel | FarModel | typeof NO_MODEL,
  voices: Voices,
  { inactivitySeconds, timeoutSeconds: deadlineSeconds }: EngineSettings,
  { console, signal }: Tools,
  keeping: Keeping | undefined,
): Starts {
  const { file, prompts, engine } = loaded.places;
  const { files } = model;
  const session: SessionOptions = {
    harness,
    start: (boot) => runtime.start(boot, keeping === undefined ? 1 : KEPT_LIVES),
    inactivitySeconds,
    // One that is kept waits for people.
    deadlineSeconds: keeping === undefined ? deadlineSeconds : deadlineSeconds * KEPT_LIVES,
    signal,
    ...voices.of(() => voices.own),
    // What the base branch's suite asks and this one does not has no line here.
    placeOf: (id) => ({ file, ...(prompts.get(id) ?? { line: 1, column: 1 }) }),
    enginePlace: { file, ...engine },
  };
  const { gpus, warm = gpus === 'none' } = loaded.suite.runtime;
  const cannot = notWarm(plan, runtime);
  return new Starts({
    session,
    parent: (lives) => ({ ...session, start: (boot) => runtime.start(boot, lives) }),
    task: {
      engine: plan.engine.name,
      model: model.folder,
      // Of this model alone: an image learns nothing of what else lies on the machine.
      knownDigests:
        files === 'declared'
          ? {}
          : Object.fromEntries(files.map(({ identity, sha256 }) => [identity, sha256])),
    },
    environment: plan.environment,
    files,
    isFar: runtime.kind === 'launcher',
    warm: warm && cannot === undefined,
    asksWarm: loaded.suite.runtime.warm === true ? { cannot } : undefined,
    strangers: runtime.strangers?.bind(runtime),
    console,
    keeping,
  });
}

/** Why no start of it is a fork; undefined where they can be. */
function notWarm({ engine, caches }: Plan, { slots }: Runtime): string | undefined {
  if (engine.warm !== true) return 'this engine has no warm starts';
  // They are given and looked at by folder, and two processes would share it.
  if (caches !== 'fresh') return 'its caches are kept';
  return slots > 1 ? 'engine starts that run side by side are processes of their own' : undefined;
}

function runView({ job, situation, workflow, runUrl }: RunSettings): RunView {
  const { repository, run: id, attempt } = job;
  const { event, ref, commit } = situation;
  return { repository, workflow, id, attempt, event, ref, commit, url: runUrl, fork: situation.fork };
}

/** The schema lets only a suite of probes name none. */
const isModelless = ({ model }: LoadedSuite['suite']) =>
  model.id === undefined && model.path === undefined && model.served === undefined;

function modelSource({ suite, modelFolder }: LoadedSuite): ModelSource {
  const { id, revision, served } = suite.model;
  if (served !== undefined) return { kind: 'served', name: served };
  if (isModelless(suite)) return { kind: 'none' };
  if (modelFolder !== undefined) return { kind: 'path', path: modelFolder.path };
  // The schema demands one of the forms; the compiler cannot see that.
  return { kind: 'hub', id: id ?? '', revision: revision ?? '' };
}

function modelLabel({ suite }: LoadedSuite): { label: string; revision: string } {
  const { id, revision, path, served } = suite.model;
  if (served !== undefined) return { label: served, revision: 'unknown' };
  if (isModelless(suite)) return { label: 'none', revision: 'none' };
  return { label: id ?? path ?? 'unknown', revision: revision ?? 'none' };
}
