import { randomBytes } from 'node:crypto';
import { PassThrough, Writable } from 'node:stream';
import { cancelled, UserError } from '../errors.ts';
import { lines } from './lines.ts';
import {
  type ForkCommand,
  MAX_EVENT_BYTES,
  ParentEvent,
  PROTOCOL,
  type Start,
  type Task,
} from './protocol.ts';
import type { Exit, Peer } from './runtime.ts';
import { died, type SessionOptions, violation } from './session.ts';

/** Lines of its log that an error quotes. */
const TAIL_LINES = 30;

/** A fork: what ends its streams, and where they go. */
interface Fork {
  readonly stdout: PassThrough;
  readonly stderr: PassThrough;
  readonly exit: PromiseWithResolvers<Exit>;
}

/**
 * A harness process that has imported the engine and computes nothing: each lifetime is a fork of it, over its streams.
 * One fork at a time. Disposing stops both.
 */
export class WarmParent implements AsyncDisposable {
  #options: SessionOptions;
  readonly #peer: Peer;
  readonly #nonce = randomBytes(16).toString('hex');
  readonly #tail: string[] = [];
  #seq = 0;
  #greeted = false;
  #fork: Fork | undefined;
  #imported: readonly string[] | undefined;
  #gone = false;
  /** Settled by what it says next: why no fork of it counts; or how it ended. */
  #ready = Promise.withResolvers<string | undefined>();
  #disposal: Promise<void> | undefined;

  private constructor(options: SessionOptions, peer: Peer) {
    this.#options = options;
    this.#peer = peer;
    peer.stdin.on('error', () => {});
    this.#ready.promise.catch(() => {});
    void this.#readLog();
    void this.#read();
  }

  /** Starts it. That it has imported the engine is waited for by the first `fork`. */
  static async open(
    options: SessionOptions,
    task: Task,
    environment: Readonly<Record<string, string>>,
    deadlineSeconds: number,
    sources: readonly string[] = [],
  ): Promise<WarmParent> {
    const parent = new WarmParent(options, await options.start(options.harness.boot));
    const start: Start = {
      protocol: PROTOCOL,
      nonce: parent.#nonce,
      files: options.harness.files,
      environment,
      task,
      deadlineSeconds,
      warm: true,
      ...(sources.length > 0 && { sources }),
    };
    const body = Buffer.from(JSON.stringify(start));
    parent.#peer.stdin.write(Buffer.concat([Buffer.from(`${body.length}\n`), body]));
    return parent;
  }

  /** Whether its process has ended: it forks none any more. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Of the files that it was asked about, those that it has imported; undefined until it has said so. */
  get imported(): readonly string[] | undefined {
    return this.#imported;
  }

  /** Of another run from now on, which hears what it says. Its deadline stays that of its start. */
  adopt(by: SessionOptions): void {
    this.#options = by;
  }

