import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import type Docker from 'dockerode';
import { extract, pack } from 'tar-stream';
import { z } from 'zod';
import type { JobIdentity, ModelFile, OnProgress, ProvidedModel } from '../../engine/runtime.ts';
import { UserError } from '../../errors.ts';
import { ask, lost, START_SECONDS, Standstill } from './calls.ts';
import { dockerError } from './daemon.ts';
import { jobLabels, LABEL, type Span, spanLabels } from './labels.ts';
import { MODEL_FOLDER } from './profile.ts';
import { removeContainer } from './sweep.ts';

export interface MountContext {
  readonly docker: Docker;
  /** An image that the daemon has: nothing of it is ever run here. */
  readonly image: string;
  readonly job: JobIdentity;
  readonly span: Span;
  /** Seconds without progress until a copy counts as stuck. */
  readonly inactivitySeconds: number;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  readonly onProgress: OnProgress;
}

/**
 * How a container gets a fetched model: its folder itself, where the daemon sees that, and else a volume that is filled
 * through Docker's API. Either way by a container that is created and never started: no code of an image can touch it.
 */
export async function mountFetched(
  model: ProvidedModel,
  context: MountContext,
): Promise<Docker.MountSettings> {
  const folder: Docker.MountSettings = {
    Type: 'bind',
    Source: model.folder,
    Target: MODEL_FOLDER,
    ReadOnly: true,
  };
  if (await isSeen(folder, model, context)) return folder;
  const volume = await copied(model, context);
  context.log(
    `The Docker daemon does not see ${model.folder} of this machine: the model is in its volume ${volume.Source}.`,
  );
  return { ...volume, ReadOnly: true };
}

/** Whether the daemon has a folder of this machine: a file in it is looked for. */
export async function seesFolder(
  mount: Docker.MountSettings,
  file: { readonly path: string; readonly bytes: number },
  context: MountContext,
): Promise<boolean> {
  const { Source: folder, Target: target } = mount;
  return await isSeen({ ...mount, ReadOnly: true }, { folder, files: [file] }, context, target);
}

/** Whether the daemon has this very folder under this path: it may be another machine, or outside of this container. */
async function isSeen(
  mount: Docker.MountSettings,
  {
    folder,
    files,
  }: { readonly folder: string; readonly files: readonly Pick<ModelFile, 'path' | 'bytes'>[] },
  context: MountContext,
  target: string = MODEL_FOLDER,
): Promise<boolean> {
  const still = await Still.create(mount, context).catch((error: unknown) => {
    if (/bind source path does not exist/.test(dockerError(error).message)) return undefined;
    throw error;
  });
  if (still === undefined) return false;
  await using container = still;
  for (const { path, bytes } of files) {
    const { mtimeMs } = await stat(join(folder, path));
    const seen = await container.stat(posix.join(target, path));
    if (seen === undefined || seen.size !== bytes || Math.abs(seen.mtimeMs - mtimeMs) > 1) return false;
  }
  return true;
}

/** Written last: a volume without it is not whole. */
const MARKER = '.deterministic-ml';

async function copied(model: ProvidedModel, context: MountContext): Promise<Docker.MountSettings> {
  const { docker, job, signal, onProgress } = context;
  // All that makes the model what it is: a volume of this name holds this or is not whole.
  const content = JSON.stringify([job.repository, model.files.map(({ path, sha256 }) => [path, sha256])]);
  const digest = createHash('sha256').update(content).digest('hex');
  const name = `deterministic-ml-copy-${digest.slice(0, 32)}`;
  const labels = { [LABEL.model]: digest, [LABEL.repository]: job.repository };
  await ask('make a volume', docker.createVolume({ Name: name, Labels: labels }), { signal });
  const volume: Docker.MountSettings = {
    Type: 'volume',
    Source: name,
    Target: MODEL_FOLDER,
    // Without it the daemon would begin with what the image has at this place.
    VolumeOptions: { NoCopy: true, Labels: labels, DriverConfig: { Name: 'local', Options: {} } },
  };
  await using container = await Still.create(volume, context);
  if ((await container.read(posix.join(MODEL_FOLDER, MARKER))) === digest) return volume;
  const total = model.files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  await container.put(model.folder, model.files, digest, (count) => {
    done += count;
    onProgress('copy', done, total);
  });
  return volume;
}

/** https://docs.docker.com/reference/api/engine/: `HEAD /containers/{id}/archive`. */
const Headed = z.object({ headers: z.object({ 'x-docker-container-path-stat': z.string() }) });
const PathStat = z.object({ size: z.number(), mtime: z.string() });

/** A container that was created and is never started: a way to what it mounts, and gone when disposed of. */
class Still implements AsyncDisposable {
  readonly #container: Docker.Container;
  readonly #context: MountContext;

