import { chown, rm, writeFile } from 'node:fs/promises';
import { join, posix } from 'node:path';
import type Docker from 'dockerode';
import type { CacheFolder } from '../../engine/caches.ts';
import {
  type JobIdentity,
  type LocalModel,
  NO_MODEL,
  type Peer,
  type ProvidedModel,
} from '../../engine/runtime.ts';
import { UserError } from '../../errors.ts';
import type { Declared } from '../../fingerprint/schema.ts';
import { ownPlace } from '../cache-place.ts';
import { later, type Moment } from '../clock.ts';
import { ENGINE_ENVIRONMENT } from '../environment.ts';
import { modelMount } from '../model-folder.ts';
import type { CommonOptions, On, Starter } from '../options.ts';
import { type Bounds, boundsOf, sharedBy } from './bounds.ts';
import { Container } from './container.ts';
import { dockerError } from './daemon.ts';
import { ensureImage, parseImage } from './images.ts';
import type { Span } from './labels.ts';
import { mountFetched, seesFolder } from './model-mount.ts';
import {
  CACHES_FOLDER,
  type ContainerRequest,
  cachesMount,
  containerProfile,
  type Giver,
  MODEL_FOLDER,
} from './profile.ts';

export interface DockerOptions extends CommonOptions {
  readonly docker: Docker;
  /** As the suite wrote it. */
  readonly image: string;
  /** Bytes; undefined: most of what the daemon's machine has. */
  readonly memory: number | undefined;
  readonly cpus: number | undefined;
  /** Bytes. */
  readonly shm: number;
  /** Whom the engine runs as. */
  readonly user: { readonly uid: number; readonly gid: number };
  readonly job: JobIdentity;
  readonly now: () => Moment;
  readonly description: string;
}

/** An engine in a locked-down container of an image that is pinned by its content. */
export class DockerRuntime implements Starter {
  readonly kind = 'docker';
  readonly description: string;
  readonly image: Declared['image'];
  readonly exposed = undefined;
  readonly caches: CacheFolder | undefined;
  readonly #owned: AsyncDisposableStack;
  readonly #options: DockerOptions;
  /** What to start containers by. */
  readonly #name: string;
  readonly #bounds: Bounds;
  #model: Docker.MountSettings | undefined;

  private constructor(
    options: DockerOptions,
    name: string,
    digest: string,
    bounds: Bounds,
    caches: CacheFolder | undefined,
    owned: AsyncDisposableStack,
  ) {
    this.caches = caches;
    this.#owned = owned;
    this.#options = options;
    this.#bounds = bounds;
    this.#name = name;
    this.description = options.description;
    this.image = { reference: options.image, digest, certainty: 'verified' };
  }

  /**
   * Gets the image and verifies it.
   *
   * @throws UserError `image-not-pinned`, `image-pull-failed`, `image-mismatch`, `disk-full`
   */
  static async open(options: DockerOptions): Promise<DockerRuntime> {
    const reference = parseImage(options.image);
    const name = await ensureImage(options.docker, reference, options);
    const bounds = await boundsOf(options.docker, options.memory, options);
    await using owned = new AsyncDisposableStack();
    const caches =
      options.keptCaches === undefined
        ? undefined
        : owned.use(await ownPlace(options.keptCaches, CACHES_FOLDER, options.log));
    if (caches !== undefined) await prepared(caches, name, options);
    return new DockerRuntime(options, name, reference.digest, bounds, caches, owned.move());
  }

  async provideModel(model: LocalModel): Promise<ProvidedModel | typeof NO_MODEL> {
    const { models } = this.#options;
    switch (model.kind) {
      case 'none':
        return NO_MODEL;
      case 'path': {
        const files = await models.digest(model.path);
        const { source, inside } = await modelMount(model.path);
        // A mount, not a bind: its source must exist, where a bind would make an empty folder for root.
        this.#model = { Type: 'bind', Source: source, Target: MODEL_FOLDER, ReadOnly: true };
        return { folder: posix.join(MODEL_FOLDER, inside), files };
      }
      case 'hub': {
        const fetched = await models.fetch(model);
        this.#model = await this.#mount(fetched);
        return { folder: MODEL_FOLDER, files: fetched.files };
      }
    }
  }

