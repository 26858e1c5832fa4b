import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import { registryLogin, startRegistry } from '../../scripts/setup/registry.ts';
import { chooseRuntime, type RuntimeOptions } from '../../src/runtime/choose.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { runtimeOptions, temporaryFolder } from '../support/runtimes.ts';
import { tried } from '../support/tried.ts';

interface Bench {
  readonly docker: Docker;
  /** Opens the runtime on an image and gives what it says about it. */
  open(
    image: string,
    more?: Partial<RuntimeOptions>,
  ): Promise<RuntimeOptions & { certainty: string; digest: string }>;
  readonly environment: Record<string, string>;
}

async function bench(t: TestContext, configFolder = '/nowhere'): Promise<Bench | undefined> {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return undefined;
  const environment = {
    PATH: process.env['PATH'] ?? '',
    DOCKER_HOST: daemon.host,
    DOCKER_CONFIG: configFolder,
  };
  return {
    docker: await connect(environment),
    environment,
    open: async (image, more = {}) => {
      const options = runtimeOptions({
        choice: 'docker',
        runtime: { gpus: 'none', shm: '64MiB', image },
        environment,
        ...more,
      });
      await using runtime = await chooseRuntime(options);
      return { ...options, certainty: runtime.image.certainty, digest: runtime.image.digest };
    },
  };
}

/** An image of one file of random bytes, known to the local daemon under its id alone. */
async function makeImage(
  docker: Docker,
  architecture: string,
): Promise<{ readonly id: string } & AsyncDisposable> {
  const layer = await tarOf({ random: randomBytes(3 * 1024 * 1024) });
  const sha256 = createHash('sha256').update(layer).digest('hex');
  const config = { architecture, os: 'linux', rootfs: { type: 'layers', diff_ids: [`sha256:${sha256}`] } };
  const archive = await tarOf({
    'layer.tar': layer,
    'config.json': Buffer.from(JSON.stringify(config)),
    'manifest.json': Buffer.from(
      JSON.stringify([{ Config: 'config.json', RepoTags: [], Layers: ['layer.tar'] }]),
    ),
  });
  const answer: unknown = await docker.loadImage(Readable.from([archive]));
  const id = /sha256:[0-9a-f]{64}/.exec(await text(answer as Readable))?.[0];
  assert.ok(id);
  return {
    id,
    [Symbol.asyncDispose]: async () => {
      await docker
        .getImage(id)
        .remove({ force: true })
        .catch(() => {});
    },
  };
}

async function tarOf(files: Readonly<Record<string, Buffer>>): Promise<Buffer> {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) tar.entry({ name }, content);
  tar.finalize();
  return await buffer(Readable.from(tar));
}

/** Puts a new image into a registry, and takes it from the daemon; gives the name to pull it by. */
async function publish(docker: Docker, address: string, login?: typeof registryLogin): Promise<string> {
  const repository = `${address}/engine`;
  const { Arch } = await docker.version();
  const { id } = await makeImage(docker, Arch);
  await docker.getImage(id).tag({ repo: repository, tag: 'v1' });
  const authconfig = { serveraddress: address, ...login };
  const push: unknown = await docker.getImage(`${repository}:v1`).push({ tag: 'v1', authconfig });
  const digest = /digest: (sha256:[0-9a-f]{64})/.exec(await text(push as Readable))?.[1];
  assert.ok(digest);
  await docker.getImage(id).remove({ force: true });
  return `${repository}@${digest}`;
}

const FALSE_DIGEST = `sha256:${'0'.repeat(64)}`;

