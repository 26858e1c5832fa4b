import { createHash } from 'node:crypto';
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
  return slug([...kinds].sort().join('-'), `-x${ambient.gpus.length}`);
}

/** Of a key, in which a class stands. */
const MAX_LENGTH = 128;

/** Of many kinds it is cut, and a digest of all of them stands for the rest: how many there are is kept. */
function slug(text: string, end = ''): string {
  const whole = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/^[-.]+|[-.]+$/g, '');
  if (whole.length + end.length <= MAX_LENGTH) return `${whole}${end}`;
  const digest = `-${createHash('sha256').update(whole).digest('hex').slice(0, 12)}`;
  return `${whole.slice(0, MAX_LENGTH - digest.length - end.length)}${digest}${end}`;
}
