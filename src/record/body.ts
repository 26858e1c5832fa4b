import { UserError } from '../errors.ts';
import { blake2b, sha256 } from './digest.ts';
import type { Observation } from './schema.ts';

/** The bits of one observation. Arrays are in steps; top-k arrays hold steps x k entries, row by row. */
export interface Body {
  readonly promptTokens: Uint32Array;
  readonly tokens: Uint32Array;
  /** Nats of the chosen tokens. */
  readonly logprobs: Float32Array;
  readonly k: number;
  readonly topIds: Uint32Array;
  /** Nats, falling; ties by rising id. */
  readonly topLogprobs: Float32Array;
  readonly text: string;
}

/** Gives a body by its digest; a record's folder and a baseline's are the two that exist. */
export type ReadBody = (digest: string) => Promise<Body>;

const MAGIC = Buffer.from('DMLBODY1');
const HEADER_BYTES = MAGIC.length + 4 * 4;

/**
 * Packed form: `DMLBODY1`, four uint32 (prompt tokens, steps, k, text bytes), then prompt tokens, tokens,
 * log-probabilities, top ids, top log-probabilities and text. All numbers little-endian, 4 bytes each.
 */
export function packBody(body: Body): Buffer {
  const steps = body.tokens.length;
  if (body.logprobs.length !== steps) throw shape('log-probabilities', body.logprobs.length, steps);
  if (body.topIds.length !== steps * body.k) throw shape('top-k ids', body.topIds.length, steps * body.k);
  if (body.topLogprobs.length !== steps * body.k)
    throw shape('top-k log-probabilities', body.topLogprobs.length, steps * body.k);
  const text = Buffer.from(body.text, 'utf8');
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  for (const [index, value] of [body.promptTokens.length, steps, body.k, text.length].entries())
    header.writeUInt32LE(value, MAGIC.length + 4 * index);
  return Buffer.concat([
    header,
    littleEndian(body.promptTokens),
    littleEndian(body.tokens),
    littleEndian(body.logprobs),
    littleEndian(body.topIds),
    littleEndian(body.topLogprobs),
    text,
  ]);
}

/** @throws UserError `record-invalid` when the bytes are cut short, too long or not a body */
export function unpackBody(bytes: Buffer, name: string): Body {
  const broken = (why: string) =>
    new UserError('record-invalid', `body ${name} ${why}.`, 'The record is damaged: make it again.');
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw broken('is not a packed observation');
  const [promptTokens = 0, steps = 0, k = 0, textBytes = 0] = [0, 1, 2, 3].map((index) =>
    bytes.readUInt32LE(MAGIC.length + 4 * index),
  );
  const expected = HEADER_BYTES + 4 * (promptTokens + 2 * steps + 2 * steps * k) + textBytes;
  if (bytes.length !== expected) throw broken(`has ${bytes.length} bytes where its header says ${expected}`);
  let offset = HEADER_BYTES;
  const take = (count: number): Buffer => {
    const part = bytes.subarray(offset, offset + count);
    offset += count;
    return part;
  };
  return {
    promptTokens: uint32(take(4 * promptTokens)),
    tokens: uint32(take(4 * steps)),
    logprobs: float32(take(4 * steps)),
    k,
    topIds: uint32(take(4 * steps * k)),
    topLogprobs: float32(take(4 * steps * k)),
    text: take(textBytes).toString('utf8'),
  };
}

/**
 * Everything `record.json` keeps of an observation, computed from its bits.
 *
 * @throws UserError `record-invalid` for what no engine can mean: an id of 2^31 or more, a log-probability of
 * positive infinity. Negative infinity is legitimate: a token that sampling parameters rule out.
 */
export function describeBody(
  body: Body,
): Pick<Observation, 'promptTokens' | 'tokens' | 'logprobs' | 'topK' | 'text'> {
  const { promptTokens, tokens, logprobs, topIds, topLogprobs, k, text } = body;
  for (const ids of [promptTokens, tokens, topIds]) refuseIds(ids);
  return {
    promptTokens: { count: promptTokens.length, sha256: sha256(littleEndian(promptTokens)) },
    tokens: { count: tokens.length, sha256: sha256(littleEndian(tokens)) },
    logprobs: { sha256: sha256(littleEndian(logprobs)), nans: countNans(logprobs) + countNans(topLogprobs) },
    topK: { k, sha256: sha256(Buffer.concat([littleEndian(topIds), littleEndian(topLogprobs)])) },
    text: { bytes: Buffer.byteLength(text), sha256: sha256(text), blake2b: blake2b(text) },
  };
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

/** uint32 little-endian bytes -> numbers. @throws UserError `record-invalid` when not a multiple of 4 */
export function uint32(bytes: Buffer): Uint32Array {
  return words(bytes);
}

/**
 * float32 little-endian bytes -> numbers, bit by bit: read as numbers, a signalling NaN would come out a quiet one.
 *
 * @throws UserError `record-invalid` when not a multiple of 4
 */
export function float32(bytes: Buffer): Float32Array {
  const { buffer, byteOffset, length } = words(bytes);
  return new Float32Array(buffer, byteOffset, length);
}

/** Does this machine keep numbers as the files do? */
const NATIVE = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** The same memory as words where that is possible, else a copy. */
function words(bytes: Buffer): Uint32Array {
  if (bytes.length % 4 !== 0)
    throw new UserError(
      'record-invalid',
      `${bytes.length} bytes are no whole number of 4-byte values.`,
      'Make the record again.',
    );
  if (NATIVE && bytes.byteOffset % 4 === 0)
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const copy = Uint8Array.from(bytes);
  if (!NATIVE) Buffer.from(copy.buffer).swap32();
  return new Uint32Array(copy.buffer);
}

/** The bytes of packed numbers, on whatever machine. */
export function littleEndian(values: Uint32Array | Float32Array): Buffer {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return NATIVE ? bytes : Buffer.from(bytes).swap32();
}

/** The same memory as whole numbers: floats with equal bits are equal here, NaN and -0 included. */
export function bitsOf(values: Uint32Array | Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

function impossible(what: string): UserError {
  return new UserError(
    'record-invalid',
    `an observation has ${what}.`,
    'The engine, its harness or the record is broken: see the log.',
  );
}

function shape(what: string, got: number, expected: number): UserError {
  return new UserError(
    'record-invalid',
    `an observation has ${got} ${what} where ${expected} belong.`,
    'The engine or its harness is broken: see its log.',
  );
}

/** Token id -> text, as it is kept: the digest of these bytes names it in a record. */
export function packVocabulary(texts: ReadonlyMap<number, string>): Buffer {
  return Buffer.from(JSON.stringify(Object.fromEntries(texts)));
}
