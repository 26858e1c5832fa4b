import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { within } from '../../../src/issues/version.ts';

describe('a version within a range', () => {
  for (const [version, from, before, expected] of [
    ['0.26.0', '0.26', undefined, true],
    ['0.9.2', '0.26', undefined, false],
    ['0.26', '0.26.0', '0.26.1', true],
    ['0.27.0', '0.26', '0.27', false],
    ['2.11.0+cu130', '2.11', '2.12', true],
    ['v2.12.0.post1', '2.11', '2.12.1', true],
    // Before the version that it becomes, and nobody knows by how much.
    ['0.27.0rc1', '0.26', '0.27', undefined],
    ['0.26.0rc1', '0.26', '0.27', undefined],
    ['0.28.1rc1.dev199+g7c5dc571c', '0.26', '0.28', false],
    ['0.28.1rc1.dev199+g7c5dc571c', '0.26', '0.29', true],
    ['unknown', '0.26', undefined, undefined],
    ['', undefined, '1', undefined],
    ['NVIDIA H100', '9.0', undefined, undefined],
    [`1${'.1'.repeat(5000)}`, '1', undefined, undefined],
    ['10.0', '9.0', '11.0', true],
  ] as const)
    test(`${version.slice(0, 30)} from ${from} before ${before}: ${expected}`, () =>
      assert.equal(
        within(version, {
          ...(from === undefined ? {} : { from }),
          ...(before === undefined ? {} : { before }),
        }),
        expected,
      ));
});
