import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, link, mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import { ensureTinyImage } from '../../scripts/setup/image.ts';
import { chooseRuntime, type RuntimeOptions } from '../../src/runtime/choose.ts';
import { secondsSince } from '../../src/runtime/clock.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { LABEL } from '../../src/runtime/docker/labels.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { runtimeOptions, temporaryFolder } from '../support/runtimes.ts';
import { tried } from '../support/tried.ts';
import { runtimeContract } from './runtime.ts';

const FORM = { gpus: 'none', shm: '64MiB' } as const;

/** A run in the smallest image that has a Python; undefined when the test is skipped. */
async function bench(t: TestContext) {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return undefined;
  const { imageId } = await ensureTinyImage(daemon);
  const { environment } = runtimeOptions();
  return {
    choice: 'docker',
    runtime: { ...FORM, image: imageId },
    environment: { ...environment, DOCKER_HOST: daemon.host },
  } as const satisfies Partial<RuntimeOptions>;
}

async function containersOf(docker: Docker, { job }: RuntimeOptions): Promise<Docker.ContainerInfo[]> {
  return await docker.listContainers({ all: true, filters: { label: [`${LABEL.run}=${job.run}`] } });
}

runtimeContract('docker', bench);

describe('docker runtime', () => {
  test('the container that runs is locked down', async (t) => {
    const options = await bench(t);
    if (options === undefined) return;
    const mine = runtimeOptions({ ...options, runtime: { ...options.runtime, memory: '1GiB' } });
    const docker = await connect(options.environment);
    await using runtime = await chooseRuntime(mine);
    await using peer = await runtime.start('print("up", flush=True); import sys; sys.stdin.read()');
    await once(peer.stdout, 'readable');

    const [listed] = await containersOf(docker, mine);
    assert.ok(listed);
    const { Config, HostConfig, State, Mounts } = await docker.getContainer(listed.Id).inspect();
    assert.equal(State.Running, true);
    assert.equal(HostConfig.NetworkMode, 'none');
    assert.equal(HostConfig.ReadonlyRootfs, true);
    assert.deepEqual(HostConfig.CapDrop, ['ALL']);
    assert.deepEqual(HostConfig.SecurityOpt, ['no-new-privileges:true']);
    assert.equal(HostConfig.Privileged, false);
    assert.equal(HostConfig.IpcMode, 'private');
    assert.equal(HostConfig.Memory, 1024 ** 3);
    assert.equal(HostConfig.MemorySwap, 1024 ** 3);
    assert.equal(HostConfig.ShmSize, 64 * 1024 ** 2);
    assert.doesNotMatch(Config.User, /^(0|root)?(:|$)/);
    assert.deepEqual(Mounts, [], 'nothing of the host is in it, least of all the Docker socket');
    assert.equal(Config.Labels[LABEL.role], 'engine');
    assert.ok((secondsSince(Config.Labels[LABEL.deadline], mine.now()) ?? 0) < 0, 'it is wanted for a while');
  });

  test('whose suite names no limit leaves the machine some of its memory, and says so', async (t) => {
    const options = await bench(t);
    if (options === undefined) return;
    const lines: string[] = [];
    const mine = runtimeOptions({ ...options, log: (line) => lines.push(line) });
    const docker = await connect(options.environment);
    await using runtime = await chooseRuntime(mine);
    await using peer = await runtime.start(`import os, sys
s = os.statvfs("/tmp")
print(s.f_frsize * s.f_blocks, flush=True)
sys.stdin.read()`);
    const [told] = (await once(peer.stdout, 'data')) as [Buffer];
    const [listed] = await containersOf(docker, mine);
    assert.ok(listed);
    const { HostConfig } = await docker.getContainer(listed.Id).inspect();
    const { MemTotal } = (await docker.info()) as { MemTotal: number };
    assert.ok(HostConfig.Memory !== undefined && HostConfig.Memory > 0 && HostConfig.Memory < MemTotal);
    // In whole pages.
    assert.ok(Number(told) < HostConfig.Memory / 4 + 4096);
    assert.match(lines.join('\n'), /The container may use \d+\.\d GiB of memory/);
  });

  tried(
    'container, from inside',
    'writing to the image, the network, becoming root, capabilities, libraries to preload',
    'a read-only root, no network, another user, no capabilities, no new privileges',
    async (t) => {
      const options = await bench(t);
      if (options === undefined) return;
      await using runtime = await chooseRuntime(runtimeOptions(options));
      await using peer = await runtime.start(`import os, socket
def refused(what):
    try: what()
    except OSError as error: return error.strerror or "refused"
    return "ALLOWED"
print(os.getuid() != 0)
print(refused(lambda: open("/etc/x", "w")))
print(refused(lambda: socket.create_connection(("198.18.0.1", 80), timeout=5)))
print(refused(lambda: os.setuid(0)))
print(open("/proc/self/status").read().split("CapEff:")[1].split()[0])
print(open("/proc/self/status").read().split("NoNewPrivs:")[1].split()[0])
print([name for name in os.listdir("/sys/class/net") if name != "lo"])
print(os.environ["LD_PRELOAD"] + os.environ["LD_AUDIT"])`);
      assert.deepEqual((await text(peer.stdout)).split('\n'), [
        'True',
        'Read-only file system',
        'Network is unreachable',
        'Operation not permitted',
        '0000000000000000',
        '1',
        '[]',
        '',
        '',
      ]);
    },
  );

  test('disposing removes the container within 5 s, and none is left after a run', async (t) => {
    const options = await bench(t);
    if (options === undefined) return;
    const mine = runtimeOptions(options);
    const docker = await connect(options.environment);
    await using runtime = await chooseRuntime(mine);
    const peer = await runtime.start(
      'import signal; signal.signal(15, signal.SIG_IGN); print("up", flush=True)\nwhile True: pass',
    );
    await once(peer.stdout, 'readable');
    assert.equal((await containersOf(docker, mine)).length, 1);
    const began = performance.now();
    await peer[Symbol.asyncDispose]();
    assert.equal((await containersOf(docker, mine)).length, 0);
    assert.ok(performance.now() - began < 5_000);
  });

  test('a container that somebody else has removed already is no error', async (t) => {
    const options = await bench(t);
    if (options === undefined) return;
    const mine = runtimeOptions(options);
    const docker = await connect(options.environment);
    await using runtime = await chooseRuntime(mine);
    const peer = await runtime.start('import time; time.sleep(600)');
    const [listed] = await containersOf(docker, mine);
    assert.ok(listed);
    await docker.getContainer(listed.Id).remove({ force: true });
    await peer.exit;
    await peer[Symbol.asyncDispose]();
  });

  test('running out of the memory limit is told as that', async (t) => {
    const options = await bench(t);
    if (options === undefined) return;
    await using runtime = await chooseRuntime(
      runtimeOptions({ ...options, runtime: { ...options.runtime, memory: '64MiB' } }),
    );
    await using peer = await runtime.start('kept = [bytearray(1 << 20) for _ in range(4096)]');
    const { signal, outOfMemory } = await peer.exit;
    assert.equal(signal, 'SIGKILL');
    assert.equal(outOfMemory, true);
  });

  test('a GPU that Docker cannot give is told with the remedy, and no container is left', async (t) => {
    const options = await bench(t);
    if (options === undefined) return;
    const docker = await connect(options.environment);
    const { Runtimes } = (await docker.info()) as { Runtimes?: Record<string, unknown> };
    if (Runtimes !== undefined && 'nvidia' in Runtimes) return t.skip('this Docker can give GPUs');
    const mine = runtimeOptions({ ...options, runtime: { ...options.runtime, gpus: 1 } });
    await using runtime = await chooseRuntime(mine);
    await assert.rejects(runtime.start('pass'), {
      code: 'gpu-unavailable',
      message: /a GPU/,
      hint: /NVIDIA Container Toolkit/,
    });
    assert.deepEqual(await containersOf(docker, mine), []);
  });

  test('the model is read-only for the engine', async (t) => {
    const options = await bench(t);
    if (options === undefined) return;
    await using folder = await temporaryFolder();
    const model = join(folder.path, 'model');
    await mkdir(model, { mode: 0o777 });
    await writeFile(join(model, 'config.json'), '{}');
    await chmod(join(model, 'config.json'), 0o666);
    await using runtime = await chooseRuntime(runtimeOptions(options));
    const { folder: seen } = await runtime.provideModel({ kind: 'path', path: model });
    await using peer = await runtime.start(`open("${seen}/config.json", "a")`);
    assert.match(await text(peer.stderr), /Read-only file system/);
  });

  test('a snapshot in the hub client’s cache, which is made of links, can be read', async (t) => {
    const options = await bench(t);
    if (options === undefined) return;
    await using folder = await temporaryFolder();
    const repository = join(folder.path, 'models--a--b');
    const snapshot = join(repository, 'snapshots/0123');
    await mkdir(snapshot, { recursive: true });
    await mkdir(join(repository, 'blobs'));
    await writeFile(join(repository, 'blobs/abc'), '{"linked": true}');
    await symlink('../../blobs/abc', join(snapshot, 'config.json'));
    await using runtime = await chooseRuntime(runtimeOptions(options));
    const { folder: seen } = await runtime.provideModel({ kind: 'path', path: snapshot });
    await using peer = await runtime.start(`print(open("${seen}/config.json").read())`);
    assert.equal(await text(peer.stdout), '{"linked": true}\n');
  });

  tried(
    'model with links out of its folder',
    'a snapshot whose files are links to other files of the runner',
    'nothing but the folder is mounted: such a link is named before a container starts',
    async (t) => {
      const options = await bench(t);
      if (options === undefined) return;
      await using folder = await temporaryFolder();
      const model = join(folder.path, 'model');
      await mkdir(model);
      await writeFile(join(folder.path, 'elsewhere'), '{}');
      await symlink('../elsewhere', join(model, 'config.json'));
      await using runtime = await chooseRuntime(runtimeOptions(options));
      await assert.rejects(runtime.provideModel({ kind: 'path', path: model }), {
        code: 'model-unreadable',
        message: /config\.json is a link/,
        hint: /cp -rL/,
      });
    },
  );

  test('an image without Python ends with the shell’s code for it', async (t) => {
    const options = await bench(t);
    if (options === undefined) return;
    const docker = await connect(options.environment);
    await using image = await emptyImage(docker);
    await using runtime = await chooseRuntime(
      runtimeOptions({ ...options, runtime: { ...options.runtime, image: image.id } }),
    );
    await using peer = await runtime.start('pass');
    const [err, { code }] = await Promise.all([text(peer.stderr), peer.exit]);
    assert.equal(code, 127);
    assert.match(err, /python3/);
  });
});

