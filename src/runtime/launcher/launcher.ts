import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { lines } from '../../engine/lines.ts';
import {
  type Exit,
  type FarModel,
  type HubModel,
  type LocalModel,
  type Lost,
  NO_MODEL,
  type Peer,
} from '../../engine/runtime.ts';
import { UserError } from '../../errors.ts';
import type { Declared } from '../../fingerprint/schema.ts';
import { excerpt } from '../../inert.ts';
import type { Launch } from '../../suite/launcher.ts';
import { forLauncher } from '../environment.ts';
import { exitOf } from '../exit.ts';
import type { CommonOptions, On, Starter } from '../options.ts';
import { cutOff, failureOf, missing } from './failure.ts';
import { type Ended, type Far, farScript, heard } from './far.ts';
import { fetchThere } from './fetch.ts';

export interface LauncherOptions
  extends Pick<
    CommonOptions,
    | 'gpus'
    | 'environment'
    | 'keptCaches'
    | 'cpuSets'
    | 'log'
    | 'models'
    | 'signal'
    | 'onProgress'
    | 'deadlineSeconds'
  > {
  readonly launch: Launch;
  /** Text of docker/harness/far.py. */
  readonly keeper: string;
  /** Text of docker/harness/fetch.py. */
  readonly fetcher: string;
  readonly description: string;
  readonly image: Declared['image'];
}

/** An engine wherever a command of the runner's takes it: to another machine, a pod, an allocation. */
export class LauncherRuntime implements Starter {
  readonly kind = 'launcher';
  readonly description: string;
  readonly image: Declared['image'];
  // Where it runs this machine does not know, and so not what could reach the job from there: a notice says so.
  readonly exposed = undefined;
  readonly caches = undefined;
  readonly #options: LauncherOptions;

  private constructor(options: LauncherOptions) {
    this.#options = options;
    this.description = options.description;
    this.image = options.image;
  }

  /** @throws UserError `input-invalid` for what is only had on this machine */
  static open(options: LauncherOptions): LauncherRuntime {
    const here = [
      ...(options.keptCaches === undefined
        ? []
        : ['the suite keeps compiled caches (`engine: { caches: kept }`)']),
      ...(options.cpuSets.length === 0 ? [] : ['the `cpu-sets` input names CPUs']),
    ];
    if (here.length > 0)
      throw new UserError(
        'input-invalid',
        `Through a launcher the engine runs elsewhere, and ${here.join(' and ')} of this machine.`,
        'Leave it out; CPUs of the far side are for the launcher to choose, as in `srun --cpus-per-task=8`.',
      );
    return new LauncherRuntime(options);
  }

  async provideModel(model: LocalModel): Promise<FarModel | typeof NO_MODEL> {
    const { model: folder } = this.#options.launch;
    switch (model.kind) {
      case 'none':
        return NO_MODEL;
      case 'path':
        return { folder: folder ?? model.path, files: 'declared' };
      case 'hub':
        return { folder: folder ?? (await this.#fetch(model)), files: 'declared' };
    }
  }

  /** The hub's word of what the files are comes from here, the files go there without a detour. */
  async #fetch(model: HubModel): Promise<string> {
    const { models, fetcher, log } = this.#options;
    const listing = await models.list(model);
    log(`Fetching ${model.id} at ${model.revision} on the far side, unless it is there.`);
    await using peer = await this.#begin(fetcher, { gpus: 'none', devices: [], isEngine: false });
    return await fetchThere(peer, model, listing, this.#options);
  }

  async start(boot: string, _lives: number, on: On): Promise<Peer> {
    return await this.#begin(boot, { gpus: this.#options.gpus, devices: on.gpus, isEngine: true });
  }

  async #begin(boot: string, on: Omit<Far, 'mark'>): Promise<Peer> {
    const { launch, environment, keeper, log } = this.#options;
    const far: Far = { mark: randomBytes(16).toString('hex'), ...on };
    const script = farScript(far, launch.python, keeper, boot);
    return await LauncherPeer.start(launch.argv, script, far.mark, forLauncher(environment), log);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing outlives its peer.
  }
}

/** The far side ends what it runs within this after the end of stdin: three seconds of grace, and some for the way. */
const FAR_END_MS = 10_000;
/** Until a launcher that was killed, or whose streams somebody else holds, is waited for no more. */
const VANISH_MS = 2_000;
const MAX_LINE_BYTES = 64 * 1024;
/** Lines of a launcher that say why nothing ran. */
const MAX_SAID = 30;
const NEWLINE = Buffer.from('\n');

class LauncherPeer implements Peer {
  /** What is written waits until the far side is there. */
  readonly stdin = new PassThrough();
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  readonly exit: Promise<Exit>;
  readonly #launcher: string;
  readonly #mark: string;
  readonly #log: (line: string) => void;
  /** Said before the far side was there. */
  readonly #said: string[] = [];
  readonly #to: Writable;
  readonly #from: Readable;
  readonly #stopped = Promise.withResolvers<void>();
  readonly #group: number;
  #begun = false;
  #ended: Ended | undefined;
  #killed = false;
  #gone = false;
  #disposal: Promise<void> | undefined;

