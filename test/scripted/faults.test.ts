import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cp, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { execa } from 'execa';
import { ensureTinyImage } from '../../scripts/setup/image.ts';
import { openRecord } from '../../src/disk/record-folder.ts';
import { channelOf } from '../../src/record/channels.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { assertFault, type Fault, leftovers } from '../e2e/support/faults.ts';
import { stepHere } from '../e2e/support/here.ts';
import { trustedIn } from '../e2e/support/looked-at.ts';
import { reportOf } from '../e2e/support/reports.ts';
import { aRunner, type Outcome, type Runner, runStep, Step, type StepOptions } from '../e2e/support/spawn.ts';
import {
  BASELINES,
  checkout,
  processesOf,
  StoredOnce,
  type SuiteOptions,
  suite,
} from '../e2e/support/suites.ts';
import { bytesBelow } from '../support/cache-baseline.ts';
import { startServer } from '../support/cache-bench.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { fault } from '../support/fault.ts';
import { rewriteRecord } from '../support/rewrite-record.ts';
import { temporaryFolder, until } from '../support/runtimes.ts';
import { withTree } from '../unit/support/records.ts';
import { rejectedBy } from '../unit/support/suites.ts';

let scripted: Action;
let real: Action;

before(async () => {
  [scripted, real] = await Promise.all([builtAction('scripted'), builtAction('vllm')]);
});
after(async () => {
  await baselines[Symbol.asyncDispose]();
  await scripted[Symbol.asyncDispose]();
  await real[Symbol.asyncDispose]();
});

const PROCESS = { runtime: 'process' } as const;
const refresh = (action: Action, runner: Runner, options: StepOptions = {}): Promise<Outcome> =>
  stepHere(action, runner, {
    event: 'workflow_dispatch',
    ...options,
    with: { ...PROCESS, mode: 'refresh', reason: 'first one', ...options.with },
  });

const baselines = new StoredOnce((runner) => refresh(scripted, runner));

/** A daemon and its smallest image, for suites that run in a container; undefined when the test is skipped. */
async function containers(t: TestContext) {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return undefined;
  const { imageId } = await ensureTinyImage(daemon);
  const env = { DOCKER_HOST: daemon.host };
  return { env, image: imageId, docker: await connect(env) };
}

