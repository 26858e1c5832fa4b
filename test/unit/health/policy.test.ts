import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assess, POLICY } from '../../../src/health/policy.ts';
import { HealthView, RecordedHealth } from '../../../src/health/schema.ts';
import { gpuHealth, healthReading, readingOf } from '../support/health.ts';

type Change = ReturnType<typeof readingOf>;

const at = (lifetime: string, when: 'before' | 'after', change: Change): RecordedHealth =>
  RecordedHealth.parse({ lifetime, ...healthReading(when, change) });
const view = (...changes: readonly Change[]) =>
  HealthView.parse(
    assess(changes.map((change, i) => at('lifetime-1', i === 0 ? 'before' : 'after', change))),
  );
const signsOf = (...changes: readonly Change[]) => view(...changes).signs.map(({ sign }) => sign);

const process = (pid: number, whose: 'other' | 'unclear' = 'other') => ({
  pid,
  name: 'python3',
  mib: 512,
  whose,
});

/** Of each row a reading that shows it and one that nearly does. */
const CASES: Readonly<
  Record<string, { readonly shows: readonly Change[]; readonly nearly: readonly Change[] }>
> = {
  lost: { shows: [readingOf({ lost: true })], nearly: [readingOf()] },
  'recovery-action': {
    shows: [readingOf({ recoveryAction: 'Reset' })],
    nearly: [readingOf({ recoveryAction: 'none' })],
  },
  'uncorrected-ecc': {
    shows: [readingOf(), readingOf({ eccUncorrected: 1 })],
    nearly: [readingOf({ eccCorrected: 9 })],
  },
  'row-remap-failure': {
    shows: [readingOf({ remapFailure: true })],
    nearly: [readingOf({ remapPending: true })],
  },
  'unrepairable-memory': {
    shows: [readingOf({ unrepairable: true })],
    nearly: [readingOf({ unrepairable: null })],
  },
  'sram-threshold': {
    shows: [readingOf({ sramThresholdExceeded: true })],
    nearly: [readingOf({ sramThresholdExceeded: null })],
  },
  inforom: { shows: [readingOf({ infoRom: 'invalid' })], nearly: [readingOf({ infoRom: null })] },
  'ecc-mode-pending': {
    shows: [readingOf({ eccPending: 'Disabled' })],
    nearly: [readingOf({ eccMode: 'Disabled', eccPending: 'Disabled' })],
  },
  'mig-pending': { shows: [readingOf({ migPending: 'Enabled' })], nearly: [readingOf({ migPending: null })] },
  'compute-prohibited': {
    shows: [readingOf({ computeMode: 'Prohibited' })],
    nearly: [readingOf({ computeMode: 'Exclusive_Process' })],
  },
  'foreign-process': {
    shows: [readingOf({ processes: [process(7)] })],
    nearly: [readingOf({ processes: [process(7, 'unclear')] })],
  },
  'self-test': {
    shows: [
      readingOf({}, { selfTest: { rounds: 9, seconds: 1, gpus: [{ gpu: 0, distinct: 2 }], why: null } }),
    ],
    nearly: [
      readingOf({}, { selfTest: { rounds: 9, seconds: 1, gpus: [{ gpu: 0, distinct: 1 }], why: null } }),
    ],
  },
  xid: {
    shows: [readingOf({}, { xids: [{ gpu: 0, xid: 79, during: true }] })],
    nearly: [13, 31, 43, 45, 68, 109].map((xid) => readingOf({}, { xids: [{ gpu: 0, xid, during: true }] })),
  },
  'earlier-xid': {
    shows: [readingOf({}, { xids: [{ gpu: 0, xid: 63, during: false }] })],
    nearly: [readingOf({}, { xids: [{ gpu: 0, xid: 31, during: false }] })],
  },
  'row-remap-pending': {
    shows: [readingOf({ remapPending: true })],
    nearly: [readingOf({ remapPending: null })],
  },
  'page-retirement-pending': {
    shows: [readingOf({ retiredPending: true })],
    nearly: [readingOf({ retiredPending: false })],
  },
  'repair-pending': {
    shows: [readingOf({ repairPending: true })],
    nearly: [readingOf({ repairPending: null })],
  },
  'hardware-slowdown': {
    shows: [readingOf({ throttle: ['hw_slowdown'] })],
    nearly: [readingOf({ throttle: ['gpu_idle', 'sw_power_cap'] })],
  },
  'power-brake': {
    shows: [readingOf({ throttle: ['hw_power_brake_slowdown'] })],
    nearly: [readingOf({ throttle: ['sync_boost'] })],
  },
  'thermal-slowdown': {
    shows: [readingOf({ throttle: ['sw_thermal_slowdown'], temperature: 92 })],
    nearly: [readingOf({ temperature: 92 })],
  },
  'power-cap': {
    shows: [readingOf({ throttle: ['sw_power_cap'] })],
    nearly: [readingOf({ throttle: ['gpu_idle'] })],
  },
  'corrected-ecc': {
    shows: [readingOf({ eccCorrected: 3 }), readingOf({ eccCorrected: 5 })],
    nearly: [readingOf({ eccCorrected: 3 }), readingOf({ eccCorrected: 3 })],
  },
  'past-ecc': {
    shows: [readingOf({ eccUncorrectedEver: 2 })],
    nearly: [readingOf({ eccUncorrectedEver: null })],
  },
  'partly-told': {
    shows: [readingOf({ eccUncorrected: null })],
    nearly: [readingOf({ retiredPending: null })],
  },
  'not-understood': {
    shows: [readingOf({ strange: ['remapped_row_failure'] })],
    nearly: [readingOf({ strange: ['remapped_row_failure'], lost: true })],
  },
  'self-test-not-done': {
    shows: [readingOf({}, { selfTest: { rounds: 0, seconds: 0, gpus: [], why: 'out of memory' } })],
    nearly: [readingOf({}, { selfTest: null })],
  },
  'exit-code': {
    shows: [{ ...readingOf(), exit: 8, why: 'nvidia-smi ended with exit code 8' }],
    nearly: [{ ...readingOf(), exit: 15 }],
  },
  'memory-in-use': {
    shows: [readingOf({ unnamedMib: 17_408 })],
    nearly: [readingOf({ unnamedMib: 2048 })],
  },
  'unclear-process': {
    shows: [readingOf({ processes: [process(7, 'unclear')] })],
    nearly: [readingOf({ processes: [process(7)] })],
  },
  unreadable: {
    shows: [{ state: 'unreadable', why: 'nvidia-smi gave no answer within 30 s and was stopped' }],
    nearly: [{ state: 'no-gpu' }],
  },
};

