import { access } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import type Docker from 'dockerode';
import type { JobIdentity, LocalModel, ModelSource, Runtime } from '../engine/runtime.ts';
import { UserError } from '../errors.ts';
import type { Declared } from '../fingerprint/schema.ts';
import { excerpt } from '../inert.ts';
import { scratchPlaces, sweepScratch } from '../machine/scratch.ts';
import type { Launch } from '../suite/launcher.ts';
import type { Suite } from '../suite/schema.ts';
import type { Moment } from './clock.ts';
import { parseImage } from './docker/images.ts';
import { usableDevices } from './environment.ts';
import { cardsOf, type GpuPlaces, lockGpus, PLACES } from './gpu-lock.ts';
import { groupsOf, roomFor } from './groups.ts';
import type { CommonOptions, Environment, IsolationChoice, Starter } from './options.ts';
import { ProcessRuntime } from './process.ts';
import { bytesOf } from './sizes.ts';
import { type AtOnce, slotsOf } from './slots.ts';

export const RUNTIME_CHOICES = ['auto', 'docker', 'process', 'launcher'] as const;
export type RuntimeChoice = (typeof RUNTIME_CHOICES)[number];

export interface RuntimeOptions extends Omit<CommonOptions, 'gpus'> {
  /** Where this machine shows its GPUs and keeps their locks; tests have their own. */
  readonly gpuPlaces?: GpuPlaces;
  readonly atOnce: AtOnce;
  readonly choice: RuntimeChoice;
  readonly runtime: Suite['runtime'];
  /** For the process runtime: a name on PATH, or a path, relative to `workspace`. */
  readonly python: string;
  /** For the process runtime: how far the engine must be kept from the job. */
  readonly isolation: IsolationChoice;
  /** Whether this process knows a `hub-token`, which an engine beside it could find. */
  readonly knowsHubToken: boolean;
  /** For the launcher runtime: the command, and the texts of docker/harness/far.py and fetch.py. */
  readonly launch?:
    | { readonly launch: Launch; readonly keeper: string; readonly fetcher: string }
    | undefined;
  /** Absolute. */
  readonly workspace: string;
  readonly job: JobIdentity;
  /** Whom this runner runs as. */
  readonly user: { readonly uid: number; readonly gid: number };
  readonly now: () => Moment;
}

/** @throws UserError `image-not-pinned` for an image that is not named by its content */
export const refuseUnpinned = (image: string): void => void parseImage(image);

/** Where an engine runs as the runner itself must not, being root. */
const NOBODY_SPECIAL = { uid: 1000, gid: 1000 };

/**
 * The runtime of this run, ready to start engines. `auto` takes Docker when the suite names an image and a
 * Python of this machine when it names none; it never measures something else than the pinned image because
 * Docker is missing. It also sweeps what killed runs left behind. Its GPUs are its own until it is disposed of.
 *
 * @throws UserError `docker-unavailable`, `image-not-pinned`, `image-pull-failed`, `image-mismatch`, `disk-full`,
 *   `input-invalid`, `isolation-unavailable`, `gpu-unavailable`
 */