describe('what is wrong before anything starts', () => {
  test('no suite', async () => {
    await using runner = await aRunner();
    await assertFault(await runStep(scripted, runner), runner, {
      code: 'suite-missing',
      says: /determinism\.yml does not exist/,
      advises: /actions\/checkout/,
    });
  });

  test('inputs: all problems at once', async () => {
    await using runner = await aRunner();
    const inputs = { mode: 'chekc', runtime: 'podman', 'timeout-minutes': 'soon', 'gpu-devices': '0,GTX' };
    await assertFault(await stepHere(scripted, runner, { with: inputs }), runner, {
      code: 'input-invalid',
      says: /4 inputs are wrong:\n.*chekc.*\n.*podman.*\n.*timeout-minutes.*\n.*GTX/,
      advises: /`with:`/,
    });
  });

  test('an invalid suite: all problems, each at its line', async () => {
    await using runner = await aRunner();
    await runner.write(
      'suites/gpu.yml',
      `apiVersion: deterministic-ml/v1
name: has spaces
model: { path: ./model }
engine: { name: vlmm, argz: {} }
sampling: { temperature: 0 }
prompts:
  - { id: a, text: x }
  - { id: a, text: y, file: z }
`,
    );
    const outcome = await stepHere(scripted, runner, { with: { suite: 'suites/gpu.yml' } });
    await assertFault(outcome, runner, {
      code: 'suite-invalid',
      says: /suites\/gpu\.yml has \d problems:/,
      advises: /docs\/suite\.md/,
    });
    const annotated = outcome.commands.filter(({ properties }) => properties['file'] === 'suites/gpu.yml');
    const at = (line: string) =>
      annotated.filter(({ properties }) => properties['line'] === line).map(({ data }) => data);
    assert.match(at('2').join(), /suite name must be/);
    assert.match(at('4').join(), /`engine\.name` must be one of `vllm`, `transformers`/);
    assert.match(at('4').join(), /did you mean `args`/);
    assert.match(at('5').join(), /max_tokens/);
    assert.match(at('8').join(), /exactly one of/);
    assert.match(at('8').join(), /used twice/);
  });

  test('an image without a digest', async () => {
    await using runner = await checkout({ runtime: { image: 'vllm/vllm-openai:latest' } });
    await assertFault(await stepHere(scripted, runner), runner, {
      code: 'image-not-pinned',
      says: /vllm\/vllm-openai:latest/,
      advises: /imagetools inspect vllm\/vllm-openai:latest/,
    });
  });

  test('a model path that is not there', async () => {
    await using runner = await checkout({ model: '../models/llama' });
    await assertFault(await stepHere(scripted, runner, { with: PROCESS }), runner, {
      code: 'model-missing',
      says: /models\/llama does not exist/,
      advises: /`model\.path`/,
    });
  });

  test('Docker that is not installed, and one that is not running', async () => {
    await using folder = await temporaryFolder();
    await using runner = await checkout({ runtime: { image: `x@sha256:${'0'.repeat(64)}` } });
    const missing = join(folder.path, 'nobody.sock');
    await assertFault(
      await stepHere(scripted, runner, { env: { DOCKER_HOST: `unix://${missing}` } }),
      runner,
      {
        code: 'docker-unavailable',
        says: /no Docker daemon on this machine.*nobody\.sock/,
        advises: /systemctl start docker/,
      },
    );
    // Renamed while it is open, the socket stays when its server closes it.
    const server = createServer().listen(join(folder.path, 'live.sock'));
    await once(server, 'listening');
    const dead = join(folder.path, 'dead.sock');
    await rename(join(folder.path, 'live.sock'), dead);
    server.close();
    await once(server, 'close');
    await assertFault(await stepHere(scripted, runner, { env: { DOCKER_HOST: `unix://${dead}` } }), runner, {
      code: 'docker-unavailable',
      says: /not running.*dead\.sock/,
      advises: /systemctl start docker/,
    });
  });

  fault(
    'registry refuses',
    'a registry that wants a login, and an image that is not there',
    'an error with what helps, before any engine',
    async (t) => {
      const bench = await containers(t);
      if (bench === undefined) return;
      const { env, docker } = bench;
      await using runner = await checkout({ runtime: { image: `127.0.0.1:1/x@sha256:${'0'.repeat(64)}` } });
      await assertFault(
        await runStep(scripted, runner, { env }),
        runner,
        {
          code: 'image-pull-failed',
          says: /127\.0\.0\.1:1\/x@sha256:0+/,
          advises: /docker pull 127\.0\.0\.1:1/,
        },
        docker,
      );
      await runner.write('determinism.yml', suite({ runtime: { image: `sha256:${'0'.repeat(64)}` } }));
      await assertFault(
        await runStep(scripted, runner, { env }),
        runner,
        { code: 'image-pull-failed', says: /no image with the id sha256:0+/, advises: /docker load/ },
        docker,
      );
    },
  );

  test('a Python that is not there, and one without vLLM', async () => {
    await using runner = await checkout();
    await assertFault(
      await stepHere(real, runner, { with: { ...PROCESS, python: '/opt/venv/bin/python' } }),
      runner,
      { code: 'runtime-unavailable', says: /\/opt\/venv\/bin\/python/, advises: /`python` input/ },
    );
    await assertFault(await stepHere(real, runner, { with: PROCESS }), runner, {
      code: 'engine-missing',
      says: /no package `vllm`/,
      advises: /`python` input/,
    });
  });

  test('a place for the record where none can be', async () => {
    await using runner = await checkout();
    const outcome = await stepHere(scripted, runner, {
      with: { ...PROCESS, 'record-path': 'determinism.yml/record' },
    });
    await assertFault(outcome, runner, {
      code: 'input-invalid',
      says: /determinism\.yml for this run's record cannot be made/,
      advises: /`record-path`/,
    });
  });

  test('a refresh from a pull request', async () => {
    await using runner = await checkout();
    await assertFault(await refresh(scripted, runner, { event: 'pull_request' }), runner, {
      code: 'refresh-not-allowed',
      says: /`pull_request`/,
      advises: /workflow_dispatch/,
    });
    assert.deepEqual(await readdir(runner.workspace), ['determinism.yml', 'model']);
  });
});