  private constructor(container: Docker.Container, context: MountContext) {
    this.#container = container;
    this.#context = context;
  }

  static async create(mount: Docker.MountSettings, context: MountContext): Promise<Still> {
    const { docker, image, job, span, signal } = context;
    const created = docker.createContainer({
      Image: image,
      Entrypoint: ['/never-started'],
      Cmd: [],
      Labels: {
        ...jobLabels(job),
        [LABEL.role]: 'copy',
        ...spanLabels(span),
      },
      HostConfig: { NetworkMode: 'none', Mounts: [mount] },
    });
    const container = await ask('create a container', created, { signal, seconds: START_SECONDS });
    return new Still(container, context);
  }

  /** Of a file; undefined where there is none. */
  async stat(path: string): Promise<{ readonly size: number; readonly mtimeMs: number } | undefined> {
    try {
      const { signal } = this.#context;
      const answer = await ask('look at a file', this.#container.infoArchive({ path }), { signal });
      const { headers } = Headed.parse(answer);
      // An answer that nobody reads keeps its connection, and newer daemons close none by themselves.
      if (answer instanceof Readable) answer.resume();
      const told = Buffer.from(headers['x-docker-container-path-stat'], 'base64').toString('utf8');
      const { size, mtime } = PathStat.parse(JSON.parse(told));
      return { size, mtimeMs: Date.parse(mtime) };
    } catch (error) {
      if (dockerError(error).statusCode === 404) return undefined;
      throw error;
    }
  }

  /** A small file's text; undefined where there is none. */
  async read(path: string): Promise<string | undefined> {
    try {
      const archive = extract();
      const content = Promise.withResolvers<string | undefined>();
      archive.on('entry', (_header, stream, next) => {
        text(stream).then((found) => {
          content.resolve(found);
          next();
        }, next);
      });
      const { signal } = this.#context;
      const file = await ask('read a file', this.#container.getArchive({ path }), { signal });
      await pipeline(file, archive, { signal });
      content.resolve(undefined);
      return await content.promise;
    } catch (error) {
      if (dockerError(error).statusCode === 404) return undefined;
      throw error;
    }
  }

  /** All files in one archive, and the marker last. */
  async put(
    folder: string,
    files: readonly ModelFile[],
    marker: string,
    onBytes: (count: number) => void,
  ): Promise<void> {
    const { inactivitySeconds } = this.#context;
    using standstill = new Standstill(inactivitySeconds, this.#context.signal);
    const { signal } = standstill;
    const archive = pack();
    const write = async () => {
      for (const parent of parentsOf(files)) archive.entry({ name: parent, type: 'directory', mode: 0o755 });
      for (const { path, bytes } of files) {
        const entry = archive.entry({ name: path, size: bytes, mode: 0o644 });
        const source = createReadStream(join(folder, path), { highWaterMark: 1024 * 1024, signal });
        source.on('data', (chunk) => {
          standstill.progress();
          onBytes(chunk.length);
        });
        await pipeline(source, entry);
      }
      archive.entry({ name: MARKER, mode: 0o644 }, marker);
      archive.finalize();
    };
    const written = write().catch((error: unknown) => {
      archive.destroy(error instanceof Error ? error : new Error(String(error)));
      throw error;
    });
    try {
      await Promise.all([
        written,
        this.#container.putArchive(Readable.from(archive), { path: MODEL_FOLDER, abortSignal: signal }),
      ]);
    } catch (error) {
      archive.destroy();
      this.#context.signal.throwIfAborted();
      if (standstill.isStuck)
        throw lost(`the copy of the model made no progress for ${inactivitySeconds} s`, error);
      throw copyFailed(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await removeContainer(this.#context.docker, this.#container.id, this.#context.signal);
    } catch (error) {
      // An error of a disposal would hide the one that the user has to see.
      const { message } = dockerError(error);
      this.#context.log(
        `The container ${this.#container.id.slice(0, 12)} could not be removed, the next run will: ${message}`,
      );
    }
  }
}

/** Folders of files, each before those in it. */
function parentsOf(files: readonly ModelFile[]): string[] {
  const parents = new Set<string>();
  for (const { path } of files)
    for (let parent = dirname(path); parent !== '.'; parent = dirname(parent)) parents.add(parent);
  return [...parents].sort();
}

function copyFailed(cause: unknown): UserError {
  const { message } = dockerError(cause);
  if (/no space left/i.test(message))
    return new UserError(
      'disk-full',
      `The disk of the Docker daemon is full: the model could not be copied into a volume: ${message}`,
      'Free space there: `docker system df` shows what takes it.',
      { cause },
    );
  return new UserError(
    'docker-unavailable',
    `The model could not be copied to the Docker daemon: ${message}`,
    'See `journalctl -u docker` on its machine, and run again; or let the daemon see the runner’s state folder under the same path.',
    { cause },
  );
}
