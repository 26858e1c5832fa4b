import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import type Docker from 'dockerode';
import { repository } from '../../scripts/setup/cache.ts';
import { ensureCpuImage } from '../../scripts/setup/image.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { readHarness } from '../../src/disk/harness-files.ts';
import { fetchModel } from '../../src/engine/fetch.ts';
import { chooseRuntime, type RuntimeOptions } from '../../src/runtime/choose.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { LABEL } from '../../src/runtime/docker/labels.ts';
import type { FetchModel } from '../../src/runtime/options.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { runtimeOptions, temporaryFolder } from '../support/runtimes.ts';

/** A model that nobody else has: each test fetches into a volume or folder of its own. */
interface Model {
  readonly kind: 'hub';
  readonly id: string;
  readonly revision: string;
  readonly folder: string;
  readonly weights: string;
}

async function makeModel(folder: string): Promise<Model> {
  const path = join(folder, 'hub');
  await mkdir(path);
  const weights = randomBytes(2 * 1024 * 1024);
  await writeFile(join(path, 'config.json'), '{"model_type": "tiny"}');
  await writeFile(join(path, 'model.safetensors'), weights);
  return {
    kind: 'hub',
    id: 'org/tiny',
    revision: randomBytes(20).toString('hex'),
    folder: path,
    weights: createHash('sha256').update(weights).digest('hex'),
  };
}

interface Hub extends AsyncDisposable {
  readonly endpoint: string;
  /** What was asked of it so far, one line each. */
  readonly requests: string[];
}

