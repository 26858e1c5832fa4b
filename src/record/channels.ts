import { UserError } from '../errors.ts';
import { blake2b, digestJson, sha256 } from './digest.ts';
import type { ChannelDigest, Observation, TensorDigest } from './schema.ts';
import { bitsOf, doubles, littleEndian } from './words.ts';

/**
 * One thing that an engine gave for a prompt, as bits. What a name means: `prompt-tokens`, `tokens` (one a step; of a
 * score every token but the first), `logprobs` (nats of those tokens), `top-k` (the k best of each step), `text`,
 * `vector` (numbers that an embedding or a reward model gave, and no nats), `text-digest` (a text of which a source told nothing but its BLAKE2b-512), `modules` (what each module of the model gave,
 * in the order in which they ran), `roles` (a sketch of what each role gave that engines have in common).
 */
export type Channel = { readonly name: string } & (
  | { readonly kind: 'ids'; readonly ids: Uint32Array }
  | { readonly kind: 'nats'; readonly nats: Float32Array }
  /** Steps x k entries, row by row; falling nats, ties by rising id. */
  | {
      readonly kind: 'ranked';
      readonly k: number;
      readonly ids: Uint32Array;
      readonly nats: Float32Array;
    }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'digests'; readonly digests: readonly TensorDigest[] }
  /** 128 hex digits. */
  | { readonly kind: 'digest'; readonly blake2b: string }
  /** k numbers for each name: the sum of all squares, then sums of the numbers with signs by chance. */
  | {
      readonly kind: 'sketches';
      readonly k: number;
      readonly names: readonly string[];
      readonly values: Float64Array;
    }
);

export const KINDS = [
  'ids',
  'nats',
  'ranked',
  'text',
  'digests',
  'digest',
  'sketches',
] as const satisfies readonly Channel['kind'][];

/**
 * Everything `record.json` keeps of a channel, computed from its bits.
 *
 * @throws UserError `record-invalid` for what no engine can mean: an id of 2^31 or more, a log-probability of
 * positive infinity. Negative infinity is legitimate: a token that sampling parameters rule out.
 */
export function describeChannel(channel: Channel): ChannelDigest {
  const { name } = channel;
  const base = { name, nans: null, blake2b: null };
  switch (channel.kind) {
    case 'ids':
      refuseIds(channel.ids);
      return { ...base, count: channel.ids.length, sha256: sha256(littleEndian(channel.ids)) };
    case 'nats': {
      const { nats } = channel;
      return { ...base, count: nats.length, sha256: sha256(littleEndian(nats)), nans: countNans(nats) };
    }
    case 'ranked': {
      const { k, ids, nats } = channel;
      refuseIds(ids);
      const bytes = Buffer.concat([littleEndian(ids), littleEndian(nats)]);
      return { ...base, count: k, sha256: sha256(bytes), nans: countNans(nats) };
    }
    case 'text': {
      const { text } = channel;
      return { ...base, count: Buffer.byteLength(text), sha256: sha256(text), blake2b: blake2b(text) };
    }
    case 'digests': {
      const { digests } = channel;
      return {
        ...base,
        count: digests.length,
        sha256: digestJson(digests.map((one) => [one.name, one.sha256])),
        nans: digests.reduce((sum, { nans }) => sum + nans, 0),
      };
    }
    case 'digest': {
      const { blake2b } = channel;
      return { ...base, count: 1, sha256: sha256(Buffer.from(blake2b, 'hex')), blake2b };
    }
    case 'sketches': {
      const { names, values } = channel;
      const nans = values.filter((value) => !Number.isFinite(value)).length;
      return {
        ...{ ...base, count: names.length, nans },
        sha256: sha256(Buffer.concat([Buffer.from(JSON.stringify(names)), doubles(values)])),
      };
    }
  }
}

/** No vocabulary is this large; an id beyond it is damage, such as a -1 that was read as unsigned. */
const MAX_IDS = 2 ** 31;

function refuseIds(ids: Uint32Array): void {
  // Indexed: an iterator costs ten times as much on millions of ids.
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] ?? 0;
    if (id >= MAX_IDS) throw impossible(`the token id ${id}, beyond any vocabulary`);
  }
}

const INFINITY_BITS = 0x7f80_0000;

function countNans(values: Float32Array): number {
  const bits = bitsOf(values);
  let nans = 0;
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i] ?? 0;
    if ((word & 0x7fff_ffff) > INFINITY_BITS) nans++;
    else if (word === INFINITY_BITS) throw impossible('a log-probability of positive infinity');
  }
  return nans;
}

function impossible(what: string): UserError {
  return new UserError(
    'record-invalid',
    `an observation has ${what}.`,
    'The engine, its harness or the record is broken: see the log.',
  );
}

/** The numbers of one observation, step by step. Arrays are in steps; top-k arrays hold steps x k entries, row by row. */
export interface Steps {
  readonly promptTokens: Uint32Array;
  readonly tokens: Uint32Array;
  /** Nats of the chosen tokens; empty where they are not known. */
  readonly logprobs: Float32Array;
  /** 0 where no best candidates are known. */
  readonly k: number;
  readonly topIds: Uint32Array;
  /** Nats, falling; ties by rising id. */
  readonly topLogprobs: Float32Array;
}

/** A channel that is not there has no numbers. */
export function stepsOf(channels: readonly Channel[]): Steps {
  const ids = (name: string) => {
    const found = named(channels, name);
    return found?.kind === 'ids' ? found.ids : new Uint32Array();
  };
  const [logprobs, top] = [named(channels, 'logprobs'), named(channels, 'top-k')];
  const ranked = top?.kind === 'ranked' ? top : undefined;
  return {
    promptTokens: ids('prompt-tokens'),
    tokens: ids('tokens'),
    logprobs: logprobs?.kind === 'nats' ? logprobs.nats : new Float32Array(),
    k: ranked?.k ?? 0,
    topIds: ranked?.ids ?? new Uint32Array(),
    topLogprobs: ranked?.nats ?? new Float32Array(),
  };
}

/** The sketches of a channel; undefined where it is not there. */
export function sketchesOf(channels: readonly Channel[], name: string): Sketches | undefined {
  const found = named(channels, name);
  return found?.kind === 'sketches' ? found : undefined;
}

export type Sketches = Extract<Channel, { readonly kind: 'sketches' }>;

/** The tensors of a channel of digests; none where it is not there. */
export function digestsOf(channels: readonly Channel[], name: string): readonly TensorDigest[] {
  const found = named(channels, name);
  return found?.kind === 'digests' ? found.digests : [];
}

/** One of a name. */
export const named = (channels: readonly Channel[], name: string) =>
  channels.find((one) => one.name === name);

/** One channel of an observation; undefined where the engine did not give it. */
export function channelOf(
  { channels }: Pick<Observation, 'channels'>,
  name: string,
): ChannelDigest | undefined {
  // Indexed: this is asked of every prompt many times, before the engine has compiled anything.
  for (let at = 0; at < channels.length; at++) if (channels[at]?.name === name) return channels[at];
  return undefined;
}

/** How many ids, nats, tensors or bytes of text an observation has in a channel; 0 where it has none. */
export const countOf = (observation: Pick<Observation, 'channels'>, name: string) =>
  channelOf(observation, name)?.count ?? 0;
