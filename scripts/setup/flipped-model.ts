import { cp, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cache, madeOnce } from './cache.ts';
import { ensureModel } from './model.ts';

/** Which weight's lowest bit is another one. */
interface Flipped {
  readonly folder: string;
  readonly module: string;
  readonly row: number;
  readonly column: number;
}

/** Half-way up a model of 30 layers. */
export const FLIPPED = {
  folder: 'SmolLM2-135M-Instruct-one-bit',
  module: 'model.layers.15.mlp.down_proj',
  row: 100,
  column: 200,
} as const satisfies Flipped;

/** Of 1,536 rows that three ranks share out among them, one of the second: what it gives, no other rank has. */
export const FLIPPED_OF_RANK_1 = {
  folder: 'SmolLM2-135M-Instruct-one-bit-of-rank-1',
  module: 'model.layers.15.mlp.up_proj',
  row: 700,
  column: 200,
} as const satisfies Flipped;

/** The same model with one bit of its 2 billion flipped, as a faulty disk or an upload that went wrong would leave it. */
export async function ensureFlippedModel(flipped: Flipped = FLIPPED): Promise<string> {
  const original = await ensureModel();
  const path = join(cache, 'models', flipped.folder);
  await madeOnce({
    title: 'Model: the same with one bit flipped',
    path,
    key: `${flipped.module} ${flipped.row} ${flipped.column}`,
    make: async () => {
      const partial = `${path}.partial`;
      await rm(partial, { recursive: true, force: true });
      await cp(original, partial, { recursive: true });
      await flip(join(partial, 'model.safetensors'), flipped);
      await rename(partial, path);
    },
  });
  return path;
}

interface Tensor {
  readonly shape: readonly [number, number];
  readonly data_offsets: readonly [number, number];
}

/** safetensors: a header of JSON behind its own length (uint64 little-endian), then the tensors' bytes. */
async function flip(path: string, { module, row, column }: Flipped): Promise<void> {
  await using file = await open(path, 'r+');
  const length = Buffer.alloc(8);
  await file.read(length, 0, 8, 0);
  const headerBytes = Number(length.readBigUInt64LE());
  const header = Buffer.alloc(headerBytes);
  await file.read(header, 0, headerBytes, 8);
  const tensors = JSON.parse(header.toString('utf8')) as Readonly<Record<string, Tensor>>;
  const tensor = tensors[`${module}.weight`];
  if (tensor === undefined) throw new Error(`${path} has no ${module}.weight`);
  const [rows, columns] = tensor.shape;
  const [begin, end] = tensor.data_offsets;
  const bytesEach = (end - begin) / (rows * columns);
  // Little-endian: the lowest bit of the mantissa is in the first byte.
  const place = 8 + headerBytes + begin + (row * columns + column) * bytesEach;
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, place);
  byte[0] = (byte[0] ?? 0) ^ 1;
  await file.write(byte, 0, 1, place);
}
