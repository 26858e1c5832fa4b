import type Docker from 'dockerode';
import { UserError } from '../../errors.ts';
import { ask } from './calls.ts';
import { dockerError } from './daemon.ts';
import { type PullContext, pull } from './pull.ts';

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

/**
 * Makes sure that the daemon has an image and that it is the one that was named, by the daemon's own content
 * address, for this machine's kind of processor. Gives the name to start containers by.
 *
 * @throws UserError `image-pull-failed`, `image-mismatch`, `disk-full`, `docker-unavailable`
 */
export async function ensureImage(
  docker: Docker,
  reference: ImageReference,
  context: PullContext,
): Promise<string> {
  const name = nameOf(reference);
  const { signal } = context;
  if ((await inspect(docker, name, signal)) === undefined) {
    if (reference.kind === 'local')
      throw new UserError(
        'image-pull-failed',
        `There is no image with the id ${reference.digest} on this machine.`,
        'Load it (`docker load`, `docker import`) in an earlier step, or name one that can be pulled: `repository@sha256:…`. Ids are shown by `docker images --no-trunc`.',
      );
    context.log(`Pulling ${name}.`);
    await pull(docker, name, reference.registry, context);
  }
  const image = await inspect(docker, name, signal);
  const digests = image === undefined ? [] : [image.Id, ...(image.RepoDigests ?? []).map(digestPart)];
  if (image === undefined || !digests.includes(reference.digest))
    throw new UserError(
      'image-mismatch',
      `The Docker daemon gave another image than ${name}${image === undefined ? '' : `: it has ${digests.join(', ')}`}.`,
      'Remove that image (`docker rmi`) and run again; if it comes back, the registry or a mirror between is not to be trusted.',
    );
  const { Arch } = await ask('tell its version', docker.version(), { signal });
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

async function inspect(
  docker: Docker,
  name: string,
  signal: AbortSignal,
): Promise<Docker.ImageInspectInfo | undefined> {
  try {
    return await ask('look for an image', docker.getImage(name).inspect(), { signal });
  } catch (error) {
    if (dockerError(error).statusCode === 404) return undefined;
    throw error;
  }
}
