import { UserError } from '../errors.ts';
import { type Channel, KINDS } from './channels.ts';
import type { TensorDigest } from './schema.ts';
import { doubles, float32, float64, littleEndian, uint32 } from './words.ts';

/** Gives a body's channels by its digest; a record's folder and a baseline's are the two that exist. */
export type ReadBody = (digest: string) => Promise<readonly Channel[]>;

const MAGIC = Buffer.from('DMLBODY2');
const HEADER_BYTES = MAGIC.length + 4;
/** Kind, k of ranked entries, bytes of the name, bytes of the data. */
const ENTRY_BYTES = 4 * 4;
/** More than any engine has; a count beyond it is damage. */
const MAX_CHANNELS = 64;
const BLAKE2B_BYTES = 64;
const REMEDY = 'The record is damaged: make it again.';

/**
 * Packed form: `DMLBODY2`, uint32 number of channels, then for each: uint32 kind (place in `KINDS`), k (0 unless
 * ranked or sketches), bytes of its name and of its data, the name in UTF-8 and the data, each filled with zeros to a multiple of
 * 4. All numbers little-endian, 4 bytes each; of ranked entries the ids come before the nats; digests of tensors are JSON,
 * and that of a text is its 64 bytes; of sketches the bytes of their names, these as JSON, and float64 little-endian.
 *
 * @throws UserError `record-invalid` for channels that contradict one another
 */
export function packBody(channels: readonly Channel[]): Buffer {
  refuseContradictions(channels);
  const head = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(head);
  head.writeUInt32LE(channels.length, MAGIC.length);
  return Buffer.concat([head, ...channels.flatMap(packed)]);
}

function packed(channel: Channel): Buffer[] {
  const name = Buffer.from(channel.name, 'utf8');
  const data = dataOf(channel);
  const entry = Buffer.alloc(ENTRY_BYTES);
  const k = channel.kind === 'ranked' || channel.kind === 'sketches' ? channel.k : 0;
  for (const [index, value] of [KINDS.indexOf(channel.kind), k, name.length, data.length].entries())
    entry.writeUInt32LE(value, 4 * index);
  return [entry, name, filling(name.length), data, filling(data.length)];
}

const filled = (bytes: number) => Math.ceil(bytes / 4) * 4;
const filling = (bytes: number) => Buffer.alloc(filled(bytes) - bytes);

function dataOf(channel: Channel): Buffer {
  switch (channel.kind) {
    case 'ids':
      return littleEndian(channel.ids);
    case 'nats':
      return littleEndian(channel.nats);
    case 'ranked':
      return Buffer.concat([littleEndian(channel.ids), littleEndian(channel.nats)]);
    case 'text':
      return Buffer.from(channel.text, 'utf8');
    case 'digests':
      return Buffer.from(JSON.stringify(channel.digests));
    case 'digest':
      return Buffer.from(channel.blake2b, 'hex');
    case 'sketches': {
      const names = Buffer.from(JSON.stringify(channel.names));
      const length = Buffer.alloc(4);
      length.writeUInt32LE(names.length);
      return Buffer.concat([length, names, doubles(channel.values)]);
    }
  }
}

/** @throws UserError `record-invalid` when the bytes are cut short, too long or not a body */
export function unpackBody(bytes: Buffer, name: string): Channel[] {
  const broken = (why: string, cause?: unknown) =>
    new UserError('record-invalid', `body ${name} ${why}.`, REMEDY, { cause });
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw broken('is not a packed observation');
  const count = bytes.readUInt32LE(MAGIC.length);
  if (count > MAX_CHANNELS) throw broken(`has ${count} channels`);
  let offset = HEADER_BYTES;
  const take = (length: number): Buffer => {
    const part = bytes.subarray(offset, offset + length);
    if (part.length < length)
      throw broken(`has ${bytes.length} bytes where ${offset + length} or more belong`);
    offset += length;
    return part;
  };
  const channels: Channel[] = [];
  for (let i = 0; i < count; i++) {
    const entry = take(ENTRY_BYTES);
    const [kind = 0, k = 0, nameBytes = 0, dataBytes = 0] = [0, 1, 2, 3].map((at) =>
      entry.readUInt32LE(4 * at),
    );
    const [called, data] = [nameBytes, dataBytes].map((length) => {
      const part = take(filled(length));
      if (part.subarray(length).some((byte) => byte !== 0)) throw broken('is filled with other than zeros');
      return part.subarray(0, length);
    });
    try {
      channels.push(unpacked(KINDS[kind], String(called), k, data ?? Buffer.alloc(0)));
    } catch (cause) {
      throw broken(`has a channel ${i + 1} that cannot be read`, cause);
    }
  }
  if (offset !== bytes.length) throw broken(`has ${bytes.length} bytes where its header says ${offset}`);
  refuseContradictions(channels);
  return channels;
}

