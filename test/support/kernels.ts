import { readFileSync } from 'node:fs';

/**
 * `ATEN_CPU_CAPABILITY` that makes PyTorch take other kernels than it would on this CPU, so that bits really change:
 * AVX2's where it has AVX-512, and the plainest where AVX2 is the best that it has.
 */
export const OTHER_CAPABILITY = /\bavx512f\b/.test(readFileSync('/proc/cpuinfo', 'utf8'))
  ? 'avx2'
  : 'default';
