import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { lines } from '../../engine/lines.ts';
import type { OnProgress } from '../../engine/runtime.ts';
import { UserError } from '../../errors.ts';
import type { Environment } from '../options.ts';
import { ask, Standstill } from './calls.ts';
import { type Credentials, credentialsFor } from './credentials.ts';
import { dockerError } from './daemon.ts';

export interface PullContext {
  readonly environment: Environment;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  readonly onProgress: OnProgress;
  /** Seconds without progress until a pull counts as stuck. */
  readonly inactivitySeconds: number;
}

const MAX_LINE_BYTES = 1024 * 1024;

/** Seconds before each try after the first. */
const PAUSES = [1, 4, 15];

/** What a registry or the way to it gets over by itself, in the words of daemons. */
const PASSING =
  /toomanyrequests|too many requests|\b429\b|\b50[0234]\b|service unavailable|bad gateway|internal server error|connection reset|unexpected eof|: eof\b|tls handshake timeout|i\/o timeout|premature close|aborted|socket hang up|econnreset/i;

/**
 * Pulls an image: as long as it takes, if it only gets on, and again where that may help.
 *
 * @throws UserError `image-pull-failed`, `disk-full`, `docker-unavailable`
 */
export async function pull(
  docker: Docker,
  name: string,
  registry: string,
  context: PullContext,
  pauses = PAUSES,
): Promise<void> {
  const { environment, signal, log } = context;
  const credentials = await credentialsFor(registry, environment, log);
  for (const pause of [...pauses, undefined]) {
    try {
      await pullOnce(docker, name, credentials, context);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof UserError) throw error;
      const { message } = dockerError(error);
      if (pause === undefined || !PASSING.test(message)) {
        // A connection that breaks says nothing of the registry, if it is the daemon that went.
        await ask('answer a ping after a pull that broke off', docker.ping(), { signal, seconds: 10 });
        throw pullFailed(name, registry, message, credentials, error);
      }
      log(`The pull failed, and is tried again in ${pause} s: ${message}`);
      await delay(pause * 1000, undefined, { signal });
    }
  }
}

async function pullOnce(
  docker: Docker,
  name: string,
  credentials: Credentials | undefined,
  { signal, onProgress, inactivitySeconds }: PullContext,
): Promise<void> {
  using standstill = new Standstill(inactivitySeconds, signal);
  const { signal: stop } = standstill;
  const layers = new Layers((done, total) => onProgress('pull', done, total));
  try {
    // Also before its first answer the daemon can fall silent.
    const { promise: stopped, reject } = Promise.withResolvers<never>();
    stop.addEventListener('abort', () => reject(new Error('stopped')), { once: true });
    const events = (await Promise.race([
      docker.pull(name, {
        ...(credentials === undefined ? {} : { authconfig: credentials }),
        abortSignal: stop,
      }),
      stopped,
    ])) as Readable;
    const end = () => events.destroy(new Error('stopped'));
    stop.addEventListener('abort', end, { once: true });
    if (stop.aborted) end();
    // A refusal comes as a line of a successful answer, which dockerode's followProgress does not look at.
    for await (const line of lines(events, MAX_LINE_BYTES))
      if (layers.event(line.toString('utf8'))) standstill.progress();
  } catch (error) {
    signal.throwIfAborted();
    if (!standstill.isStuck) throw error;
    await ask('answer a ping after a pull that stood still', docker.ping(), { signal, seconds: 10 });
    throw new UserError(
      'image-pull-failed',
      `The pull of ${name} made no progress for ${inactivitySeconds} s; it was stopped.`,
      'See whether `docker pull` gets on on the runner; the `inactivity-minutes` input says how long a pull may stand still.',
      { cause: error },
    );
  }
}

/** What comes after a layer's last byte: a daemon with no time leaves lines out, `Download complete` among them. */
const DOWNLOADED = new Set(['Verifying Checksum', 'Download complete', 'Extracting', 'Pull complete']);

/** Bytes of all layers together, from the daemon's event lines. */
export class Layers {
  readonly #layers = new Map<string, { done: number; total: number }>();
  /** The last line of each layer: one that is only said again is no progress. */
  readonly #said = new Map<string, string>();
  readonly #tell: (done: number, total: number) => void;

  constructor(tell: (done: number, total: number) => void) {
    this.#tell = tell;
  }

  /** Whether it tells of progress. @throws Error what the daemon says went wrong */
  event(line: string): boolean {
    if (line.trim() === '') return false;
    const { error, status, id, progressDetail } = JSON.parse(line) as {
      error?: string;
      status?: string;
      id?: string;
      progressDetail?: { current?: number; total?: number };
    };
    if (error !== undefined) throw new Error(error);
    const isNew = this.#said.get(id ?? '') !== line;
    this.#said.set(id ?? '', line);
    if (id === undefined) return isNew;
    const layer = this.#layers.get(id);
    if (status === 'Downloading' && progressDetail?.current !== undefined)
      this.#layers.set(id, { done: progressDetail.current, total: progressDetail.total ?? 0 });
    else if (layer !== undefined && DOWNLOADED.has(status ?? '')) layer.done = layer.total;
    else return isNew;
    const all = [...this.#layers.values()];
    this.#tell(
      all.reduce((sum, { done }) => sum + done, 0),
      all.reduce((sum, { total }) => sum + total, 0),
    );
    return isNew;
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
