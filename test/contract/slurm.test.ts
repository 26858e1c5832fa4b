import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { PackagesUnavailable } from '../../scripts/setup/debian.ts';
import type { Peer } from '../../src/engine/runtime.ts';
import { chooseRuntime } from '../../src/runtime/choose.ts';
import { launchOf, processesWith, runtimeOptions, until } from '../support/runtimes.ts';
import { type Slurm, startSlurm } from '../support/slurm.ts';

/* The launcher `srun`, with a real Slurm of one node: what is Slurm's own about it. */

let slurm: Slurm | undefined;
let why = '';
before(async () => {
  try {
    slurm = await startSlurm();
  } catch (error) {
    if (!(error instanceof PackagesUnavailable)) throw error;
    why = error.message;
  }
});
after(() => slurm?.[Symbol.asyncDispose]());

describe('launcher runtime through Slurm', () => {
  const withSlurm = (
    name: string,
    program: string,
    work: (peer: Peer, own: Slurm) => Promise<void>,
    environment: Readonly<Record<string, string>> = {},
  ) =>
    test(name, async (t) => {
      if (slurm === undefined) return t.skip(`NEEDS Slurm: ${why}`);
      await using runtime = await chooseRuntime(
        runtimeOptions({
          ...{ choice: 'launcher', launch: launchOf(slurm.srun) },
          environment: { ...runtimeOptions().environment, ...environment },
        }),
      );
      await using peer = await runtime.start(program);
      await work(peer, slurm);
    });
  const idle = (own: Slurm) => until(async () => (await own.jobs()).length === 0, 'nothing is allocated', 15);

  withSlurm(
    'runs in an allocation, tells its exit code, and is handed nothing of the job',
    `import os, sys
print(os.environ.get("SLURM_JOB_ID"), os.environ.get("GITHUB_TOKEN"), len(sys.stdin.buffer.read()))
sys.exit(7)`,
    async (peer, own) => {
      peer.stdin.end(Buffer.alloc(3_000_000));
      assert.equal(await text(peer.stdout), 'None None 3000000\n');
      assert.deepEqual(await peer.exit, { code: 7, signal: null, outOfMemory: false });
      await idle(own);
    },
    { GITHUB_TOKEN: 'ghs_secret' },
  );

  const mark = randomUUID();
  withSlurm(
    'leaves nothing where its allocation is cancelled',
    `# ${mark}
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600) # ${mark}"], start_new_session=True)
print(os.getcwd(), flush=True)
time.sleep(600)`,
    async (peer, own) => {
      const [folder] = (await once(peer.stdout, 'data')) as [Buffer];
      const [job = ''] = await own.jobs();
      await own.cancel(job);
      const exit = await peer.exit;
      // Slurm lets it end in an orderly way, or kills it: no engine's death either way that anybody could take for a result.
      assert.ok(exit.lost?.code === 'launcher-lost' || exit.signal === 'SIGTERM', JSON.stringify(exit));
      await until(async () => (await processesWith(mark)).length === 0, 'all of it has gone', 15);
      await idle(own);
      if (exit.lost === undefined) await assert.rejects(readdir(String(folder).trim()), { code: 'ENOENT' });
    },
  );

  withSlurm(
    'gives its allocation back when it is disposed of',
    'import time; print("up", flush=True); time.sleep(600)',
    async (peer, own) => {
      await once(peer.stdout, 'data');
      assert.equal((await own.jobs()).length, 1);
      await peer[Symbol.asyncDispose]();
      await idle(own);
    },
  );
});
