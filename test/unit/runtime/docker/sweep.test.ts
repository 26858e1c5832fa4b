import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type Docker from 'dockerode';
import { isStale, sweep } from '../../../../src/runtime/docker/sweep.ts';

const NOW = 1_000_000;
const container = (State: string, age = 10, deadline = NOW + 100) => ({
  State,
  Created: NOW - age,
  Labels: { 'deterministic-ml.role': 'engine', 'deterministic-ml.deadline': String(deadline) },
});

const copying = (age: number, deadline?: number) => {
  const created = container('created', age, deadline);
  return { ...created, Labels: { ...created.Labels, 'deterministic-ml.role': 'copy' } };
};

describe('what a sweep takes', () => {
  for (const [what, listed, expected] of [
    ['ended', container('exited'), true],
    ['dead', container('dead'), true],
    ['at work', container('running', 50_000), false],
    ['paused by somebody', container('paused', 50_000), false],
    ['being removed by somebody', container('removing'), false],
    ['at work past its deadline', container('running', 10, NOW - 1), true],
    ['created just now', container('created', 10), false],
    ['created and never started', container('created', 121), true],
    ['created to copy by, and never started', copying(50_000), false],
    ['created to copy by, past its deadline', copying(50_000, NOW - 1), true],
    ['of a later version, without a deadline, at work', { ...container('running'), Labels: {} }, false],
  ] as const)
    test(`${what}: ${expected ? 'taken' : 'left'}`, () => {
      assert.equal(isStale(listed, NOW), expected);
    });
});

test('a sweep says what it took and whose it was', async () => {
  const Labels = {
    ...container('exited').Labels,
    'deterministic-ml.run': '77',
    'deterministic-ml.repository': 'org/name',
  };
  const listed = [{ ...container('exited'), Id: '0123456789abcdef', Labels }];
  const docker = {
    listContainers: async () => listed,
    getContainer: () => ({ remove: async () => {} }),
  } as unknown as Docker;
  const lines: string[] = [];
  assert.equal(await sweep(docker, { log: (line) => lines.push(line), now: NOW }), 1);
  assert.deepEqual(lines, ['Removed the container 0123456789ab that run 77 of org/name left behind.']);
});
