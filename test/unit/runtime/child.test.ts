import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { killGroup, runChild, startChild } from '../../../src/runtime/child.ts';

const env = { PATH: process.env['PATH'] ?? '' };
const sh = (script: string) => ['sh', '-c', script];

describe('a program that is run to its end', () => {
  test('is given its input and its environment alone, and what it prints comes back', async () => {
    const ran = await runChild(sh('cat; echo "$HOME|$OWN"; echo no >&2'), {
      ...{ env: { ...env, OWN: 'own' }, input: 'asked ', seconds: 20 },
    });
    assert.deepEqual(ran, { stdout: 'asked |own\n', stderr: 'no\n', failure: undefined, exitCode: 0 });
  });

  for (const [what, command, failure] of [
    ['with an exit code', sh('cat; exit 3'), 'exit code 3'],
    ['by a signal', sh('kill -TERM $$'), 'killed by SIGTERM'],
    ['before it began: there is none', ['no-such-program'], 'ENOENT'],
    ['before it began: its words are too long', sh(' '.repeat(200_000)), 'E2BIG'],
    [
      'not in time, though it left one behind with its pipes',
      sh('sleep 60 & sleep 60'),
      'no end within 0.2 s',
    ],
  ] as const)
    test(`ends ${what}`, async () => {
      assert.equal(
        (await runChild(command, { env, seconds: failure.includes('0.2') ? 0.2 : 20 })).failure,
        failure,
      );
    });

  test('may read nothing, and print more than is kept', async () => {
    const ran = await runChild(sh('exec 0<&-; head -c 3000000 /dev/zero; exit 1'), {
      ...{ env, input: ' '.repeat(1_000_000), seconds: 20 },
    });
    assert.deepEqual([ran.stdout.length, ran.failure], [1024 * 1024, 'exit code 1']);
  });
});

test('a child that is started is ended with all that it started', async () => {
  const child = await startChild(sh('sleep 60 & echo; wait'), { env });
  assert.ok(!('code' in child));
  await once(child.stdout, 'data');
  killGroup(child.pid, 'SIGKILL');
  // Not before the other one has gone too, which has its pipes.
  await once(child, 'close');
  // Of one that has gone nobody is hit.
  killGroup(child.pid, 'SIGKILL');
});
