import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import type { OnProgress } from '../../engine/runtime.ts';
import { UserError } from '../../errors.ts';
import type { Environment } from '../options.ts';
import { type Credentials, credentialsFor } from './credentials.ts';
import { dockerError } from './daemon.ts';

/** An image named by its content. */
export type ImageReference =
  | {
      readonly kind: 'registry';
      readonly registry: string;
      /** Without the tag: next to a digest it says nothing. */
      readonly repository: string;
      readonly digest: string;
    }
  | { readonly kind: 'local'; readonly digest: string };

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/**
 * Reads `repository[:tag]@sha256:…`, or the id `sha256:…` of an image on this machine.
 *
 * @throws UserError `image-not-pinned`
 */
export function parseImage(reference: string): ImageReference {
  if (DIGEST.test(reference)) return { kind: 'local', digest: reference };
  const at = reference.indexOf('@');
  const digest = reference.slice(at + 1);
  const repository = (at === -1 ? reference : reference.slice(0, at)).replace(/:[\w][\w.-]{0,127}$/, '');
  if (at === -1 || !DIGEST.test(digest) || !/^[a-z0-9][\w.:/-]*$/i.test(repository))
    throw new UserError(
      'image-not-pinned',
      `The image \`${reference}\` is not pinned: what it names can change from one run to the next.`,
      `Write it as \`repository@sha256:…\`; \`docker buildx imagetools inspect ${at === -1 ? reference : repository}\` shows the digest. An image that is only on this machine is named by its id, \`sha256:…\` (\`docker images --no-trunc\`).`,
    );
  const [first = ''] = repository.split('/');
  // As the Docker client decides: a first part with a dot, a colon, or `localhost`, is a registry.
  const isRegistry = repository.includes('/') && (/[.:]/.test(first) || first === 'localhost');
  return { kind: 'registry', registry: isRegistry ? first : 'docker.io', repository, digest };
}

export interface ImageContext {
  readonly environment: Environment;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  readonly onProgress: OnProgress;
}

/**
 * Makes sure that the daemon has an image and that it is the one that was named, by the daemon's own content
 * address, for this machine's kind of processor. Gives the name to start containers by.
 *
 * @throws UserError `image-pull-failed`, `image-mismatch`, `disk-full`
 */
export async function ensureImage(
  docker: Docker,
  reference: ImageReference,
  context: ImageContext,
): Promise<string> {
  const name = nameOf(reference);
  if ((await inspect(docker, name)) === undefined) {
    if (reference.kind === 'local')
      throw new UserError(
        'image-pull-failed',
        `There is no image with the id ${reference.digest} on this machine.`,
        'Load it (`docker load`, `docker import`) in an earlier step, or name one that can be pulled: `repository@sha256:…`. Ids are shown by `docker images --no-trunc`.',
      );
    context.log(`Pulling ${name}.`);
    await pull(docker, name, reference.registry, context);
  }
  const image = await inspect(docker, name);
  const digests = image === undefined ? [] : [image.Id, ...(image.RepoDigests ?? []).map(digestPart)];
  if (image === undefined || !digests.includes(reference.digest))
    throw new UserError(
      'image-mismatch',
      `The Docker daemon gave another image than ${name}${image === undefined ? '' : `: it has ${digests.join(', ')}`}.`,
      'Remove that image (`docker rmi`) and run again; if it comes back, the registry or a mirror between is not to be trusted.',
    );
  const { Arch } = await docker.version();
  if (image.Architecture !== Arch)
    throw new UserError(
      'image-mismatch',
      `The image ${name} is built for ${image.Architecture}, and this machine is ${Arch}.`,
      `Pin the digest of the multi-platform index, or the one for ${Arch}: \`docker buildx imagetools inspect ${name}\` lists them.`,
    );
  return name;
}

const nameOf = (reference: ImageReference) =>
  reference.kind === 'local' ? reference.digest : `${reference.repository}@${reference.digest}`;

const digestPart = (repoDigest: string) => repoDigest.slice(repoDigest.indexOf('@') + 1);

