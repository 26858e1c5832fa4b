import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { exitOf, watchOomKills } from '../../../src/runtime/exit.ts';

const never = () => false;

describe('how a process ended', () => {
  for (const [code, signal, expected] of [
    [0, null, null],
    [1, null, null],
    [127, null, null],
    [132, null, 'SIGILL'],
    [137, null, 'SIGKILL'],
    [139, null, 'SIGSEGV'],
    [255, null, null],
    [null, 'SIGABRT', 'SIGABRT'],
    [null, null, null],
  ] as const)
    test(`code ${code}, signal ${signal}: ${expected}`, () => {
      assert.deepEqual(exitOf(code, signal, never), { code, signal: expected, outOfMemory: false });
    });

  test('the proof of a lack of memory is asked with the signal', () => {
    assert.equal(exitOf(137, null, (signal) => signal === 'SIGKILL').outOfMemory, true);
  });
});

describe('what the kernel killed for memory', () => {
  const VMSTAT = '/proc/vmstat';
  const groups = {
    'version 1': ['8:pids:/\n4:memory:/job\n0::/', '/sys/fs/cgroup/memory/job/memory.oom_control'],
    'version 1, with another controller': [
      '4:cpu,memory:/job',
      '/sys/fs/cgroup/memory/job/memory.oom_control',
    ],
    'version 2': ['0::/job.scope', '/sys/fs/cgroup/job.scope/memory.events'],
    'version 1, in a container': ['4:memory:/docker/ab', '/sys/fs/cgroup/memory/memory.oom_control'],
    'version 2, in a container': ['0::/', '/sys/fs/cgroup/memory.events'],
  } as const;
  const told = (count: number) => `low 3\noom_kill ${count}\nlast 4\n`;

  for (const [what, [group, file]] of Object.entries(groups))
    test(`a child is counted in its own control group, and whoever else was killed is not it: ${what}`, () => {
      const files: Record<string, string> = {
        ...{ '/proc/self/cgroup': group, [file]: told(2), [VMSTAT]: told(7) },
      };
      const rose = watchOomKills('child', (path) => files[path]);
      files[VMSTAT] = told(8);
      assert.equal(rose(), false);
      files[file] = told(3);
      assert.equal(rose(), true);
    });

  for (const [whose, group] of [
    ['child', '0::/'],
    ['child', '8:pids:/'],
    ['container', '4:memory:/job'],
  ] as const)
    test(`the machine is asked about a ${whose} in ${group}`, () => {
      const files: Record<string, string> = {
        ...{ '/proc/self/cgroup': group, [VMSTAT]: told(7) },
        '/sys/fs/cgroup/memory/job/memory.oom_control': told(2),
      };
      const rose = watchOomKills(whose, (path) => files[path]);
      assert.equal(rose(), false);
      files[VMSTAT] = told(8);
      assert.equal(rose(), true);
    });

  test('nothing is claimed where nothing can be read', () => {
    assert.equal(watchOomKills('child', () => undefined)(), false);
  });
});
