import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, readFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, type TestContext, test } from 'node:test';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import { ensureTinyImage } from '../../scripts/setup/image.ts';
import { openRecord } from '../../src/disk/record-folder.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { assertFault } from '../e2e/support/faults.ts';
import { stepHere } from '../e2e/support/here.ts';
import { type Outcome, type Runner, runStep } from '../e2e/support/spawn.ts';
import { checkout, type SuiteOptions, suite } from '../e2e/support/suites.ts';
import { hosted } from '../e2e/support/trust.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { aHubModel, type HubModel, startHub } from '../support/hub-server.ts';
import { OneProcess } from '../support/one-process.ts';
import { tried } from '../support/tried.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

const PROCESS = { runtime: 'process' } as const;
/** An engine that can write to what the job can. */
const BESIDE = { ...PROCESS, isolation: 'none' } as const;
const TOKEN = 'hf_that-nobody-may-see';
/** Nobody listens there. */
const AWAY = 'http://127.0.0.1:1';

const sourceOf = ({ id, revision }: HubModel) => ({ id, revision });
const sha256 = (content: string | Buffer) => createHash('sha256').update(content).digest('hex');

/** What a run says that it measured. */
async function filesOf({ outputs, log }: Outcome): Promise<Readonly<Record<string, string>>> {
  assert.equal(outputs['error-code'] ?? '', '', log);
  const { record } = await openRecord(outputs['record-path'] ?? '');
  return Object.fromEntries(
    record.fingerprint.declared.model.files.map(({ path, sha256: digest }) => [path, digest]),
  );
}

const expected = ({ files }: HubModel) =>
  Object.fromEntries(
    Object.entries(files)
      .filter(([path]) => !/README|\.bin$/.test(path))
      .map(([path, content]) => [path, sha256(content)]),
  );

/** A Python that an image might bring: it is given the harness, and runs what it likes in its place. */
async function pythonOf(runner: Runner, body: string): Promise<string> {
  const path = join(runner.home, 'python');
  await runner.write(join('../../../home/python'), `#!/usr/bin/python3\n${HARNESS}\n${body}`);
  await chmod(path, 0o755);
  return path;
}

/** Reads what the host sends first, and can speak for the harness. */
const HARNESS = `import json, os, subprocess, sys
def line():
    text = b""
    while not text.endswith(b"\\n"):
        text += os.read(0, 1)
    return text
def exactly(count):
    text = b""
    while len(text) < count:
        text += os.read(0, count - len(text))
    return text
start = json.loads(exactly(int(line())))
seq = 0
def emit(event, **more):
    global seq
    os.write(1, (json.dumps({"nonce": start["nonce"], "seq": seq, "event": event, **more}) + "\\n").encode())
    seq += 1
`;

/** The real harness, but every digest that it tells is forged. */
const FORGER = `
name = "deterministic_ml/harness/digests.py"
honest = start["files"][name]
start["files"][name] = honest.replace("after.st_size, sha256", 'after.st_size, "ab" * 32')
assert start["files"][name] != honest
body = json.dumps(start).encode()
child = subprocess.Popen([sys.executable, *sys.argv[1:]], stdin=subprocess.PIPE)
child.stdin.write(b"%d\\n" % len(body) + body)
child.stdin.flush()
while block := os.read(0, 65536):
    child.stdin.write(block)
    child.stdin.flush()
child.stdin.close()
sys.exit(child.wait())
`;

/** Says what an image can lay its hands on, and poisons what it can. */
const THIEF = `
emit("hello", protocol=start["protocol"], pid=1, python="3")
found = {"uid": os.getuid(), "net": os.listdir("/sys/class/net"), "secret": [k for k in os.environ if "TOKEN" in k]}
model = start["task"]["model"]
try:
    open(model + "/config.json", "w").write('{"poisoned": true}')
    found["wrote"] = True
except OSError:
    found["wrote"] = False
emit("error", code="engine-failed", message="FOUND " + json.dumps(found, sort_keys=True))
`;

