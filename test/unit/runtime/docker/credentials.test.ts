import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { credentialsFor } from '../../../../src/runtime/docker/credentials.ts';
import { temporaryFolder } from '../../../support/runtimes.ts';
import { tried } from '../../../support/tried.ts';

const auth = (pair: string) => ({ auth: Buffer.from(pair).toString('base64') });

async function found(registry: string, config: string, helper?: string) {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'config.json'), config);
  if (helper !== undefined) {
    const program = join(folder.path, 'docker-credential-helper');
    await writeFile(program, `#!/bin/sh\n${helper}`);
    await chmod(program, 0o755);
  }
  const lines: string[] = [];
  const environment = {
    ...{ DOCKER_CONFIG: folder.path, PATH: `${folder.path}:${process.env['PATH']}`, AWS_PROFILE: 'gpu' },
    ...{ GITHUB_TOKEN: 'x', 'INPUT_HUB-TOKEN': 'x', HF_TOKEN: 'x', ACTIONS_RUNTIME_TOKEN: 'x', OTHER: 'x' },
  };
  const credentials = await credentialsFor(registry, environment, (line) => lines.push(line));
  return { credentials, lines };
}

describe('credentials that `docker login` left', () => {
  test('of a registry', async () => {
    const config = JSON.stringify({ auths: { 'ghcr.io': auth('me:a:b') } });
    const { credentials } = await found('ghcr.io', config);
    assert.deepEqual(credentials, { serveraddress: 'ghcr.io', username: 'me', password: 'a:b' });
    assert.equal((await found('other.io', config)).credentials, undefined);
  });

  test('of Docker Hub, which has a name of its own there', async () => {
    const config = JSON.stringify({ auths: { 'https://index.docker.io/v1/': auth('me:secret') } });
    const { credentials } = await found('docker.io', config);
    assert.deepEqual(credentials, {
      serveraddress: 'https://index.docker.io/v1/',
      username: 'me',
      password: 'secret',
    });
  });

  test('under a URL, as old clients wrote it', async () => {
    const config = JSON.stringify({ auths: { 'https://registry.example/v1/': auth('me:secret') } });
    assert.ok((await found('registry.example', config)).credentials);
  });

  test('as an identity token, in the file or from a helper', async () => {
    const inFile = JSON.stringify({ auths: { 'a.azurecr.io': { identitytoken: 'jwt' } } });
    const token = { serveraddress: 'a.azurecr.io', identitytoken: 'jwt' };
    assert.deepEqual((await found('a.azurecr.io', inFile)).credentials, token);
    const helper = `echo '{"ServerURL":"x","Username":"<token>","Secret":"jwt"}'`;
    const atHelper = JSON.stringify({ credsStore: 'helper' });
    assert.deepEqual((await found('a.azurecr.io', atHelper, helper)).credentials, token);
  });

  test('a helper without any is no problem, one that fails is told, and the file counts then', async () => {
    const config = JSON.stringify({ credsStore: 'helper', auths: { 'ghcr.io': auth('me:secret') } });
    const none = await found('ghcr.io', config, 'echo "credentials not found in native keychain"; exit 1');
    assert.ok(none.credentials);
    assert.deepEqual(none.lines, []);
    const broken = await found('ghcr.io', config, 'exit 3');
    assert.ok(broken.credentials);
    assert.match(broken.lines.join(), /docker-credential-helper/);
    const missing = await found('ghcr.io', config);
    assert.match(missing.lines.join(), /docker-credential-helper/);
  });

  tried(
    'credential helper that looks around',
    'a helper of Docker’s configuration that reads the job’s environment',
    'it is started with what finds its store, and with no token or input',
    async () => {
      const tell = `echo "{\\"Username\\":\\"me\\",\\"Secret\\":\\"$(env | cut -d= -f1 | sort | tr '\\n' ' ')\\"}"`;
      const { credentials } = await found('ghcr.io', JSON.stringify({ credsStore: 'helper' }), tell);
      assert.ok(credentials !== undefined && 'password' in credentials);
      // `_`, `PWD` and the like are the shell's own.
      const names = credentials.password.split(' ').filter((name) => !/^(?:_|PWD|OLDPWD|SHLVL|)$/.test(name));
      assert.deepEqual(names, ['AWS_PROFILE', 'DOCKER_CONFIG', 'PATH']);
    },
  );

  tried(
    'credential helper by a path',
    'a configuration whose helper is a path to another program',
    'a helper is a name; anything else is told and not started',
    async () => {
      const { credentials, lines } = await found('ghcr.io', JSON.stringify({ credsStore: '/../../bin/sh' }));
      assert.equal(credentials, undefined);
      assert.match(lines.join(), /not a program/);
    },
  );

  test('a file that is no configuration is told and does no harm', async () => {
    for (const config of ['{', '[]', '{"auths": 3}']) {
      const { credentials, lines } = await found('ghcr.io', config);
      assert.equal(credentials, undefined);
      assert.equal(lines.length, 1);
    }
  });
});
