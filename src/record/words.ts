import { UserError } from '../errors.ts';

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

/** float64 little-endian bytes -> numbers, a copy. @throws UserError `record-invalid` when not a multiple of 8 */
export function float64(bytes: Buffer): Float64Array {
  if (bytes.length % 8 !== 0)
    throw new UserError(
      'record-invalid',
      `${bytes.length} bytes are no whole number of 8-byte values.`,
      'Make the record again.',
    );
  const copy = Uint8Array.from(bytes);
  if (!NATIVE) Buffer.from(copy.buffer).swap64();
  return new Float64Array(copy.buffer);
}

/** The bytes of float64 numbers, little-endian. */
export function doubles(values: Float64Array): Buffer {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return NATIVE ? bytes : Buffer.from(bytes).swap64();
}

/** The same memory as whole numbers: floats with equal bits are equal here, NaN and -0 included. */
export function bitsOf(values: Uint32Array | Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}
