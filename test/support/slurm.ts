import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { ensureUnpacked } from '../../scripts/setup/debian.ts';
import { freePort } from './ports.ts';
import { temporaryFolder, until } from './runtimes.ts';

/** A Slurm of one node, which is this machine: Debian's own daemons, with munge between them. */
export interface Slurm extends AsyncDisposable {
  /** Words of a launcher that starts in an allocation of its own. */
  readonly srun: string;
  /** What is queued or runs, by its number. */
  jobs(): Promise<string[]>;
  cancel(job: string): Promise<void>;
}

const PACKAGES = [
  ...['slurmctld', 'slurmd', 'slurm-client', 'slurm-wlm-basic-plugins'],
  ...['munge', 'libmunge2', 'libhwloc15'],
];

export async function startSlurm(): Promise<Slurm> {
  const root = await ensureUnpacked('slurm', PACKAGES);
  await using owned = new AsyncDisposableStack();
  const folder = owned.use(await temporaryFolder()).path;
  const at = (...names: string[]) => join(folder, ...names);
  const [libraries = ''] = (await readdir(join(root, 'usr/lib'))).filter((name) =>
    name.endsWith('-linux-gnu'),
  );
  const lib = join(root, 'usr/lib', libraries);
  const plugins = join(lib, 'slurm-wlm');
  const set = { LD_LIBRARY_PATH: `${lib}:${plugins}`, SLURM_CONF: at('slurm.conf') };
  const env = { ...process.env, ...set };
  for (const name of ['munge', 'state', 'spool']) await mkdir(at(name));
  await writeFile(at('munge/key'), randomBytes(128));
  await chmod(at('munge/key'), 0o400);
  const [node] = hostname().split('.');
  const user = userInfo().username;
  await writeFile(
    at('slurm.conf'),
    [
      ...['ClusterName=one', `SlurmctldHost=${node}(127.0.0.1)`, `SlurmUser=${user}`, `SlurmdUser=${user}`],
      ...[`SlurmctldPort=${await freePort()}`, `SlurmdPort=${await freePort()}`, `PluginDir=${plugins}`],
      ...['AuthType=auth/munge', `AuthInfo=socket=${at('munge/socket')}`],
      ...[`StateSaveLocation=${at('state')}`, `SlurmdSpoolDir=${at('spool')}`, 'MpiDefault=none'],
      ...[`SlurmctldPidFile=${at('ctld.pid')}`, `SlurmdPidFile=${at('slurmd.pid')}`, 'TaskPlugin=task/none'],
      ...['ProctrackType=proctrack/linuxproc', 'JobAcctGatherType=jobacct_gather/none', 'KillWait=1'],
      ...['SelectType=select/cons_tres', 'SlurmdParameters=config_overrides', 'ReturnToService=2'],
      `NodeName=${node} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN`,
      'PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP',
      '',
    ].join('\n'),
  );
  const daemons = await readdir(join(root, 'usr/sbin'));
  // Debian's name for it, which alternatives would link.
  const daemon = (name: string) => join(root, 'usr/sbin', daemons.includes(name) ? name : `${name}-wlm`);
  const start = (name: string, ...args: string[]) => {
    const child = spawn(daemon(name), args, { env, stdio: 'ignore' });
    owned.defer(() => stopped(child));
    return child;
  };
  const munge = (name: string) => at('munge', name);
  start(
    'munged',
    ...['--foreground', '--force', `--socket=${munge('socket')}`, `--key-file=${munge('key')}`],
    ...[`--log-file=${munge('log')}`, `--pid-file=${munge('pid')}`, `--seed-file=${munge('seed')}`],
  );
  await until(async () => (await readdir(at('munge'))).includes('socket'), 'munged listens');
  start('slurmctld', '-D');
  start('slurmd', '-D', '-d', daemon('slurmstepd'));
  const tool = async (name: string, ...args: string[]) =>
    (await execa(join(root, 'usr/bin', name), args, { env, reject: false })).stdout;
  await until(async () => (await tool('sinfo', '--noheader', '--format=%t')) === 'idle', 'the node is idle');
  const kept = owned.move();
  return {
    srun: `env ${Object.entries(set)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ')} ${join(root, 'usr/bin/srun')} --quiet`,
    jobs: async () =>
      (await tool('squeue', '--noheader', '--format=%i')).split('\n').filter((id) => id !== ''),
    cancel: async (job) => void (await tool('scancel', job)),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}
