import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { ensureUnpacked } from '../../scripts/setup/debian.ts';
import { freePort } from './ports.ts';
import { temporaryFolder, until } from './runtimes.ts';

/** A real sshd on the loopback device, with keys of its own; whoever logs in is the user of this process. */
export interface Sshd extends AsyncDisposable {
  readonly folder: string;
  /** Words of a launcher that reaches it; its options are those of a runner that knows its key. */
  ssh(options?: { readonly knownHosts?: string; readonly identity?: string }): string;
  /** Processes that serve a connection. */
  sessions(): Promise<number[]>;
}

export async function startSshd(): Promise<Sshd> {
  await using owned = new AsyncDisposableStack();
  const folder = owned.use(await temporaryFolder()).path;
  const at = (name: string) => join(folder, name);
  const { sshd, libraries } = await program();
  for (const key of ['host', 'user', 'stranger'])
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(key)]);
  const port = await freePort();
  await writeFile(at('authorized'), await readFile(at('user.pub')));
  const known = async (name: string, key: string) =>
    await writeFile(at(name), `[127.0.0.1]:${port} ${(await readFile(at(`${key}.pub`), 'utf8')).trim()}\n`);
  await known('known', 'host');
  await known('known-otherwise', 'stranger');
  await writeFile(at('known-nobody'), '');
  // What login scripts print, into the middle of the protocol.
  await writeFile(at('rc'), 'echo "Welcome to gpu7"; echo \'{"nonce":"","seq":0,"event":"done"}\'\n');
  await writeFile(
    at('config'),
    [
      ...[`Port ${port}`, 'ListenAddress 127.0.0.1', `HostKey ${at('host')}`, 'UsePAM no', 'StrictModes no'],
      ...[`AuthorizedKeysFile ${at('authorized')}`, 'PasswordAuthentication no', 'PermitRootLogin yes'],
      ...['KbdInteractiveAuthentication no', `PidFile ${at('pid')}`, 'LogLevel VERBOSE', 'MaxStartups 100'],
      `SetEnv DML_FAR=yes HF_TOKEN=hf_secret-far CUDA_VISIBLE_DEVICES=5,7`,
    ].join('\n'),
  );
  const env = { ...process.env, ...(libraries !== undefined && { LD_LIBRARY_PATH: libraries }) };
  const daemon = ['-D', '-e', '-f', at('config')];
  const server =
    process.getuid?.() === 0
      ? spawn('unshare', ['--mount', 'sh', '-ec', await asRoot(folder), sshd, ...daemon], {
          env,
          stdio: ['ignore', 'ignore', 'pipe'],
        })
      : spawn(sshd, daemon, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  server.stderr.on('data', (data) => {
    log += String(data);
  });
  owned.defer(async () => {
    if (server.exitCode === null && server.signalCode === null) {
      server.kill('SIGTERM');
      await once(server, 'exit');
    }
    // A connection that lives as long as this process holds it too.
    server.stderr.destroy();
  });
  await until(async () => {
    if (server.exitCode !== null) throw new Error(`sshd ended: ${log}`);
    return await answers(port);
  }, 'sshd listens');
  const kept = owned.move();
  return {
    folder,
    ssh: ({ knownHosts = 'known', identity = 'user' } = {}) =>
      `ssh -p ${port} -F none -i ${at(identity)} -o IdentitiesOnly=yes -o UserKnownHostsFile=${at(knownHosts)} -o GlobalKnownHostsFile=none ${userInfo().username}@127.0.0.1`,
    sessions: async () => await childrenOf(Number(await readFile(at('pid'), 'utf8'))),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The machine's own; else Debian's, unpacked. */
async function program(): Promise<{ readonly sshd: string; readonly libraries: string | undefined }> {
  const own = '/usr/sbin/sshd';
  if (await isThere(own)) return { sshd: own, libraries: undefined };
  const root = await ensureUnpacked('openssh', ['openssh-server', 'libwrap0']);
  const [libraries] = await readdir(join(root, 'usr/lib'), { withFileTypes: true }).then((entries) =>
    entries.filter((entry) => entry.isDirectory() && entry.name.endsWith('-linux-gnu')),
  );
  return {
    sshd: join(root, 'usr/sbin/sshd'),
    libraries: libraries && join(root, 'usr/lib', libraries.name),
  };
}

/** As root it wants a user of its own and a folder of root's: in a view of the machine that nobody else has. */
async function asRoot(folder: string): Promise<string> {
  const passwd = (await readFile('/etc/passwd', 'utf8')).replace(/^sshd:.*\n/m, '');
  await writeFile(join(folder, 'passwd'), `${passwd}sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n`);
  await mkdir('/run/sshd', { recursive: true });
  await chmod('/run/sshd', 0o755);
  return `mount --bind ${join(folder, 'passwd')} /etc/passwd; exec "$0" "$@"`;
}

async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const parents = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')));
  return pids.flatMap((pid, at) =>
    Number((parents[at] ?? '').slice((parents[at] ?? '').lastIndexOf(')') + 2).split(' ')[1]) === parent
      ? [Number(pid)]
      : [],
  );
}

async function answers(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, '127.0.0.1');
  socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  return await promise.finally(() => socket.destroy());
}

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
