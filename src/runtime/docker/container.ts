import { PassThrough, type Readable, Writable } from 'node:stream';
import type Docker from 'dockerode';
import type { Exit, Peer } from '../../engine/runtime.ts';
import { exitOf, watchOomKills } from '../exit.ts';
import { dockerError } from './daemon.ts';
import { demux } from './demux.ts';
import { removeContainer } from './sweep.ts';

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
    this.exit = exitOfContainer(container, oomKillsRose, () => this.#killed);
    this.#connection = connection;
    this.#giveBack = giveBack;
    void demux(connection, this.#stdout, this.#stderr);
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
    log: (line: string) => void,
  ): Promise<Container> {
    const oomKillsRose = watchOomKills();
    const container = await docker.createContainer(profile);
    const giveBack = async () => {
      try {
        await removeContainer(docker, container.id);
      } catch (error) {
        // An error of a disposal would hide the one that the user has to see.
        const { message } = dockerError(error);
        log(`The container ${container.id.slice(0, 12)} could not be removed, the next run will: ${message}`);
      }
    };
    try {
      // Without `hijack`, what is written to stdin is lost silently.
      const options = { stream: true, hijack: true, stdin: true, stdout: true, stderr: true };
      const connection = (await container.attach(options)) as Readable & Writable;
      await container.start();
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

  async #remove(): Promise<void> {
    this.#killed = true;
    // First the connection: a daemon that cannot get rid of output, since nobody reads it, waits with the removal
    // (tried: for ever).
    this.#connection.destroy();
    for (const stream of [this.#stdout, this.#stderr]) stream.end();
    await this.#giveBack();
  }
}

/** How a started container ended. Asked for after the start, `wait` cannot miss an exit that was quick. */
async function exitOfContainer(
  container: Docker.Container,
  oomKillsRose: () => boolean,
  killedByUs: () => boolean,
): Promise<Exit> {
  try {
    const { StatusCode } = (await container.wait({ condition: 'not-running' })) as { StatusCode: number };
    const byUs = killedByUs();
    const kernelKilled = oomKillsRose();
    const marked = await container.inspect().then(
      ({ State }) => State.OOMKilled,
      // Another runner's sweep may have taken what has ended.
      () => false,
    );
    // The mark is missing now and then under cgroup v2, where the kernel's own counter still tells.
    return exitOf(StatusCode, null, (signal) => !byUs && (marked || (signal === 'SIGKILL' && kernelKilled)));
  } catch {
    return { code: null, signal: null, outOfMemory: false };
  }
}

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
