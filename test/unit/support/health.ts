import type { GpuHealth, HealthReading } from '../../../src/health/schema.ts';

/** A card that tells all and ails of nothing. */
export const gpuHealth = (change: Partial<GpuHealth> = {}): GpuHealth => ({
  ...{ index: 0, name: 'NVIDIA H100 80GB HBM3', uuidHash: 'ab'.repeat(8), pci: '0000:00:06' },
  ...{ lost: false, needsReset: false, recoveryAction: 'None', eccMode: 'Enabled', eccPending: 'Enabled' },
  ...{ eccUncorrected: 0, eccUncorrectedEver: 0, eccCorrected: 0, sramThresholdExceeded: false },
  ...{ remapFailure: false, remapPending: false, retiredPending: null, unrepairable: false },
  ...{ repairPending: false, infoRom: 'valid', throttle: [], temperature: 40, persistence: true },
  ...{ migMode: 'Disabled', migPending: 'Disabled', computeMode: 'Default', virtualization: null },
  ...{ unnamedMib: 0, processes: [], strange: [] },
  ...change,
});

/** What was read; without a change there is no GPU. */
export const healthReading = (
  at: HealthReading['at'],
  change: Partial<HealthReading> = {},
): HealthReading => ({
  ...{ at, state: 'no-gpu', why: null, exit: null, driver: null, gpus: [], xids: null, selfTest: null },
  ...change,
});

/** A reading of one card. */
export const readingOf = (
  change: Partial<GpuHealth> = {},
  more: Partial<HealthReading> = {},
): Partial<HealthReading> => ({
  ...{ state: 'read', exit: 0, driver: '580.159.04', gpus: [gpuHealth(change)] },
  ...more,
});
