import { rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { UserError } from '../../errors.ts';
import { excerpt } from '../../inert.ts';
import { openScratch } from '../../machine/scratch.ts';
import { SSH_OPTIONS } from '../../suite/launcher.ts';
import { forLauncher } from '../environment.ts';
import type { Environment } from '../options.ts';

/** Where a daemon listens, unless the address has a path. */
const SOCKET = '/var/run/docker.sock';
const MAX_SAID = 4_000;
const LOOK_MS = 25;

/**
 * A socket of this machine that leads to the daemon of another one, over one connection of OpenSSH's client, whose keys,
 * known hosts and configuration count. It is there as long as this process lives.
 *
 * @throws UserError `docker-unavailable`
 */
export async function overSsh(
  url: URL,
  environment: Environment,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { path: folder } = await openScratch(environment['TMPDIR'] ?? tmpdir());
  // Who can write to the socket has the daemon.
  await chmod(folder, 0o700);
  const socket = join(folder, 'docker.sock');
  const path = url.pathname.length > 1 ? decodeURIComponent(url.pathname) : SOCKET;
  const { execa } = await import('execa');
  const child = execa(
    'ssh',
    [
      ...SSH_OPTIONS,
      ...['-T', '-o', 'ExitOnForwardFailure=yes', '-o', 'ControlPath=none', '-L', `${socket}:${path}`],
      ...(url.port === '' ? [] : ['-p', url.port]),
      ...(url.username === '' ? [] : ['-l', decodeURIComponent(url.username)]),
      // It ends with its stdin, and so with this process, however that ends.
      ...['--', url.hostname, 'cat'],
    ],
    {
      ...{ env: forLauncher(environment), extendEnv: false, buffer: false, reject: false, detached: true },
      ...{ stdin: 'pipe', stdout: 'ignore', stderr: 'pipe' },
    } as const,
  );
  // A run that is over is not kept waiting by it.
  child.unref();
  for (const stream of [child.stdin, child.stderr]) (stream as { unref?: () => void }).unref?.();
  process.once('exit', () => {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  let said = '';
  child.stderr.on('data', (data) => {
    said = `${said}${String(data)}`.slice(-MAX_SAID);
  });
  child.stdin.on('error', () => {});
  let ended = false;
  void child.then(() => {
    ended = true;
  });
  while (!(await answers(socket))) {
    signal?.throwIfAborted();
    if (ended) {
      rmSync(folder, { recursive: true, force: true });
      throw unreachable(url, said.trim());
    }
    await delay(LOOK_MS);
  }
  return socket;
}

async function answers(socket: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const one = connect(socket);
  one.once('connect', () => resolve(true)).once('error', () => resolve(false));
  return await promise.finally(() => one.destroy());
}

function unreachable(url: URL, said: string): UserError {
  const isUntrusted = /host key verification failed|host identification has changed/i.test(said);
  return new UserError(
    'docker-unavailable',
    `ssh does not lead to the Docker daemon at ${url.href}${said === '' ? '.' : `:\n${excerpt(said, MAX_SAID)}`}`,
    isUntrusted
      ? 'Put the host’s key into the runner’s `known_hosts`, by a way that nobody on the network can change.'
      : `Try \`ssh ${url.hostname} docker version\` on the runner by hand: nobody is there to type a password. Its user must be one who may talk to Docker there.`,
  );
}
