import { randomBytes } from 'node:crypto';
import { constants } from 'node:os';
import { cancelled, type Place, UserError } from '../errors.ts';
import { isTooDeep, MAX_LEVELS } from '../record/depth.ts';
import { engines } from './engines/index.ts';
import { lines } from './lines.ts';
import {
  type Command,
  Event,
  type EventOf,
  MAX_EVENT_BYTES,
  PROTOCOL,
  type Start,
  type Task,
} from './protocol.ts';
import type { Exit, Peer } from './runtime.ts';

/** The harness as the host delivers it. */
export interface Harness {
  /** Program of `python3 -c`. */
  readonly boot: string;
  /** Relative path -> content. */
  readonly files: Readonly<Record<string, string>>;
}

export interface SessionOptions {
  readonly harness: Harness;
  /** Starts the Python that the harness runs in. */
  readonly start: (boot: string) => Promise<Peer>;
  /** Seconds without any event until the engine counts as hung. */
  readonly inactivitySeconds: number;
  /** Seconds from start to end, whatever happens. */
  readonly deadlineSeconds: number;
  readonly signal: AbortSignal;
  /** One line that the engine or a library printed: hostile. */
  readonly onOutput: (line: string) => void;
  readonly onProgress: (progress: EventOf<'progress'>) => void;
  /** Where the suite has a prompt. */
  readonly placeOf: (prompt: string) => Omit<Place, 'message'>;
  /** Where it names the engine. */
  readonly enginePlace: Omit<Place, 'message'>;
}

/** Lines of the engine's log that an error quotes. */
const TAIL_LINES = 30;
const MAX_LOG_LINE_BYTES = 64 * 1024;

/** The host's end of the harness protocol over one peer. Disposing stops the peer. */
export class Session implements AsyncDisposable {
  #options: SessionOptions;
  readonly #peer: Peer;
  readonly #nonce: string;
  readonly #events: AsyncGenerator<Event>;
  readonly #stderr: Promise<void>;
  readonly #tail: string[] = [];
  readonly #deadline: AbortSignal;
  #seq = 0;
  #greeted = false;
  #ended = false;
  #disposed = false;
  #gone = false;

  private constructor(options: SessionOptions, peer: Peer, nonce: string = randomBytes(16).toString('hex')) {
    this.#options = options;
    this.#nonce = nonce;
    this.#peer = peer;
    this.#deadline = AbortSignal.timeout(options.deadlineSeconds * 1000);
    this.#events = this.#readEvents();
    this.#stderr = this.#readLog();
    void peer.exit.then(() => {
      this.#gone = true;
    });
    // A peer that died while we write is reported by `exit`, with its reason; EPIPE would hide it.
    peer.stdin.on('error', () => {});
  }