describe('no Docker daemon', () => {
  const IMAGE = `sha256:${'0'.repeat(64)}`;
  const open = (address: string, more: Record<string, string> = {}) =>
    chooseRuntime(
      runtimeOptions({
        runtime: { ...FORM, image: IMAGE },
        environment: { ...runtimeOptions().environment, DOCKER_HOST: address, ...more },
      }),
    );

  test('`auto` never measures something else than the pinned image: it says so and names the way', async () => {
    await assert.rejects(open('unix:///nowhere/docker.sock'), {
      code: 'docker-unavailable',
      message: /no Docker daemon/,
      hint: /runtime: process/,
    });
  });

  test('in a pod of ARC the way is a job container', async () => {
    await assert.rejects(open('unix:///nowhere/docker.sock', { KUBERNETES_SERVICE_HOST: '10.0.0.1' }), {
      code: 'docker-unavailable',
      message: /pod/,
      hint: /container:.*runtime: process/,
    });
  });

  test('a socket that nobody listens on', async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, 'docker.sock');
    // A socket file outlives its listener only when nobody cleans up: so it is linked before the close.
    const server = createServer().listen(path);
    await once(server, 'listening');
    await link(path, `${path}.left`);
    server.close();
    await once(server, 'close');
    await assert.rejects(open(`unix://${path}.left`), { code: 'docker-unavailable', message: /not running/ });
  });

  test('an address of an unknown kind', async () => {
    await assert.rejects(open('npipe:////./pipe/docker'), {
      code: 'docker-unavailable',
      hint: /^Set DOCKER_HOST/,
    });
  });
});

/** An image of one file, which is no program. */
async function emptyImage(docker: Docker): Promise<{ readonly id: string } & AsyncDisposable> {
  const tar = pack();
  tar.entry({ name: 'readme' }, 'nothing to run');
  tar.finalize();
  const answer: unknown = await docker.importImage(Readable.from(tar));
  const id = /sha256:[0-9a-f]{64}/.exec(await text(answer as Readable))?.[0];
  assert.ok(id);
  return {
    id,
    [Symbol.asyncDispose]: async () => {
      await docker.getImage(id).remove();
    },
  };
}