/** A real server of the hub's file API on one address of this machine. */
async function startHub(model: Model, address: string, ...options: readonly string[]): Promise<Hub> {
  const program = join(repository, 'test/fixtures/hub.py');
  const server = spawn(
    'python3',
    [program, model.folder, '--address', address, '--revision', model.revision, ...options],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const requests: string[] = [];
  server.stderr.on('data', (chunk: Buffer) => requests.push(...chunk.toString().trim().split('\n')));
  const [port] = (await once(server.stdout, 'data')) as [Buffer];
  return {
    endpoint: `http://${address}:${port.toString().trim()}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.kill();
      await once(server, 'exit');
    },
  };
}

const throughHarness: FetchModel = async (start, request, { deadlineSeconds, signal, onProgress }) => {
  const harness = await readHarness(join(repository, 'docker/harness'));
  await fetchModel(
    {
      harness,
      start,
      inactivitySeconds: 60,
      deadlineSeconds,
      signal,
      onOutput: () => {},
      onProgress: ({ what, done, total }) => onProgress(what, done, total),
    },
    request,
  );
};

/** Where a runtime finds the hub, and how it is opened. */
interface Bench {
  readonly address: string;
  readonly options: Partial<RuntimeOptions>;
}

function fetchContract(name: string, bench: (t: TestContext, state: string) => Promise<Bench | undefined>) {
  const setUp = async (t: TestContext) => {
    await using owned = new AsyncDisposableStack();
    const folder = owned.use(await temporaryFolder());
    const given = await bench(t, join(folder.path, 'state'));
    if (given === undefined) return undefined;
    const model = await makeModel(folder.path);
    const kept = owned.move();
    const open = (hub: Hub, more: Partial<RuntimeOptions> = {}) =>
      chooseRuntime(
        runtimeOptions({
          ...given.options,
          fetchModel: throughHarness,
          hub: { endpoint: hub.endpoint },
          ...more,
        }),
      );
    return { ...given, model, open, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  };

  describe(`${name} runtime: a model from the hub`, () => {
    test('is fetched with the token, which the engine never sees; the second time nothing is fetched', async (t) => {
      await using given = await setUp(t);
      if (given === undefined) return;
      const { model, address, open } = given;
      await using hub = await startHub(model, address, '--token', 'hf_secret');
      const told: string[] = [];
      {
        await using runtime = await open(hub, {
          hub: { endpoint: hub.endpoint, token: 'hf_secret' },
          onProgress: (what) => told.push(what),
        });
        const folder = await runtime.provideModel(model);
        await using peer = await runtime.start(`import hashlib, os
print(hashlib.sha256(open("${folder}/model.safetensors", "rb").read()).hexdigest())
print(os.environ.get("HF_TOKEN"), os.environ["HF_HUB_OFFLINE"])`);
        assert.equal(await text(peer.stdout), `${model.weights}\nNone 1\n`);
      }
      assert.ok(told.includes('fetch'));

      const asked = hub.requests.length;
      await using runtime = await open(hub);
      await runtime.provideModel(model);
      assert.equal(hub.requests.length, asked);
    });

    test('that is refused is told with the hub’s words', async (t) => {
      await using given = await setUp(t);
      if (given === undefined) return;
      await using hub = await startHub(given.model, given.address, '--token', 'hf_secret');
      await using runtime = await given.open(hub);
      await assert.rejects(runtime.provideModel(given.model), {
        code: 'model-fetch-failed',
        message: /org\/tiny/,
        hint: /hub-token/,
      });
    });

    test('that arrives corrupted is refused, and fetched anew the next time', async (t) => {
      await using given = await setUp(t);
      if (given === undefined) return;
      const { model, address, open } = given;
      {
        await using hub = await startHub(model, address, '--fault', 'corrupt');
        await using runtime = await open(hub);
        await assert.rejects(runtime.provideModel(model), {
          code: 'model-fetch-failed',
          message: /model\.safetensors/,
        });
      }
      await using hub = await startHub(model, address);
      await using runtime = await open(hub);
      const folder = await runtime.provideModel(model);
      await using peer = await runtime.start(`import hashlib
print(hashlib.sha256(open("${folder}/model.safetensors", "rb").read()).hexdigest())`);
      assert.equal(await text(peer.stdout), `${model.weights}\n`);
    });

    test('whose download breaks off is completed', async (t) => {
      await using given = await setUp(t);
      if (given === undefined) return;
      await using hub = await startHub(given.model, given.address, '--fault', 'truncate-once');
      await using runtime = await given.open(hub);
      await runtime.provideModel(given.model);
    });

    test('is fetched no further when the run is cancelled', async (t) => {
      await using given = await setUp(t);
      if (given === undefined) return;
      await using hub = await startHub(given.model, given.address, '--fault', 'stall');
      const cancel = new AbortController();
      await using runtime = await given.open(hub, {
        signal: cancel.signal,
        onProgress: (what, done) => {
          if (what === 'fetch' && done > 0) cancel.abort();
        },
      });
      await assert.rejects(runtime.provideModel(given.model), { code: 'cancelled' });
    });
  });
}

fetchContract('process', async (_t, state) => ({
  address: '127.0.0.1',
  options: { choice: 'process', python: (await ensureEngine()).python, stateDir: state },
}));

async function dockerBench(t: TestContext): Promise<(Bench & { readonly docker: Docker }) | undefined> {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return undefined;
  if (daemon.gateway === undefined) {
    t.skip('the Docker network has no gateway that a server of this machine could listen on');
    return undefined;
  }
  const { imageId } = await ensureCpuImage(daemon);
  const environment = { ...runtimeOptions().environment, DOCKER_HOST: daemon.host };
  const docker = await connect(environment);
  t.after(async () => {
    const { Volumes } = await docker.listVolumes({ filters: JSON.stringify({ label: [LABEL.model] }) });
    for (const { Name, Labels } of Volumes)
      if (Labels[LABEL.model]?.startsWith('org/tiny@')) await docker.getVolume(Name).remove();
  });
  return {
    address: daemon.gateway,
    docker,
    options: { choice: 'docker', runtime: { gpus: 'none', shm: '64MiB', image: imageId }, environment },
  };
}

fetchContract('docker', dockerBench);

describe('docker runtime: the container that fetches', () => {
  test('has the network and the token, and no GPU, no capability and nothing else of the host', async (t) => {
    await using folder = await temporaryFolder();
    const given = await dockerBench(t);
    if (given === undefined) return;
    const { docker } = given;
    const model = await makeModel(folder.path);
    await using hub = await startHub(model, given.address, '--fault', 'stall');
    const cancel = new AbortController();
    const downloading = Promise.withResolvers<void>();
    const options = runtimeOptions({
      ...given.options,
      fetchModel: throughHarness,
      hub: { endpoint: hub.endpoint, token: 'hf_secret' },
      signal: cancel.signal,
      onProgress: (what, done) => {
        if (what === 'fetch' && done > 0) downloading.resolve();
      },
    });
    const ours = () =>
      docker.listContainers({ all: true, filters: { label: [`${LABEL.run}=${options.job.run}`] } });
    await using runtime = await chooseRuntime(options);
    const cancelled = assert.rejects(runtime.provideModel(model), { code: 'cancelled' });
    await Promise.race([downloading.promise, cancelled]);
    const [fetching] = await Promise.all((await ours()).map(({ Id }) => docker.getContainer(Id).inspect()));
    cancel.abort();
    await cancelled;

    assert.ok(fetching);
    const { Config, HostConfig, Mounts } = fetching;
    assert.equal(Config.Labels[LABEL.role], 'fetch');
    assert.equal(HostConfig.NetworkMode, 'bridge');
    assert.equal(HostConfig.ReadonlyRootfs, true);
    assert.deepEqual(HostConfig.CapDrop, ['ALL']);
    assert.deepEqual(HostConfig.SecurityOpt, ['no-new-privileges:true']);
    assert.ok(!HostConfig.DeviceRequests?.length);
    assert.ok(Config.Env.includes('HF_TOKEN=hf_secret'));
    assert.ok(Config.Env.includes('NVIDIA_VISIBLE_DEVICES=void'));
    assert.deepEqual(
      Mounts.map(({ Type, Destination }) => [Type, Destination]),
      [['volume', '/model']],
    );
    assert.deepEqual(await ours(), [], 'and it is gone at once when the run is cancelled');
  });
});
