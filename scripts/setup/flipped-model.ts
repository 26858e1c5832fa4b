import { cp, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cache, madeOnce } from './cache.ts';
import { ensureModel } from './model.ts';
import { readTensors } from './safetensors.ts';
import { ensureShallowModel, SHALLOW } from './shallow-model.ts';

/** Which weight's lowest bit is another one. */
interface Flipped {
  readonly folder: string;
  /** Of which model. */
  readonly of: 'whole' | 'shallow';
  readonly module: string;
  readonly row: number;
  readonly column: number;
}

/** Half-way up a model of 30 layers. */
export const FLIPPED = {
  folder: 'SmolLM2-135M-Instruct-one-bit',
  of: 'whole',
  module: 'model.layers.15.mlp.down_proj',
  row: 100,
  column: 200,
} as const satisfies Flipped;

/** Of 1,536 rows that two ranks share out among them, one of the second: what it gives, the first has not. */
export const FLIPPED_SHALLOW = {
  folder: 'SmolLM2-135M-Instruct-shallow-one-bit',
  of: 'shallow',
  module: 'model.layers.1.mlp.up_proj',
  row: 1000,
  column: 200,
} as const satisfies Flipped;

/** The same model with one bit flipped, of 2 billion where it is the whole one: as a faulty disk or an upload that went wrong would leave it. */
export async function ensureFlippedModel(flipped: Flipped = FLIPPED): Promise<string> {
  const original = await (flipped.of === 'whole' ? ensureModel() : ensureShallowModel());
  const path = join(cache, 'models', flipped.folder);
  await madeOnce({
    title: 'Model: the same with one bit flipped',
    path,
    key: `${flipped.module} ${flipped.row} ${flipped.column}${flipped.of === 'shallow' ? ` of ${SHALLOW}` : ''}`,
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

async function flip(path: string, { module, row, column }: Flipped): Promise<void> {
  await using file = await open(path, 'r+');
  const { tensors, data } = await readTensors(file);
  const tensor = tensors[`${module}.weight`];
  if (tensor === undefined) throw new Error(`${path} has no ${module}.weight`);
  const [rows = 0, columns = 0] = tensor.shape;
  const [begin, end] = tensor.data_offsets;
  const bytesEach = (end - begin) / (rows * columns);
  // Little-endian: the lowest bit of the mantissa is in the first byte.
  const place = data + begin + (row * columns + column) * bytesEach;
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, place);
  byte[0] = (byte[0] ?? 0) ^ 1;
  await file.write(byte, 0, 1, place);
}
