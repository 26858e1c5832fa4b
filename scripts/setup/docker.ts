import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import { execa } from 'execa';
import { installPackages } from './apt.ts';
import { cache, repository } from './cache.ts';
import { lock, tryLock } from './lock.ts';
import { type Note, run, step } from './step.ts';

/** A Docker daemon that answers. Disposing of an own one stops it, unless another process still uses it. */
export interface DockerDaemon extends AsyncDisposable {
  /** For DOCKER_HOST. */
  readonly host: string;
  /** Whether this project started it. */
  readonly own: boolean;
  /** Where a container on the default network reaches a server of this machine that listens on all addresses. */
  readonly gateway: string | undefined;
}

/** No Docker daemon can be had here: a reason to skip what needs one, loudly. */
export class DockerUnavailable extends Error {
  override readonly name = 'DockerUnavailable';
}

const systemSocket = 'unix:///var/run/docker.sock';

/** The daemon that DOCKER_HOST names, or the machine's, or one of our own. */
export async function ensureDocker(): Promise<DockerDaemon> {
  const named = process.env['DOCKER_HOST'];
  if (named !== undefined && named !== '') {
    if (await answers(named)) return foreign(named);
    throw new DockerUnavailable(`DOCKER_HOST is ${named}, and no daemon answers there`);
  }
  if (await answers(systemSocket)) return foreign(systemSocket);
  if (process.getuid?.() !== 0) {
    throw new DockerUnavailable(
      `no daemon answers at ${systemSocket} (set DOCKER_HOST?), and only root can start one`,
    );
  }
  return ownDaemon();
}

async function foreign(host: string): Promise<DockerDaemon> {
  return { host, own: false, gateway: await gatewayOf(host), async [Symbol.asyncDispose]() {} };
}

// Short, because the path of a unix socket ends after 108 bytes, and the same for each run of the same clone, so
// that a daemon which lost its supervisor is found again.
const id = createHash('sha256').update(repository).digest('hex').slice(0, 8);
const runFolder = `/run/deterministic-ml-${id}`;
const host = `unix://${runFolder}/docker.sock`;
const bridge = `dml-${id}`;
// The daemon takes its helpers (containerd, runc) from Debian's packages, whatever else is first on PATH.
const systemPath = '/usr/sbin:/usr/bin:/sbin:/bin';
const supervisorFile = join(runFolder, 'supervisor.pid');

async function ownDaemon(): Promise<DockerDaemon> {
  const users = join(cache, 'docker.users.lock');
  const using = await lock(users, 'shared');
  try {
    await using _starting = await lock(join(cache, 'docker.start.lock'));
    if (!(await answers(host))) {
      await step('Docker daemon of our own', (note) => start(note, users)).catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        throw new DockerUnavailable(`no Docker daemon answers, and none can be started: ${reason}`, {
          cause: error,
        });
      });
    }
    return {
      host,
      own: true,
      gateway: await gatewayOf(host),
      async [Symbol.asyncDispose]() {
        await using[Symbol.asyncDispose]();
        await using alone = await tryLock(users);
        if (alone !== undefined) await step('Stopping the Docker daemon', stop);
      },
    };
  } catch (error) {
    await using[Symbol.asyncDispose]();
    throw error;
  }
}

async function start(note: Note, users: string): Promise<void> {
  const env = { PATH: systemPath };
  if ((await execa('dockerd', ['--version'], { env, reject: false })).failed) {
    await installPackages(note, 'docker.io', 'iproute2');
  }
  await stop(note);
  await mkdir(runFolder, { recursive: true, mode: 0o700 });
  await addBridge(note);
  const supervisor = spawn(
    'sh',
    [
      join(repository, 'scripts/setup/dockerd.sh'),
      ...['--host', host, '--pidfile', join(runFolder, 'dockerd.pid')],
      ...['--exec-root', join(runFolder, 'exec')],
      // Firewall rules are one set for the whole machine, and daemons overwrite each other's. Without any, a
      // container on the bridge reaches this machine and nothing beyond; builds use the machine's own network.
      ...[
        '--bridge',
        bridge,
        '--iptables=false',
        '--ip6tables=false',
        '--ip-forward=false',
        '--ip-masq=false',
      ],
    ],
    {
      detached: true,
      stdio: 'ignore',
      env: {
        ...process.env,
        PATH: systemPath,
        users,
        data: join(cache, 'docker'),
        run: runFolder,
        bridge,
      },
    },
  );
  supervisor.unref();
  await writeFile(supervisorFile, String(supervisor.pid));
  const deadline = performance.now() + 60_000;
  while (!(await answers(host))) {
    if (supervisor.exitCode !== null || performance.now() > deadline) {
      const log = await readFile(join(runFolder, 'dockerd.log'), 'utf8').catch(() => '');
      await stop(note);
      throw new Error(`dockerd said:\n${log.trim().split('\n').slice(-10).join('\n')}`);
    }
    await sleep(100);
  }
}

/** Stops the own daemon; where its supervisor was killed before it, the daemon itself. */
async function stop(note: Note): Promise<void> {
  for (const [file, program] of [
    [supervisorFile, 'dockerd.sh'],
    [join(runFolder, 'dockerd.pid'), 'dockerd'],
  ] as const) {
    const pid = Number(await readFile(file, 'utf8').catch(() => '0'));
    // Process ids are used again: a file that is left over may name somebody else's process by now.
    const runs = async () =>
      pid > 0 && (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(program);
    if (await runs()) process.kill(pid, 'SIGTERM');
    while (await runs()) {
      note(`waiting for ${program}`);
      await sleep(50);
    }
    await rm(file, { force: true });
  }
}

/** A network of our own for containers, since two daemons cannot share the default one. */
async function addBridge(note: Note): Promise<void> {
  const ip = (...args: string[]) => run(note, 'ip', args, { env: { PATH: systemPath } });
  const { stdout } = await execa('ip', ['-oneline', '-4', 'address'], { env: { PATH: systemPath } });
  if (!stdout.includes(` ${bridge} `)) {
    await execa('ip', ['link', 'delete', bridge], { env: { PATH: systemPath }, reject: false });
    // 198.18.0.0/15 is for benchmarks (RFC 2544): nobody routes it, so it hides nothing.
    const first = Number.parseInt(id.slice(0, 2), 16);
    const subnet = Array.from({ length: 256 }, (_, i) => `198.18.${(first + i) % 256}`).find(
      (candidate) => !stdout.includes(` ${candidate}.`),
    );
    await ip('link', 'add', bridge, 'type', 'bridge');
    await ip('address', 'add', `${subnet}.1/24`, 'dev', bridge);
  }
  await ip('link', 'set', bridge, 'up');
}

function client(host: string): Docker {
  // Any other kind of address comes from DOCKER_HOST, which dockerode reads itself, certificates included.
  const timeout = 10_000;
  return host.startsWith('unix://')
    ? new Docker({ socketPath: host.slice('unix://'.length), timeout })
    : new Docker({ timeout });
}

async function answers(host: string): Promise<boolean> {
  return client(host)
    .ping()
    .then(
      () => true,
      () => false,
    );
}

async function gatewayOf(host: string): Promise<string | undefined> {
  const network: unknown = await client(host)
    .getNetwork('bridge')
    .inspect()
    .catch(() => undefined);
  const { IPAM } = (network ?? {}) as Docker.NetworkInspectInfo;
  return IPAM?.Config?.[0]?.['Gateway'];
}
