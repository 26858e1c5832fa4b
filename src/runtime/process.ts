import { once } from 'node:events';
import { access, constants, mkdir, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { CacheFolder } from '../engine/caches.ts';
import { type Exit, type LocalModel, NO_MODEL, type Peer, type ProvidedModel } from '../engine/runtime.ts';
import { UserError } from '../errors.ts';
import type { Declared } from '../fingerprint/schema.ts';
import { openScratch, removeFolder } from '../machine/scratch.ts';
import { onePlace } from './cache-place.ts';
import {
  cachesBelow,
  ENGINE_ENVIRONMENT,
  homeBelow,
  inherited,
  ownFolder,
  socketFolder,
  socketsIn,
  visibleDevices,
} from './environment.ts';
import { exitOf, watchOomKills } from './exit.ts';
import { type Isolation, NONE, openIsolation } from './isolation/isolation.ts';
import type { CommonOptions, IsolationChoice, On, Starter } from './options.ts';

export interface ProcessOptions extends CommonOptions {
  /** A name to look up on PATH, or an absolute path. */
  readonly python: string;
  /** Whom this runner runs as. */
  readonly user: { readonly uid: number; readonly gid: number };
  readonly isolation: IsolationChoice;
  /** Whether this process knows a `hub-token`, which an engine beside it could find. */
  readonly knowsHubToken: boolean;
  readonly description: string;
  readonly image: Declared['image'];
}

/** An engine in a Python of this machine, or of the container that the job itself runs in. */
export class ProcessRuntime implements Starter {
  readonly kind = 'process';
  readonly description: string;
  readonly image: Declared['image'];
  readonly exposed: string | undefined;
  readonly caches: CacheFolder | undefined;
  readonly #owned: AsyncDisposableStack;
  readonly #options: ProcessOptions;
  readonly #python: Found;
  readonly #isolation: Isolation;
  readonly #folders: Folders;
  #starts = 0;
  /** What an engine reads beside its Python. */
  #model: string | undefined;

  private constructor(
    options: ProcessOptions,
    python: Found,
    isolation: Isolation,
    folders: Folders,
    caches: CacheFolder | undefined,
    owned: AsyncDisposableStack,
  ) {
    this.caches = caches;
    this.#owned = owned;
    this.#options = options;
    this.#python = python;
    this.#isolation = isolation;
    this.#folders = folders;
    this.description = `${options.description} ${ISOLATED[isolation.level]}`;
    this.exposed = isolation.level === 'none' ? isolation.reasons.join('; ') : undefined;
    this.image = options.image;
  }

  /**
   * Tries how far the engine can be kept from the job.
   *
   * @throws UserError `isolation-unavailable`
   */
  static async open(options: ProcessOptions): Promise<ProcessRuntime> {
    const { environment, log, user } = options;
    const python = await findPython(options.python, environment['PATH']);
    const parent = environment['TMPDIR'] ?? '/tmp';
    await using owned = new AsyncDisposableStack();
    const { path: scratch } = owned.use(await openScratch(parent, log));
    const isolation =
      options.isolation === 'none'
        ? NONE('`isolation: none` was asked for')
        : await openIsolation({ environment, python: python.path, user, scratch });
    for (const reason of isolation.reasons)
      log(`The engine is not isolated from the job as it could be: ${reason}.`);
    const why = isolation.reasons.join('; ');
    if (isolation.level === 'none' && options.isolation === 'required')
      throw notIsolated(`\`isolation: required\` was asked for, and this machine has none: ${why}.`);
    if (isolation.level === 'none' && options.isolation === 'auto' && options.knowsHubToken)
      throw notIsolated(`The engine could read the \`hub-token\` out of the job's processes: ${why}.`);
    const sockets = await socketFolder(scratch, async () => owned.use(await openScratch('/tmp', log)).path);
    const caches =
      options.keptCaches === undefined
        ? undefined
        : owned.use(await onePlace(parent, options.keptCaches, options));
    if (caches !== undefined) await isolation.give(caches.host);
    return new ProcessRuntime(options, python, isolation, { scratch, sockets }, caches, owned.move());
  }

  async provideModel(model: LocalModel): Promise<ProvidedModel | typeof NO_MODEL> {
    const { models } = this.#options;
    if (model.kind === 'none') return NO_MODEL;
    const provided =
      model.kind === 'hub'
        ? await models.fetch(model)
        : { folder: model.path, files: await models.digest(model.path) };
    this.#model = provided.folder;
    return provided;
  }

  async start(boot: string, _lives: number, on: On): Promise<Peer> {
    const { environment, gpus, log } = this.#options;
    const { path, problem } = this.#python;
    if (problem !== undefined) throw cannotStart(path, problem);
    this.#starts += 1;
    const [scratch, sockets] = [this.#folders.scratch, this.#folders.sockets].map((folder) =>
      join(folder, String(this.#starts)),
    ) as [string, string];
    const own = [...new Set([scratch, sockets])];
    const giveBack = async () => {
      for (const folder of own) await removeFolder(folder, log);
    };
    try {
      for (const folder of own) {
        await mkdir(folder, { mode: 0o700 });
        await this.#isolation.give(folder);
      }
      const env = {
        ...inherited(environment),
        ...homeBelow(scratch, environment),
        ...cachesBelow(scratch, this.caches?.inside),
        ...ENGINE_ENVIRONMENT,
        ...ownFolder(scratch),
        ...socketsIn(sockets),
        CUDA_VISIBLE_DEVICES: visibleDevices(gpus, on.gpus, environment['CUDA_VISIBLE_DEVICES']),
      };
      const reach = {
        scratch,
        readable: this.#model === undefined ? [] : [this.#model],
        writable: [sockets, ...(this.caches === undefined ? [] : [this.caches.host])],
      };
      const isolated = await this.#isolation.command([path, '-S', '-c', boot], env, reach);
      const command = on.cpus === undefined ? isolated : ['taskset', '--cpu-list', on.cpus, ...isolated];
      return await ProcessPeer.start({ python: path, command, cwd: scratch, env }, giveBack);
    } catch (error) {
      await giveBack();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Of all else nothing outlives its peer.
    await this.#owned.disposeAsync();
  }
}

/** How long a killed process may take to vanish; one stuck in a driver call never does. */
const VANISH_MS = 5_000;

/** Of a run; each start has its own in both. */
interface Folders {
  readonly scratch: string;
  readonly sockets: string;
}

interface Program {
  readonly python: string;
  readonly command: readonly string[];
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
  static async start({ python, command, cwd, env }: Program, giveBack: () => Promise<void>): Promise<Peer> {
    const { execa } = await import('execa');
    const rose = watchOomKills('child');
    const [file = '', ...args] = command;
    const child = execa(file, args, {
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

/** Told beside where the engine runs. */
const ISOLATED: Readonly<Record<Isolation['level'], string>> = {
  namespaces: 'It sees no process and none of the files of the job.',
  user: 'It is another user than the job, whose processes it cannot look into.',
  none: 'Nothing keeps it from what the job knows.',
};

function notIsolated(what: string): UserError {
  return new UserError(
    'isolation-unavailable',
    what,
    'Let this user make namespaces (docs/security.md says how), run the engine in Docker, or fetch the model in an earlier step. Who trusts the engine and its packages with the tokens of the job sets `isolation: none`.',
  );
}

/** An absolute path, and why it cannot be started. */
interface Found {
  readonly path: string;
  readonly problem?: string;
}

async function findPython(python: string, path = ''): Promise<Found> {
  const candidates = isAbsolute(python)
    ? [python]
    : path.split(delimiter).map((folder) => join(folder, python));
  let problem = 'ENOENT';
  for (const candidate of candidates) {
    const found = await stat(candidate).catch(() => undefined);
    if (found === undefined) continue;
    const isProgram = await access(candidate, constants.X_OK).then(
      () => found.isFile(),
      () => false,
    );
    if (isProgram) return { path: candidate };
    problem = 'EACCES';
  }
  return { path: python, problem };
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
