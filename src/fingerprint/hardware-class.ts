import type { Ambient } from './schema.ts';

/**
 * The part of the ambient half that chooses the baseline. Of GPUs: their names, compute capability, number of SMs and how
 * many there are. cuBLAS promises equal bits on GPUs of the same architecture and the same number of SMs; an H100 and an
 * H200 have both in common, and 35 of 210 measured products differ (docs/evidence/2026-11-27-h200). A MIG slice has a name
 * and SMs of its own. For a CPU: vendor and instruction-set level. Examples: `nvidia-h100-80gb-hbm3-cc9.0-sm132-x1`,
 * `amd-instinct-mi300x-gfx942-sm304-x8`, `cpu-genuineintel-x86-64-v4-amx`; `endpoint` of a server that is asked, whatever it has.
 */
export function hardwareClass(
  ambient: Pick<Ambient, 'gpus' | 'cpu'> & Partial<Pick<Ambient, 'runtime'>>,
): string {
  // On what a server computes it does not tell, and it may be another machine each time.
  if (ambient.runtime === 'endpoint') return 'endpoint';
  if (ambient.gpus.length === 0) return slug(`cpu-${ambient.cpu.vendor}-${ambient.cpu.level}`);
  const kinds = new Set(
    ambient.gpus.map(({ name, computeCapability, smCount }) => {
      // AMD and Intel have names of architectures instead of NVIDIA's numbers.
      const architecture = /^(?:gfx|xe)/.test(computeCapability)
        ? computeCapability
        : `cc${computeCapability}`;
      return `${name}-${architecture}-sm${smCount}`;
    }),
  );
  return slug(`${[...kinds].sort().join('-')}-x${ambient.gpus.length}`);
}

const slug = (text: string) =>
  text
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .slice(0, 128)
    .replaceAll(/^[-.]+|[-.]+$/g, '');
