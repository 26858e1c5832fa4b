import { cp, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cache, madeOnce } from './cache.ts';
import { ensureModel } from './model.ts';
import { headerOf, readTensors, type Tensor } from './safetensors.ts';

/** What is left of 30 layers with nine heads each, and three of keys and values: numbers that two ranks can share. */
const [LAYERS, HEADS, KEY_HEADS, WIDTH] = [2, 6, 2, 64] as const;

/** Tells one version of it from another. */
export const SHALLOW = `${LAYERS} layers, ${HEADS} heads, ${KEY_HEADS} of keys`;

/**
 * The first layers and heads of the real model, with its tokenizer and all of its vocabulary: for tests in which an engine loads
 * and computes, and the model's size shows nothing. What it says makes no sense, and is the same each time.
 */
export async function ensureShallowModel(): Promise<string> {
  const original = await ensureModel();
  const path = join(cache, 'models/SmolLM2-135M-Instruct-shallow');
  await madeOnce({
    title: `Model: SmolLM2's first ${LAYERS} layers`,
    path,
    key: SHALLOW,
    make: async () => {
      const partial = `${path}.partial`;
      await rm(partial, { recursive: true, force: true });
      await cp(original, partial, { recursive: true, filter: (file) => !file.endsWith('.safetensors') });
      const config = join(partial, 'config.json');
      const settings = {
        ...(JSON.parse(await readFile(config, 'utf8')) as Readonly<Record<string, unknown>>),
        num_hidden_layers: LAYERS,
        num_attention_heads: HEADS,
        num_key_value_heads: KEY_HEADS,
      };
      await writeFile(config, JSON.stringify(settings));
      await cut(join(original, 'model.safetensors'), join(partial, 'model.safetensors'));
      await rename(partial, path);
    },
  });
  return path;
}

/** Copies the first layers' tensors, with the first heads of each, and those that belong to no layer. */
async function cut(from: string, to: string): Promise<void> {
  await using source = await open(from, 'r');
  const { tensors, data } = await readTensors(source);
  const kept: Record<string, Tensor> = {};
  const parts: Buffer[] = [];
  let length = 0;
  for (const [name, tensor] of Object.entries(tensors)) {
    const [, layer = '0'] = /^model\.layers\.(\d+)\./.exec(name) ?? [];
    if (Number(layer) >= LAYERS) continue;
    const [begin, end] = tensor.data_offsets;
    const bytes = Buffer.alloc(end - begin);
    await source.read(bytes, 0, bytes.length, data + begin);
    const [part, shape] = corner(bytes, tensor.shape, sizes(name));
    parts.push(part);
    kept[name] = { ...tensor, shape, data_offsets: [length, length + part.length] };
    length += part.length;
  }
  await writeFile(to, [headerOf(kept), ...parts]);
}

/** How many rows and columns of a tensor are kept; undefined: all. */
function sizes(name: string): readonly [rows: number | undefined, columns: number | undefined] {
  const [, projection] = /\.self_attn\.([qkvo])_proj\./.exec(name) ?? [];
  switch (projection) {
    case 'q':
      return [HEADS * WIDTH, undefined];
    case 'k':
    case 'v':
      return [KEY_HEADS * WIDTH, undefined];
    case 'o':
      return [undefined, HEADS * WIDTH];
    default:
      return [undefined, undefined];
  }
}

/** The first rows and columns of a tensor. */
function corner(
  bytes: Buffer,
  [rows = 0, columns]: readonly number[],
  [keptRows = rows, keptColumns = columns]: ReturnType<typeof sizes>,
): [part: Buffer, shape: readonly number[]] {
  if (columns === undefined || keptColumns === undefined) return [bytes, [rows]];
  const size = bytes.length / (rows * columns);
  const lines = Array.from({ length: keptRows }, (_, row) =>
    bytes.subarray(row * columns * size, (row * columns + keptColumns) * size),
  );
  return [Buffer.concat(lines), [keptRows, keptColumns]];
}
