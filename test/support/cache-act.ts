import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { ensureTools } from '../../scripts/setup/tools.ts';
import type { BaselineKey } from '../../src/baseline/port.ts';

/** What one job in act does with the store; see cache-job.ts. */
export interface Job {
  readonly what: 'find' | 'save';
  readonly key: BaselineKey;
  readonly folder?: string;
  readonly replaces?: string;
}

export function job(what: Job['what'], key: BaselineKey, rest: Pick<Job, 'folder' | 'replaces'> = {}): Job {
  return { what, key, ...rest };
}

export interface Act {
  /** Runs one workflow of one job and gives what it wrote. All share one cache. */
  run(job: Job): Promise<Record<string, unknown>>;
}

/** act keeps its cache server only as long as a workflow runs, but the cache itself in a folder. */
export async function startAct(folder: string): Promise<Act> {
  const act = join(await ensureTools(), 'bin/act');
  const script = fileURLToPath(new URL('./cache-job.ts', import.meta.url));
  return {
    async run(job) {
      const place = join(folder, `run-${randomUUID()}`);
      await mkdir(place);
      const [asked, answer] = [join(place, 'job.json'), join(place, 'answer.json')];
      await writeFile(asked, JSON.stringify(job));
      const step = { run: `node '${script}' '${asked}' '${answer}'` };
      const workflow = { on: 'workflow_dispatch', jobs: { a: { 'runs-on': 'self-hosted', steps: [step] } } };
      // JSON is YAML.
      await writeFile(join(place, 'workflow.yml'), JSON.stringify(workflow));
      const local = ['--cache-server-addr', '127.0.0.1', '--artifact-server-addr', '127.0.0.1'];
      const { all, failed } = await execa(
        act,
        [
          ...['workflow_dispatch', '-C', place, '-W', join(place, 'workflow.yml')],
          ...['-P', 'self-hosted=-self-hosted', ...local],
          ...['--cache-server-path', join(folder, 'cache'), '--action-cache-path', join(folder, 'work')],
          // Without an artifact server there is no ACTIONS_RUNTIME_TOKEN.
          ...['--artifact-server-path', join(folder, 'artifacts')],
          ...['--artifact-server-port', String(await freePort())],
        ],
        {
          all: true,
          reject: false,
          stdin: 'ignore',
          env: { PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter) },
        },
      );
      if (failed) throw new Error(all);
      const written: unknown = JSON.parse(await readFile(answer, 'utf8'));
      return { ...(typeof written === 'object' ? written : {}) };
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port is free');
  return address.port;
}
