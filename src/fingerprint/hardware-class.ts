import type { Ambient } from './schema.ts';

/**
 * The part of the ambient half that chooses the baseline. cuBLAS promises equal bits on GPUs of the same
 * architecture and the same number of SMs; the predecessor's published runs group by exactly (SM count, GPU
 * count). For a CPU: vendor and instruction-set level. Examples: `nvidia-cc9.0-sm132-x1`,
 * `amd-gfx942-sm304-x8`, `cpu-genuineintel-x86-64-v4-amx`.
 */
export function hardwareClass(ambient: Pick<Ambient, 'gpus' | 'cpu'>): string {
  const [gpu] = ambient.gpus;
  if (gpu === undefined) return slug(`cpu-${ambient.cpu.vendor}-${ambient.cpu.level}`);
  // AMD has no compute capability but names of architectures.
  const isAmd = gpu.computeCapability.startsWith('gfx');
  const kind = isAmd ? '' : 'cc';
  const kinds = [...new Set(ambient.gpus.map((g) => `${kind}${g.computeCapability}-sm${g.smCount}`))].sort();
  return slug(`${isAmd ? 'amd' : 'nvidia'}-${kinds.join('-')}-x${ambient.gpus.length}`);
}

const slug = (text: string) =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .slice(0, 128)
    .replaceAll(/^[-.]+|[-.]+$/g, '');