  async start(boot: string, lives: number, on: On): Promise<Peer> {
    const { gpus, memory, user } = this.#options;
    return await this.#start(lives, {
      ...sharedBy(on.engines, this.#bounds, memory),
      boot,
      user,
      gpus,
      devices: on.gpus,
      cpuSet: on.cpus,
      mounts: this.#model === undefined ? [] : [this.#model],
      environment: ENGINE_ENVIRONMENT,
      caches: this.caches?.host,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The model's copy in a volume, if there is one, is what the next run needs.
    await this.#owned.disposeAsync();
  }

  async #mount(model: ProvidedModel): Promise<Docker.MountSettings> {
    try {
      return await mountFetched(model, {
        ...this.#options,
        image: this.#name,
        span: spanOf(this.#options),
      });
    } catch (error) {
      throw error instanceof UserError ? error : cannotStart(error, { gpus: 'none' });
    }
  }

  async #start(
    lives: number,
    request: Omit<ContainerRequest, 'image' | 'job' | 'span' | 'cpus' | 'shm' | 'giver'>,
  ): Promise<Peer> {
    const { docker, job, cpus, shm, log, signal } = this.#options;
    const begin = async (giver: Giver): Promise<Peer> => {
      const span = spanOf(this.#options, lives);
      const profile = containerProfile({ ...request, giver, image: this.#name, job, span, cpus, shm });
      return await Container.start(docker, profile, { log, signal });
    };
    try {
      return await begin('nvidia').catch(async (error: unknown) => {
        if (request.gpus === 'none' || !lacksDriver(error)) throw error;
        return await begin('cdi').catch((other: unknown) => {
          // Before version 25, and where it is turned off, a daemon has no such driver either.
          throw lacksDriver(other) ? error : other;
        });
      });
    } catch (error) {
      if (error instanceof UserError || signal.aborted) throw error;
      throw cannotStart(error, request);
    }
  }
}

const lacksDriver = (error: unknown) => /could not select device driver/.test(dockerError(error).message);

/** Of a container that is made now. */
function spanOf({ now, deadlineSeconds }: Pick<DockerOptions, 'now' | 'deadlineSeconds'>, lives = 1): Span {
  const made = now();
  return { made, deadline: later(made, deadlineSeconds * lives) };
}

/** Gives the folder to the engine's user, once the daemon is known to have it. */
async function prepared({ host }: CacheFolder, image: string, options: DockerOptions): Promise<void> {
  const probe = { path: 'probe', bytes: 1 + Math.floor(Math.random() * 65_536) };
  await writeFile(join(host, probe.path), Buffer.alloc(probe.bytes));
  const context = { ...options, image, span: spanOf(options) };
  const seen = await seesFolder(cachesMount(host), probe, context).catch((error: unknown) => {
    throw error instanceof UserError ? error : cannotStart(error, { gpus: 'none' });
  });
  await rm(join(host, probe.path));
  if (!seen)
    throw new UserError(
      'docker-unavailable',
      `The Docker daemon does not see ${host} of this machine, where the engine's kept caches are.`,
      'Let the suite start with `engine: { caches: fresh }`; or run the job in the pinned image with `runtime: process`.',
    );
  const { uid, gid } = options.user;
  if (process.getuid?.() === 0) await chown(host, uid, gid);
}

/** What Docker says, as an error that says what helps. */
export function cannotStart(cause: unknown, { gpus }: Pick<ContainerRequest, 'gpus'>): UserError {
  const { message } = dockerError(cause);
  if (gpus !== 'none' && /could not select device driver|nvidia|cdi device|gpu/i.test(message))
    return new UserError(
      'gpu-unavailable',
      `Docker cannot give the container ${gpus === 1 ? 'a GPU' : `${gpus} GPUs`}: ${message}`,
      'Install the NVIDIA Container Toolkit on the runner (`nvidia-ctk runtime configure --runtime=docker`, then restart Docker; or from Docker 25 on `nvidia-ctk cdi generate`) and try `docker run --rm --gpus all <image> nvidia-smi`; or set `runtime.gpus: none` in the suite.',
      { cause },
    );
  if (/bind source path does not exist/.test(message))
    return new UserError(
      'model-missing',
      `The Docker daemon does not see the model's folder: ${message}`,
      "The path is taken on the daemon's machine: in a container job, use a folder that has the same path there, or run the job in the pinned image with `runtime: process`.",
      { cause },
    );
  if (/mount config.*permission denied/.test(message))
    return new UserError(
      'model-unreadable',
      `The Docker daemon may not read the model's folder: ${message}`,
      'A daemon without root, or with remapped users, is another user than the runner: let all read the folder and those above it (`chmod -R a+rX`), or run the job in the pinned image with `runtime: process`.',
      { cause },
    );
  if (/no space left/i.test(message))
    return new UserError(
      'disk-full',
      `The disk of the Docker daemon is full: ${message}`,
      'Free space there: `docker system df` shows what takes it.',
      { cause },
    );
  return new UserError(
    'runtime-unavailable',
    `Docker refused to start the container: ${message}`,
    'The message is Docker’s own. Rootless and remapped daemons may refuse limits that this action sets; `runtime: process` does without Docker.',
    { cause },
  );
}