describe('images', () => {
  test('one is pulled by its digest, with progress in bytes, and verified; the second time it is there', async (t) => {
    const given = await bench(t);
    if (given === undefined) return;
    await using registry = await startRegistry();
    const image = await publish(given.docker, registry.address);
    const told: [number, number][] = [];
    const lines: string[] = [];
    const pulled = await given.open(image, {
      onProgress: (_, done, total) => told.push([done, total]),
      log: (line) => lines.push(line),
    });
    assert.equal(pulled.certainty, 'verified');
    assert.ok(image.endsWith(pulled.digest));
    const [done, total] = told.at(-1) ?? [0, 0];
    assert.ok(total > 3 * 1024 * 1024, 'the layer’s size is told');
    assert.equal(done, total);
    assert.ok(lines.some((line) => line.includes(image)));

    lines.length = 0;
    await given.open(image, { log: (line) => lines.push(line) });
    assert.ok(!lines.some((line) => line.includes('Pulling')), 'nothing is pulled twice');
    await given.docker.getImage(image).remove({ force: true });
  });

  test('a tag beside the digest says nothing and does no harm', async (t) => {
    const given = await bench(t);
    if (given === undefined) return;
    await using registry = await startRegistry();
    const image = await publish(given.docker, registry.address);
    const { certainty } = await given.open(image.replace('@', ':latest@'));
    assert.equal(certainty, 'verified');
    await given.docker.getImage(image).remove({ force: true });
  });

  test('one of this machine is named by its id', async (t) => {
    const given = await bench(t);
    if (given === undefined) return;
    const { Arch } = await given.docker.version();
    await using image = await makeImage(given.docker, Arch);
    const { certainty, digest } = await given.open(image.id);
    assert.equal(certainty, 'verified');
    assert.equal(digest, image.id);
    await assert.rejects(given.open(FALSE_DIGEST), { code: 'image-pull-failed', hint: /docker load/ });
  });

  tried(
    'image behind a tag',
    'a tag that may be another image tomorrow',
    'an image is named by its digest, which is looked at after the pull',
    async (t) => {
      const given = await bench(t);
      if (given === undefined) return;
      await assert.rejects(given.open('vllm/vllm-openai:latest'), {
        code: 'image-not-pinned',
        message: /vllm\/vllm-openai:latest/,
        hint: /docker buildx imagetools inspect vllm\/vllm-openai:latest/,
      });
    },
  );

  test('a digest that the registry does not have', async (t) => {
    const given = await bench(t);
    if (given === undefined) return;
    await using registry = await startRegistry();
    const image = await publish(given.docker, registry.address);
    const [repository] = image.split('@');
    await assert.rejects(given.open(`${repository}@${FALSE_DIGEST}`), {
      code: 'image-pull-failed',
      message: /not found|unknown/,
      hint: /Check repository and digest/,
    });
  });

  test('a registry that is not there', async (t) => {
    const given = await bench(t);
    if (given === undefined) return;
    await assert.rejects(given.open(`127.0.0.1:1/engine@${FALSE_DIGEST}`), {
      code: 'image-pull-failed',
      message: /refused/,
      hint: /network/,
    });
  });

  test('one for another kind of processor', async (t) => {
    const given = await bench(t);
    if (given === undefined) return;
    const { Arch } = await given.docker.version();
    const other = Arch === 'arm64' ? 'amd64' : 'arm64';
    await using image = await makeImage(given.docker, other);
    await assert.rejects(given.open(image.id), {
      code: 'image-mismatch',
      message: new RegExp(`built for ${other}.*${Arch}`),
    });
  });

  test('a registry that wants a login takes what `docker login` left, and says when there is nothing', async (t) => {
    await using folder = await temporaryFolder();
    const given = await bench(t, folder.path);
    if (given === undefined) return;
    await using registry = await startRegistry('login');
    const image = await publish(given.docker, registry.address, registryLogin);
    const config = (value: unknown) => writeFile(join(folder.path, 'config.json'), JSON.stringify(value));
    const basic = (password: string) =>
      Buffer.from(`${registryLogin.username}:${password}`).toString('base64');

    await assert.rejects(given.open(image), {
      code: 'image-pull-failed',
      hint: new RegExp(`No credentials.*docker login ${registry.address}`),
    });
    await config({ auths: { [registry.address]: { auth: basic('wrong') } } });
    await assert.rejects(given.open(image), { code: 'image-pull-failed', hint: /refused the credentials/ });
    await config({ auths: { [registry.address]: { auth: basic(registryLogin.password) } } });
    assert.equal((await given.open(image)).certainty, 'verified');
    await given.docker.getImage(image).remove({ force: true });

    // A helper is a real program of that name; it wins over the file, as it does for the Docker client.
    const helper = join(folder.path, 'docker-credential-test');
    await writeFile(
      helper,
      `#!/bin/sh
read server
[ "$1 $server" = "get ${registry.address}" ] || { echo "credentials not found in native keychain"; exit 1; }
echo '{"ServerURL":"'$server'","Username":"${registryLogin.username}","Secret":"${registryLogin.password}"}'
`,
    );
    await chmod(helper, 0o755);
    const environment = { ...given.environment, PATH: `${folder.path}:${given.environment['PATH']}` };
    for (const settings of [
      { credHelpers: { [registry.address]: 'test' } },
      { credsStore: 'test', auths: { [registry.address]: {} } },
    ]) {
      await config(settings);
      assert.equal((await given.open(image, { environment })).certainty, 'verified');
      await given.docker.getImage(image).remove({ force: true });
    }
  });

  test('a cancelled run pulls nothing', async (t) => {
    const given = await bench(t);
    if (given === undefined) return;
    await using registry = await startRegistry();
    const image = await publish(given.docker, registry.address);
    const why = new Error('cancelled by the user');
    await assert.rejects(given.open(image, { signal: AbortSignal.abort(why) }), why);
  });
});