describe('the policy', () => {
  test('has a case here for each of its rows', () =>
    assert.deepEqual(
      POLICY.map(({ sign }) => sign),
      Object.keys(CASES),
    ));

  for (const { sign, level, remedy } of POLICY) {
    const { shows, nearly } = CASES[sign] ?? assert.fail(sign);
    test(`${sign} is ${level}`, () => {
      const found = view(...shows).signs.find((one) => one.sign === sign);
      assert.deepEqual([found?.level, found?.remedy], [level, remedy]);
      const alone = sign === 'corrected-ecc' ? [nearly] : nearly.map((one) => [one]);
      for (const changes of alone) assert.equal(signsOf(...changes).includes(sign), false);
    });
  }

  test('comes to the worst level that was seen', () => {
    assert.equal(view({ state: 'no-gpu' }).state, 'no-gpu');
    assert.equal(view(readingOf()).state, 'healthy');
    assert.deepEqual(view(readingOf()).signs, []);
    assert.equal(view(readingOf({ throttle: ['sw_power_cap'] })).state, 'healthy', 'a fact changes nothing');
    assert.equal(view(readingOf(), { state: 'unreadable', why: 'x' }).state, 'unreadable', 'never healthy');
    assert.equal(view({ state: 'unreadable', why: 'x' }, readingOf({ remapPending: true })).state, 'warning');
    assert.equal(view(readingOf({ remapPending: true, remapFailure: true })).state, 'unhealthy');
    assert.equal(view(readingOf({ remapPending: true, remapFailure: true })).signs[0]?.level, 'unhealthy');
  });

  test('never calls a card healthy that tells no sign of a fault', () => {
    const mute = readingOf({
      recoveryAction: null,
      eccUncorrected: null,
      remapFailure: null,
      retiredPending: null,
    });
    assert.equal(view(mute).state, 'unreadable');
  });

  test('names the GPU, and tells a sign once, as it was seen first', () => {
    const two = (change: Parameters<typeof gpuHealth>[0]): Change => ({
      ...readingOf(),
      gpus: [gpuHealth(), gpuHealth({ index: 1, ...change })],
    });
    const { signs } = assess([
      at('lifetime-1', 'before', two({})),
      at('lifetime-1', 'after', two({ eccUncorrected: 2 })),
      at('lifetime-2', 'before', two({ eccUncorrected: 3 })),
    ]);
    assert.deepEqual(
      signs.map(({ gpu, reason, seen }) => [gpu, reason, seen]),
      [
        [
          'GPU 1 (NVIDIA H100 80GB HBM3)',
          'had 2 memory errors that could not be corrected',
          'after lifetime-1',
        ],
      ],
    );
  });

  test('tells cards apart that are each GPU 0 to their own container', () => {
    const one = (bus: string, change: Parameters<typeof gpuHealth>[0] = {}): Change =>
      readingOf({ uuidHash: bus.repeat(8), pci: `0000:${bus}:00`, ...change });
    const { signs } = assess([
      at('lifetime-1', 'before', one('1a', { eccCorrected: 0, remapPending: true })),
      at('lifetime-2', 'before', one('3d', { eccCorrected: 5, remapPending: true })),
      at('lifetime-2', 'after', one('3d', { eccCorrected: 5 })),
      at('lifetime-1', 'after', one('1a', { eccCorrected: 2 })),
    ]);
    assert.deepEqual(
      signs.map(({ sign, gpu, reason }) => [sign, gpu, reason.replace(/^replaces.*/, '')]),
      [
        ['row-remap-pending', 'GPU 0 (NVIDIA H100 80GB HBM3, 0000:1a:00)', ''],
        ['row-remap-pending', 'GPU 0 (NVIDIA H100 80GB HBM3, 0000:3d:00)', ''],
        // The other one had its five before the run.
        [
          'corrected-ecc',
          'GPU 0 (NVIDIA H100 80GB HBM3, 0000:1a:00)',
          'corrected 2 memory errors during the run',
        ],
      ],
    );
  });

  test('names a few of many processes', () => {
    const many = readingOf({ processes: [1, 2, 3, 4, 5, 6, 7].map((pid) => process(pid)) });
    assert.match(
      view(many).signs[0]?.reason ?? '',
      /^is used by python3 \(process 1, 512 MiB\), .* and 2 more$/,
    );
  });
});