/** `ud2`, as compiled code for another CPU would be. */
const ILLEGAL_INSTRUCTION = `import mmap
page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("0f0b"))
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()`;

describe('an engine', () => {
  const ends = (
    t: TestContext,
    what: string,
    args: NonNullable<SuiteOptions['args']>,
    expected: Fault,
    inputs: StepOptions['with'] = {},
    step = stepHere,
  ) =>
    t.test(what, async () => {
      await using runner = await checkout({ args });
      const outcome = await step(scripted, runner, { with: { ...PROCESS, ...inputs } });
      await assertFault(outcome, runner, expected);
    });

  fault(
    'engine that hangs',
    'it hangs while it loads, in a pass, or with every signal blocked',
    '`engine-hung` after `inactivity-minutes`, with its last lines; nothing of it is left',
    async (t) => {
      const inputs = { 'inactivity-minutes': '0.05' };
      const hung = {
        code: 'engine-hung',
        says: /no sign of life for 3 s/,
        advises: /inactivity-minutes/,
      } as const;
      const loading = 'print("waiting for NCCL"); time.sleep(600)';
      const says = /no sign of life for 3 s(.*\n)+waiting for NCCL/;
      await ends(t, 'while it loads', { on_load: loading }, { ...hung, says }, inputs, runStep);
      await ends(t, 'in a pass', { on_step: 'if step == 2: time.sleep(600)' }, hung, inputs);
      const blocked =
        'import signal; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); time.sleep(600)';
      await ends(t, 'and ignores every signal', { on_step: blocked }, hung, inputs);
    },
  );

  fault(
    'engine that never ends',
    'it works on and on',
    '`deadline-exceeded` after `timeout-minutes`',
    async (t) => {
      await ends(
        t,
        'in a pass',
        { on_step: 'time.sleep(0.7)', tokens: 1e6 },
        { code: 'deadline-exceeded', says: /not done 3 s after its start/, advises: /`timeout-minutes`/ },
        { 'timeout-minutes': '0.05' },
      );
    },
  );

  fault(
    'engine that dies',
    'it meets an instruction that this CPU lacks, or exits in silence',
    '`engine-died` with the signal or the code, and what helps',
    async (t) => {
      await ends(
        t,
        'of an instruction that this CPU lacks',
        { on_step: ILLEGAL_INSTRUCTION },
        { code: 'engine-died', says: /SIGILL \(exit code 132\)/, advises: /ONEDNN_MAX_CPU_ISA/ },
        {},
        runStep,
      );
      await ends(
        t,
        'in silence',
        { on_step: 'os._exit(0)' },
        {
          code: 'engine-died',
          says: /exit code 0 before it had answered/,
          advises: /deterministic-ml check/,
        },
      );
    },
  );

  fault(
    'engine that fails',
    'it raises, computes what is no float32, or finds its own disk full',
    'an error with its own words, and no verdict',
    async (t) => {
      const failed = (says: RegExp) => ({ code: 'engine-failed', says, advises: /log/ }) as const;
      const raised = 'raise RuntimeError("CUDA error: an illegal memory access was encountered")';
      await ends(
        t,
        'by raising',
        { on_step: raised },
        failed(/RuntimeError: CUDA error: an illegal memory access/),
      );
      await ends(t, 'by a number that is no float32', { logprob: 0.1 }, failed(/0\.1 is no float32/));
      await ends(
        t,
        'by a full disk of its own',
        { on_step: 'import errno; raise OSError(errno.ENOSPC, "No space left on device", "/tmp/kernel.so")' },
        { code: 'disk-full', says: /No space left on device.*kernel\.so/, advises: /Free space/ },
      );
    },
  );

  fault(
    'memory of the container is used up',
    'an engine that takes more than it may have',
    '`engine-out-of-memory`, and not that it died',
    async (t) => {
      const bench = await containers(t);
      if (bench === undefined) return;
      const { env, image, docker } = bench;
      const eats = 'keep = []\nwhile True: keep.append(bytearray(b"x" * 2**24))';
      await using runner = await checkout({
        args: { on_step: eats },
        runtime: { image, memory: '128MiB', shm: '8MiB' },
      });
      await assertFault(
        await runStep(scripted, runner, { env }),
        runner,
        { code: 'engine-out-of-memory', says: /ran out of memory/, advises: /`runtime\.memory`/ },
        docker,
      );
    },
  );

  test('that meets an illegal instruction in a container', async (t) => {
    const bench = await containers(t);
    if (bench === undefined) return;
    const { env, image, docker } = bench;
    await using runner = await checkout({
      args: { on_step: ILLEGAL_INSTRUCTION },
      runtime: { image, shm: '8MiB' },
    });
    await assertFault(
      await runStep(scripted, runner, { env }),
      runner,
      { code: 'engine-died', says: /SIGILL \(exit code 132\)/, advises: /ONEDNN_MAX_CPU_ISA/ },
      docker,
    );
  });

  test('that hangs in a container', async (t) => {
    const bench = await containers(t);
    if (bench === undefined) return;
    const { env, image, docker } = bench;
    await using runner = await checkout({
      args: { on_step: 'time.sleep(600)' },
      runtime: { image, shm: '8MiB' },
    });
    await assertFault(
      await runStep(scripted, runner, { env, with: { 'inactivity-minutes': '0.05' } }),
      runner,
      { code: 'engine-hung', says: /no sign of life for 3 s/, advises: /inactivity-minutes/ },
      docker,
    );
  });
});

