import { isCpu, LONGER, otherCapability, real, withEnvironment } from '../make.ts';

export const cpuCapability = real(
  'cpu-capability',
  'kernels for another instruction set',
  LONGER,
  false,
  (subject) =>
    isCpu(subject)
      ? withEnvironment(subject, { ATEN_CPU_CAPABILITY: otherCapability(subject) })
      : 'the engine computes on a GPU',
);