describe('a model of the hub', () => {
  tried(
    'hub’s token taken by a model’s code',
    'code in the engine that prints its whole environment',
    'the action fetches in its own process: the engine sees the model, and neither token nor hub',
    async () => {
      const model = aHubModel();
      await using hub = await startHub(model, { token: TOKEN });
      await using runner = await checkout({
        hub: sourceOf(model),
        args: { on_load: 'print("ENV", sorted(os.environ.items()))' },
      });
      const outcome = await runStep(action, runner, {
        with: { ...PROCESS, 'hub-token': TOKEN },
        env: { HF_ENDPOINT: hub.endpoint },
      });
      assert.deepEqual(await filesOf(outcome), expected(model));
      const printed = await readFile(`${outcome.outputs['record-path']}.log`, 'utf8');
      assert.match(printed, /ENV/);
      for (const text of [printed, outcome.log, outcome.summary]) assert.ok(!text.includes(TOKEN));
      assert.ok(!printed.includes(hub.endpoint));
      assert.match(outcome.log, /Fetching org\/tiny at [0-9a-f]{40} into /);
    },
  );

  test('that the hub refuses is an error, with the hub’s words and without the token', async () => {
    const model = aHubModel();
    await using hub = await startHub(model, { token: 'another' });
    await using runner = await checkout({ hub: sourceOf(model) });
    const outcome = await runStep(action, runner, {
      with: { ...PROCESS, 'hub-token': TOKEN },
      env: { HF_ENDPOINT: hub.endpoint },
    });
    await assertFault(outcome, runner, {
      code: 'model-fetch-failed',
      says: /org\/tiny.*does not take the token.*Invalid credentials/,
      advises: /hub-token/,
    });
    assert.ok(!outcome.log.includes(TOKEN));
  });

  test('is fetched from a terminal with HF_TOKEN, shown by `clean`, and deleted once nobody uses it', async () => {
    const model = aHubModel();
    await using hub = await startHub(model, { token: TOKEN });
    await using runner = await checkout({ hub: sourceOf(model) });
    await using there = new OneProcess(runner.workspace, {
      ...{ HF_TOKEN: TOKEN, HF_ENDPOINT: hub.endpoint, HOME: runner.home, TMPDIR: runner.temp },
      PATH: process.env['PATH'] ?? '',
    });
    const cli = (...words: string[]) => there.run(join(action.path, 'dist/cli.js'), words);
    const { stdout, stderr } = await cli('fingerprint', 'determinism.yml', '--runtime', 'process', '--json');
    assert.match(stdout, new RegExp(sha256(model.files['model.safetensors'] ?? '')), stderr);

    const shown = await cli('clean');
    const [, folder = ''] = /^kept: model, .*: (\/.*)$/m.exec(shown.stdout) ?? [];
    assert.match(folder, new RegExp(`${model.revision}$`), shown.stdout);
    // What was just used is no day old.
    assert.match((await cli('clean', '1')).stdout, /^Removed 0 folders, .*; kept 1 folder/m);
    const old = new Date('2020-01-01');
    await utimes(`${folder}.json`, old, old);
    assert.match((await cli('clean', '30')).stdout, /^Removed 1 folder, .*; kept 0 folders/m);
    await assert.rejects(readFile(join(folder, 'config.json')), { code: 'ENOENT' });
    const wrong = await cli('clean', 'all');
    assert.deepEqual([wrong.exitCode, /^input-invalid: /.test(wrong.stderr)], [2, true], wrong.stderr);
  });
});

describe('an image', () => {
  tried(
    'hub’s token taken by an image',
    'the hub’s token taken, or the model of other runs changed, by an image that a pull request or another repository names',
    'the action itself fetches, for each repository apart; no image has the network, a token, or a model that it can write to',
    async (t) => {
      const given = await docker(t);
      if (given === undefined) return;
      const { env, honest, thief } = given;
      const model = aHubModel();
      await using hub = await startHub(model, { token: TOKEN });
      const asked = { env: { ...env, HF_ENDPOINT: hub.endpoint }, with: { 'hub-token': TOKEN } };
      const found = { net: ['lo'], secret: [], uid: 1000, wrote: false };
      const assertNothingFound = ({ log }: Outcome) => {
        const [, told = '{}'] = /FOUND (\{.*?\})/.exec(log) ?? [];
        const { uid, ...rest } = JSON.parse(told) as Record<string, unknown>;
        const { uid: _, ...none } = found;
        assert.notEqual(uid, 0, log);
        assert.deepEqual(rest, none, log);
        assert.ok(!log.includes(TOKEN));
      };
      const inImage = (image: string): SuiteOptions => ({
        hub: sourceOf(model),
        runtime: { image, shm: '8MiB' },
      });

      await using pull = await hosted(action, { base: inImage(honest) });
      assertNothingFound(
        await pull.step({ ...asked, suite: inImage(thief), with: { ...asked.with, runtime: 'docker' } }),
      );

      // One machine, whose state outlives its jobs.
      await using runner = await checkout(inImage(thief));
      const stranger = { event: 'push', ref: 'refs/heads/feature' };
      const someone = { ...asked, env: { ...asked.env, GITHUB_REPOSITORY: 'some/one' } };
      assertNothingFound(await runStep(action, runner, { ...someone, ...stranger }));
      assertNothingFound(await runStep(action, runner, { ...asked, ...stranger }));

      await runner.write('determinism.yml', suite(inImage(honest)));
      const refresh = { event: 'workflow_dispatch', with: { mode: 'refresh', reason: 'first' } };
      const trusted = await runStep(action, runner, { ...refresh, env: { ...env, HF_ENDPOINT: AWAY } });
      assert.deepEqual(await filesOf(trusted), expected(model), 'what this machine itself fetched');
    },
  );
});

