import { PassThrough } from 'node:stream';
import {
  type ChannelEvent,
  type Command,
  type Event,
  PROTOCOL,
  type Request,
  type Start,
} from '../engine/protocol.ts';
import type { Exit, Peer } from '../engine/runtime.ts';
import type { HealthReading } from '../health/schema.ts';
import { excerpt } from '../inert.ts';
import { type Channel, describeChannel } from '../record/channels.ts';
import type { Witness } from '../record/witness.ts';
import { littleEndian, uint32 } from '../record/words.ts';
import type { Answer, Route } from './answer.ts';
import { EndpointError } from './error.ts';
import { type Observed, routeOf, type Server } from './server.ts';

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
          await pass(server, command, emit, signal, (id) => {
            prompt = id;
          });
          break;
        case 'vocabulary':
          emit({
            event: 'vocabulary',
            texts: server.vocabulary(uint32(Buffer.from(command.ids, 'base64'))),
          });
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

async function pass(
  server: Server,
  command: PassCommand,
  emit: Emit,
  signal: AbortSignal,
  asking: (prompt: string) => void,
): Promise<void> {
  const { pass: name, requests, topK } = command;
  const began = performance.now();
  const sum = new Sum();
  const unavailable = await cannot(server, command, signal);
  const asked = unavailable === undefined ? requests : [];
  for (const [done, request] of asked.entries()) {
    asking(request.id);
    const observed = await one(server, command.kind, request, topK, signal);
    sum.add(observed.answer);
    emit({
      event: 'observation',
      pass: name,
      prompt: request.id,
      finishReason: command.kind === 'score' ? 'given' : observed.answer.finishReason,
      channels: observed.channels.map(channelEvent),
    });
    emit({ event: 'progress', what: name, done: done + 1, total: asked.length, tokens: sum.tokens });
  }
  emit({
    event: 'pass',
    pass: name,
    seconds: (performance.now() - began) / 1000,
    unavailable: unavailable ?? null,
    witness: sum.witness(),
    sampling: sum.sampling(),
  });
}

const one = (
  server: Server,
  kind: PassCommand['kind'],
  request: Request,
  topK: number,
  signal: AbortSignal,
): Promise<Observed> =>
  kind === 'score' ? server.score(request, topK, signal) : server.generate(request, topK, signal);

/** Why a pass says nothing here: nothing is asked for it, and nothing paid. */
async function cannot(
  server: Server,
  { pass: name, kind, groups, warm, noise }: PassCommand,
  signal: AbortSignal,
): Promise<string | undefined> {
  switch (kind) {
    case 'force':
      return 'an endpoint decodes what it chooses, and cannot be made to decode known tokens';
    case 'trace':
      return 'an endpoint does not show its modules';
    case 'generate':
    case 'score': {
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
