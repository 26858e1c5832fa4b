import { PassThrough } from 'node:stream';
import { type ChannelEvent, type Command, type Event, PROTOCOL, type Start } from '../engine/protocol.ts';
import type { Exit, Peer } from '../engine/runtime.ts';
import type { HealthReading } from '../health/schema.ts';
import { excerpt } from '../inert.ts';
import { type Channel, describeChannel } from '../record/channels.ts';
import type { Witness } from '../record/witness.ts';
import { littleEndian, uint32 } from '../record/words.ts';
import { type Answer, type Route, samplesChannel } from './answer.ts';
import { EndpointError } from './error.ts';
import { routeOf, type Server } from './server.ts';

/** An event without what the frame adds; of each kind its own fields. */
type Said = Event extends infer E ? (E extends Event ? Omit<E, 'nonce' | 'seq'> : never) : never;
type Emit = (event: Said) => void;
type Load = Extract<Command, { command: 'load' }>;
type PassCommand = Extract<Command, { command: 'pass' }>;

/**
 * The harness's half of the protocol, in this process: what it is asked it asks a server. It starts nothing and computes
 * nothing, so it needs no isolation; and what knows the key is this process alone.
 */
export function startPeer(server: Server): Peer {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const { promise: exit, resolve } = Promise.withResolvers<Exit>();
  const stop = new AbortController();
  const end = (how: Exit) => {
    for (const stream of [stdout, stderr]) stream.end();
    resolve(how);
  };
  void speak(server, stdin, (line) => stdout.write(line), stop.signal).then(
    () => end({ code: 0, signal: null, outOfMemory: false }),
    (error: unknown) => {
      stderr.write(`${String(error)}\n`);
      end({ code: 1, signal: null, outOfMemory: false });
    },
  );
  return {
    ...{ stdin, stdout, stderr, exit },
    [Symbol.asyncDispose]: async () => {
      stop.abort(new Error('the lifetime has ended'));
      stdin.end();
      await exit;
    },
  };
}

async function speak(
  server: Server,
  stdin: PassThrough,
  write: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const messages = framesOf(stdin);
  const { done, value } = await messages.next();
  if (done === true) return;
  const start = value as Start;
  let seq = 0;
  const emit: Emit = (event) => {
    write(`${JSON.stringify({ nonce: start.nonce, seq, ...event })}\n`);
    seq += 1;
  };
  emit({ event: 'hello', protocol: PROTOCOL, pid: 0, python: 'none' });
  let prompt: string | undefined;
  try {
    emit({ event: 'fingerprint', fingerprint: await server.fingerprint(signal), health: healthOf('before') });
    for await (const message of messages) {
      const command = message as Command;
      prompt = undefined;
      switch (command.command) {
        case 'load':
          await load(server, command, emit, signal);
          break;
        case 'pass':
          await pass(command, {
            ...{ server, emit, signal, sum: new Sum() },
            asking: (id) => {
              prompt = id;
            },
          });
          break;
        case 'vocabulary':
          emit({
            event: 'vocabulary',
            texts: server.vocabulary(uint32(Buffer.from(command.ids, 'base64'))),
          });
          break;
        case 'rest':
          emit({ event: 'rested', health: healthOf('after') });
          break;
        case 'end':
          emit({ event: 'done', health: healthOf('after') });
          return;
      }
    }
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof EndpointError)) throw error;
    const { code, message } = error;
    emit({
      ...{ event: 'error', code, message: excerpt(message, 4000) },
      ...(prompt === undefined ? {} : { prompts: [{ id: prompt, message: excerpt(message, 500) }] }),
    });
  }
}

async function load(server: Server, { args, prompts }: Load, emit: Emit, signal: AbortSignal): Promise<void> {
  const began = performance.now();
  const routes = new Set<Route>(prompts.map(({ input }) => routeOf(input)));
  const effective = await server.settings(routes, signal);
  emit({
    event: 'lifetime',
    seconds: (performance.now() - began) / 1000,
    settings: { requested: args as Record<string, never>, dropped: [], effective },
    perturbed: null,
  });
}

/** What a pass has come to. */
class Sum {
  readonly #marks = new Set<string>();
  #prompt: number | null = 0;
  #generated: number | null = 0;
  #cached: number | null = 0;

  add({ promptTokens, generatedTokens, cachedTokens, systemFingerprint }: Answer): void {
    this.#prompt = both(this.#prompt, promptTokens);
    this.#generated = both(this.#generated, generatedTokens);
    this.#cached = both(this.#cached, cachedTokens);
    this.#marks.add(systemFingerprint ?? 'not told');
  }

  get tokens(): number {
    return this.#generated ?? 0;
  }

  /** What a server's bill says; no scheduler of it was watched, and no process of it is known. */
  witness(): Witness {
    return {
      process: 'unknown',
      steps: null,
      generatedTokens: this.#generated,
      promptTokens: this.#prompt,
      maxRunning: null,
      cachedTokens: this.#cached,
      preemptions: null,
      requests: null,
    };
  }

  sampling(): Record<string, string> {
    return this.#marks.size === 0 ? {} : { system_fingerprint: [...this.#marks].sort().join(' + ') };
  }
}

/** One that is not told makes the sum unknown. */
const both = (sum: number | null, one: number | null) => (sum === null || one === null ? null : sum + one);

/** What a pass is done with. */
interface Work {
  readonly server: Server;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly sum: Sum;
  /** Called with the prompt that is asked, or that failed: an error has its place. */
  asking(prompt: string): void;
}

