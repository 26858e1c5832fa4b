import { PassThrough } from 'node:stream';
import {
  type ChannelEvent,
  type Command,
  PROTOCOL,
  type Request,
  type Start,
} from '../../../src/engine/protocol.ts';
import type { Exit, Peer, ProvidedModel, Runtime, Slot } from '../../../src/engine/runtime.ts';
import type { HarnessFingerprint } from '../../../src/fingerprint/schema.ts';
import type { HealthReading } from '../../../src/health/schema.ts';
import { sha256 } from '../../../src/record/digest.ts';
import type { CalledProbes, Pass, PassKind, TensorDigest } from '../../../src/record/schema.ts';
import { littleEndian, uint32 } from '../../../src/record/words.ts';
import { healthReading } from './health.ts';
import { FINGERPRINT } from './records.ts';

/*
 * An engine that computes what a test tells it, in this process: a peer that speaks the harness protocol from memory.
 */

/** What one start of it computes; whatever is left out is the same in every start. */
export interface Computes {
  /** Added to each token that it generates. */
  readonly shift?: number | ((prompt: string, step: number) => number);
  /** Log-probability of each token. */
  readonly nats?: number;
  /** What rounding alone adds to each log-probability. */
  readonly rounding?: number;
  /** What its roles give is so far from what others' do, by name. */
  readonly roles?: Readonly<Record<string, number>>;
  /** Another module computes something else. */
  readonly module?: string;
  readonly promptTokens?: readonly number[];
  /** Of a model that gives one for each text, and no tokens. */
  readonly vector?: readonly number[];
  /** Its modules do not run one by one. */
  readonly compiled?: boolean;
  /** Why it does no pass of a kind. */
  readonly unavailable?: Partial<Record<PassKind, string>>;
  /** What it says in place of loading. */
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly prompts?: readonly { readonly id: string; readonly message: string }[];
  };
  /** Leaves out what a prompt gave. */
  readonly forgets?: string;
  /** Tells a prompt that nobody asked. */
  readonly invents?: string;
  /** Tells a prompt once more. */
  readonly repeats?: string;
  /** Tells so many tokens more than it was asked for. */
  readonly babbles?: number;
}

type LoadCommand = Extract<Command, { command: 'load' }>;

/** A command to load, with the environment that this start was given. */
export interface Load {
  readonly start: number;
  /** Beside its own place: where. */
  readonly where: string | undefined;
  readonly args: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly perturbation: LoadCommand['perturbation'];
  readonly prompts: LoadCommand['prompts'];
  /** Whether probes were asked for. */
  readonly probes: boolean;
}

export interface EngineOptions {
  /** @param load what this start was asked to load */
  readonly computes?: (load: Load) => Computes;
  /** Told by the engine, not by what it was asked. */
  readonly effective?: Readonly<Record<string, string | boolean>>;
  readonly fingerprint?: Partial<HarnessFingerprint>;
  /** The model's files, as its machine has them and it sees them. */
  readonly model?: HarnessFingerprint['files'];
  /** What is installed beside it, by the number of the start; without it, nobody looks. */
  readonly software?: (start: number) => unknown;
  /** What its probes gave, where they are asked for; nothing is called without it. */
  readonly probes?: CalledProbes;
  /** What its GPUs say, by the number of the start; without it there are none. */
  readonly health?: (at: HealthReading['at'], start: number) => Partial<HealthReading>;
  /** Called as a start is asked for. */
  readonly onStart?: () => void;
  /** Waited for before a start answers that it has loaded. */
  readonly hold?: (load: Load) => Promise<void>;
  /** Places beside its own: what an engine sees there. Its own is where `fingerprint` says. */
  readonly beside?: Readonly<Record<string, Partial<HarnessFingerprint>>>;
}

/** Of the cards of its machine, as nvidia-smi counts them. */
export const GPU_HASHES = Array.from({ length: 4 }, (_, index) => `${index}`.repeat(16));

const identified = (files: HarnessFingerprint['files']) =>
  files.map((file, at) => ({ ...file, identity: `1:${at}` }));

/** The model's files as its machine has them, unless told otherwise. */
export const MODEL_FILES = identified(FINGERPRINT.declared.model.files);

type PassCommand = Extract<Command, { command: 'pass' }>;

