import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readLauncher } from '../../../src/suite/launcher.ts';

const read = (source: string) => {
  const got = readLauncher(source);
  return 'ok' in got ? got.ok : got.problem;
};

describe('a launcher', () => {
  test('is cut into words as a shell would, without one', () => {
    assert.deepEqual(read('srun --gres=gpu:1  --comment="two words"'), [
      'srun',
      '--gres=gpu:1',
      '--comment=two words',
    ]);
    assert.deepEqual(read("kubectl exec -i pod -- env 'A=$HOME'"), [
      'kubectl',
      'exec',
      '-i',
      'pod',
      '--',
      'env',
      'A=$HOME',
    ]);
  });

  test('of ssh is held to a known host key, before whatever else it says', () => {
    const words = read('/usr/bin/ssh -o Ciphers=x gpu7');
    assert.deepEqual(words.slice(0, 5), [
      '/usr/bin/ssh',
      '-o',
      'BatchMode=yes',
      '-o',
      'StrictHostKeyChecking=yes',
    ]);
    assert.deepEqual(words.slice(-3), ['-o', 'Ciphers=x', 'gpu7']);
    assert.ok(Array.isArray(read('ssh -oStrictHostKeyChecking=yes -o "BatchMode yes" gpu7')));
  });

  for (const [source, problem] of [
    ['', /it is empty/],
    ['-v ssh', /`-v` is no program/],
    ['ssh gpu7; rm -r x', /`;` means something to a shell/],
    ['ssh $HOST', /`\$` asks a shell/],
    ['ssh "gpu7', /never closed/],
    ['ssh -o StrictHostKeyChecking=no gpu7', /`StrictHostKeyChecking=no` is refused/],
    ['ssh -o stricthostkeychecking=accept-new gpu7', /`StrictHostKeyChecking=accept-new` is refused/],
    ['ssh -oStrictHostKeyChecking=off gpu7', /`StrictHostKeyChecking=off` is refused/],
    ['ssh -o "StrictHostKeyChecking no" gpu7', /`StrictHostKeyChecking=no` is refused/],
    ['ssh -o BatchMode=no gpu7', /`BatchMode=no` is refused/],
  ] as const)
    test(`cannot be ${source}`, () => assert.match(String(read(source)), problem));
});
