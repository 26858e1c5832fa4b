import type { FileHandle } from 'node:fs/promises';

/** Where a tensor's bytes lie, from where all tensors' begin. */
export interface Tensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [from: number, to: number];
}

/** By name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** safetensors: a header of JSON behind its own length (uint64 little-endian), then the tensors' bytes, from `data` on. */
export async function readTensors(file: FileHandle): Promise<{ tensors: Tensors; data: number }> {
  const length = Buffer.alloc(8);
  await file.read(length, 0, 8, 0);
  const header = Buffer.alloc(Number(length.readBigUInt64LE()));
  await file.read(header, 0, header.length, 8);
  const { __metadata__: _, ...tensors } = JSON.parse(header.toString('utf8')) as Record<string, Tensor>;
  return { tensors, data: 8 + header.length };
}

/** What stands before the tensors' bytes. */
export function headerOf(tensors: Tensors): Buffer {
  // Readers ask for the format.
  const header = Buffer.from(JSON.stringify({ __metadata__: { format: 'pt' }, ...tensors }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header]);
}