/** A machine with such an engine: what it was asked, and how it was treated. */
export class ScriptedEngine implements Runtime {
  readonly kind = 'process';
  readonly description = 'The engine runs in this test.';
  readonly image = FINGERPRINT.declared.image;
  readonly exposed = undefined;
  readonly caches = { host: '/of-the-run', inside: '/caches' };
  /** Of each start, in their order. */
  readonly starts: Start[] = [];
  readonly loads: Load[] = [];
  readonly passes: PassCommand[] = [];
  /** Token ids whose texts were asked for, question by question. */
  readonly vocabularies: (readonly number[])[] = [];
  /** Peers that were started and not given back. */
  running = 0;
  /** How many engines a run has work for at one time. */
  most = Number.POSITIVE_INFINITY;
  /** Places beside its own that were not given back. */
  held = 0;
  /** Whether the runtime itself was given back. */
  disposed = false;
  /** How often it is open now, and was at most: its GPUs are locked by whoever has it open. */
  open = 0;
  mostOpen = 0;
  readonly slot = undefined;
  readonly #options: EngineOptions;

  constructor(options: EngineOptions = {}) {
    this.#options = options;
  }

  get slots(): number {
    return Math.min(this.most, 1 + Object.keys(this.#options.beside ?? {}).length);
  }

  async beside(count: number): Promise<readonly Slot[]> {
    return Object.entries(this.#options.beside ?? {})
      .slice(0, Math.min(count, this.most - 1))
      .map(([name, seen]) => {
        this.held += 1;
        return {
          name,
          cpus: undefined,
          start: () => this.start('', 1, seen, name),
          [Symbol.asyncDispose]: async () => {
            this.held -= 1;
          },
        };
      });
  }

  indexOf(hash: string): number | undefined {
    const index = GPU_HASHES.indexOf(hash);
    return index < 0 ? undefined : index;
  }

  async provideModel(): Promise<ProvidedModel> {
    const { model } = this.#options;
    return { folder: '/model', files: model === undefined ? MODEL_FILES : identified(model) };
  }

  async start(
    _boot = '',
    _lives = 1,
    seen: Partial<HarnessFingerprint> = {},
    where: string | undefined = undefined,
  ): Promise<Peer> {
    this.#options.onStart?.();
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const exit = Promise.withResolvers<Exit>();
    const end = (outcome: Pick<Exit, 'code' | 'signal'>) => {
      exit.resolve({ ...outcome, outOfMemory: false });
      stdout.end();
      stderr.end();
    };
    this.running += 1;
    let held = true;
    void this.#play(stdin, stdout, seen, where).then(
      () => end({ code: 0, signal: null }),
      (error: unknown) => {
        stderr.write(`${String(error)}\n`);
        end({ code: 1, signal: null });
      },
    );
    return {
      stdin,
      stdout,
      stderr,
      exit: exit.promise,
      [Symbol.asyncDispose]: async () => {
        if (held) this.running -= 1;
        held = false;
        stdin.destroy();
        end({ code: null, signal: 'SIGKILL' });
      },
    };
  }

  /** As a runtime is opened. */
  opened(most: number): this {
    this.most = most;
    this.open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.open -= 1;
    this.disposed = true;
  }

  async #play(
    stdin: PassThrough,
    stdout: PassThrough,
    seen: Partial<HarnessFingerprint>,
    where: string | undefined,
  ): Promise<void> {
    const { effective = { dtype: 'bfloat16' }, fingerprint = {}, computes = () => ({}) } = this.#options;
    const { health = () => ({}), software = () => undefined, model } = this.#options;
    const called = this.#options.probes && { probes: this.#options.probes };
    const messages = framesOf(stdin);
    const start = (await messages.next()).value as Start;
    if (start.warm) {
      const say = (seq: number, event: object) =>
        stdout.write(`${JSON.stringify({ nonce: start.nonce, seq, ...event })}\n`);
      say(0, { event: 'hello', protocol: PROTOCOL, pid: 1, python: '3.11.2' });
      // Forks of it are played in test/unit/run/starts.test.ts.
      say(1, { event: 'ready', seconds: 1, unfit: 'the engine is scripted' });
      return;
    }
    const number = this.starts.push(start);
    let seq = 0;
    const emit = (event: object) => {
      stdout.write(`${JSON.stringify({ nonce: start.nonce, seq, ...event })}\n`);
      seq += 1;
    };
    emit({ event: 'hello', protocol: PROTOCOL, pid: number, python: '3.11.2' });
    emit({
      event: 'fingerprint',
      fingerprint: { ...SEEN, files: model ?? SEEN.files, ...fingerprint, ...seen },
      health: healthReading('before', health('before', number)),
    });
    let computed: Computes = {};
    for await (const message of messages) {
      const command = message as Command;
      switch (command.command) {
        case 'load': {
          const { args, perturbation, prompts, probes = false } = command;
          const { environment } = start;
          const load = { start: number, where, args, perturbation, prompts, probes, environment };
          this.loads.push(load);
          await this.#options.hold?.(load);
          computed = { compiled: load.args['enforce_eager'] === false, ...computes(load) };
          if (computed.error !== undefined) return emit({ event: 'error', ...computed.error });
          const perturbed = perturbation === null ? null : `${perturbation.kind}, as told`;
          const settings = { requested: args, dropped: [], effective };
          emit({
            event: 'lifetime',
            seconds: 1,
            settings,
            software: software(number),
            perturbed,
            ...(probes && called),
          });
          break;
        }
        case 'pass':
          this.passes.push(command);
          for (const event of answers(command, computed, `${number}@12345`)) emit(event);
          break;
        case 'vocabulary': {
          const ids = [...uint32(Buffer.from(command.ids, 'base64'))];
          this.vocabularies.push(ids);
          emit({ event: 'vocabulary', texts: Object.fromEntries(ids.map((id) => [id, ` w${id}`])) });
          break;
        }
        case 'rest':
          emit({ event: 'rested', health: healthReading('after', health('after', number)) });
          break;
        case 'end':
          return emit({ event: 'done', health: healthReading('after', health('after', number)) });
      }
    }
  }
}

/** The frame that starts a harness, then a command a line. */
async function* framesOf(stdin: PassThrough): AsyncGenerator<unknown> {
  let text = '';
  let length: number | undefined;
  for await (const chunk of stdin) {
    text += String(chunk);
    for (;;) {
      const end = text.indexOf('\n');
      if (length === undefined) {
        if (end < 0) break;
        length = Number.parseInt(text, 10);
        text = text.slice(end + 1);
      } else if (length > 0) {
        // What a test asks is ASCII, so that bytes are characters.
        if (text.length < length) break;
        yield JSON.parse(text.slice(0, length));
        text = text.slice(length);
        length = 0;
      } else {
        if (end < 0) break;
        yield JSON.parse(text.slice(0, end));
        text = text.slice(end + 1);
      }
    }
  }
}

/** All that a harness answers to a pass. */
function answers(command: PassCommand, computes: Computes, process: string): object[] {
  const { pass, kind, requests, groups } = command;
  const why = computes.unavailable?.[kind];
  const ran = why === undefined ? groups.flat() : [];
  const seen = groups.flatMap((group) =>
    group.map((id) => {
      const request = requests.find((one) => one.id === id);
      return { id, together: group.length, steps: request === undefined ? 0 : stepsOf(kind, request) };
    }),
  );
  const prompt = computes.promptTokens ?? PROMPT;
  const cached = command.warm ? prompt.length - 1 : 0;
  const told = ran.flatMap((id, order) => {
    const one = seen.find((held) => held.id === id);
    const given = requests.find((request) => request.id === id);
    const length = kind === 'score' && given !== undefined ? sequenceOf(given, prompt).length : prompt.length;
    return one === undefined
      ? []
      : [
          {
            id,
            order,
            together: one.together,
            chunks: [length - cached],
            decodeSteps: Math.max(0, one.steps - 1),
            cachedTokens: cached,
          },
        ];
  });
  const sum = (of: (one: (typeof told)[number]) => number) => told.reduce((all, one) => all + of(one), 0);
  const witness: Pass['witness'] = {
    process,
    steps: sum(({ decodeSteps }) => decodeSteps + 1),
    generatedTokens: sum(({ decodeSteps }) => decodeSteps + 1),
    promptTokens:
      sum(({ chunks }) => chunks.reduce((all, one) => all + one, 0)) + sum((one) => one.cachedTokens),
    maxRunning: Math.max(0, ...told.map(({ together }) => together)),
    cachedTokens: sum(({ cachedTokens }) => cachedTokens),
    preemptions: 0,
    requests: told,
  };
  const observed = requests.filter(
    ({ id, observed }) => observed && ran.includes(id) && id !== computes.forgets,
  );
  const invented = observed.slice(0, computes.invents === undefined ? 0 : 1);
  return [
    ...invented.map((request) => resultOf(command, { ...request, id: computes.invents ?? '' }, computes)),
    ...observed.map((request) => resultOf(command, request, computes)),
    ...observed
      .filter(({ id }) => id === computes.repeats)
      .map((request) => resultOf(command, request, computes)),
    { event: 'pass', pass, seconds: 0.5, unavailable: why ?? null, witness, sampling: { temperature: 0 } },
  ];
}

const PROMPT = [1, 2, 3];
const MODULES = ['model.layers.0.mlp', 'model.norm'];

/** What one request gave: the only place that knows how it looks on the wire. */
export function resultOf(
  { pass, kind, topK, trace, roles, noise }: PassCommand,
  request: Request,
  computes: Computes,
): object {
  const { promptTokens = PROMPT, rounding = 0 } = computes;
  const nats = (computes.nats ?? -0.25) + (noise === null ? 0 : rounding);
  const tokens = [
    ...tokensOf(kind, request, computes),
    ...Array.from<number>({ length: computes.babbles ?? 0 }).fill(1),
  ];
  // Decoding and prefill give a token the same; of the prompt's own tokens each place gives another.
  const logprobs = tokens.map((_, at) =>
    kind === 'score' && at < promptTokens.length - 1 ? nats - at : nats,
  );
  const top = tokens.flatMap((token, at) =>
    Array.from({ length: topK }, (_, rank) => [token + rank, (logprobs[at] ?? 0) - rank] as const),
  );
  const decoded: readonly ChannelEvent[] = [
    { name: 'tokens', kind: 'ids', data: ids(tokens) },
    { name: 'logprobs', kind: 'nats', data: floats(logprobs), nans: 0 },
    {
      ...{ name: 'top-k', kind: 'ranked', k: topK, nans: 0 },
      ids: ids(top.map(([token]) => token)),
      nats: floats(top.map(([, value]) => value)),
    },
  ];
  const text = tokens.map((token) => ` w${token}`).join('');
  const channels: readonly ChannelEvent[] = [
    { name: 'prompt-tokens', kind: 'ids', data: ids(promptTokens) },
    ...(computes.vector === undefined ? [] : [vectorOf(computes.vector)]),
    ...(kind === 'trace' || computes.vector !== undefined ? [] : decoded),
    ...(kind === 'generate' ? [{ name: 'text', kind: 'text', text } as const] : []),
    ...(trace && (kind === 'trace' || computes.compiled !== true)
      ? [{ name: 'modules', kind: 'digests', digests: modulesOf(computes) } as const]
      : []),
    ...(roles === true ? [rolesOf(computes, noise)] : []),
  ];
  return {
    ...{ event: 'observation', pass, prompt: request.id, channels },
    finishReason: kind === 'generate' ? 'length' : 'given',
  };
}

const ROLES = ['embed', 'layers.0.qkv', 'layers.0.o', 'norm'];
/** What rounding makes of each. */
const ROUNDED = 0.001;

/** Of each role a square of 1, and one bucket. */
function rolesOf({ roles = {} }: Computes, noise: number | null): ChannelEvent {
  const values = ROLES.flatMap((name) => [1, 1 + (roles[name] ?? 0) + (noise === null ? 0 : ROUNDED)]);
  const data = Buffer.from(Float64Array.from(values).buffer).toString('base64');
  return { name: 'roles', kind: 'sketches', k: 2, names: ROLES, values: data };
}

const vectorOf = (numbers: readonly number[]): ChannelEvent => ({
  ...{ name: 'vector', kind: 'nats', nans: 0 },
  data: floats(numbers),
});

function modulesOf({ module = '', nats = -0.25 }: Computes): TensorDigest[] {
  return MODULES.map((name) => ({ name, sha256: sha256(`${name} ${nats} ${module}`), nans: 0 }));
}

const stepsOf = (kind: PassKind, request: Request): number => {
  switch (kind) {
    case 'generate':
      return request.sampling.max_tokens;
    case 'force':
      return given(request).length || 1;
    case 'score':
    case 'trace':
      return 1;
  }
};

function tokensOf(
  kind: PassKind,
  request: Request,
  { shift = 0, promptTokens = PROMPT }: Computes,
): number[] {
  switch (kind) {
    case 'generate':
      return Array.from(
        { length: request.sampling.max_tokens },
        (_, step) => token(request, step) + (typeof shift === 'number' ? shift : shift(request.id, step)),
      );
    case 'force':
      return given(request);
    case 'score':
      return sequenceOf(request, promptTokens).slice(1);
    case 'trace':
      return [];
  }
}

const token = ({ input }: Request, step: number) =>
  Number.parseInt(sha256(`${JSON.stringify(input)} ${step}`).slice(0, 4), 16);

const given = ({ tokens }: Request) => [...uint32(Buffer.from(tokens ?? '', 'base64'))];

const sequenceOf = (request: Request, prompt: readonly number[]) =>
  [...prompt, ...given(request)].slice(0, request.limit ?? undefined);

const ids = (values: readonly number[]) => littleEndian(Uint32Array.from(values)).toString('base64');
const floats = (values: readonly number[]) => littleEndian(Float32Array.from(values)).toString('base64');

const { declared, ambient } = FINGERPRINT;
export const SEEN: HarnessFingerprint = {
  engine: declared.engine,
  libraries: declared.libraries,
  files: declared.model.files,
  environment: declared.environment,
  gpus: ambient.gpus,
  driver: ambient.driver,
  cpu: ambient.cpu,
  memoryBytes: ambient.memoryBytes,
  os: ambient.os,
  kernel: ambient.kernel,
};
