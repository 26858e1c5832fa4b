import type { ChannelEvent, Command, Request } from '../engine/protocol.ts';
import type { Runtime } from '../engine/runtime.ts';
import type { Session } from '../engine/session.ts';
import { UserError } from '../errors.ts';
import type { FileDigest, Fingerprint, HarnessFingerprint } from '../fingerprint/schema.ts';
import { type Channel, describeChannel, stepsOf } from '../record/channels.ts';
import { sha256 } from '../record/digest.ts';
import type { Arrangement, Observation, Pass } from '../record/schema.ts';
import { passDigest } from '../record/tree.ts';
import { float32, float64, uint32 } from '../record/words.ts';
import type { Program, ProgramFile } from '../suite/loaded.ts';

type PassCommand = Extract<Command, { command: 'pass' }>;

/** A pass that is ready to be sent. */
export interface ReadyPass {
  readonly lifetime: string;
  readonly arrangement: Arrangement;
  readonly command: PassCommand;
  /** Request -> digest of what it asks: decides what may be compared. */
  readonly inputs: ReadonlyMap<string, string>;
}

/** What a pass gave. */
export interface PassResult {
  readonly pass: Pass;
  readonly observations: readonly Observation[];
}

/**
 * @param addBody keeps the bits as they come in, and gives the digest that names them
 * @throws UserError `protocol-violation` when a request that is to be observed gave nothing
 */
export async function runPass(
  session: Session,
  { command, lifetime, arrangement, inputs }: ReadyPass,
  addBody: (channels: readonly Channel[]) => Promise<string>,
): Promise<PassResult> {
  const { pass, kind, requests, groups } = command;
  const observations: Observation[] = [];
  const given = new Set<string>();
  const steps = new Map(requests.map((request) => [request.id, mostSteps(kind, request)]));
  session.send(command);
  const { witness, seconds, unavailable, sampling } = await session.expect('pass', async (event) => {
    const { prompt, finishReason } = event;
    const input = inputs.get(prompt);
    if (event.pass !== pass || input === undefined) throw violated(`${pass} gave what nobody asked for`);
    if (given.has(prompt)) throw violated(`${pass} gave \`${prompt}\` twice`);
    given.add(prompt);
    const channels = event.channels.map(channelOf);
    const most = steps.get(prompt) ?? 0;
    if (stepsOf(channels).tokens.length > most)
      throw violated(`${pass} gave more than the ${most} tokens that \`${prompt}\` was asked for`);
    observations.push({
      ...{ lifetime, pass, prompt, input, finishReason },
      channels: channels.map(describeChannel),
      body: await addBody(channels),
    });
  });
  const missing = requests.filter(({ id, observed }) => observed && !given.has(id));
  if (unavailable === null && missing.length > 0)
    throw violated(`${pass} ended without ${missing.map(({ id }) => `\`${id}\``).join(', ')}`);
  return {
    pass: {
      ...{ pass, kind, arrangement, seconds, unavailable, witness, sampling },
      groups: groups.map((group) => [...group]),
      digest: passDigest(observations),
    },
    observations,
  };
}

/** Tokens that a request can give. */
function mostSteps(kind: PassCommand['kind'], { sampling, tokens, limit }: Request): number {
  switch (kind) {
    case 'generate':
      return sampling.max_tokens;
    case 'force':
      return bytes(tokens ?? '').length / 4;
    case 'score':
    case 'trace':
      return limit ?? 0;
  }
}

/** No digest can be made of half of a surrogate pair, which JSON can name. */
function refuseHalves(channel: string, names: readonly string[]): void {
  if (!names.every((name) => name.isWellFormed()))
    throw violated(`\`${channel}\` names something by half of a character`);
}

function channelOf(event: ChannelEvent): Channel {
  const { name } = event;
  switch (event.kind) {
    case 'ids':
      return { name, kind: event.kind, ids: uint32(bytes(event.data)) };
    case 'nats':
      return { name, kind: event.kind, nats: float32(bytes(event.data)) };
    case 'ranked':
      return {
        ...{ name, kind: event.kind, k: event.k },
        ids: uint32(bytes(event.ids)),
        nats: float32(bytes(event.nats)),
      };
    case 'text':
      return { name, kind: event.kind, text: event.text };
    case 'digests':
      refuseHalves(
        name,
        event.digests.map((one) => one.name),
      );
      return { name, kind: event.kind, digests: event.digests };
    case 'sketches': {
      const { kind, k, names } = event;
      refuseHalves(name, names);
      const values = float64(bytes(event.values));
      if (values.length !== k * names.length)
        throw violated(`\`${name}\` has not ${k} numbers for each name`);
      return { name, kind, k, names, values };
    }
  }
}

const bytes = (base64: string) => Buffer.from(base64, 'base64');

const violated = (what: string) =>
  new UserError(
    'protocol-violation',
    `The harness broke its protocol: ${what}.`,
    'Nothing of this lifetime is used. If it happens again, report it with the engine log.',
  );

/** As it is sent. */
const digested = ({ path, text }: ProgramFile): FileDigest => ({
  path,
  bytes: Buffer.byteLength(text),
  sha256: sha256(text),
});

/** The two halves from what the harness saw and what only the host knows. */
export function completeFingerprint(
  seen: HarnessFingerprint,
  runtime: Pick<Runtime, 'kind' | 'image' | 'endpoint'>,
  model: { readonly label: string; readonly revision: string },
  program?: Program,
): Fingerprint {
  const { engine, libraries, files, environment, gpus, topology, driver, cpu, memoryBytes, os, kernel } =
    seen;
  return {
    declared: {
      ...{ image: runtime.image, engine, libraries, model: { ...model, files }, environment },
      ...(runtime.endpoint === undefined ? {} : { endpoint: runtime.endpoint }),
      ...(program && { program: program.files.map(digested) }),
    },
    ambient: {
      gpus,
      ...(topology === undefined ? {} : { topology }),
      driver,
      cpu,
      memoryBytes,
      os,
      kernel,
      runtime: runtime.kind,
    },
  };
}
