import { UserError } from '../../src/errors.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { type DockerDaemon, DockerUnavailable, ensureDocker } from './docker.ts';
import { ensureCpuImage } from './image.ts';

/** Where a script's engine runs: in a container of the CPU image, or without one. */
export interface Place extends AsyncDisposable {
  /** Undefined: a process of this machine. */
  readonly image: string | undefined;
  /** Environment of the command line. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * A container where one can be had; else a process, and says why.
 *
 * @param starting whether a daemon of our own may be started where none answers
 */
export async function containerPlace({ starting }: { readonly starting: boolean }): Promise<Place> {
  let docker: DockerDaemon | undefined;
  try {
    if (!starting) await connect(process.env);
    docker = await ensureDocker();
    const { imageId } = await ensureCpuImage(docker);
    console.error('Runtime: a container of the CPU image.');
    const { host } = docker;
    const given = docker;
    return {
      image: imageId,
      env: { DOCKER_HOST: host },
      [Symbol.asyncDispose]: () => given[Symbol.asyncDispose](),
    };
  } catch (error) {
    await docker?.[Symbol.asyncDispose]();
    const why =
      error instanceof UserError || error instanceof DockerUnavailable
        ? error.message
        : `the image cannot be had: ${String(error)}`;
    console.error(`Runtime: a Python process of this machine, no container. ${why}`);
    return { image: undefined, env: {}, async [Symbol.asyncDispose]() {} };
  }
}