/** @throws Error for data that is not of its kind */
function unpacked(kind: (typeof KINDS)[number] | undefined, name: string, k: number, data: Buffer): Channel {
  switch (kind) {
    case 'ids':
      return { name, kind, ids: uint32(data) };
    case 'nats':
      return { name, kind, nats: float32(data) };
    case 'ranked': {
      const half = data.length / 2;
      return { name, kind, k, ids: uint32(data.subarray(0, half)), nats: float32(data.subarray(half)) };
    }
    case 'text':
      return { name, kind, text: data.toString('utf8') };
    case 'digests':
      return { name, kind, digests: tensorDigests(JSON.parse(data.toString('utf8'))) };
    case 'digest':
      if (data.length !== BLAKE2B_BYTES) throw new Error('no BLAKE2b-512');
      return { name, kind, blake2b: data.toString('hex') };
    case 'sketches': {
      const end = 4 + data.readUInt32LE(0);
      const names: unknown = JSON.parse(data.subarray(4, end).toString('utf8'));
      const values = float64(data.subarray(end));
      if (!areNames(names) || k < 1 || values.length !== k * names.length) throw new Error('no sketches');
      return { name, kind, k, names, values };
    }
    case undefined:
      throw new Error('of an unknown kind');
  }
}

const areNames = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string' && one.length <= 128);

/** @throws Error for anything else */
function tensorDigests(value: unknown): TensorDigest[] {
  if (!Array.isArray(value) || !value.every(isTensorDigest)) throw new Error('no digests of tensors');
  return value;
}

function isTensorDigest(value: unknown): value is TensorDigest {
  if (typeof value !== 'object' || value === null) return false;
  const { name, sha256, nans, ...rest } = value as Partial<TensorDigest>;
  return (
    typeof name === 'string' &&
    name.length <= 512 &&
    typeof sha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(sha256) &&
    Number.isSafeInteger(nans) &&
    Number(nans) >= 0 &&
    Object.keys(rest).length === 0
  );
}

/** A name twice, or steps that are not as many everywhere. */
function refuseContradictions(channels: readonly Channel[]): void {
  const names = channels.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw contradiction(`the channel \`${twice}\` twice`);
  const tokens = channels.find(({ name }) => name === 'tokens');
  const steps = tokens?.kind === 'ids' ? tokens.ids.length : undefined;
  for (const channel of channels) {
    if (channel.kind === 'ranked') {
      // Samples have rows of their own; the best candidates of steps are as many as these.
      const rows =
        channel.name === 'top-k' ? (steps ?? 0) : Math.floor(channel.ids.length / Math.max(1, channel.k));
      const expected = channel.k * rows;
      if (channel.ids.length !== expected)
        throw contradiction(`${channel.ids.length} ids in \`${channel.name}\` where ${expected} belong`);
      if (channel.nats.length !== expected)
        throw contradiction(
          `${channel.nats.length} log-probabilities in \`${channel.name}\` where ${expected} belong`,
        );
    }
    if (channel.name === 'logprobs' && channel.kind === 'nats' && channel.nats.length !== (steps ?? 0))
      throw contradiction(`${channel.nats.length} log-probabilities where ${steps ?? 0} belong`);
  }
}

function contradiction(what: string): UserError {
  return new UserError(
    'record-invalid',
    `an observation has ${what}.`,
    'The engine or its harness is broken: see its log.',
  );
}

/** Token id -> text, as it is kept: the digest of these bytes names it in a record. */
export function packVocabulary(texts: ReadonlyMap<number, string>): Buffer {
  return Buffer.from(JSON.stringify(Object.fromEntries(texts)));
}

/** @throws UserError `record-invalid` for anything but texts by token id */
export function unpackVocabulary(bytes: Buffer, name: string): ReadonlyMap<number, string> {
  const broken = (cause?: unknown) =>
    new UserError('record-invalid', `body ${name} holds no texts of token ids.`, REMEDY, { cause });
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw broken(cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw broken();
  const texts = new Map<number, string>();
  for (const [name, text] of Object.entries(value)) {
    const id = Number(name);
    if (!(id >= 0 && id < 2 ** 32 && String(id) === name) || typeof text !== 'string') throw broken();
    texts.set(id, text);
  }
  return texts;
}
