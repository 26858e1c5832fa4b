import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { installPackages } from './apt.ts';
import { cache, repository } from './cache.ts';
import type { DockerDaemon } from './docker.ts';
import { lock } from './lock.ts';
import { engineLock, ensureEngine } from './python.ts';
import { type Note, run, step } from './step.ts';

/** An image in the local store of a daemon. */
export interface Image {
  /** `sha256:…`, what `docker run` takes. */
  readonly imageId: string;
}

const dockerfile = join(repository, 'docker/cpu/Dockerfile');

/** The CPU image: Debian's Python 3.11 and the engine's packages. */
export async function ensureCpuImage(docker: DockerDaemon): Promise<Image> {
  return ensureTarget(docker, 'engine', [dockerfile, engineLock], async () => (await ensureEngine()).folder);
}

/** The same without the packages: a Python in a container, for tests that need no engine. */
export async function ensureTinyImage(docker: DockerDaemon): Promise<Image> {
  return ensureTarget(docker, 'python', [dockerfile], async () => join(repository, 'docker/cpu'));
}

/** Builds one stage of the Dockerfile unless an image of these very files is there already. */
async function ensureTarget(
  docker: DockerDaemon,
  target: string,
  files: readonly string[],
  context: () => Promise<string>,
): Promise<Image> {
  const digest = createHash('sha256');
  for (const file of files) digest.update(await readFile(file));
  const tag = `deterministic-ml/cpu-${target}:${digest.digest('hex').slice(0, 16)}`;
  const cli = await dockerCli(docker);

  const before = await imageId(cli, tag);
  if (before !== undefined) return { imageId: before };
  const folder = await context();
  await using _alone = await lock(join(cache, 'image.lock'));
  const meanwhile = await imageId(cli, tag);
  if (meanwhile !== undefined) return { imageId: meanwhile };
  return step(`Image ${tag}`, async (note) => {
    const base = await baseOf(cli, note);
    await run(
      note,
      cli.file,
      [
        ...['build', '--file', dockerfile, '--target', target, '--tag', tag, '--build-arg', `BASE=${base}`],
        // Debian's mirror is to be reached as this machine reaches it: same network, same proxy if it has one.
        ...['--network', 'host', '--build-arg', 'http_proxy', '--build-arg', 'https_proxy'],
        ...['--build-arg', 'no_proxy', folder],
      ],
      // As for the daemon (dockerd.sh).
      { env: { ...cli.env, GOGC: '400' } },
    );
    const built = await imageId(cli, tag);
    if (built === undefined) throw new Error(`${tag} was built and is not there`);
    return { imageId: built };
  });
}

/** What the Dockerfile's `BASE` is here. */
export async function ensureBase(docker: DockerDaemon): Promise<string> {
  const cli = await dockerCli(docker);
  await using _alone = await lock(join(cache, 'image.lock'));
  return step('Base of the images', (note) => baseOf(cli, note));
}

/** The Dockerfile's pinned base where a registry serves it, and the same release made by Debian's own tool elsewhere. */
async function baseOf(cli: DockerCli, note: Note): Promise<string> {
  const pinned = /^ARG BASE=(\S+)$/m.exec(await readFile(dockerfile, 'utf8'))?.[1];
  if (pinned === undefined) throw new Error(`${dockerfile} names no base`);
  if ((await imageId(cli, pinned)) !== undefined) return pinned;
  const pull = await run(note, cli.file, ['pull', pinned], { env: cli.env }).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (pull === undefined) return pinned;

  const own = 'deterministic-ml/debian:bookworm-slim';
  if ((await imageId(cli, own)) !== undefined) return own;
  await step('Debian base image, since no registry answers', async (note) => {
    await installPackages(note, 'mmdebstrap').catch((error: unknown) => {
      throw new AggregateError([pull, error], `${pinned} cannot be pulled, and no base can be made here`);
    });
    const folder = await mkdtemp(join(tmpdir(), 'dml-base-'));
    try {
      const tar = join(folder, 'base.tar');
      // Without manuals and translations, as the pinned image is: less to push in the tests of a registry.
      const slim = ['doc', 'info', 'locale', 'man'].map(
        (name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`,
      );
      const sources = await aptSources();
      await run(note, 'mmdebstrap', ['--variant=minbase', ...slim, 'bookworm', tar, ...sources]);
      await run(note, cli.file, ['import', tar, own], { env: cli.env });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
  return own;
}

/** This machine's own lines for bookworm, if that is what it runs; mmdebstrap knows the public ones. */
async function aptSources(): Promise<readonly string[]> {
  const format = '$(ORIGIN) $(CODENAME) deb $(REPO_URI) $(RELEASE) $(COMPONENT)';
  const { stdout } = await execa('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
  return stdout
    .split('\n')
    .flatMap((line) => /^Debian bookworm\S* (deb \S+ bookworm\S* main)$/.exec(line)?.[1] ?? []);
}

/** A Docker client and the environment in which it builds. */
export interface DockerCli {
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * A client that can build with BuildKit, which sends only the files that a stage copies: up to version 22 it is in
 * the client, later it is a plugin that may be missing, and Debian's client may stand behind such a one on PATH.
 */
export async function dockerCli(docker: DockerDaemon): Promise<DockerCli> {
  const env = { DOCKER_HOST: docker.host };
  for (const file of ['docker', '/usr/bin/docker']) {
    const { stdout } = await execa(file, ['version', '--format', '{{.Client.Version}}'], {
      env,
      reject: false,
    });
    const plugin = await execa(file, ['buildx', 'version'], { env, reject: false });
    if (!plugin.failed || Number.parseInt(stdout ?? '99', 10) < 23) {
      return { file, env: { ...env, DOCKER_BUILDKIT: '1', BUILDKIT_PROGRESS: 'plain' } };
    }
  }
  throw new Error('no docker client that can build: install docker-buildx (or docker.io on Debian 12)');
}

async function imageId(cli: DockerCli, name: string): Promise<string | undefined> {
  const { failed, stdout } = await execa(cli.file, ['image', 'inspect', '--format', '{{.Id}}', name], {
    env: cli.env,
    reject: false,
  });
  return failed ? undefined : stdout.trim();
}
