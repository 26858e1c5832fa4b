import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { PackagesUnavailable } from '../../scripts/setup/debian.ts';
import { cancelled, type UserError } from '../../src/errors.ts';
import { chooseRuntime, type RuntimeOptions } from '../../src/runtime/choose.ts';
import { aHubModel, startHub } from '../support/hub-server.ts';
import {
  launchOf,
  models,
  processesWith,
  runtimeOptions,
  temporaryFolder,
  until,
} from '../support/runtimes.ts';
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

  test('a launcher that kills what it started leaves nothing, whatever the engine ignores', async () => {
    const mark = randomUUID();
    await using runtime = await chooseRuntime(over('env'));
    await using peer = await runtime.start(`# ${mark}
import os, signal, subprocess, sys
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600) # ${mark}"], start_new_session=True)
print(os.getcwd(), flush=True)
while True: signal.pause()`);
    const [folder] = (await once(peer.stdout, 'data')) as [Buffer];
    const [first = 0, ...others] = await processesWith(mark);
    assert.equal(others.length, 3, 'the keeper, the engine and its worker');
    process.kill(first, 'SIGKILL');
    assert.equal((await peer.exit).lost?.code, 'launcher-lost');
    await until(async () => (await processesWith(mark)).length === 0, 'all of it ends', 8);
    await assert.rejects(readdir(String(folder).trim()), { code: 'ENOENT' });
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

  test('a model of the hub is fetched there, once, or lies where it is said to', async () => {
    await using home = await temporaryFolder();
    const model = aHubModel();
    await using hub = await startHub(model, { fault: 'break-once' });
    const progress: number[] = [];
    const far = (endpoint = hub.endpoint, more = {}) =>
      over(`env HOME=${home.path} HF_TOKEN=theirs`, {
        models: models({ hub: { endpoint, token: undefined, environment: {} } }),
        onProgress: (_, done, total) => progress.push(done / total),
        ...more,
      });
    const asked = { kind: 'hub', id: model.id, revision: model.revision } as const;
    await using runtime = await chooseRuntime(far());
    const provided = await runtime.provideModel(asked);
    const folder = `${home.path}/.cache/deterministic-ml/models/org--tiny/${model.revision}`;
    assert.deepEqual(provided, { folder, files: 'declared' });
    for (const name of ['config.json', 'model.safetensors', 'tokenizer.json'])
      assert.ok((await readFile(join(folder, name))).equals(model.files[name] ?? Buffer.alloc(0)), name);
    assert.deepEqual((await readdir(folder)).includes('README.md'), false);
    assert.equal(Math.max(...progress), 1);
    // What had come before the line broke did not come again.
    assert.ok(
      hub.requests.some((one) => /bytes=\d+-/.test(one)),
      hub.requests.join('\n'),
    );
    const before = hub.requests.length;
    assert.deepEqual(await runtime.provideModel(asked), provided);
    assert.ok(
      hub.requests.slice(before).every((one) => one.includes('/tree/')),
      'only the list is asked for',
    );
    // An engine's home is another one, and goes with it.
    await using peer = await runtime.start('import os; print(os.environ["HOME"], os.listdir())');
    assert.match(await text(peer.stdout), /deterministic-ml-\S+ \[\]/);

    await using there = await chooseRuntime(over('env', { launch: launchOf('env', { model: '/models/m' }) }));
    assert.deepEqual(await there.provideModel(asked), { folder: '/models/m', files: 'declared' });
  });

  test('what does not come from the hub whole and right leaves nothing there, and says why', async () => {
    for (const [options, says] of [
      [{ fault: 'corrupt' }, /model\.safetensors is not what the hub says that it is/],
      [{ fault: 'longer' }, /more than \d+ bytes came|is not what the hub says/],
      [{ token: 'ours' }, /without a token the hub gives no \S+ \(40[134]\)/],
    ] as const) {
      await using home = await temporaryFolder();
      const model = aHubModel();
      await using hub = await startHub(model, options);
      await using runtime = await chooseRuntime(
        over(`env HOME=${home.path}`, {
          models: models({ hub: { endpoint: hub.endpoint, token: 'ours', environment: {} } }),
        }),
      );
      await assert.rejects(
        runtime.provideModel({ kind: 'hub', id: model.id, revision: model.revision }),
        (error: UserError) => {
          assert.equal(error.code, 'model-fetch-failed');
          assert.match(error.message, says);
          return true;
        },
      );
      assert.deepEqual(await readdir(`${home.path}/.cache/deterministic-ml/models/org--tiny`), []);
    }
  });

  test('a fetch that is cancelled ends there too', async () => {
    await using home = await temporaryFolder();
    const model = aHubModel();
    await using hub = await startHub(model, { fault: 'stall' });
    const stop = new AbortController();
    await using runtime = await chooseRuntime(
      over(`env HOME=${home.path}`, {
        models: models({ hub: { endpoint: hub.endpoint, token: undefined, environment: {} } }),
        signal: stop.signal,
        onProgress: () => stop.abort(cancelled()),
      }),
    );
    await assert.rejects(runtime.provideModel({ kind: 'hub', id: model.id, revision: model.revision }), {
      code: 'cancelled',
    });
    assert.deepEqual(await processesWith(home.path), []);
  });

  test('its temporary folder may be anywhere', async () => {
    await using folder = await temporaryFolder();
    await mkdir(join(folder.path, 'a b'));
    await using runtime = await chooseRuntime(over(`env 'TMPDIR=${folder.path}/a b'`));
    await using peer = await runtime.start('import os; print(os.getcwd())');
    assert.match(await text(peer.stdout), new RegExp(`^${folder.path}/a b/`));
  });
});
