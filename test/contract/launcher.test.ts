import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { PackagesUnavailable } from '../../scripts/setup/debian.ts';
import { chooseRuntime, type RuntimeOptions } from '../../src/runtime/choose.ts';
import { launchOf, processesWith, runtimeOptions, temporaryFolder, until } from '../support/runtimes.ts';
import { type Sshd, startSshd } from '../support/sshd.ts';
import { runtimeContract } from './runtime.ts';

/* Everything a runtime promises, over a real ssh connection of this machine to itself. */

let sshd: Sshd | undefined;
let why = '';
before(async () => {
  try {
    sshd = await startSshd();
  } catch (error) {
    if (!(error instanceof PackagesUnavailable)) throw error;
    why = error.message;
  }
});
after(() => sshd?.[Symbol.asyncDispose]());

const over = (words: string, more: Partial<RuntimeOptions> = {}) =>
  runtimeOptions({ choice: 'launcher', launch: launchOf(words), ...more });

runtimeContract('launcher', async (t) => {
  if (sshd === undefined) return void t.skip(`NEEDS sshd: ${why}`);
  return { choice: 'launcher', launch: launchOf(sshd.ssh()) };
});

describe('launcher runtime over ssh', () => {
  const withSshd = (name: string, work: (own: Sshd) => Promise<void>) =>
    test(name, async (t) => {
      if (sshd === undefined) return t.skip(`NEEDS sshd: ${why}`);
      await work(sshd);
    });
  const exitOf = async (words: string, more: Partial<RuntimeOptions> = {}) => {
    await using runtime = await chooseRuntime(over(words, more));
    await using peer = await runtime.start('print("ran")');
    const [out, err] = await Promise.all([text(peer.stdout), text(peer.stderr)]);
    return { out, err, exit: await peer.exit };
  };

  withSshd('what it makes there goes with it, and what is set there stays out', async (own) => {
    await using runtime = await chooseRuntime(
      over(own.ssh(), { runtime: { gpus: 1, shm: '64MiB', image: `engine@sha256:${'ab'.repeat(32)}` } }),
    );
    await using peer = await runtime.start(
      'import json, os, sys; print(json.dumps([os.getcwd(), dict(os.environ)]), flush=True); sys.stdin.read()',
    );
    const [line] = (await once(peer.stdout, 'data')) as [Buffer];
    const [folder, environment] = JSON.parse(String(line)) as [string, Record<string, string>];
    assert.equal(environment['HOME'], folder);
    assert.equal(environment['DETERMINISTIC_ML_SCRATCH'], folder);
    // A scheduler's choice of devices holds; the far side's tokens are none of an engine's business.
    assert.equal(environment['CUDA_VISIBLE_DEVICES'], '5');
    assert.equal(environment['HF_TOKEN'], undefined);
    assert.equal(environment['DML_FAR'], undefined);
    assert.equal(environment['SSH_CONNECTION'], undefined);
    await readdir(folder);
    peer.stdin.end();
    assert.deepEqual(await peer.exit, { code: 0, signal: null, outOfMemory: false });
    await assert.rejects(readdir(folder), { code: 'ENOENT' });
    assert.deepEqual([runtime.kind, runtime.image.certainty, runtime.slots], ['launcher', 'declared', 1]);
  });

  withSshd('a host key that is another one, or unknown, ends it before anything is sent', async (own) => {
    for (const knownHosts of ['known-otherwise', 'known-nobody']) {
      const { out, exit } = await exitOf(own.ssh({ knownHosts }));
      assert.equal(out, '');
      assert.equal(exit.lost?.code, 'launcher-untrusted', knownHosts);
    }
  });

  withSshd('who has no key, nobody who listens, no Python and no such launcher are named', async (own) => {
    assert.equal((await exitOf(own.ssh({ identity: 'stranger' }))).exit.lost?.code, 'launcher-refused');
    const nobody = own.ssh().replace(/-p \d+/, '-p 1');
    assert.equal((await exitOf(nobody)).exit.lost?.code, 'launcher-unreachable');
    const python = await exitOf(own.ssh(), { launch: launchOf(own.ssh(), { python: 'python9 -c "x"' }) });
    assert.deepEqual(python.exit, { code: 127, signal: null, outOfMemory: false });
    await assert.rejects(exitOf('no-such-launcher gpu7'), {
      code: 'launcher-missing',
      message: /no-such-launcher/,
    });
    const failed = await exitOf('sh -c "echo no queue is open >&2; exit 3"');
    assert.equal(failed.exit.lost?.code, 'launcher-failed');
    assert.match(failed.exit.lost?.message ?? '', /ended with exit code 3 before/);
    assert.equal(failed.err, 'no queue is open\n');
  });

  withSshd('a line that is cut leaves nothing there, and is told as such', async (own) => {
    const mark = randomUUID();
    await using runtime = await chooseRuntime(over(own.ssh()));
    await using peer = await runtime.start(`# ${mark}
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600) # ${mark}"], start_new_session=True)
print(os.getcwd(), flush=True)
while True: signal.pause()`);
    const [line] = (await once(peer.stdout, 'data')) as [Buffer];
    const folder = String(line).trim();
    for (const pid of await own.sessions()) process.kill(pid, 'SIGKILL');
    const { lost } = await peer.exit;
    assert.equal(lost?.code, 'launcher-lost');
    await until(async () => (await processesWith(mark)).length === 0, 'the far side ends by itself', 15);
    await until(
      () =>
        readdir(folder).then(
          () => false,
          () => true,
        ),
      'its folder goes too',
      5,
    );
  });

  withSshd('what login scripts print is handed on, and begins nothing', async (own) => {
    const { out, err } = await exitOf(
      `${own.ssh()} echo Welcome; echo >&2 motd;`
        .replaceAll(';', '\\;')
        .replace('>', '\\>')
        .replace('&', '\\&'),
    );
    assert.equal(out, 'Welcome\nran\n');
    assert.equal(err, 'motd\n');
  });

  test('an engine that dies leaves none of its workers', async () => {
    const mark = randomUUID();
    await using runtime = await chooseRuntime(over('env'));
    await using peer = await runtime.start(`import os, signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600) # ${mark}"], start_new_session=True)
os.kill(os.getpid(), signal.SIGKILL)`);
    const { code, signal } = await peer.exit;
    assert.deepEqual([code, signal], [137, 'SIGKILL']);
    assert.deepEqual(await processesWith(mark), []);
  });

  test('what is only of this machine is refused', async () => {
    await assert.rejects(chooseRuntime(over('env', { keptCaches: '/caches' })), {
      code: 'input-invalid',
      message: /caches: kept/,
    });
    await assert.rejects(chooseRuntime(over('env', { cpuSets: ['0'] })), {
      code: 'input-invalid',
      message: /cpu-sets/,
    });
  });

  test('a model of the hub needs a place there', async () => {
    const hub = { kind: 'hub', id: 'acme/model', revision: 'a'.repeat(40) } as const;
    await using runtime = await chooseRuntime(over('env'));
    await assert.rejects(runtime.provideModel(hub), { code: 'model-missing', message: /acme\/model/ });
    await using there = await chooseRuntime(over('env', { launch: launchOf('env', { model: '/models/m' }) }));
    assert.deepEqual(await there.provideModel(hub), { folder: '/models/m', files: 'declared' });
  });

  test('its temporary folder may be anywhere', async () => {
    await using folder = await temporaryFolder();
    await mkdir(join(folder.path, 'a b'));
    await using runtime = await chooseRuntime(over(`env 'TMPDIR=${folder.path}/a b'`));
    await using peer = await runtime.start('import os; print(os.getcwd())');
    assert.match(await text(peer.stdout), new RegExp(`^${folder.path}/a b/`));
  });
});