  private constructor(launcher: string, mark: string, child: Child, log: (line: string) => void) {
    this.#launcher = launcher;
    this.#mark = mark;
    this.#log = log;
    this.#to = child.stdin;
    this.#from = child.stdout;
    this.#group = child.pid;
    child.stdout.pipe(this.stdout);
    const heard = this.#listen(child.stderr);
    this.exit = this.#end(child, heard);
    // A peer that died is told by `exit`, with its reason: EPIPE would only hide it.
    for (const stream of [child.stdin, this.stdin]) stream.on('error', () => {});
  }

  /** @throws UserError `launcher-missing` */
  static async start(
    argv: readonly string[],
    script: string,
    mark: string,
    env: Readonly<Record<string, string>>,
    log: (line: string) => void,
  ): Promise<Peer> {
    const { execa } = await import('execa');
    const [program = '', ...args] = argv;
    // In a session of its own, so that nothing it asks of a terminal reaches one.
    const child = execa(program, [...args, 'sh'], {
      ...{ env, extendEnv: false, detached: true, buffer: false, reject: false },
      ...{ stdin: 'pipe', stdout: 'pipe', stderr: 'pipe' },
    } as const);
    const { pid } = child;
    if (pid === undefined) {
      const { code, message, hint } = missing(program, (await child).code);
      throw new UserError(code, message, hint);
    }
    const { stdin, stdout, stderr } = child;
    const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    const peer = new LauncherPeer(argv.join(' '), mark, { pid, stdin, stdout, stderr, exited }, log);
    // Shells read ahead: what is for the program comes once it is there.
    stdin.write(script);
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose();
    await this.#disposal;
  }

  async #dispose(): Promise<void> {
    if (!this.#gone) {
      this.#killed = true;
      this.stdin.unpipe();
      this.#to.end();
      // What nobody reads any more must not keep the far side from its end.
      this.#from.unpipe().resume();
      this.#stopped.resolve();
      // Before it was there nothing runs there, and a queue is left by ending who stands in it.
      const patience = this.#begun ? FAR_END_MS : 0;
      await Promise.race([this.exit, delay(patience, undefined, { ref: false })]);
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        if (this.#gone) break;
        killGroup(this.#group, signal);
        await Promise.race([this.exit, delay(VANISH_MS, undefined, { ref: false })]);
      }
      if (this.#begun && this.#ended === undefined)
        this.#log(
          'The far side did not say that all it ran is gone: that ends by itself once its stdin has ended, at its deadline at the latest.',
        );
    }
    for (const stream of [this.stdout, this.stderr]) stream.end();
  }

  /** Hands on what is printed there, but for what this side is told. */
  async #listen(stderr: Readable): Promise<void> {
    let isBlank = false;
    try {
      for await (const line of lines(stderr, MAX_LINE_BYTES)) {
        const told = heard(line.toString('utf8'), this.#mark);
        // The mark begins with a break, in case somebody had printed half a line.
        if (told !== undefined) isBlank = false;
        if (isBlank) await this.#print(Buffer.alloc(0));
        isBlank = told === undefined && line.length === 0;
        if (told === 'begun') this.#begin();
        else if (told !== undefined) this.#ended = told;
        else if (!isBlank) await this.#print(line);
      }
    } catch {
      // The stream was torn down with its process: `exit` tells why.
    }
    this.stderr.end();
  }

  async #print(line: Buffer): Promise<void> {
    if (!this.#begun) {
      this.#said.push(line.toString('utf8'));
      if (this.#said.length > MAX_SAID) this.#said.shift();
    }
    if (!this.stderr.write(Buffer.concat([line, NEWLINE])))
      await Promise.race([once(this.stderr, 'drain'), this.#stopped.promise]);
  }

  #begin(): void {
    if (this.#begun || this.#killed) return;
    this.#begun = true;
    this.stdin.pipe(this.#to);
  }

  async #end({ exited }: Child, told: Promise<void>): Promise<Exit> {
    const [code, signal] = await exited;
    killGroup(this.#group, 'SIGKILL');
    // What it said last is in the pipe still; who shares a connection may hold that open.
    await Promise.race([told, delay(VANISH_MS, undefined, { ref: false })]);
    this.#gone = true;
    this.stderr.end();
    if (this.#ended !== undefined) return exitOf(this.#ended.code, this.#ended.signal, () => false);
    if (this.#killed) return exitOf(code, signal ?? 'SIGKILL', () => false);
    return { code: null, signal: null, outOfMemory: false, lost: this.#lost(code, signal) };
  }

  #lost(code: number | null, signal: NodeJS.Signals | null): Lost {
    const launcher = excerpt(this.#launcher, 200);
    const how = signal === null ? `with exit code ${code}` : `of ${signal}`;
    return this.#begun ? cutOff(launcher, how) : failureOf(launcher, how, this.#said);
  }
}

interface Child {
  /** Of its process group too. */
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<[number | null, NodeJS.Signals | null]>;
}

function killGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // ESRCH: all of it is gone already.
  }
}
