import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { temporaryFolder, until } from './runtimes.ts';

/** Where Debian keeps what a daemon starts. */
export const DAEMON_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * What stands for the NVIDIA Container Toolkit: Docker calls it before a container that asked for a GPU begins. As
 * the real one does, it reads which devices are wanted and puts `nvidia-smi` into the container.
 */
const HOOK = `#!/usr/bin/python3
import json, os, sys
with open(os.path.join(json.load(sys.stdin)["bundle"], "config.json")) as file:
    config = json.load(file)
wanted = dict(entry.split("=", 1) for entry in config["process"]["env"])["NVIDIA_VISIBLE_DEVICES"]
path = os.path.join(config["root"]["path"], "usr/bin/nvidia-smi")
with open(path, "w") as file:
    file.write("#!/bin/sh\\necho devices: " + wanted)
os.chmod(path, 0o755)
`;

/**
 * A second Docker daemon that gives GPUs on a machine that has none: real requests, a real daemon that grants
 * them, and a stub only where the driver would begin. In a network and mounts of its own, or it would take the
 * first daemon's bridge down.
 */
export async function startGpuDocker(): Promise<{ readonly host: string } & AsyncDisposable> {
  await using owned = new AsyncDisposableStack();
  const { path } = owned.use(await temporaryFolder());
  const bin = join(path, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'nvidia-container-runtime-hook'), HOOK);
  await chmod(join(bin, 'nvidia-container-runtime-hook'), 0o755);
  const host = `unix://${join(path, 'docker.sock')}`;
  const daemon = spawn(
    'setpriv',
    [
      // It ends with this process, however that ends.
      ...['--pdeathsig', 'TERM', 'unshare', '--net', '--mount', 'dockerd'],
      ...['--host', host, '--data-root', join(path, 'data'), '--exec-root', join(path, 'exec')],
      ...['--pidfile', join(path, 'pid'), '--bridge=none', '--iptables=false', '--ip6tables=false'],
    ],
    {
      env: { PATH: `${bin}:${DAEMON_PATH}` },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const log = buffer(daemon.stderr);
  const exited = once(daemon, 'exit');
  owned.defer(async () => {
    daemon.kill('SIGTERM');
    await exited;
  });
  await until(async () => {
    if (daemon.exitCode !== null) throw new Error(`dockerd does not start:\n${await log}`);
    return await connect({ DOCKER_HOST: host }).then(
      () => true,
      () => false,
    );
  }, 'the second Docker daemon answers');
  const kept = owned.move();
  return { host, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Copies an image from one daemon to another: its id stays. */
export async function copyImage(id: string, from: string, to: string): Promise<void> {
  const [source, target] = await Promise.all([connect({ DOCKER_HOST: from }), connect({ DOCKER_HOST: to })]);
  const archive = await source.getImage(id).get();
  const answer: unknown = await target.loadImage(archive);
  await buffer(answer as Readable);
}