async function inspect(docker: Docker, name: string): Promise<Docker.ImageInspectInfo | undefined> {
  try {
    return await docker.getImage(name).inspect();
  } catch (error) {
    if (dockerError(error).statusCode === 404) return undefined;
    throw error;
  }
}

async function pull(docker: Docker, name: string, registry: string, context: ImageContext): Promise<void> {
  const { environment, signal, log, onProgress } = context;
  const credentials = await credentialsFor(registry, environment, log);
  const layers = new Layers((done, total) => onProgress('pull', done, total));
  try {
    const events = (await docker.pull(name, {
      ...(credentials === undefined ? {} : { authconfig: credentials }),
      abortSignal: signal,
    })) as Readable;
    const stop = () => events.destroy(new Error('cancelled'));
    signal.addEventListener('abort', stop, { once: true });
    try {
      // A refusal comes as a line of a successful answer, which dockerode's followProgress does not look at.
      for await (const line of createInterface({ input: events, crlfDelay: Number.POSITIVE_INFINITY }))
        layers.event(line);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw pullFailed(name, registry, dockerError(error).message, credentials, error);
  }
  signal.throwIfAborted();
}

/** Bytes of all layers together, from the daemon's event lines. */
class Layers {
  readonly #layers = new Map<string, { done: number; total: number }>();
  readonly #tell: (done: number, total: number) => void;

  constructor(tell: (done: number, total: number) => void) {
    this.#tell = tell;
  }

  /** @throws Error what the daemon says went wrong */
  event(line: string): void {
    if (line.trim() === '') return;
    const { error, status, id, progressDetail } = JSON.parse(line) as {
      error?: string;
      status?: string;
      id?: string;
      progressDetail?: { current?: number; total?: number };
    };
    if (error !== undefined) throw new Error(error);
    if (id === undefined) return;
    const layer = this.#layers.get(id);
    if (status === 'Downloading' && progressDetail?.current !== undefined)
      this.#layers.set(id, { done: progressDetail.current, total: progressDetail.total ?? 0 });
    else if (status === 'Download complete' && layer !== undefined) layer.done = layer.total;
    else return;
    const all = [...this.#layers.values()];
    this.#tell(
      all.reduce((sum, { done }) => sum + done, 0),
      all.reduce((sum, { total }) => sum + total, 0),
    );
  }
}

function pullFailed(
  name: string,
  registry: string,
  message: string,
  credentials: Credentials | undefined,
  cause: unknown,
): UserError {
  const failed = (hint: string) =>
    new UserError('image-pull-failed', `The image ${name} could not be pulled: ${message}.`, hint, { cause });
  if (/no space left/i.test(message))
    return new UserError(
      'disk-full',
      `The disk of the Docker daemon is full: ${name} could not be pulled.`,
      'Free space there: `docker system df` shows what takes it, `docker image prune --all` removes unused images.',
      { cause },
    );
  if (/toomanyrequests|rate limit/i.test(message))
    return failed(
      `Log in to ${registry} in an earlier step, or pull from a mirror: anonymous pulls are rationed.`,
    );
  // Docker Hub says "pull access denied, repository does not exist or may require 'docker login'" for both.
  if (/unauthorized|authentication required|no basic auth|denied|forbidden/i.test(message))
    return failed(
      credentials === undefined
        ? `No credentials for ${registry} were found: log in to it in an earlier step (docker/login-action or \`docker login ${registry}\`), and check the name.`
        : `${registry} refused the credentials that \`docker login\` left for it: see that they are valid and may read this repository.`,
    );
  if (/not found|unknown|does not exist/i.test(message))
    return failed(
      `Check repository and digest: \`docker buildx imagetools inspect ${name}\`. Registries drop digests that no tag points to any more.`,
    );
  return failed(
    `The daemon could not get it from ${registry}. Check its network, proxy and certificates with \`docker pull ${name}\` on the runner, or load the image there and pin its local id.`,
  );
}
