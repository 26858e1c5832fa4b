import type { Command, EventOf, ModuleDigest, ObservationEvent } from '../engine/protocol.ts';
import type { Runtime } from '../engine/runtime.ts';
import type { Session } from '../engine/session.ts';
import { UserError } from '../errors.ts';
import type { Fingerprint, HarnessFingerprint } from '../fingerprint/schema.ts';
import { type Body, describeBody, float32, uint32 } from '../record/body.ts';
import { sha256 } from '../record/digest.ts';
import type { Arrangement, Observation, Pass, Trace } from '../record/schema.ts';
import { describeModules } from '../record/trace.ts';

type PassCommand = Extract<Command, { command: 'pass' }>;

/** A pass that is ready to be sent. */
export interface ReadyPass {
  readonly lifetime: string;
  readonly arrangement: Arrangement;
  readonly command: PassCommand;
  /** Request -> digest of what it asks: decides what may be compared. */
  readonly inputs: ReadonlyMap<string, string>;
}

/** Where the bits go as they come in. */
export interface Sink {
  /** Gives the digest that names it. */
  addBody(body: Body): Promise<string>;
  addModules(modules: readonly ModuleDigest[]): Promise<string>;
}

/** What a pass gave. */
export interface Measured {
  readonly pass: Pass;
  readonly observations: readonly Observation[];
  readonly traces: readonly Trace[];
}

/** @throws UserError `protocol-violation` when a request that is to be observed gave nothing */
export async function runPass(session: Session, ready: ReadyPass, sink: Sink): Promise<Measured> {
  const { command, lifetime, arrangement, inputs } = ready;
  const { pass, kind, requests, groups } = command;
  const observations: Observation[] = [];
  const traces: Trace[] = [];
  const inputOf = (event: EventOf<'observation' | 'trace'>): string => {
    const input = inputs.get(event.prompt);
    if (event.pass !== pass || input === undefined) throw violated(`${pass} gave what nobody asked for`);
    return input;
  };
  session.send(command);
  const { witness, seconds, unavailable, sampling } = await session.expect('pass', async (event) => {
    const input = inputOf(event);
    if (event.event === 'trace') traces.push(await traced(event, lifetime, input, sink));
    else observations.push(await observe(event, lifetime, input, sink));
  });
  const given = new Set([...observations, ...traces].map(({ prompt }) => prompt));
  const missing = requests.filter(({ id, observed }) => observed && !given.has(id));
  if (unavailable === null && missing.length > 0)
    throw violated(`${pass} ended without ${missing.map(({ id }) => `\`${id}\``).join(', ')}`);
  return {
    pass: {
      pass,
      kind,
      arrangement,
      groups: groups.map((group) => [...group]),
      seconds,
      unavailable,
      witness,
      sampling,
    },
    observations,
    traces,
  };
}

async function observe(
  event: ObservationEvent,
  lifetime: string,
  input: string,
  sink: Sink,
): Promise<Observation> {
  const body: Body = {
    promptTokens: uint32(bytes(event.promptTokens)),
    tokens: uint32(bytes(event.tokens)),
    logprobs: float32(bytes(event.logprobs)),
    k: event.topK,
    topIds: uint32(bytes(event.topIds)),
    topLogprobs: float32(bytes(event.topLogprobs)),
    text: event.text,
  };
  return {
    lifetime,
    pass: event.pass,
    prompt: event.prompt,
    input,
    ...describeBody(body),
    finishReason: event.finishReason,
    body: await sink.addBody(body),
  };
}

async function traced(event: EventOf<'trace'>, lifetime: string, input: string, sink: Sink): Promise<Trace> {
  const { pass, prompt, modules } = event;
  const ids = bytes(event.promptTokens);
  return {
    lifetime,
    pass,
    prompt,
    input,
    promptTokens: { count: uint32(ids).length, sha256: sha256(ids) },
    modules: describeModules(modules),
    body: await sink.addModules(modules),
  };
}

const bytes = (base64: string) => Buffer.from(base64, 'base64');

const violated = (what: string) =>
  new UserError(
    'protocol-violation',
    `The harness broke its protocol: ${what}.`,
    'Nothing of this lifetime is used. If it happens again, report it with the engine log.',
  );

/** The two halves from what the harness saw and what only the host knows. */
export function completeFingerprint(
  seen: HarnessFingerprint,
  runtime: Pick<Runtime, 'kind' | 'image'>,
  model: { readonly label: string; readonly revision: string },
): Fingerprint {
  const { engine, libraries, files, environment, gpus, driver, cpu, memoryBytes, os, kernel } = seen;
  return {
    declared: { image: runtime.image, engine, libraries, model: { ...model, files }, environment },
    ambient: { gpus, driver, cpu, memoryBytes, os, kernel, runtime: runtime.kind },
  };
}