  /** Starts the harness on a task and says hello. The events that follow depend on the task. */
  static async open(
    options: SessionOptions,
    task: Task,
    environment: Readonly<Record<string, string>>,
  ): Promise<Session> {
    options.signal.throwIfAborted();
    const session = new Session(options, await options.start(options.harness.boot));
    try {
      const start: Start = {
        protocol: PROTOCOL,
        nonce: session.#nonce,
        files: options.harness.files,
        environment,
        task,
        deadlineSeconds: options.deadlineSeconds,
      };
      const body = Buffer.from(JSON.stringify(start));
      session.#peer.stdin.write(Buffer.concat([Buffer.from(`${body.length}\n`), body]));
      await session.expect('hello');
      session.#greeted = true;
      return session;
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A lifetime of a process that has imported the engine; or why that process forks none. */
  static async fork(
    options: SessionOptions,
    parent: { fork(nonce: string): Promise<Peer | string> },
  ): Promise<Session | string> {
    const nonce = randomBytes(16).toString('hex');
    const peer = await parent.fork(nonce);
    if (typeof peer === 'string') return peer;
    const session = new Session(options, peer, nonce);
    try {
      await session.expect('hello');
      session.#greeted = true;
      return session;
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Whether its process has ended, by itself or not. */
  get gone(): boolean {
    return this.#gone || this.#disposed;
  }

  /** Of another run from now on, which hears what it says. Its deadline stays that of its start. */
  adopt(by: Omit<SessionOptions, 'deadlineSeconds'>): void {
    const { deadlineSeconds } = this.#options;
    this.#options = { ...by, deadlineSeconds };
  }

  send(command: Command): void {
    this.#peer.stdin.write(`${JSON.stringify(command)}\n`);
  }

  /**
   * Waits for one kind of event; progress on the way is handed on, results go to `onResult`.
   *
   * @throws UserError whatever the harness reports, or how it died, hung or broke the protocol
   */
  async expect<K extends Event['event']>(
    kind: K,
    onResult?: (event: EventOf<'observation'>) => Promise<void>,
  ): Promise<EventOf<K>> {
    for (;;) {
      const event = await this.#next();
      if (event.event === kind) return event as EventOf<K>;
      switch (event.event) {
        case 'progress':
          this.#options.onProgress(event);
          break;
        case 'observation':
          if (onResult === undefined) throw violation(`\`${event.event}\` came where \`${kind}\` was due`);
          await onResult(event);
          break;
        case 'error':
          throw reported(event, this.#tail, this.#options);
        case 'hello':
        case 'fingerprint':
        case 'lifetime':
        case 'pass':
        case 'vocabulary':
        case 'rested':
        case 'done':
          throw violation(`\`${event.event}\` came where \`${kind}\` was due`);
      }
    }
  }

  /** The passes are over, and the engine stays loaded for others. */
  async rest(): Promise<EventOf<'rested'>> {
    this.send({ command: 'rest' });
    return await this.expect('rested');
  }

  /** Tells the harness that nothing more comes and waits until it has gone. */
  async end(): Promise<EventOf<'done'>> {
    this.send({ command: 'end' });
    const done = await this.expect('done');
    this.#ended = true;
    this.#peer.stdin.end();
    return done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#ended) await Promise.race([this.#peer.exit, timeout(5_000)]);
    await this.#peer[Symbol.asyncDispose]();
    await this.#stderr;
  }

  async #next(): Promise<Event> {
    const { signal, inactivitySeconds, deadlineSeconds } = this.#options;
    using watch = new Watch(inactivitySeconds * 1000, [signal, this.#deadline]);
    const next = this.#nextOrExit();
    // Whichever of the two loses the race is looked at no more.
    next.catch(() => {});
    const outcome = await Promise.race([next, watch.fired]);
    if (signal.aborted) throw cancelled();
    if (this.#deadline.aborted)
      throw new UserError(
        'deadline-exceeded',
        `The engine was not done ${deadlineSeconds} s after its start; it was stopped.${quote(this.#tail)}`,
        'Raise the `timeout-minutes` input, or ask for fewer prompts or tokens.',
      );
    if (outcome === 'fired')
      throw new UserError(
        'engine-hung',
        `The engine gave no sign of life for ${inactivitySeconds} s; it was stopped.${quote(this.#tail)}`,
        'See its last lines above. Raise the `inactivity-minutes` input if loading the model really takes that long.',
      );
    if ('event' in outcome) return outcome;
    await this.#stderr;
    throw died(outcome, this.#greeted, this.#tail);
  }

  /** How it ended, once it says no more: a process may close stdout and live on, so this may take for ever. */
  async #nextOrExit(): Promise<Event | Exit> {
    const { done, value } = await this.#events.next();
    return done === true ? await this.#peer.exit : value;
  }

  async *#readEvents(): AsyncGenerator<Event> {
    for await (const line of lines(this.#peer.stdout, MAX_EVENT_BYTES)) {
      // The harness begins each event on a new line, whatever was printed there before.
      if (line.length === 0) continue;
      const value = parseJson(line);
      // Without the nonce it is something that a library printed, whatever it looks like.
      if (value?.['nonce'] !== this.#nonce) {
        this.#print(line);
        continue;
      }
      if (isTooDeep(value)) throw violation(`event ${this.#seq} is nested deeper than ${MAX_LEVELS} levels`);
      if (value['seq'] !== this.#seq)
        throw violation(
          `event ${JSON.stringify(value['seq'])?.slice(0, 40)} came where ${this.#seq} was due`,
        );
      this.#seq += 1;
      const parsed = Event.safeParse(value);
      if (!parsed.success) {
        const issue = parsed.error.issues[0];
        throw violation(
          `event ${this.#seq - 1} is malformed: ${issue?.path.map(String).join('.')}: ${issue?.message}`,
        );
      }
      yield parsed.data;
    }
  }

  async #readLog(): Promise<void> {
    try {
      for await (const line of lines(this.#peer.stderr, MAX_LOG_LINE_BYTES)) this.#print(line);
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
}

/** Fires once, after `ms` or when a signal aborts; disposing disarms it. */
class Watch implements Disposable {
  readonly fired: Promise<'fired'>;
  readonly #timer: NodeJS.Timeout;
  readonly #disarm: () => void;

  constructor(ms: number, signals: readonly AbortSignal[]) {
    const { promise, resolve } = Promise.withResolvers<'fired'>();
    this.fired = promise;
    const fire = () => resolve('fired');
    this.#timer = setTimeout(fire, ms);
    for (const signal of signals) {
      if (signal.aborted) fire();
      signal.addEventListener('abort', fire);
    }
    this.#disarm = () => {
      for (const signal of signals) signal.removeEventListener('abort', fire);
    };
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#disarm();
  }
}

function parseJson(line: Buffer): Readonly<Record<string, unknown>> | undefined {
  if (line[0] !== 0x7b) return undefined;
  try {
    return JSON.parse(line.toString('utf8')) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

const timeout = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref());

const quote = (tail: readonly string[]) => (tail.length === 0 ? '' : `\nIts last lines:\n${tail.join('\n')}`);

export function violation(what: string): UserError {
  return new UserError(
    'protocol-violation',
    `The harness broke its protocol: ${what}.`,
    'Nothing of this lifetime is used. If it happens again, report it with the engine log.',
  );
}

function reported(
  { code, message, prompts = [] }: EventOf<'error'>,
  tail: readonly string[],
  { placeOf, enginePlace }: Pick<SessionOptions, 'placeOf' | 'enginePlace'>,
): UserError {
  switch (code) {
    case 'prompt-rejected': {
      const places = prompts.map((one) => ({ ...placeOf(one.id), message: `${one.id}: ${one.message}` }));
      return new UserError(
        code,
        [`${message}:`, ...places.map((p) => `${p.file}:${p.line}:${p.column}  ${p.message}`)].join('\n'),
        'Change the prompts, or take a model that can be asked them. `text` in place of `messages` needs no template; `max_model_len` under `engine.args` bounds the tokens.',
        { places },
      );
    }
    case 'engine-missing':
      return new UserError(
        code,
        message,
        'Use an image, or a Python (`python` input), that has the engine installed.',
      );
    case 'engine-rejected':
      return new UserError(
        code,
        message,
        "Correct `engine.args` or `sampling` in the suite: they are the engine's own names.",
      );
    case 'engine-out-of-memory':
      return new UserError(
        code,
        `${message}${quote(tail)}`,
        `Lower ${MEMORY} under \`engine.args\`, raise \`runtime.memory\`, or see what else uses the device.`,
      );
    case 'engine-failed':
      return new UserError(
        code,
        `${message}${quote(tail)}`,
        'The message is the engine’s own; the log above it has the context.',
      );
    case 'script-invalid':
      return new UserError(
        code,
        `${message}${quote(tail)}`,
        'Correct the file, or `file`, `files`, `function` and `options` under `engine.args`. Only what `files` names lies beside it.',
      );
    case 'script-failed': {
      const places = prompts.map((one) => ({ ...placeOf(one.id), message: `${one.id}: ${one.message}` }));
      return new UserError(
        code,
        `The script failed for the prompt ${message}${quote(tail)}`,
        'Correct the function: it emits a text, a number or a tensor under a name of its own, at least once for each prompt.',
        { places },
      );
    }
    case 'model-missing':
      return new UserError(
        code,
        message,
        '`model.path` names a folder with config.json, weights and tokenizer, relative to the suite.',
      );
    case 'model-unreadable':
      return new UserError(
        code,
        message,
        'Make the files readable for the user that the engine runs as, e.g. `chmod -R a+rX`.',
      );
    case 'model-changed':
      return new UserError(
        code,
        message,
        'Let nothing write to the model while a run goes on, and run again.',
      );
    case 'gpu-unavailable':
      return new UserError(
        code,
        message,
        'Check `nvidia-smi` on the runner and `runtime.gpus` in the suite.',
      );
    case 'deadline-exceeded':
      return new UserError(code, message, 'Raise the `timeout-minutes` input.');
    case 'disk-full':
      return new UserError(
        code,
        message,
        'Free space on the runner; of a container’s /tmp, raise `runtime.memory`, which it has a quarter of.',
      );
    case 'endpoint-unavailable':
    case 'endpoint-refused':
    case 'endpoint-broken': {
      const places = prompts.map((one) => ({ ...placeOf(one.id), message: `${one.id}: ${one.message}` }));
      const { file, line, column } = places[0] ?? enginePlace;
      return new UserError(code, `${file}:${line}:${column}  ${message}.`, ENDPOINT_REMEDIES[code], {
        places: places.length > 0 ? places : [{ ...enginePlace, message }],
      });
    }
    case 'protocol-violation':
      return violation(message);
  }
}

const ENDPOINT_REMEDIES = {
  'endpoint-unavailable':
    'Start the run again later; ask for fewer prompts or tokens where the endpoint limits them, and check `url` under `engine.args` and the network.',
  'endpoint-refused':
    'Check `url` under `engine.args`, `model.served`, and the `endpoint-key` input (on a terminal: OPENAI_API_KEY); what the endpoint says of a field is about `sampling`.',
  'endpoint-broken':
    'Nothing of it is used. See what answers at `url` under `engine.args`, and what stands between it and this machine.',
} as const;

export function died(
  { code, signal, outOfMemory, lost }: Exit,
  greeted: boolean,
  tail: readonly string[],
): UserError {
  if (lost !== undefined) return new UserError(lost.code, `${lost.message}${quote(tail)}`, lost.hint);
  if (!greeted && (code === COMMAND_NOT_FOUND || tail.some((line) => NOT_FOUND_BY_CATATONIT.test(line))))
    return new UserError(
      'engine-missing',
      `There is no python3 where the engine is to run.${quote(tail)}`,
      `Use an image that has the engine and its Python on PATH, such as ${engines.flatMap(({ image }) => image ?? []).join(' or ')}.`,
    );
  if (outOfMemory)
    return new UserError(
      'engine-out-of-memory',
      `The kernel killed the engine: it ran out of memory.${quote(tail)}`,
      `Raise \`runtime.memory\`, or lower what the engine keeps: ${MEMORY}.`,
    );
  if (tail.some((line) => /No space left on device/i.test(line)))
    return new UserError(
      'disk-full',
      `The engine's disk is full, and it died of that.${quote(tail)}`,
      'Free space on the runner, first of all in its temporary folder.',
    );
  const how = signal === null ? `with exit code ${code}` : `of ${signal}${signalMeaning(signal)}`;
  return new UserError(
    'engine-died',
    `The engine died ${how} before it had answered.${quote(tail)}`,
    signal === 'SIGILL'
      ? 'Some library used an instruction that this CPU lacks or that a setting forbids: look at ONEDNN_MAX_CPU_ISA and ATEN_CPU_CAPABILITY, or use an image built for this CPU.'
      : 'Its last lines above usually name the cause. Run the same suite with `deterministic-ml check` on the runner to see it live.',
  );
}

/** What Docker's init and a shell give for a program that is not there; Podman's init, catatonit, gives 1 and says so. */
const COMMAND_NOT_FOUND = 127;
const NOT_FOUND_BY_CATATONIT = /^ERROR \(catatonit:\d+\): failed to exec pid1: No such file or directory/;

/** Arguments of engines that take memory. */
const MEMORY = [...new Set(engines.flatMap(({ memory }) => memory))].map((name) => `\`${name}\``).join(', ');

function signalMeaning(signal: string): string {
  const number = (constants.signals as Readonly<Record<string, number | undefined>>)[signal];
  return number === undefined ? '' : ` (exit code ${128 + number})`;
}
