import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import type Docker from 'dockerode';
import { ensureTinyImage } from '../../scripts/setup/image.ts';
import { chooseRuntime, type RuntimeOptions } from '../../src/runtime/choose.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { LABEL } from '../../src/runtime/docker/labels.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { aHubModel, type HubModel, startHub } from '../support/hub-server.ts';
import { models, runtimeOptions, temporaryFolder } from '../support/runtimes.ts';

const REPOSITORY = 'test/model-mount';

interface Bench {
  readonly docker: Docker;
  readonly options: RuntimeOptions;
}

async function bench(t: TestContext): Promise<Bench | undefined> {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return undefined;
  const { imageId } = await ensureTinyImage(daemon);
  const environment = { ...runtimeOptions().environment, DOCKER_HOST: daemon.host };
  const docker = await connect(environment);
  t.after(async () => {
    const filters = JSON.stringify({ label: [`${LABEL.repository}=${REPOSITORY}`] });
    const { Volumes } = await docker.listVolumes({ filters });
    for (const { Name } of Volumes) await docker.getVolume(Name).remove();
  });
  const options = runtimeOptions({
    choice: 'docker',
    runtime: { gpus: 'none', shm: '8MiB', image: imageId },
    environment,
  });
  return { docker, options: { ...options, job: { ...options.job, repository: REPOSITORY } } };
}

/** What an engine sees of a model. */
const LOOK = (folder: string) => `import hashlib, os, json
digests = {}
for parent, _, names in os.walk(${JSON.stringify(folder)}):
    for name in names:
        path = os.path.join(parent, name)
        if not name.startswith("."):
            digests[os.path.relpath(path, ${JSON.stringify(folder)})] = hashlib.sha256(open(path, "rb").read()).hexdigest()
print(json.dumps([digests, os.environ.get("HF_TOKEN"), sorted(os.listdir("/sys/class/net"))]))`;

async function look(
  { docker, options }: Bench,
  model: HubModel,
): Promise<{ readonly mounts: readonly string[]; readonly seen: unknown }> {
  await using runtime = await chooseRuntime(options);
  const { folder } = await runtime.provideModel({ kind: 'hub', id: model.id, revision: model.revision });
  await using peer = await runtime.start(LOOK(folder ?? ''));
  const own = await docker.listContainers({
    all: true,
    filters: { label: [`${LABEL.run}=${options.job.run}`] },
  });
  const { Mounts } = await docker.getContainer(own[0]?.Id ?? '').inspect();
  assert.equal(own.length, 1, 'what looked at the model is gone');
  return {
    mounts: Mounts.map(({ Type, RW }) => `${Type} ${RW}`),
    seen: JSON.parse(await text(peer.stdout)),
  };
}

const expected = ({ files }: HubModel) => [
  Object.fromEntries(
    Object.entries(files)
      .filter(([path]) => !/README|\.bin$/.test(path))
      .map(([path, content]) => [path, createHash('sha256').update(content).digest('hex')]),
  ),
  null,
  ['lo'],
];

test('a fetched model is the folder itself, read-only, where the daemon sees it', async (t) => {
  const given = await bench(t);
  if (given === undefined) return;
  await using folder = await temporaryFolder();
  const model = aHubModel();
  await using hub = await startHub(model, { token: 'hf_secret' });
  const own = models({
    stateFolder: join(folder.path, 'state'),
    hub: { endpoint: hub.endpoint, token: 'hf_secret', environment: {} },
  });
  const { mounts, seen } = await look({ ...given, options: { ...given.options, models: own } }, model);
  assert.deepEqual(mounts, ['bind false']);
  assert.deepEqual(seen, expected(model));
});

/** A state folder by a path that leads each process somewhere else, and the daemon nowhere. */
async function hiddenState(): Promise<AsyncDisposable> {
  await using owned = new AsyncDisposableStack();
  const folder = owned.use(await temporaryFolder());
  const before = process.cwd();
  owned.defer(() => process.chdir(before));
  process.chdir(folder.path);
  await mkdir('state');
  return owned.move();
}

test('a daemon that does not see the folder gets a copy, once, without running an image for it', async (t) => {
  const given = await bench(t);
  if (given === undefined) return;
  await using _hidden = await hiddenState();
  const long = `${'deep/'.repeat(30)}${'name'.repeat(30)}.json`;
  const model = aHubModel({ [long]: Buffer.from('far below') });
  await using hub = await startHub(model);
  const own = models({
    stateFolder: '/proc/self/cwd/state',
    hub: { endpoint: hub.endpoint, token: undefined, environment: {} },
  });
  const told: string[] = [];
  const options = {
    ...given.options,
    models: own,
    onProgress: (what: string) => told.push(what),
    log: (line: string) => told.push(line),
  };
  const first = await look({ ...given, options }, model);
  assert.deepEqual(first.mounts, ['volume false']);
  assert.deepEqual(first.seen, expected(model));
  assert.ok(told.includes('copy'));
  assert.match(told.join('\n'), /does not see \/proc\/self\/cwd\/state/);

  told.length = 0;
  const second = await look({ ...given, options }, model);
  assert.deepEqual(second, first);
  assert.ok(!told.includes('copy'), 'it is there');
});

test('a copy that was cut off is made anew', async (t) => {
  const given = await bench(t);
  if (given === undefined) return;
  await using _hidden = await hiddenState();
  const model = aHubModel();
  await using hub = await startHub(model);
  const cancel = new AbortController();
  const own = models({
    stateFolder: '/proc/self/cwd/state',
    hub: { endpoint: hub.endpoint, token: undefined, environment: {} },
  });
  const options = { ...given.options, models: own };
  const cut = {
    ...options,
    signal: cancel.signal,
    onProgress: (what: string) => {
      if (what === 'copy') cancel.abort(new Error('cut off'));
    },
  };
  await assert.rejects(look({ ...given, options: cut }, model), /cut off/);
  assert.deepEqual((await look({ ...given, options }, model)).seen, expected(model));
});
