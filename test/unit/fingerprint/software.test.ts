import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SoftwareTold } from '../../../src/fingerprint/schema.ts';
import type { Software } from '../../../src/fingerprint/software.ts';
import { diffSoftware } from '../../../src/fingerprint/software-diff.ts';
import { packSoftware, unpackSoftware } from '../../../src/record/software.ts';
import { thrownBy } from '../support/suites.ts';

const BEFORE: Software = {
  python: { xgrammar: '0.1.20', torch: '2.11.0' },
  dpkg: { libc6: '2.39' },
  objects: { 'torch/lib/libtorch.so': 'build-id:aa', '/lib/libc.so.6': 'build-id:bb' },
};
const told = (after: Software | undefined, before: Software | undefined = BEFORE) =>
  diffSoftware(before, after).map((one) => `${one.field}: ${one.before} -> ${one.after}`);
const many = (count: number, version: string) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`lib${i}`, version]));

describe('what is installed', () => {
  test('is no difference where it is the same, or where one side tells nothing of it', () => {
    assert.deepEqual(told(structuredClone(BEFORE)), []);
    assert.deepEqual(told(undefined), []);
    assert.deepEqual(told(BEFORE, undefined), []);
    assert.deepEqual(told({ python: { xgrammar: '0.1.20', torch: '2.11.0' } }), []);
  });

  test('is told package by package, those that came and went too', () => {
    assert.deepEqual(told({ ...BEFORE, python: { xgrammar: '0.1.21', six: '1.17' } }), [
      'packages.python.six: (absent) -> 1.17',
      'packages.python.torch: 2.11.0 -> (absent)',
      'packages.python.xgrammar: 0.1.20 -> 0.1.21',
    ]);
    assert.deepEqual(told({ ...BEFORE, dpkg: { libc6: '2.40' } }), ['packages.dpkg.libc6: 2.39 -> 2.40']);
  });

  test('is counted where a whole image is another one', () => {
    assert.deepEqual(told({ dpkg: many(30, '2') }, { dpkg: many(40, '1') }), [
      'packages.dpkg: 40 installed -> 30 installed; 40 differ: lib0, lib1, lib10, lib11, lib12, …',
    ]);
  });

  test('is counted and named of shared objects', () => {
    const objects = { ...BEFORE.objects, 'torch/lib/libtorch.so': 'build-id:cc' };
    assert.deepEqual(told({ ...BEFORE, objects }), [
      'shared objects: 2 loaded -> 2 loaded; 1 differ: torch/lib/libtorch.so',
    ]);
  });

  test('may be called as every object’s own things are', () => {
    const python = JSON.parse('{ "constructor": "1", "__proto__": "2", "torch": "2.11.0" }');
    assert.deepEqual(told({ python }, { python: { torch: '2.11.0' } }), [
      'packages.python.__proto__: (absent) -> 2',
      'packages.python.constructor: (absent) -> 1',
    ]);
  });
});

describe('the body that lists it', () => {
  const read = (value: unknown) => unpackSoftware(Buffer.from(JSON.stringify(value)), 'x');

  test('comes back, and is the same in any order', () => {
    assert.deepEqual(unpackSoftware(packSoftware(BEFORE), 'x'), BEFORE);
    const turned = Object.fromEntries(Object.entries(BEFORE).toReversed());
    assert.deepEqual(packSoftware(turned), packSoftware(BEFORE));
  });

  for (const [what, value] of [
    ['a list', []],
    ['a part that nobody knows', { cargo: {} }],
    ['a number for a version', { python: { torch: 2 } }],
    ['a name that is too long', { python: { ['x'.repeat(257)]: '1' } }],
    ['a version that is too long', { python: { torch: 'x'.repeat(161) } }],
    ['no version', { python: { torch: '' } }],
    ['more names than anybody has', { python: many(10_001, '1') }],
  ] as const)
    test(`is damaged where it holds ${what}, and no harness may tell it`, () => {
      assert.equal(thrownBy(() => read(value)).code, 'record-invalid');
      assert.ok(!SoftwareTold.safeParse(value).success);
    });

  test('is damaged where it is no JSON', () => {
    assert.equal(thrownBy(() => unpackSoftware(Buffer.from('{'), 'x')).code, 'record-invalid');
  });
});