  /**
   * A lifetime's streams; or why a fork of this process would not be what a new process is.
   *
   * @throws UserError how it died, hung or broke the protocol
   */
  async fork(nonce: string): Promise<Peer | string> {
    const { inactivitySeconds, deadlineSeconds, signal } = this.#options;
    signal.throwIfAborted();
    const unfit = await this.#isReady(inactivitySeconds, signal);
    if (unfit !== undefined) return unfit;
    this.#ready = Promise.withResolvers();
    this.#ready.promise.catch(() => {});
    const fork: Fork = {
      stdout: new PassThrough(),
      stderr: new PassThrough(),
      exit: Promise.withResolvers<Exit>(),
    };
    this.#fork = fork;
    const command: ForkCommand = { command: 'fork', nonce, deadlineSeconds };
    this.#peer.stdin.write(`${JSON.stringify(command)}\n`);
    return {
      // Its end is not that of the process which forks.
      stdin: new Writable({
        write: (chunk, encoding, done) => void this.#peer.stdin.write(chunk, encoding, done),
      }),
      stdout: fork.stdout,
      stderr: fork.stderr,
      exit: fork.exit.promise,
      // One that has not ended is stopped with its parent: there is no other way to its processes.
      [Symbol.asyncDispose]: async () => {
        if (this.#fork === fork) await this[Symbol.asyncDispose]();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose();
    await this.#disposal;
  }

  async #dispose(): Promise<void> {
    this.#end({ code: null, signal: 'SIGKILL', outOfMemory: false });
    await this.#peer[Symbol.asyncDispose]();
  }

  async #isReady(seconds: number, signal: AbortSignal): Promise<string | undefined> {
    const waited = Promise.withResolvers<never>();
    const stop = () => waited.reject(cancelled());
    signal.addEventListener('abort', stop);
    const timer = setTimeout(() => waited.reject(this.#hung(seconds)), seconds * 1000);
    try {
      return await Promise.race([this.#ready.promise, waited.promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  #hung(seconds: number): UserError {
    return new UserError(
      'engine-hung',
      `The process that imports the engine was not ready after ${seconds} s.${this.#quoted()}`,
      'Raise the `inactivity-minutes` input if importing the engine really takes that long; `runtime: { warm: false }` in the suite does without such a process.',
    );
  }

  async #read(): Promise<void> {
    const own = Buffer.from(this.#nonce);
    try {
      for await (const line of lines(this.#peer.stdout, MAX_EVENT_BYTES)) {
        if (line.length === 0) continue;
        if (line.includes(own)) this.#take(line);
        else if (this.#fork !== undefined) await write(this.#fork.stdout, line);
        else this.#print(line);
      }
      this.#end(await this.#peer.exit);
    } catch (error) {
      this.#ready.reject(error);
      this.#end({ code: null, signal: null, outOfMemory: false });
    }
  }

  #take(line: Buffer): void {
    const parsed = ParentEvent.safeParse(JSON.parse(line.toString('utf8')));
    if (!parsed.success || parsed.data.nonce !== this.#nonce || parsed.data.seq !== this.#seq)
      throw violation('what a process said that only forks lifetimes is malformed or out of order');
    this.#seq += 1;
    const event = parsed.data;
    switch (event.event) {
      case 'hello':
        this.#greeted = true;
        break;
      case 'ready':
        this.#leave({ code: 0, signal: null, outOfMemory: false });
        this.#imported = event.imported;
        this.#ready.resolve(event.unfit ?? undefined);
        break;
      case 'error':
        // Whatever it is: a start that needs what is missing has the words for it.
        this.#print(Buffer.from(`${event.code}: ${event.message}`));
    }
  }

  /** The process has ended: nothing more is forked. */
  #end(exit: Exit): void {
    this.#gone = true;
    this.#leave(exit);
    const { code, message, hint } = died(exit, this.#greeted, this.#tail);
    this.#ready.reject(
      new UserError(code, `The process that had imported the engine has ended: ${message}`, hint),
    );
  }

  #leave(exit: Exit): void {
    const fork = this.#fork;
    this.#fork = undefined;
    fork?.stdout.end();
    fork?.stderr.end();
    fork?.exit.resolve(exit);
  }

  async #readLog(): Promise<void> {
    try {
      for await (const line of lines(this.#peer.stderr, 64 * 1024))
        if (this.#fork === undefined) this.#print(line);
        else await write(this.#fork.stderr, line);
    } catch {
      // The stream was torn down with its process: `exit` tells why.
    }
  }

  #print(line: Buffer): void {
    const text = line.toString('utf8');
    this.#tail.push(text);
    if (this.#tail.length > TAIL_LINES) this.#tail.shift();
    this.#options.onOutput(text);
  }

  #quoted(): string {
    return this.#tail.length === 0 ? '' : `\nIts last lines:\n${this.#tail.join('\n')}`;
  }
}

/** With its end, and no more than its reader takes. */
async function write(stream: PassThrough, line: Buffer): Promise<void> {
  if (stream.writableEnded) return;
  if (!stream.write(Buffer.concat([line, Buffer.from('\n')])))
    await new Promise<void>((resolve) => {
      stream.once('drain', resolve);
      stream.once('close', resolve);
    });
}
