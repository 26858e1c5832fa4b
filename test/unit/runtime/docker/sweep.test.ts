import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type Docker from 'dockerode';
import { ownerName } from '../../../../src/machine/owner.ts';
import { later, type Moment } from '../../../../src/runtime/clock.ts';
import { LABEL, type Role, spanLabels } from '../../../../src/runtime/docker/labels.ts';
import { isStale, sweep } from '../../../../src/runtime/docker/sweep.ts';

const NOW: Moment = { boot: 'this-start', seconds: 1_000_000 };
const ELSEWHERE: Moment = { boot: 'another', seconds: 5 };

const container = (State: string, age = 10, left = 100, now = NOW, role: Role = 'engine') => ({
  State,
  // What the daemon's time of day says is nobody's business here.
  Created: Date.now() / 1000 + 7200,
  Labels: {
    [LABEL.role]: role,
    ...spanLabels({ made: later(now, -age), deadline: later(now, left) }),
  },
});

/** As a process of this one's number that was started earlier made it. */
const ofGone = (one: ReturnType<typeof container>) => ({
  ...one,
  Labels: { ...one.Labels, [LABEL.owner]: ownerName().replace(/\.\d+\./, '.1.') },
});

describe('what a sweep takes', () => {
  for (const [what, listed, expected] of [
    ['ended', container('exited'), true],
    ['dead', container('dead'), true],
    ['at work', container('running', 50_000), false],
    ['paused by somebody', container('paused', 50_000), false],
    ['being removed by somebody', container('removing'), false],
    ['at work past its deadline', container('running', 10, -1), true],
    ['at work by the clock of another machine', container('running', 1, 2, ELSEWHERE), false],
    ['created just now', container('created', 10), false],
    ['created and never started', container('created', 121), true],
    ['created just now by a process that is gone', ofGone(container('created', 1)), true],
    [
      'created to copy by, by a process that is gone',
      ofGone(container('created', 1, 100, NOW, 'copy')),
      true,
    ],
    ['at work for a process that is gone, which it notices itself', ofGone(container('running')), false],
    ['created elsewhere', container('created', 1, 2, ELSEWHERE), false],
    ['created elsewhere long ago', { ...container('created', 1, 2, ELSEWHERE), Created: 1 }, true],
    ['created to copy by, and never started', container('created', 50_000, 100, NOW, 'copy'), false],
    ['created to copy by, past its deadline', container('created', 50_000, -1, NOW, 'copy'), true],
    ['of a later version, without a deadline, at work', { ...container('running'), Labels: {} }, false],
    [
      'of an older version, with a time of day that has passed, at work',
      { ...container('running'), Labels: { [LABEL.deadline]: '1' } },
      false,
    ],
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
    getContainer: () => ({ kill: async () => {}, remove: async () => {} }),
  } as unknown as Docker;
  const lines: string[] = [];
  assert.equal(await sweep(docker, { log: (line) => lines.push(line), now: NOW }), 1);
  assert.deepEqual(lines, ['Removed the container 0123456789ab that run 77 of org/name left behind.']);
});