async function pass(command: PassCommand, work: Work): Promise<void> {
  const { server, emit, signal, sum } = work;
  const began = performance.now();
  const unavailable = await cannot(server, command, signal);
  if (unavailable === undefined)
    await (command.samples === null ? one(command, work) : sample(command, command.samples, work));
  emit({
    event: 'pass',
    pass: command.pass,
    seconds: (performance.now() - began) / 1000,
    unavailable: unavailable ?? null,
    witness: sum.witness(),
    sampling: sum.sampling(),
  });
}

/** One request after the other: nobody of ours is beside it. */
async function one(
  { pass: name, kind, requests, topK }: PassCommand,
  { server, emit, signal, sum, asking }: Work,
): Promise<void> {
  for (const [done, request] of requests.entries()) {
    asking(request.id);
    const { answer, channels } =
      kind === 'score'
        ? await server.score(request, topK, signal)
        : await server.generate(request, topK, signal);
    sum.add(answer);
    emit({
      ...{ event: 'observation', pass: name, prompt: request.id },
      finishReason: kind === 'score' ? 'given' : answer.finishReason,
      channels: channels.map(channelEvent),
    });
    emit({ event: 'progress', what: name, done: done + 1, total: requests.length, tokens: sum.tokens });
  }
}

/** Requests that are under way at a time, where a prompt is sampled. */
const AT_ONCE = 8;

/**
 * Asks all prompts again and again, several at a time and each round in another order: an endpoint that batches then has
 * neighbours of ours in its batches each time, at a refresh and at a check, whatever others ask of it.
 */
async function sample(
  { pass: name, requests }: PassCommand,
  samples: number,
  { server, emit, signal, sum, asking }: Work,
): Promise<void> {
  const answers = new Map(requests.map(({ id }) => [id, [] as Answer[]]));
  const left = Array.from({ length: samples }, (_, round) => {
    const first = round % requests.length;
    return [...requests.slice(first), ...requests.slice(0, first)];
  }).flat();
  const total = left.length;
  let done = 0;
  const worker = async () => {
    for (let request = left.shift(); request !== undefined; request = left.shift()) {
      try {
        const answer = await server.sample(request, signal);
        sum.add(answer);
        answers.get(request.id)?.push(answer);
      } catch (error) {
        // The others end with what is under way.
        left.length = 0;
        asking(request.id);
        throw error;
      }
      done += 1;
      emit({ event: 'progress', what: name, done, total, tokens: sum.tokens });
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker));
  for (const end of ended) if (end.status === 'rejected') throw end.reason;
  for (const [prompt, given] of answers)
    emit({
      ...{ event: 'observation', pass: name, prompt, finishReason: 'length' },
      channels: [channelEvent(samplesChannel(given))],
    });
}

/** Why a pass says nothing here: nothing is asked for it, and nothing paid. */
async function cannot(
  server: Server,
  { pass: name, kind, requests, groups, warm, noise, samples }: PassCommand,
  signal: AbortSignal,
): Promise<string | undefined> {
  switch (kind) {
    case 'force':
      return 'an endpoint decodes what it chooses, and cannot be made to decode known tokens';
    case 'trace':
      return 'an endpoint does not show its modules';
    case 'generate':
    case 'score': {
      if (samples !== null)
        return await server.cannotSample(new Set(requests.map(({ input }) => routeOf(input))), signal);
      if (warm) return 'an endpoint does not tell what it took from its prefix cache';
      if (noise !== null) return 'nothing can be rounded inside of an endpoint';
      if (groups.some(({ length }) => length > 1)) return 'an endpoint does not tell what it batches';
      if (name.endsWith('-again'))
        return 'an endpoint does not tell whether one process, or one machine, answers twice';
      return kind === 'score' ? await server.cannotScore(signal) : undefined;
    }
  }
}

/** @throws EndpointError `endpoint-broken` for what no engine can mean */
function channelEvent(channel: Channel): ChannelEvent {
  const { name } = channel;
  const nans = describeChannel(channel).nans ?? 0;
  switch (channel.kind) {
    case 'ids':
      return { name, kind: 'ids', data: base64(channel.ids) };
    case 'nats':
      return { name, kind: 'nats', data: base64(channel.nats), nans };
    case 'ranked':
      return {
        ...{ name, kind: 'ranked', k: channel.k, nans },
        ids: base64(channel.ids),
        nats: base64(channel.nats),
      };
    case 'text':
      return { name, kind: 'text', text: channel.text };
    case 'digests':
    case 'digest':
    case 'sketches':
      throw new Error(`no answer gives the channel ${name}`);
  }
}

const base64 = (values: Uint32Array | Float32Array) => littleEndian(values).toString('base64');

const healthOf = (at: HealthReading['at']): HealthReading => ({
  ...{ at, state: 'unreadable', why: 'an endpoint does not tell of them', exit: null, driver: null },
  ...{ gpus: [], xids: null, selfTest: null },
});

/** What comes first has its length before it, and after that a command is a line. */
async function* framesOf(stdin: PassThrough): AsyncGenerator<unknown> {
  let held: Buffer = Buffer.alloc(0);
  let begun = false;
  for await (const chunk of stdin) {
    held = Buffer.concat([held, chunk]);
    for (let end = held.indexOf(10); end >= 0; end = held.indexOf(10)) {
      const from = begun ? 0 : end + 1;
      const to = begun ? end : from + Number(held.toString('latin1', 0, end));
      if (held.length < to) break;
      yield JSON.parse(held.toString('utf8', from, to));
      held = held.subarray(begun ? to + 1 : to);
      begun = true;
    }
  }
}
