import { spawn } from 'node:child_process';
import { once as event } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { installPackages } from './apt.ts';
import { step } from './step.ts';

/** A real image registry on this machine, empty, gone with its images when it is disposed of. */
export interface Registry extends AsyncDisposable {
  /** Host and port, the first part of an image's name: Docker takes a loopback address without TLS. */
  readonly address: string;
}

/** What a registry that was started with `access: 'login'` accepts. Its password is no secret. */
export const registryLogin = { username: 'reader', password: 'open-sesame' } as const;

// registryLogin as htpasswd has it (bcrypt): an own constant spares a tool that hashes.
const htpasswd = 'reader:$2y$05$BZ177O57vxmXY845oVw7eu3pcIBlMWQZQGUy..yKiSiBnAmkXAklq';

/** Starts Debian's docker-registry; with `login` it refuses whoever does not bring registryLogin. */
export async function startRegistry(access: 'open' | 'login' = 'open'): Promise<Registry> {
  if ((await execa('docker-registry', ['--version'], { reject: false })).failed) {
    await step('Image registry', (note) => installPackages(note, 'docker-registry'));
  }
  const folder = await mkdtemp(join(tmpdir(), 'dml-registry-'));
  const config = join(folder, 'config.json');
  await writeFile(join(folder, 'htpasswd'), htpasswd);
  await writeFile(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: 'info', formatter: 'json' },
      storage: { filesystem: { rootdirectory: join(folder, 'images') } },
      http: { addr: '127.0.0.1:0' },
      ...(access === 'login' && { auth: { htpasswd: { realm: 'test', path: join(folder, 'htpasswd') } } }),
    }),
  );
  // The shell ends the registry when its standard input does, so also when this process is killed.
  const server = spawn(
    'sh',
    ['-c', 'docker-registry serve "$1" 2>&1 & cat >&2; kill $!; wait', 'sh', config],
    {
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    },
  );
  const exited = event(server, 'exit');
  const stop = async () => {
    server.stdin.end();
    await exited;
    await rm(folder, { recursive: true });
  };
  const log: string[] = [];
  let address: string | undefined;
  for await (const line of createInterface({ input: server.stdout })) {
    log.push(line);
    address = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1];
    if (address !== undefined) break;
  }
  if (address === undefined) {
    await stop();
    throw new Error(`docker-registry does not start:\n${log.slice(-10).join('\n')}`);
  }
  server.stdout.resume();
  return { address, [Symbol.asyncDispose]: stop };
}