describe('the digests of a model', () => {
  tried(
    'model’s digests forged',
    'digests of the weights forged by an engine, for itself or for later runs',
    'this machine digests the files itself; what an engine tells must be equal, and is never remembered',
    async () => {
      await using runner = await checkout();
      const forging = await pythonOf(runner, FORGER);
      const forged = await runStep(action, runner, {
        event: 'push',
        ref: 'refs/heads/feature',
        with: { ...PROCESS, python: forging },
      });
      await assertFault(forged, runner, {
        code: 'model-changed',
        says: /does not see the model that this machine has: config\.json/,
        advises: /nothing write/,
      });
      const next = await stepHere(action, runner, {
        event: 'workflow_dispatch',
        with: { ...PROCESS, mode: 'refresh', reason: 'x' },
      });
      assert.deepEqual(await filesOf(next), { 'config.json': sha256('{}\n') });
    },
  );

  tried(
    'model changed between digest and load',
    'weights changed after they were digested, and before they are loaded',
    'files must be the same after the load as when they were digested',
    async () => {
      await using runner = await checkout();
      const file = join(runner.workspace, 'model/config.json');
      await runner.write(
        'determinism.yml',
        suite({ args: { on_load: `open(${JSON.stringify(file)}, "a").write(" ")` } }),
      );
      const outcome = await stepHere(action, runner, { with: BESIDE });
      await assertFault(outcome, runner, {
        code: 'model-changed',
        says: /config\.json changed while it was loaded/,
        advises: /run again/,
      });
    },
  );

  test('are the same at each engine start', async () => {
    await using runner = await checkout();
    const file = join(runner.workspace, 'model/config.json');
    await runner.write(
      'determinism.yml',
      suite({ lifetimes: 2, args: { on_close: `open(${JSON.stringify(file)}, "a").write(" ")` } }),
    );
    const outcome = await stepHere(action, runner, {
      event: 'workflow_dispatch',
      with: { ...BESIDE, mode: 'refresh', reason: 'x' },
    });
    await assertFault(outcome, runner, {
      code: 'model-changed',
      says: /config\.json is not the same there/,
      advises: /nothing write/,
    });
  });
});

interface Images {
  readonly env: Readonly<Record<string, string>>;
  /** Ids. */
  readonly honest: string;
  readonly thief: string;
}

async function docker(t: TestContext): Promise<Images | undefined> {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return undefined;
  const { imageId } = await ensureTinyImage(daemon);
  const env = { DOCKER_HOST: daemon.host };
  const client = await connect(env);
  const thief = await imageWith(client, imageId, `#!/usr/bin/python3\n${HARNESS}${THIEF}`);
  t.after(() => client.getImage(thief).remove({ force: true }));
  return { env, honest: imageId, thief };
}

/** An image whose `python3` is another program. */
async function imageWith(client: Docker, base: string, python: string): Promise<string> {
  const container = await client.createContainer({ Image: base, Cmd: ['true'] });
  const tar = pack();
  tar.entry({ name: 'python3', mode: 0o755 }, python);
  tar.finalize();
  await container.putArchive(Readable.from(tar), { path: '/usr/local/bin' });
  const made: unknown = await container.commit();
  await container.remove();
  const id = /sha256:[0-9a-f]{64}/.exec(JSON.stringify(made))?.[0];
  assert.ok(id);
  return id;
}
