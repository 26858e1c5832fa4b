import { cp, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cache, madeOnce } from './cache.ts';
import { ensureModel } from './model.ts';

/** The weight whose lowest bit is another one: half-way up a model of 30 layers. */
export const FLIPPED = { module: 'model.layers.15.mlp.down_proj', row: 100, column: 200 } as const;

/** The same model with one bit of its 2 billion flipped, as a faulty disk or an upload that went wrong would leave it. */
export async function ensureFlippedModel(): Promise<string> {
  const original = await ensureModel();
  const path = join(cache, 'models/SmolLM2-135M-Instruct-one-bit');
  await madeOnce({
    title: 'Model: the same with one bit flipped',
    path,
    key: `${FLIPPED.module} ${FLIPPED.row} ${FLIPPED.column}`,
    make: async () => {
      const partial = `${path}.partial`;
      await rm(partial, { recursive: true, force: true });
      await cp(original, partial, { recursive: true });
      await flip(join(partial, 'model.safetensors'));
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
async function flip(path: string): Promise<void> {
  await using file = await open(path, 'r+');
  const length = Buffer.alloc(8);
  await file.read(length, 0, 8, 0);
  const headerBytes = Number(length.readBigUInt64LE());
  const header = Buffer.alloc(headerBytes);
  await file.read(header, 0, headerBytes, 8);
  const tensors = JSON.parse(header.toString('utf8')) as Readonly<Record<string, Tensor>>;
  const tensor = tensors[`${FLIPPED.module}.weight`];
  if (tensor === undefined) throw new Error(`${path} has no ${FLIPPED.module}.weight`);
  const [rows, columns] = tensor.shape;
  const [begin, end] = tensor.data_offsets;
  const bytesEach = (end - begin) / (rows * columns);
  // Little-endian: the lowest bit of the mantissa is in the first byte.
  const place = 8 + headerBytes + begin + (FLIPPED.row * columns + FLIPPED.column) * bytesEach;
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, place);
  byte[0] = (byte[0] ?? 0) ^ 1;
  await file.write(byte, 0, 1, place);
}