export async function chooseRuntime(options: RuntimeOptions): Promise<Runtime> {
  await using owned = new AsyncDisposableStack();
  const { environment, inactivitySeconds, cpuSets, atOnce, gpuPlaces: places = PLACES } = options;
  const { gpus, memory } = options.runtime;
  const { choice } = options;
  await sweepScratch(scratchPlaces(environment, options.keptCaches), options.log);
  if (choice === 'launcher') return await launched(options);
  const known = gpus === 'none' ? [] : await cardsOf(places);
  const room = roomFor(memory === undefined ? undefined : bytesOf(memory));
  const runtime = owned.use(await open(choice, options));
  const devices =
    runtime.kind === 'process'
      ? usableDevices(options.devices, environment['CUDA_VISIBLE_DEVICES'])
      : options.devices;
  const grouped = { gpus, devices, cpuSets };
  owned.use(await lockGpus({ ...options, ...grouped, limitSeconds: inactivitySeconds }, places));
  const most = Math.min(atOnce.most, room, groupsOf(grouped, known));
  const kept = owned.move();
  return {
    ...slotsOf(runtime, grouped, { known, places, most, planned: Math.min(most, atOnce.planned) }, options),
    kind: runtime.kind,
    description: runtime.description,
    image: runtime.image,
    exposed: runtime.exposed,
    caches: runtime.caches,
    provideModel: (model) => runtime.provideModel(loadable(model)),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The schema lets no engine that is started have a server's. */
function loadable(model: ModelSource): LocalModel {
  if (model.kind === 'served') throw new Error(`${model.name} is somebody else's to serve`);
  return model;
}

function refuseFewer(gpus: 'none' | number, devices: readonly string[]): void {
  if (gpus !== 'none' && devices.length > 0 && devices.length < gpus)
    throw new UserError(
      'input-invalid',
      `The suite wants ${gpus} GPUs, and the \`gpu-devices\` input names ${devices.length}.`,
      'Name at least as many devices as `runtime.gpus` in the suite, or leave the input empty for the first ones.',
    );
}

async function open(choice: Exclude<RuntimeChoice, 'launcher'>, options: RuntimeOptions): Promise<Starter> {
  const { runtime, devices } = options;
  refuseFewer(runtime.gpus, devices);
  switch (choice) {
    case 'process':
      return await openProcess(options, await statedImage(options), '`runtime: process` was asked for');
    case 'docker':
      if (runtime.image === undefined)
        throw new UserError(
          'image-not-pinned',
          '`runtime: docker` was asked for, and the suite names no image.',
          'Add `runtime: { image: repository@sha256:… }` to the suite, or set `runtime: process`.',
        );
      return await openDocker(options, runtime.image, '`runtime: docker` was asked for');
    case 'auto':
      return runtime.image === undefined
        ? await openProcess(options, NO_IMAGE, 'the suite names no image')
        : await openDocker(options, runtime.image, 'the suite names an image');
  }
}

/** Cards, CPUs and locks of this machine say nothing of the far side: one engine at a time, where the launcher takes it. */
async function launched(options: RuntimeOptions): Promise<Runtime> {
  const {
    runtime: { gpus, image },
    devices,
    launch,
  } = options;
  refuseFewer(gpus, devices);
  if (launch === undefined)
    throw new UserError(
      'input-invalid',
      '`runtime: launcher` was asked for, and the `launcher` input is empty.',
      'Give the command that takes the engine elsewhere, e.g. `launcher: ssh gpu7`.',
    );
  const command = excerpt(launch.launch.argv.join(' '), 200);
  const stated: Declared['image'] =
    image === undefined
      ? NO_IMAGE
      : { reference: image, digest: parseImage(image).digest, certainty: 'declared' };
  const { LauncherRuntime } = await import('./launcher/launcher.ts');
  const starter = LauncherRuntime.open({
    ...{ ...options, ...launch, gpus, image: stated },
    description: `The engine runs where \`${command}\` takes it, in ${launch.launch.python} there${image === undefined ? '' : `, which is taken unchecked for the suite's ${image}`}.`,
  });
  return {
    ...slotsOf(
      starter,
      { gpus, devices, cpuSets: [] },
      { known: [], places: PLACES, most: 1, planned: 1 },
      options,
    ),
    kind: starter.kind,
    description: starter.description,
    image: starter.image,
    exposed: starter.exposed,
    caches: starter.caches,
    provideModel: (model) => starter.provideModel(loadable(model)),
    [Symbol.asyncDispose]: () => starter[Symbol.asyncDispose](),
  };
}

async function openDocker(options: RuntimeOptions, image: string, why: string): Promise<Starter> {
  // What is wrong with the suite is told even where there is no daemon.
  parseImage(image);
  const [{ connect }, { sweep }, { DockerRuntime }] = await Promise.all([
    import('./docker/daemon.ts'),
    import('./docker/sweep.ts'),
    import('./docker/docker.ts'),
  ]);
  const docker: Docker = await connect(options.environment, options.signal);
  await sweep(docker, { log: options.log, now: options.now(), signal: options.signal });
  return await DockerRuntime.open({
    ...options,
    docker,
    image,
    gpus: options.runtime.gpus,
    memory: options.runtime.memory === undefined ? undefined : bytesOf(options.runtime.memory),
    cpus: options.runtime.cpus,
    shm: bytesOf(options.runtime.shm),
    user: options.user.uid === 0 ? NOBODY_SPECIAL : options.user,
    description: `The engine runs in a container of ${image}, because ${why}.`,
  });
}

async function openProcess(options: RuntimeOptions, image: Declared['image'], why: string): Promise<Starter> {
  // A name is looked up on PATH, a path is the workflow's, so relative to its checkout.
  const python =
    options.python.includes('/') && !isAbsolute(options.python)
      ? resolve(options.workspace, options.python)
      : options.python;
  const where =
    image.certainty === 'declared'
      ? `this container, which is taken unchecked for the suite's ${image.reference}`
      : 'this machine';
  return await ProcessRuntime.open({
    ...options,
    python,
    image,
    gpus: options.runtime.gpus,
    description: `The engine runs in ${python} of ${where}, because ${why}.`,
  });
}

const NO_IMAGE: Declared['image'] = { reference: 'none', digest: 'none', certainty: 'unknown' };

/** The suite's image where the job itself runs in a container: the workflow states that it is that one. */
async function statedImage({ runtime, environment }: RuntimeOptions): Promise<Declared['image']> {
  if (runtime.image === undefined || !(await inContainer(environment))) return NO_IMAGE;
  return { reference: runtime.image, digest: parseImage(runtime.image).digest, certainty: 'declared' };
}

async function inContainer(environment: Environment): Promise<boolean> {
  if (environment['KUBERNETES_SERVICE_HOST']) return true;
  const marks = ['/.dockerenv', '/run/.containerenv'].map((mark) =>
    access(mark).then(
      () => true,
      () => false,
    ),
  );
  return (await Promise.all(marks)).includes(true);
}
