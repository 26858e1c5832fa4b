import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ensureRay } from '../../scripts/setup/tools.ts';
import { processesWith, temporaryFolder } from './runtimes.ts';

/** A real cluster of Ray, of several logical nodes on this machine. */
export interface RayCluster extends AsyncDisposable {
  /** Words of a launcher that takes what follows to the node of that name, by examples/ray/launch.py. */
  launcher(node: string): string;
  /** Ray's own processes on the node of that name that run what a launcher brought. */
  workers(node: string): Promise<number[]>;
}

const DRIVER = fileURLToPath(new URL('ray_cluster.py', import.meta.url));
const LAUNCH = fileURLToPath(new URL('../../examples/ray/launch.py', import.meta.url));

export async function startRay(...nodes: readonly string[]): Promise<RayCluster> {
  const packages = await ensureRay();
  await using owned = new AsyncDisposableStack();
  // Short: the paths of Ray's sockets end in 70 bytes of its own, and may have 107.
  const folder = owned.use(await temporaryFolder('/tmp')).path;
  const cluster = spawn('python3', [DRIVER, folder, ...nodes], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ...{ PYTHONPATH: packages, RAY_USAGE_STATS_ENABLED: '0', RAY_TMPDIR: folder },
      // Two seconds of CPU for each worker that nobody asked for.
      ...{ RAY_enable_worker_prestart: '0', RAY_prestart_worker_first_driver: '0' },
    },
  });
  const exited = once(cluster, 'exit');
  owned.defer(async () => {
    cluster.stdin.end();
    await exited;
  });
  let said = '';
  cluster.stderr.on('data', (data) => {
    said = `${said}${String(data)}`.slice(-4000);
  });
  let address: string | undefined;
  for await (const line of createInterface({ input: cluster.stdout })) {
    address = /^\S+:\d+$/.exec(line)?.[0];
    if (address !== undefined) break;
  }
  if (address === undefined) throw new Error(`the cluster of Ray does not start:\n${said}`);
  cluster.stdout.resume();
  const kept = owned.move();
  return {
    launcher: (node) =>
      `env PYTHONPATH=${packages} python3 ${LAUNCH} --address ${address} --resources '{"${node}": 1}'`,
    async workers(node) {
      const [raylets, workers] = await Promise.all([
        // As each is told what its node has.
        processesWith(`${node},1`),
        processesWith('ray::Command'),
      ]);
      const parents = await Promise.all(workers.map(parentOf));
      return workers.filter((_, at) => raylets.includes(parents[at] ?? 0));
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function parentOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}
