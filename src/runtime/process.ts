import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { Exit, ModelSource, Peer, Runtime } from '../engine/runtime.ts';
import { UserError } from '../errors.ts';
import type { Declared } from '../fingerprint/schema.ts';
import {
  cachesBelow,
  ENGINE_ENVIRONMENT,
  fetchEnvironment,
  inherited,
  visibleDevices,
} from './environment.ts';
import { exitOf, watchOomKills } from './exit.ts';
import { checkModelFolder } from './model-folder.ts';
import type { CommonOptions } from './options.ts';

export interface ProcessOptions extends CommonOptions {
  /** A name to look up on PATH, or an absolute path. */
  readonly python: string;
  /** Absolute folder that outlives the job: fetched models are kept there. */
  readonly stateDir: string;
  readonly description: string;
  readonly image: Declared['image'];
}

/** An engine in a Python of this machine, or of the container that the job itself runs in. */
export class ProcessRuntime implements Runtime {
  readonly kind = 'process';
  readonly description: string;
  readonly image: Declared['image'];
  readonly #options: ProcessOptions;

  constructor(options: ProcessOptions) {
    this.#options = options;
    this.description = options.description;
    this.image = options.image;
  }

  async provideModel(model: ModelSource): Promise<string> {
    switch (model.kind) {
      case 'path':
        await checkModelFolder(model.path);
        return model.path;
      case 'hub':
        return await this.#fetch(model.id, model.revision);
    }
  }

  async start(boot: string): Promise<Peer> {
    const { environment, gpus, devices } = this.#options;
    return await this.#start(boot, {
      ...ENGINE_ENVIRONMENT,
      CUDA_VISIBLE_DEVICES: visibleDevices(gpus, devices, environment['CUDA_VISIBLE_DEVICES']),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing outlives its peer.
  }

  async #fetch(id: string, revision: string): Promise<string> {
    const { fetchModel, stateDir, hub, environment, log, onProgress, deadlineSeconds, signal } =
      this.#options;
    const folder = join(stateDir, 'models', id.replace('/', '--'), revision);
    await mkdir(folder, { recursive: true });
    await fetchModel(
      (boot) => this.#start(boot, fetchEnvironment(hub, environment)),
      { model: id, revision, folder },
      { log, onProgress, deadlineSeconds, signal },
    );
    return folder;
  }

  async #start(boot: string, extra: Readonly<Record<string, string>>): Promise<Peer> {
    const { environment, python, log } = this.#options;
    const scratch = await mkdtemp(join(environment['TMPDIR'] ?? '/tmp', 'deterministic-ml-'));
    const giveBack = async () => {
      try {
        // Killed processes may still be closing their files.
        await rm(scratch, { recursive: true, force: true, maxRetries: 5 });
      } catch (error) {
        // An error of a disposal would hide the one that the user has to see.
        log(`The folder ${scratch} could not be removed: ${String(error)}`);
      }
    };
    try {
      const env = { ...inherited(environment), ...cachesBelow(scratch), ...extra };
      return await ProcessPeer.start({ python, boot, cwd: scratch, env }, giveBack);
    } catch (error) {
      await giveBack();
      throw error;
    }
  }
}

/** How long a killed process may take to vanish; one stuck in a driver call never does. */
const VANISH_MS = 5_000;

interface Program {
  readonly python: string;
  readonly boot: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

class ProcessPeer implements Peer {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exit: Promise<Exit>;
  readonly #dispose: () => Promise<void>;

  private constructor(parts: Omit<Peer, typeof Symbol.asyncDispose>, dispose: () => Promise<void>) {
    this.stdin = parts.stdin;
    this.stdout = parts.stdout;
    this.stderr = parts.stderr;
    this.exit = parts.exit;
    this.#dispose = dispose;
  }

  /** Starts a Python in a process group of its own; `giveBack` is called when all of it has gone. */
  static async start({ python, boot, cwd, env }: Program, giveBack: () => Promise<void>): Promise<Peer> {
    const { execa } = await import('execa');
    const rose = watchOomKills();
    const child = execa(python, ['-c', boot], {
      // `python3 -c` imports from its working directory first: an empty one, not the checkout.
      cwd,
      env,
      extendEnv: false,
      detached: true,
      buffer: false,
      reject: false,
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const group = child.pid;
    if (group === undefined) throw cannotStart(python, (await child).code);

    // execa throws away what nobody reads at once, so the pipes are taken over at once.
    const stdout = child.stdout.pipe(new PassThrough());
    const stderr = child.stderr.pipe(new PassThrough());
    // A peer that died is told by `exit`, with its reason: EPIPE would only hide it.
    child.stdin.on('error', () => {});

    let killed = false;
    const { promise: exit, resolve } = Promise.withResolvers<Exit>();
    child.once('exit', (code, signal) => {
      // Workers of an engine that died must not keep its GPU. Later its number may be another's.
      killGroup(group);
      resolve(exitOf(code, signal, (name) => !killed && name === 'SIGKILL' && rose()));
    });
    let running = true;
    void exit.then(() => {
      running = false;
    });
    const closed = once(child, 'close');

    const dispose = async () => {
      if (running) {
        killed = true;
        killGroup(group);
      }
      // Only read to the end are the pipes closed, which tells that the children are gone too.
      for (const stream of [child.stdout, child.stderr]) stream.unpipe().resume();
      await Promise.race([Promise.all([exit, closed]), delay(VANISH_MS, undefined, { ref: false })]);
      for (const stream of [stdout, stderr]) stream.end();
      await giveBack();
    };
    let disposal: Promise<void> | undefined;
    return new ProcessPeer({ stdin: child.stdin, stdout, stderr, exit }, () => {
      disposal ??= dispose();
      return disposal;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // ESRCH: all of it is gone already.
  }
}

function cannotStart(python: string, code: string | undefined): UserError {
  return new UserError(
    'runtime-unavailable',
    code === 'ENOENT'
      ? `There is no Python called \`${python}\` on this machine.`
      : `The Python \`${python}\` could not be started: ${code ?? 'unknown reason'}.`,
    'Give the `python` input the path of a Python that has the engine installed, or name an image under `runtime.image` in the suite and use Docker.',
  );
}