describe('a run that is disturbed', () => {
  fault(
    'clock that jumps while a run goes on',
    'the time of day goes a year ahead and a year back, at each look',
    'deadlines and signs of life go by a clock that nobody sets: the verdict stands',
    async () => {
      await using runner = await checkout();
      assert.equal((await refresh(scripted, runner)).exitCode, 0);
      const hook = join(runner.home, 'clock.mjs');
      await writeFile(
        hook,
        `const now = Date.now;
let looks = 0;
const jumped = () => now() + [0, 1, -1][looks++ % 3] * 365 * 86_400_000;
globalThis.Date = class extends Date {
  constructor(...given) { given.length === 0 ? super(jumped()) : super(...given); }
  static now() { return jumped(); }
};`,
      );
      const inputs = { ...PROCESS, 'timeout-minutes': '2', 'inactivity-minutes': '1' };
      const env = { NODE_OPTIONS: `--import=${hook}` };
      const { outputs, exitCode, log } = await runStep(scripted, runner, { with: inputs, env });
      assert.deepEqual([exitCode, outputs['conclusion']], [0, 'reproduced'], log);
    },
  );

  fault(
    'action killed at each step',
    '`kill -9` of a refresh as it looks at the model, at the machine, at the baseline, as it loads and as it computes',
    'no process is left, the old baseline stays, and the next run is as any other',
    async () => {
      await using runner = await checkout();
      assert.equal((await refresh(scripted, runner)).exitCode, 0);
      const kept = await bytesBelow(join(runner.workspace, BASELINES));
      await runner.write('determinism.yml', suite({ args: { logprob: -0.5, on_load: 'print("LOADING")' } }));
      const inputs = { ...PROCESS, mode: 'refresh', reason: 'again' };
      for (const at of ['Model', 'Fingerprint', 'Baseline', 'Engine, lifetime-1', 'generate-alone: ']) {
        await using step = await Step.start(scripted, runner, 'main', {
          event: 'workflow_dispatch',
          with: inputs,
        });
        await step.sees(new RegExp(at));
        step.kill('SIGKILL');
        await step.ended;
        await until(
          async () => (await processesOf(runner)).length === 0,
          `no process is left, killed at ${at}`,
          10,
        );
        assert.deepEqual(await bytesBelow(join(runner.workspace, BASELINES)), kept);
      }
      await runner.write('determinism.yml', suite());
      const after = await stepHere(scripted, runner, { with: PROCESS });
      assert.equal(after.outputs['conclusion'], 'reproduced', after.log);
    },
  );

  fault(
    'GitHub Enterprise Server',
    'a server of one’s own, whose API and cache have other addresses and an older protocol',
    'its API and its cache’s protocol are what is asked, and links lead to it',
    async () => {
      await using runner = await checkout({ baseline: { store: 'cache' } });
      const asked: string[] = [];
      await using service = await startServer((request, response) => {
        asked.push(`${request.method} ${request.url?.split('?')[0]}`);
        response.writeHead(204).end();
      });
      const env = {
        ...{ GITHUB_SERVER_URL: 'https://git.corp.example', ACTIONS_CACHE_URL: `http://${service.host}/` },
        ACTIONS_RUNTIME_TOKEN: 'x.e30.x',
      };
      const github = { url: `http://${service.host}`, token: 'ghs_x' };
      const outcome = await runStep(scripted, runner, { with: PROCESS, env, github });
      assert.equal(outcome.outputs['conclusion'], 'no-baseline', outcome.log);
      assert.ok(asked.includes('GET /_apis/artifactcache/cache'), asked.join('\n'));
      const { run } = (await reportOf(outcome)).context;
      assert.match(run?.url ?? '', /^https:\/\/git\.corp\.example\//);
      assert.doesNotMatch(outcome.summary, /https:\/\/github\.com\/[^d]/);
    },
  );
});

describe('a full disk', () => {
  /** A file system of that size; undefined, told loudly, where none can be mounted. */
  async function tinyDisk(t: TestContext, path: string, size: string): Promise<AsyncDisposable | undefined> {
    await mkdir(path, { recursive: true });
    const mounted = await execa('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path], {
      reject: false,
    });
    if (mounted.failed) {
      process.stderr.write(`SKIPPED, no tmpfs can be mounted: ${t.name}: ${mounted.stderr}\n`);
      t.skip('only root can mount a small disk');
      return undefined;
    }
    return {
      async [Symbol.asyncDispose]() {
        await execa('umount', ['--lazy', path]);
      },
    };
  }

  fault(
    'disk full for the record',
    'no room where the record is written',
    '`disk-full`, and nothing half-written',
    async (t) => {
      await using runner = await checkout({ maxTokens: 2000, prompts: [{ id: 'long', text: 'x' }] });
      const disk = join(runner.workspace, 'disk');
      await using mounted = await tinyDisk(t, disk, '64k');
      if (mounted === undefined) return;
      const outcome = await runStep(scripted, runner, { with: { ...PROCESS, 'record-path': 'disk/record' } });
      await assertFault(outcome, runner, {
        code: 'disk-full',
        says: /disk\/record could not be written/,
        advises: /Free space/,
      });
      assert.deepEqual(await readdir(disk), []);
    },
  );

  fault(
    'disk full for the engine’s log',
    'no room, since the engine’s log has taken it',
    '`disk-full` with the record’s place',
    async (t) => {
      await using runner = await checkout({
        args: { on_load: 'print("loading " * 20000)' },
        maxTokens: 2000,
      });
      const disk = join(runner.workspace, 'disk');
      await using mounted = await tinyDisk(t, disk, '64k');
      if (mounted === undefined) return;
      const outcome = await stepHere(scripted, runner, {
        with: { ...PROCESS, 'record-path': 'disk/record' },
      });
      await assertFault(outcome, runner, { code: 'disk-full', says: /disk\/record/, advises: /Free space/ });
    },
  );

  test('not even a folder can be made', async (t) => {
    await using runner = await checkout();
    const disk = join(runner.workspace, 'disk');
    await using mounted = await tinyDisk(t, disk, '16k,nr_inodes=1');
    if (mounted === undefined) return;
    const outcome = await stepHere(scripted, runner, {
      with: { ...PROCESS, 'record-path': 'disk/a/b/record' },
    });
    await assertFault(outcome, runner, {
      code: 'disk-full',
      says: /disk\/a\/b\/record\.log could not be written/,
      advises: /Free space/,
    });
  });

  fault(
    'disk full for the baseline',
    'no room for a new baseline in the checkout',
    '`disk-full`, and the old one stays, byte for byte',
    async (t) => {
      await using runner = await checkout();
      const baselines = join(runner.workspace, BASELINES);
      await using mounted = await tinyDisk(t, baselines, '128k');
      if (mounted === undefined) return;
      assert.equal((await refresh(scripted, runner)).exitCode, 0);
      const old = await bytesBelow(baselines);
      await runner.write('determinism.yml', suite({ maxTokens: 3000 }));
      const record = join(runner.temp, 'second');
      const outcome = await refresh(scripted, runner, { with: { 'record-path': record } });
      assert.equal(outcome.exitCode, 1);
      assert.equal(outcome.outputs['error-code'], 'disk-full', outcome.log);
      assert.equal(outcome.outputs['conclusion'] ?? '', '');
      assert.deepEqual(await bytesBelow(baselines), old);
    },
  );

  fault(
    'disk full for temporary files',
    'no room in the temporary folder',
    '`disk-full`, and nothing is left there',
    async (t) => {
      await using runner = await checkout();
      await using mounted = await tinyDisk(t, runner.scratch, '16k');
      if (mounted === undefined) return;
      const outcome = await runStep(scripted, runner, { with: PROCESS });
      assert.equal(outcome.outputs['error-code'], 'disk-full', outcome.log);
      assert.deepEqual(await readdir(runner.scratch), []);
    },
  );
});

