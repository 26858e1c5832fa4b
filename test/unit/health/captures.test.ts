import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { healthCaptures } from '../../../scripts/generate.ts';
import { assess } from '../../../src/health/policy.ts';

/** What each capture must come to: written by hand, not by the policy. */
const EXPECTED: Readonly<Record<string, string>> = {
  h100: 'healthy',
  h200: 'healthy',
  'no-gpu': 'no-gpu',
  'cpu-build': 'no-gpu',
  'no-smi': 'unreadable unreadable',
  jetson: 'unreadable unreadable',
  vgpu: 'unreadable unreadable',
  geforce: 'healthy partly-told',
  mig: 'healthy partly-told',
  'mig-pending': 'unhealthy mig-pending',
  'old-driver': 'healthy partly-told',
  permissions: 'healthy partly-told',
  german: 'healthy not-understood partly-told',
  recovery: 'unhealthy recovery-action',
  drain: 'unhealthy recovery-action',
  'requires-reset': 'unhealthy recovery-action',
  lost: 'unhealthy lost',
  'lost-15': 'unhealthy lost',
  'lost-text': 'unhealthy lost',
  dram: 'unhealthy uncorrected-ecc',
  sram: 'unhealthy uncorrected-ecc',
  corrected: 'healthy',
  past: 'healthy past-ecc',
  threshold: 'unhealthy sram-threshold',
  'remap-failure': 'unhealthy row-remap-failure',
  'remap-pending': 'warning row-remap-pending',
  unrepairable: 'unhealthy unrepairable-memory',
  'tpc-repair': 'warning repair-pending',
  volta: 'healthy past-ecc partly-told',
  'volta-double': 'unhealthy uncorrected-ecc partly-told',
  'volta-pending': 'warning page-retirement-pending past-ecc partly-told',
  inforom: 'unhealthy inforom',
  'inforom-14': 'unhealthy inforom',
  'ecc-pending': 'unhealthy ecc-mode-pending',
  prohibited: 'unhealthy compute-prohibited',
  slowdown: 'warning hardware-slowdown thermal-slowdown',
  'old-slowdown': 'warning hardware-slowdown',
  brake: 'warning power-brake',
  heat: 'healthy thermal-slowdown',
  'power-cap': 'healthy power-cap',
  foreign: 'unhealthy foreign-process',
  'foreign-hostile': 'unhealthy foreign-process',
  'foreign-unescaped': 'unhealthy foreign-process',
  'foreign-silent': 'unhealthy foreign-process',
  display: 'healthy',
  elsewhere: 'healthy memory-in-use',
  desktop: 'healthy',
  own: 'healthy',
  'after-foreign': 'unhealthy foreign-process',
  'after-unclear': 'healthy unclear-process',
  'xid-79': 'unhealthy xid',
  'xid-31': 'healthy',
  'xid-earlier': 'warning earlier-xid',
  'xid-elsewhere': 'healthy',
  'other-card': 'healthy',
  'other-card-15': 'healthy',
  'second-card': 'unhealthy row-remap-failure',
  'self-test': 'unhealthy self-test',
  'self-test-full': 'healthy self-test-not-done',
  hangs: 'unreadable unreadable',
  'cut-short': 'unreadable unreadable',
  empty: 'unreadable unreadable',
  entities: 'unreadable unreadable',
  'no-elements': 'unreadable unreadable',
  'exit-3': 'unreadable unreadable',
  'exit-4': 'unreadable unreadable',
  'exit-6': 'no-gpu',
  'exit-6-device': 'unreadable unreadable',
  'exit-8': 'unreadable unreadable',
  'exit-8-whole': 'healthy exit-code',
  'exit-15-whole': 'unhealthy lost',
  'exit-99-whole': 'healthy exit-code',
  'exit-9': 'no-gpu',
  'exit-9-device': 'unreadable unreadable',
  'exit-10': 'unreadable unreadable',
  'exit-12': 'unreadable unreadable',
  'exit-13': 'unreadable unreadable',
};

const captures = await healthCaptures();

describe('a capture of nvidia-smi comes to what is expected:', () => {
  test('each has its line here', () =>
    assert.deepEqual(
      captures.map(({ id }) => id),
      Object.keys(EXPECTED),
    ));

  for (const { id, what, reading } of captures)
    test(`${id}: ${what}`, () => {
      const { state, signs } = assess([{ lifetime: 'lifetime-1', ...reading }]);
      assert.equal([state, ...signs.map(({ sign }) => sign)].join(' '), EXPECTED[id]);
    });
});
