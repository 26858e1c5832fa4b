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

/** Everything `record.json` keeps of an observation, computed from its bits. */
export function describeBody(
  body: Body,
): Pick<Observation, 'promptTokens' | 'tokens' | 'logprobs' | 'topK' | 'text'> {
  const nans = [...body.logprobs, ...body.topLogprobs].filter(Number.isNaN).length;
  return {
    promptTokens: { count: body.promptTokens.length, sha256: sha256(littleEndian(body.promptTokens)) },
    tokens: { count: body.tokens.length, sha256: sha256(littleEndian(body.tokens)) },
    logprobs: { sha256: sha256(littleEndian(body.logprobs)), nans },
    topK: {
      k: body.k,
      sha256: sha256(Buffer.concat([littleEndian(body.topIds), littleEndian(body.topLogprobs)])),
    },
    text: { bytes: Buffer.byteLength(body.text), sha256: sha256(body.text), blake2b: blake2b(body.text) },
  };
}

/** uint32 little-endian bytes -> numbers. @throws UserError `record-invalid` when not a multiple of 4 */
export function uint32(bytes: Buffer): Uint32Array {
  return Uint32Array.from({ length: words(bytes) }, (_, i) => bytes.readUInt32LE(4 * i));
}

/**
 * float32 little-endian bytes -> numbers, bit by bit: read as numbers, a signalling NaN would come out a quiet one.
 *
 * @throws UserError `record-invalid` when not a multiple of 4
 */
export function float32(bytes: Buffer): Float32Array {
  return new Float32Array(uint32(bytes).buffer);
}

function words(bytes: Buffer): number {
  if (bytes.length % 4 !== 0)
    throw new UserError(
      'record-invalid',
      `${bytes.length} bytes are no whole number of 4-byte values.`,
      'Make the record again.',
    );
  return bytes.length / 4;
}

function littleEndian(values: Uint32Array | Float32Array): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, word] of bitsOf(values).entries()) bytes.writeUInt32LE(word, 4 * i);
  return bytes;
}

/** The same memory as whole numbers: floats with equal bits are equal here, NaN and -0 included. */
export function bitsOf(values: Uint32Array | Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

function shape(what: string, got: number, expected: number): UserError {
  return new UserError(
    'record-invalid',
    `an observation has ${got} ${what} where ${expected} belong.`,
    'The engine or its harness is broken: see its log.',
  );
}
