import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Peer } from '../../src/engine/runtime.ts';
import { chooseRuntime, type RuntimeOptions } from '../../src/runtime/choose.ts';
import { models, processesWith, runtimeOptions, temporaryFolder, until } from '../support/runtimes.ts';

/** What a runtime needs on top of a test's own options; undefined when the test is skipped. */
export type Bench = (t: TestContext) => Promise<Partial<RuntimeOptions> | undefined>;

const CLIENT = fileURLToPath(new URL('../support/client.ts', import.meta.url));

/** What a host may rely on, whichever runtime it has. */
export function runtimeContract(name: string, bench: Bench): void {
  const withPeer =
    (boot: string, body: (peer: Peer) => Promise<void>, overrides: Partial<RuntimeOptions> = {}) =>
    async (t: TestContext) => {
      const options = await bench(t);
      if (options === undefined) return;
      const environment = { ...overrides.environment, ...options.environment };
      await using runtime = await chooseRuntime(
        runtimeOptions({
          ...options,
          ...overrides,
          ...(Object.keys(environment).length > 0 && { environment }),
        }),
      );
      await using peer = await runtime.start(boot);
      await body(peer);
    };

  describe(`${name} runtime: the port`, () => {
    test(
      'carries 8 MB both ways, byte for byte',
      withPeer(
        'import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)',
        async (peer) => {
          const sent = randomBytes(8 * 1024 * 1024);
          peer.stdin.end(sent);
          const [received, noise] = await Promise.all([buffer(peer.stdout), buffer(peer.stderr)]);
          assert.ok(received.equals(sent), 'what came back is what was sent');
          assert.equal(noise.length, 0);
          assert.deepEqual(await peer.exit, { code: 0, signal: null, outOfMemory: false });
        },
      ),
    );

    test(
      'keeps stderr apart from stdout, and both to the end',
      withPeer(
        `import sys
for i in range(20000):
    print("out", i)
    print("err", i, file=sys.stderr)`,
        async (peer) => {
          const expected = (word: string) =>
            Array.from({ length: 20_000 }, (_, i) => `${word} ${i}\n`).join('');
          const [out, err] = await Promise.all([text(peer.stdout), text(peer.stderr)]);
          assert.equal(out, expected('out'));
          assert.equal(err, expected('err'));
        },
      ),
    );

    test(
      'tells the exit code',
      withPeer('raise SystemExit(3)', async (peer) => {
        assert.deepEqual(await peer.exit, { code: 3, signal: null, outOfMemory: false });
      }),
    );

    test(
      'names the signal that ended it',
      withPeer('import os, signal; os.kill(os.getpid(), signal.SIGILL)', async (peer) => {
        const { signal, outOfMemory } = await peer.exit;
        assert.equal(signal, 'SIGILL');
        assert.equal(outOfMemory, false);
      }),
    );

    test(
      'closing stdin is seen as its end',
      withPeer('import sys; print(repr(sys.stdin.read()))', async (peer) => {
        peer.stdin.end('so far');
        assert.equal(await text(peer.stdout), "'so far'\n");
      }),
    );

    test(
      'writing to one that is gone harms nobody',
      withPeer('pass', async (peer) => {
        await peer.exit;
        peer.stdin.write('x'.repeat(1024 * 1024));
        peer.stdin.end();
      }),
    );

    test('sees nothing of the job’s secrets and inputs', async (t) => {
      const secrets = {
        GITHUB_TOKEN: 'ghs_secret-1',
        GITHUB_EVENT_PATH: '/secret-2',
        ACTIONS_RUNTIME_TOKEN: 'secret-3',
        ACTIONS_RESULTS_URL: 'https://secret-4',
        INPUT_SUITE: 'secret-5',
        HF_TOKEN: 'hf_secret-6',
        AWS_SECRET_ACCESS_KEY: 'secret-7',
        MY_DEPLOY_KEY: 'secret-8',
        VLLM_API_KEY: 'secret-9',
        RUNNER_TEMP: '/secret-10',
        SSH_AUTH_SOCK: '/secret-11',
      };
      const environment = { ...runtimeOptions().environment, ...secrets };
      const run = withPeer(
        'import os, json; print(json.dumps(dict(os.environ)))',
        async (peer) => {
          const seen = await text(peer.stdout);
          assert.match(seen, /"PATH"/);
          assert.doesNotMatch(seen, /secret-/);
        },
        {
          environment,
          models: models({ hub: { token: 'hf_secret-12', endpoint: 'https://secret-13', environment } }),
        },
      );
      await run(t);
    });

    test(
      'keeps caches in a folder of its own that can be written and executed from',
      withPeer(
        `import os, stat, subprocess, tempfile
for name in ("HOME", "HF_HOME", "VLLM_CACHE_ROOT", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "XDG_CACHE_HOME"):
    os.makedirs(os.environ[name], exist_ok=True)
path = os.path.join(tempfile.gettempdir(), "program")
with open(path, "w") as file: file.write("#!/bin/sh\\necho ran")
os.chmod(path, 0o755)
subprocess.run([path], check=True)`,
        async (peer) => {
          const [out, err] = await Promise.all([text(peer.stdout), text(peer.stderr)]);
          assert.equal(err, '');
          assert.equal(out, 'ran\n');
        },
      ),
    );

    test('disposing stops it and its children, though they ignore SIGTERM, hang and print', async (t) => {
      const options = await bench(t);
      if (options === undefined) return;
      const mark = randomUUID();
      await using runtime = await chooseRuntime(runtimeOptions(options));
      {
        await using peer = await runtime.start(`# ${mark}
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.fork()
os.fork()
while True: sys.stdout.write("busy" * 100 + "\\n")`);
        await once(peer.stdout, 'readable');
        await until(async () => (await processesWith(mark)).length >= 4, 'all four are at work');
      }
      await until(async () => (await processesWith(mark)).length === 0, 'none of them is left', 5);
    });

    test('disposing tells the exit too, which nobody takes for a lack of memory', async (t) => {
      const options = await bench(t);
      if (options === undefined) return;
      await using runtime = await chooseRuntime(runtimeOptions(options));
      const peer = await runtime.start('import time; print("up", flush=True); time.sleep(600)');
      await once(peer.stdout, 'readable');
      await Promise.all([peer[Symbol.asyncDispose](), peer[Symbol.asyncDispose]()]);
      const { signal, outOfMemory } = await peer.exit;
      assert.equal(outOfMemory, false);
      assert.ok(signal === 'SIGKILL' || signal === null);
      assert.match(await text(peer.stdout), /^up/);
    });

    test('`kill -9` of the host leaves nothing running', async (t) => {
      const options = await bench(t);
      if (options === undefined) return;
      const mark = randomUUID();
      const boot = `# ${mark}
import sys
print("up", flush=True)
sys.stdin.read()`;
      const client = spawn(process.execPath, [CLIENT, JSON.stringify(options), boot], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await firstOutput(client);
      const hosts = [client.pid];
      const peers = async () => (await processesWith(mark)).filter((pid) => !hosts.includes(pid));
      assert.notEqual((await peers()).length, 0, 'the peer runs');
      client.kill('SIGKILL');
      await once(client, 'exit');
      await until(async () => (await peers()).length === 0, 'the peer has ended by itself');
    });

    test('a model folder is given as the engine sees it', async (t) => {
      const options = await bench(t);
      if (options === undefined) return;
      await using folder = await temporaryFolder();
      await writeFile(join(folder.path, 'config.json'), '{"a": 1}');
      await using runtime = await chooseRuntime(runtimeOptions(options));
      // mkdtemp makes it for its owner alone, and the engine is another user where the runner is root.
      await chmod(folder.path, 0o755);
      const { folder: model } = await runtime.provideModel({ kind: 'path', path: folder.path });
      await using peer = await runtime.start(`print(open("${model}/config.json").read())`);
      assert.equal(await text(peer.stdout), '{"a": 1}\n');
    });

    test('a model folder that is not there is named', async (t) => {
      const options = await bench(t);
      // Of another machine's folders this one knows nothing: the harness there tells.
      if (options === undefined || options.choice === 'launcher') return;
      await using folder = await temporaryFolder();
      await using runtime = await chooseRuntime(runtimeOptions(options));
      const provide = (path: string) => runtime.provideModel({ kind: 'path', path });
      await assert.rejects(provide(join(folder.path, 'nowhere')), {
        code: 'model-missing',
        message: /nowhere/,
      });
      await assert.rejects(provide(folder.path), { code: 'model-missing', message: /config\.json/ });
    });
  });
}

async function firstOutput(child: ChildProcess): Promise<void> {
  assert.ok(child.stdout);
  await once(child.stdout, 'data');
}
