import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { connect as connectTo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, describe, type TestContext, test } from 'node:test';
import { createServer, type TLSSocket } from 'node:tls';
import { PackagesUnavailable } from '../../scripts/setup/debian.ts';
import { ensureTinyImage } from '../../scripts/setup/image.ts';
import { chooseRuntime } from '../../src/runtime/choose.ts';
import { certificates } from '../support/certificates.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { launchOf, processesWith, runtimeOptions, temporaryFolder, until } from '../support/runtimes.ts';
import { startSshd } from '../support/sshd.ts';

/* The real daemon, reached as one of another machine is. */

const owned = new AsyncDisposableStack();
after(() => owned.disposeAsync());

/** An engine's container carries bytes both ways, and the end of them. */
async function assertCarries(image: string, environment: Environment) {
  await using runtime = await chooseRuntime(
    runtimeOptions({
      ...{ choice: 'docker', runtime: { gpus: 'none', shm: '64MiB', image } },
      environment: { ...runtimeOptions().environment, ...environment },
    }),
  );
  await using peer = await runtime.start('import sys; print(len(sys.stdin.read())); sys.exit(3)');
  peer.stdin.end('x'.repeat(1_000_000));
  assert.equal(await text(peer.stdout), '1000000\n');
  assert.equal((await peer.exit).code, 3);
}

/** Docker's own client as a launcher: `docker -H … run -i`. What it reaches is killed with nothing left, too. */
async function assertLaunches(image: string, host: string, environment: Environment) {
  const mark = randomUUID();
  const words = `docker -H ${host} run --rm -i --entrypoint= --network=none --name=${mark} ${image}`;
  const options = runtimeOptions({
    ...{ choice: 'launcher', launch: launchOf(words) },
    environment: { ...runtimeOptions().environment, ...environment },
  });
  await using runtime = await chooseRuntime(options);
  await using peer = await runtime.start('import sys; print(len(sys.stdin.read())); sys.exit(3)');
  peer.stdin.end('x'.repeat(1_000_000));
  assert.equal(await text(peer.stdout), '1000000\n', await text(peer.stderr));
  assert.deepEqual(await peer.exit, { code: 3, signal: null, outOfMemory: false });

  await using stubborn = await runtime.start(`# ${mark}
import os, signal, sys
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
print("up", flush=True)
while True: signal.pause()`);
  await once(stubborn.stdout, 'data');
  const clients = await processesWith(`--name=${mark}`);
  for (const pid of clients) process.kill(pid, 'SIGKILL');
  assert.equal((await stubborn.exit).lost?.code, 'launcher-lost');
  await until(async () => (await processesWith(mark)).length === 0, 'the container has gone', 15);
}

type Environment = Readonly<Record<string, string | undefined>>;

const socketOf = (host: string) => host.slice('unix://'.length);

describe('a daemon behind TLS', () => {
  test('is talked to with the certificates of DOCKER_CERT_PATH, and must be who they say', async (t) => {
    const daemon = await dockerOrSkip(t);
    if (daemon === undefined || !daemon.host.startsWith('unix://')) return;
    const { imageId } = await ensureTinyImage(daemon);
    const folder = owned.use(await temporaryFolder()).path;
    const own = await certificates(folder, 'own');
    const other = await certificates(folder, 'other');
    const server = createServer(
      {
        key: own.serverKey,
        cert: own.server,
        ca: own.ca,
        requestCert: true,
        rejectUnauthorized: true,
        allowHalfOpen: true,
      },
      (socket: TLSSocket) => {
        const inner = connectTo({ path: socketOf(daemon.host), allowHalfOpen: true });
        socket.pipe(inner).pipe(socket);
        for (const one of [socket, inner]) one.on('error', () => one.destroy());
      },
    );
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    owned.defer(() => void server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const reach = (cert: string) => ({
      DOCKER_HOST: `tcp://127.0.0.1:${address.port}`,
      DOCKER_TLS_VERIFY: '1',
      DOCKER_CERT_PATH: cert,
    });
    await assertCarries(imageId, reach(own.folder));
    const { DOCKER_HOST: host, ...rest } = reach(own.folder);
    await assertLaunches(imageId, host, rest);
    await assert.rejects(assertCarries(imageId, reach(other.folder)), { code: 'docker-unavailable' });
    await assert.rejects(assertCarries(imageId, reach(folder)), {
      code: 'docker-unavailable',
      message: /wants TLS, and .*ca\.pem cannot be read/,
    });
  });
});

describe('a daemon behind ssh', () => {
  const bench = async (t: TestContext, knownHosts: string) => {
    const daemon = await dockerOrSkip(t);
    if (daemon === undefined || !daemon.host.startsWith('unix://')) return undefined;
    const { imageId } = await ensureTinyImage(daemon);
    try {
      const sshd = owned.use(await startSshd());
      // As a user's ~/.ssh/config would say it, which a test leaves alone.
      const bin = join(sshd.folder, `bin-${knownHosts}`);
      await mkdir(bin);
      const words = sshd
        .ssh({ knownHosts })
        .replace(/ -p \d+/, '')
        .replace(/ \S+@127\.0\.0\.1$/, '');
      await writeFile(join(bin, 'ssh'), `#!/bin/sh\nexec /usr/bin/${words} "$@"\n`);
      await chmod(join(bin, 'ssh'), 0o755);
      const [, port] = /-p (\d+)/.exec(sshd.ssh()) ?? [];
      return {
        imageId,
        reach: {
          PATH: `${bin}:${process.env['PATH']}`,
          DOCKER_HOST: `ssh://127.0.0.1:${port}${socketOf(daemon.host)}`,
        },
      };
    } catch (error) {
      if (!(error instanceof PackagesUnavailable)) throw error;
      return void t.skip(`NEEDS sshd: ${error.message}`);
    }
  };

  test('is talked to over one connection, whose host key is checked', async (t) => {
    const known = await bench(t, 'known');
    if (known === undefined) return;
    await assertCarries(known.imageId, known.reach);
    const { DOCKER_HOST: host, PATH } = known.reach;
    await assertLaunches(known.imageId, host, { PATH });
    const otherwise = await bench(t, 'known-otherwise');
    if (otherwise === undefined) return;
    await assert.rejects(assertCarries(otherwise.imageId, otherwise.reach), {
      code: 'docker-unavailable',
      message: /ssh does not lead to the Docker daemon at ssh:.*Host key verification failed/s,
    });
  });
});