describe('a baseline that is not what it says is never compared with', () => {
  const shelf = (runner: Runner, name = 'hostile') => join(runner.workspace, BASELINES, name);

  /** A runner with a good baseline, and its folder. */
  async function withBaseline(): Promise<{ runner: Runner; folder: string; hardwareClass: string }> {
    const runner = await baselines.checkout();
    const [hardwareClass = ''] = await readdir(shelf(runner));
    return { runner, folder: join(shelf(runner), hardwareClass), hardwareClass };
  }

  /** Each of these must be told, and not as drift. */
  async function refused(runner: Runner, says: RegExp, name = 'hostile'): Promise<void> {
    const [hardwareClass = ''] = await readdir(shelf(runner, name));
    const error = await rejectedBy(trustedIn(runner, join(shelf(runner, name), hardwareClass)));
    assert.equal(error.code, 'baseline-invalid');
    assert.match(error.message, says);
    assert.match(error.hint, /[Rr]efresh the baseline/);
    assert.deepEqual(await leftovers(runner), []);
  }

  /** And by the step, which then measures nothing and leaves nothing. */
  async function refusedByStep(runner: Runner, says: RegExp): Promise<void> {
    const files = async () => (await leftovers(runner)).filter((path) => path !== 'check.log');
    const before = await files();
    const outcome = await runStep(scripted, runner, {
      with: { ...PROCESS, 'record-path': join(runner.temp, 'check') },
    });
    assert.equal(outcome.exitCode, 1, outcome.log);
    assert.equal(outcome.outputs['error-code'], 'baseline-invalid', outcome.log);
    assert.equal(outcome.outputs['conclusion'] ?? '', '');
    const failure = outcome.commands.findLast(({ command }) => command === 'error')?.data ?? '';
    assert.match(failure, says);
    assert.match(failure, /[Rr]efresh the baseline/);
    assert.deepEqual(await processesOf(runner), []);
    assert.deepEqual(await files(), before);
  }

  async function edit(path: string, change: (text: string) => string): Promise<void> {
    const text = await readFile(path, 'latin1');
    const changed = change(text);
    assert.notEqual(changed, text);
    await writeFile(path, changed, 'latin1');
  }

  const flipAt = (text: string, at: number) =>
    text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1);

  fault(
    'baseline with one bit turned over',
    'one bit of what was measured, on the disk',
    '`baseline-invalid`, and no drift',
    async () => {
      const { runner, folder } = await withBaseline();
      await using _ = runner;
      const [body = ''] = await readdir(join(folder, 'bodies'));
      await edit(join(folder, 'bodies', body), (bytes) => flipAt(bytes, bytes.length - 1));
      await refusedByStep(runner, /other bytes than its name says/);
    },
  );

  test('one bit of a digest of what was generated', async () => {
    const { runner, folder } = await withBaseline();
    await using _ = runner;
    const { record } = await openRecord(folder);
    await edit(join(folder, 'bodies', record.lifetimes[0]?.passes[0]?.digest ?? ''), (text) =>
      flipAt(text, text.indexOf('"logprobs"') + 40),
    );
    await refused(runner, /another digest of its pass .* than its observations give/);
  });

  test('one bit of the digest of a text, which no outcome holds', async () => {
    const { runner, folder } = await withBaseline();
    await using _ = runner;
    const record = structuredClone((await openRecord(folder)).record);
    const [first] = record.observations;
    assert.ok(first);
    Object.assign(channelOf(first, 'text') ?? {}, { sha256: '0'.repeat(64) });
    await rewriteRecord(folder, withTree(record));
    await refused(runner, /names another record\.json/);
  });

  fault(
    'baseline that was cut short',
    'a `record.json` of which half is there, or nothing',
    '`baseline-invalid`, and no verdict',
    async () => {
      const { runner, folder } = await withBaseline();
      await using _ = runner;
      await edit(join(folder, 'record.json'), (text) => text.slice(0, text.length / 2));
      await refused(runner, /record\.json/);
      await rename(join(folder, 'record.json'), join(runner.home, 'record.json'));
      await refusedByStep(runner, /record\.json/);
    },
  );

  test('another suite’s under the right path', async () => {
    const { runner, folder, hardwareClass } = await withBaseline();
    await using _ = runner;
    await mkdir(shelf(runner, 'other'), { recursive: true });
    await cp(folder, join(shelf(runner, 'other'), hardwareClass), { recursive: true });
    await refused(runner, /belongs elsewhere/, 'other');
    await edit(join(shelf(runner, 'other'), hardwareClass, 'baseline.json'), (text) =>
      text.replace('"suite": "hostile"', '"suite": "other"'),
    );
    await refused(runner, /belongs to the suite `hostile`/, 'other');
  });

  test('another hardware class’s under the right path', async () => {
    const { runner, folder, hardwareClass } = await withBaseline();
    await using _ = runner;
    const claim = (text: string) =>
      text.replace(
        `"hardwareClass": "${hardwareClass}"`,
        '"hardwareClass": "nvidia-h100-80gb-hbm3-cc9.0-sm132-x1"',
      );
    await edit(join(folder, 'record.json'), claim);
    await refused(runner, /names another record\.json/);
    await edit(join(folder, 'baseline.json'), claim);
    await refused(runner, /belongs elsewhere/);
  });
});
