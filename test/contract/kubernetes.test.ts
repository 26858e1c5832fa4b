import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import type { Peer } from '../../src/engine/runtime.ts';
import { chooseRuntime } from '../../src/runtime/choose.ts';
import { type Certificates, certificates } from '../support/certificates.ts';
import { type Cluster, LOOKER, startCluster } from '../support/kubernetes.ts';
import { launchOf, processesWith, runtimeOptions, temporaryFolder, until } from '../support/runtimes.ts';

/* The real `kubectl exec -i` as a launcher, against an API that stands for a cluster's. */

const owned = new AsyncDisposableStack();
let cluster: Cluster;
let other: Certificates;
let why: string | undefined;
before(async () => {
  const { stdout = '', failed } = await execa('kubectl', ['version', '--client'], { reject: false });
  const [, minor = ''] = /Client Version: v1\.(\d+)/.exec(stdout) ?? [];
  // Older ones speak a protocol of their own (SPDY) alone.
  if (failed || Number(minor) < 31) why = 'NEEDS kubectl 1.31 or later';
  const { path } = owned.use(await temporaryFolder());
  const own = await certificates(path, 'own');
  other = await certificates(path, 'other');
  cluster = owned.use(await startCluster(path, own));
});
after(() => owned.disposeAsync());

describe('launcher runtime through kubectl', () => {
  const through = (
    name: string,
    asked: Parameters<Cluster['kubectl']>[0] | (() => Parameters<Cluster['kubectl']>[0]),
    program: string,
    work: (peer: Peer, words: string) => Promise<void>,
  ) =>
    test(name, async (t) => {
      if (why !== undefined) return t.skip(why);
      const words = await cluster.kubectl(typeof asked === 'function' ? asked() : asked);
      await using runtime = await chooseRuntime(
        runtimeOptions({ choice: 'launcher', launch: launchOf(words) }),
      );
      await using peer = await runtime.start(program);
      await work(peer, words);
    });

  through(
    'carries both ways, keeps stderr apart and tells the exit code',
    {},
    'import sys; print(len(sys.stdin.buffer.read())); print("apart", file=sys.stderr); sys.exit(7)',
    async (peer) => {
      peer.stdin.end(Buffer.alloc(3_000_000));
      const [out, err] = await Promise.all([text(peer.stdout), text(peer.stderr)]);
      // kubectl has a word of its own about an exit code.
      assert.deepEqual([out, err.split('\n')[0]], ['3000000\n', 'apart']);
      assert.deepEqual(await peer.exit, { code: 7, signal: null, outOfMemory: false });
    },
  );

  const STUBBORN = (mark: string) => `# ${mark}
import signal
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
print("up", flush=True)
while True: signal.pause()`;
  const killed = async (words: string) => {
    const [, config = ''] = /--kubeconfig=(\S+)/.exec(words) ?? [];
    for (const pid of await processesWith(config)) process.kill(pid, 'SIGKILL');
  };
  for (const [what, end] of [
    ['kubectl is killed', killed],
    ['the line breaks', async () => cluster.cut()],
  ] as const) {
    const mark = randomUUID();
    through(`leaves nothing there where ${what}`, {}, STUBBORN(mark), async (peer, words) => {
      await once(peer.stdout, 'data');
      await end(words);
      assert.equal((await peer.exit).lost?.code, 'launcher-lost');
      await until(async () => (await processesWith(mark)).length === 0, 'the pod’s engine has gone', 10);
    });
  }

  for (const [what, asked, code] of [
    ['a token that nobody has', { token: 'nobody' }, 'launcher-refused'],
    ['a token that may start nothing', { token: LOOKER }, 'launcher-refused'],
    ['a cluster of another authority', () => ({ ca: other.ca.toString() }), 'launcher-untrusted'],
    ['a pod that is not there', { pod: 'no-pod' }, 'launcher-failed'],
  ] as const)
    through(`names ${what}`, asked, 'print("ran")', async (peer) => {
      assert.equal(await text(peer.stdout), '');
      const { lost } = await peer.exit;
      assert.equal(lost?.code, code, JSON.stringify(lost));
    });
});
