import { PassThrough, type Readable, Writable } from 'node:stream';
import type Docker from 'dockerode';
import type { Exit, Lost, Peer } from '../../engine/runtime.ts';
import { exitOf, watchOomKills } from '../exit.ts';
import { attach } from './attach.ts';
import { ask, START_SECONDS } from './calls.ts';
import { dockerError } from './daemon.ts';
import { demux } from './demux.ts';
import { removeContainer } from './sweep.ts';
import { Watcher } from './watcher.ts';

/** What the harness exits with when its host has hung up (docker/harness/README.md). */
const STOPPED = 75;

/** One container from its start until it is removed. Disposing it takes it away whatever it does. */
export class Container implements Peer {
  readonly stdin: Writable;
  readonly exit: Promise<Exit>;
  readonly #stdout = new PassThrough();
  readonly #stderr = new PassThrough();
  readonly #connection: Readable;
  readonly #giveBack: () => Promise<void>;
  #killed = false;
  #removal: Promise<void> | undefined;

  private constructor(
    container: Docker.Container,
    connection: Readable & Writable,
    oomKillsRose: () => boolean,
    giveBack: () => Promise<void>,
  ) {
    this.stdin = stdinOver(connection);
    this.#connection = connection;
    this.#giveBack = giveBack;
    const silent = demux(connection, this.#stdout, this.#stderr);
    this.exit = this.#end(new Watcher(container, silent), oomKillsRose);
  }

  get stdout(): Readable {
    return this.#stdout;
  }

  get stderr(): Readable {
    return this.#stderr;
  }

  /** Creates and starts a container; when that fails, what it left is removed. Rejects with dockerode's error. */
  static async start(
    docker: Docker,
    profile: Docker.ContainerCreateOptions,
    { log, signal }: { readonly log: (line: string) => void; readonly signal: AbortSignal },
  ): Promise<Container> {
    const oomKillsRose = watchOomKills('container');
    const limits = { signal, seconds: START_SECONDS };
    const container = await ask('create a container', docker.createContainer(profile), limits);
    const giveBack = async () => {
      try {
        await removeContainer(docker, container.id, signal);
      } catch (error) {
        // An error of a disposal would hide the one that the user has to see.
        const { message } = dockerError(error);
        log(`The container ${container.id.slice(0, 12)} could not be removed, the next run will: ${message}`);
      }
    };
    try {
      const connection = await ask('attach to a container', attach(docker, container.id), limits);
      await ask('start a container', container.start(), limits);
      return new Container(container, connection, oomKillsRose, giveBack);
    } catch (error) {
      await giveBack();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#removal ??= this.#remove();
    await this.#removal;
  }

  async #end(watcher: Watcher, oomKillsRose: () => boolean): Promise<Exit> {
    const end = await watcher.end();
    const lost = end.kind === 'lost' ? end.how : this.#cutOff(end.code);
    // Who reads on must not wait for a daemon that says no more.
    if (lost !== undefined) this.#connection.destroy();
    if (lost !== undefined && !this.#killed)
      return { code: null, signal: null, outOfMemory: false, lost: cutOff(lost) };
    if (end.kind === 'lost') return { code: null, signal: null, outOfMemory: false };
    // The mark is missing now and then under cgroup v2, where the kernel's own counter still tells.
    const byKernel = (signal: string | null) => end.outOfMemory || (signal === 'SIGKILL' && oomKillsRose());
    const byUs = this.#killed;
    return exitOf(end.code, null, (signal) => !byUs && byKernel(signal));
  }

  /** The harness says that its host hung up, and this host did not. */
  #cutOff(code: number | null): string | undefined {
    if (code !== STOPPED || this.#killed || this.stdin.writableEnded) return undefined;
    return 'Its container was told to stop, and not by this action: the daemon was stopped, or its connection to the container broke.';
  }

  async #remove(): Promise<void> {
    this.#killed = true;
    // First the connection: a daemon that cannot get rid of output, since nobody reads it, waits with the removal
    // (tried: for ever).
    this.#connection.destroy();
    for (const stream of [this.#stdout, this.#stderr]) stream.end();
    await this.#giveBack();
  }
}

const cutOff = (how: string): Lost => ({
  code: 'docker-unavailable',
  message: `The engine was cut off in the middle of its work. ${how}`,
  hint: 'See `journalctl -u docker` on the runner, and run again: nothing of this engine start is used. A container that is left over ends by itself, and the next run removes it.',
});

/** The writing half of the connection alone: its end is the container's EOF, and its errors crash nobody. */
function stdinOver(connection: Writable): Writable {
  const stdin = new Writable({
    write: (chunk, encoding, done) => {
      connection.write(chunk, encoding, done);
    },
    final: (done) => {
      connection.end(() => done());
    },
    destroy: (error, done) => {
      connection.end();
      done(error);
    },
  });
  stdin.on('error', () => {});
  connection.on('error', () => {});
  return stdin;
}
