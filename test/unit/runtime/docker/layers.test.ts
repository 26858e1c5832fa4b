import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Layers } from '../../../../src/runtime/docker/pull.ts';

const downloading = (current: number) => ({
  status: 'Downloading',
  id: 'a',
  progressDetail: { current, total: 3_146_832 },
});

function lastTold(events: readonly object[]): [number, number] | undefined {
  let last: [number, number] | undefined;
  const layers = new Layers((done, total) => {
    last = [done, total];
  });
  for (const event of events) layers.event(JSON.stringify(event));
  return last;
}

describe('the bytes of a pull', () => {
  test('a layer is there when it is said to be', () => {
    assert.deepEqual(lastTold([downloading(36_445)]), [36_445, 3_146_832]);
    assert.deepEqual(
      lastTold([downloading(36_445), { status: 'Download complete', id: 'a' }]),
      [3_146_832, 3_146_832],
    );
  });

  for (const status of ['Verifying Checksum', 'Extracting', 'Pull complete'])
    test(`it is there too where a busy daemon goes straight on to “${status}”`, () => {
      assert.deepEqual(lastTold([downloading(36_445), { status, id: 'a' }]), [3_146_832, 3_146_832]);
    });

  test('what is said of other layers says nothing of this one', () => {
    assert.deepEqual(
      lastTold([downloading(36_445), { status: 'Pull complete', id: 'b' }]),
      [36_445, 3_146_832],
    );
  });
});
