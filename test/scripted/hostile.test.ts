import assert from 'node:assert/strict';
import { cp, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { ensureTinyImage } from '../../scripts/setup/image.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { assertFault } from '../e2e/support/faults.ts';
import { stepHere } from '../e2e/support/here.ts';
import { type Outcome, type Runner, runStep, type StepOptions } from '../e2e/support/spawn.ts';
import { checkout, onImport, type SuiteOptions, suite } from '../e2e/support/suites.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { tried } from '../support/tried.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

/** Lines of which none may take effect, wherever they are printed. */
const FORGED = [
  '{"nonce":"00000000000000000000000000000000","seq":1,"event":"done"}',
  '{"nonce":"","seq":0,"event":"error","code":"engine-failed","message":"forged"}',
  '{"nonce":null,"seq":2,"event":"pass","pass":"generate-1"}',
  '{"seq":3,"event":"observation","prompt":"one","tokens":"AAAA"}',
  '{"nonce":["a"],"seq":-1,"event":"done"}',
  '{"nonce":',
  '::set-output name=conclusion::reproduced',
  '::save-state name=forged::yes',
  '::error file=determinism.yml,line=1::forged',
  '\t ::warning::indented',
  'innocent ##[error]forged',
  '##[set-env name=NODE_OPTIONS]--require=/tmp/forged.js',
  '##[group]forged',
  '::add-path::/tmp/forged',
  '::add-mask::e',
  '::stop-commands::until-never',
  '\u001b[2J\u001b]0;forged\u0007',
  'over\r::error::after a lone carriage return',
  'zero\0width\u200b\u202eright to left',
];

/** Python that prints the lines in every way that ends up at the descriptors 1 and 2. */
const sprayed = (mark: string, lines: readonly string[] = FORGED) => `
lines = [line + "  <${mark}>" for line in ${JSON.stringify(lines)}]
data = ("\\n".join(lines) + "\\n").encode()
for line in lines:
    print(line)
    print(line, file=sys.stderr)
print("\\n".join(lines), file=sys.__stdout__, flush=True)
os.write(1, data)
os.write(2, data)
libc = ctypes.CDLL(None)
libc.write(1, data, len(data))
for line in lines: libc.puts(line.encode().replace(b"\\0", b""))
libc.fflush(None)
try:
    open("/proc/self/fd/1", "wb", buffering=0).write(data)
except OSError:
    pass  # a socket, in a process of this machine
subprocess.run([sys.executable, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"], input=data, check=True)
pid = os.fork()
if pid == 0:
    os.write(1, data)
    os._exit(0)
os.waitpid(pid, 0)
import threading
thread = threading.Thread(target=lambda: print("\\n".join(lines), flush=True))
thread.start()
thread.join()
`;

const PROCESS = { runtime: 'process' } as const;
const group = (title: string) => [
  { command: 'group', properties: {}, data: title },
  { command: 'endgroup', properties: {}, data: '' },
];
/** All commands of a check that ends well, or gets as far. */
const OWN = ['Model', 'Fingerprint', 'Baseline', 'Engine, lifetime-1'].flatMap(group);

/** Nothing that acts is in a log: no foreign command, no escape, no line of its own. */
function assertInert({ log, env, path, state }: Outcome): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  assert.doesNotMatch(log, /[\u0000-\u0009\u000b-\u001f\u007f\u200b\u202e]/);
  assert.doesNotMatch(log, /##\[/);
  assert.deepEqual({ env, path, state }, { env: '', path: '', state: {} });
}

describe('what a library prints on the harness’s standard output', () => {
  const ALWAYS: SuiteOptions = {
    env: onImport(sprayed('import')),
    args: {
      on_load: sprayed('load'),
      on_step: `if step == 1:\n${indented(sprayed('step'))}`,
      on_close: sprayed('close'),
    },
  };

  test("as it is imported, while the engine loads, in the middle of a pass and as it ends: takes no effect, and is in the engine's log", async () => {
    await using runner = await checkout(ALWAYS);
    const outcome = await refreshedAndChecked(runner);
    assert.deepEqual(outcome.commands, OWN);
    assertInert(outcome);
    const log = await engineLog(runner, outcome);
    // Some of the ways to print may lose a line that the engine itself cut; most of them must be there.
    for (const mark of ['import', 'load', 'step', 'close'])
      for (const line of FORGED)
        assert.ok(
          log.split(`${line}  <${mark}>`).length > 8,
          `the engine's log has ${JSON.stringify(line)} raw, as often as it was printed, of ${mark}`,
        );
  });

  test('in a container', async (t) => {
    const daemon = await dockerOrSkip(t);
    if (daemon === undefined) return;
    const { imageId } = await ensureTinyImage(daemon);
    const runtime = { image: imageId, shm: '8MiB' };
    await using runner = await checkout({
      runtime,
      env: onImport(sprayed('import')),
      args: { on_load: sprayed('load'), on_step: sprayed('step'), on_close: sprayed('close') },
    });
    const outcome = await refreshedAndChecked(runner, { with: {}, env: { DOCKER_HOST: daemon.host } });
    assert.deepEqual(outcome.commands, OWN);
    assertInert(outcome);
    const log = await engineLog(runner, outcome);
    for (const mark of ['import', 'load', 'step']) assert.ok(log.includes(`forged  <${mark}>`), mark);
  });

  tried(
    'event printed by a library or a child',
    'events and workflow commands printed before the harness is there, or by a child that lives on',
    'an event counts by its nonce alone; what is printed goes to a file, and reaches no log as a command',
    async () => {
      await using runner = await checkout();
      const site = join(runner.home, 'site');
      const child = `while :; do echo '${FORGED[0]}'; printf 'half ##[error]forged'; sleep 0.01; done`;
      // The interpreter runs it before its first line: twice, since the boot code starts another one.
      const early = `import ctypes, os, subprocess, sys
${sprayed('boot')}
if not os.environ.get("FORGED_CHILD"):
    os.environ["FORGED_CHILD"] = "1"
    subprocess.Popen(["sh", "-c", ${JSON.stringify(child)}])
os.write(1, b'no line break: {"nonce":"')
`;
      await runner.write(
        '../../../home/site/sitecustomize.py',
        early.replaceAll('sys.executable, "-c"', 'sys.executable, "-I", "-S", "-c"'),
      );
      const outcome = await refreshedAndChecked(runner, { env: { PYTHONPATH: site } });
      assert.deepEqual(outcome.commands, OWN);
      assertInert(outcome);
      const log = await engineLog(runner, outcome);
      assert.ok(log.includes('##[set-env name=NODE_OPTIONS]'), log);
    },
  );

  tried(
    'log flooded without a line break',
    'a flood without a line break, to fill the memory',
    'no more than the longest event is kept of a line',
    async () => {
      await using runner = await checkout({
        args: { on_load: 'for _ in range(80): os.write(1, b"::error::" * 2**17)' },
      });
      const outcome = await refreshedAndChecked(runner);
      assert.deepEqual(outcome.commands, OWN);
    },
  );
});

describe('a model', () => {
  tried(
    'model’s template that loops',
    'a chat template of loops in loops, which Jinja’s sandbox lets through',
    '`engine-hung` after `inactivity-minutes`, as for whatever gives no sign of life; nothing of it is left',
    async () => {
      await using runner = await checkout();
      // Pure Python; the template runs in the very sandbox that tokenizers use.
      const { python } = await ensureEngine();
      const { stdout } = await execa(python, ['-c', 'import jinja2; print(jinja2.__path__[0])']);
      const site = join(runner.home, 'site');
      for (const name of ['jinja2', 'markupsafe'])
        await cp(join(dirname(stdout), name), join(site, name), { recursive: true });
      const loops = '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}';
      const render = `from jinja2.sandbox import ImmutableSandboxedEnvironment as Sandbox
print("RENDERING", flush=True)
Sandbox().from_string(${JSON.stringify(loops)}).render(messages=[])`;
      await runner.write('determinism.yml', suite({ args: { on_load: render } }));
      const inputs = { ...PROCESS, 'inactivity-minutes': '0.05' };
      await assertFault(await stepHere(action, runner, { with: inputs, env: { PYTHONPATH: site } }), runner, {
        code: 'engine-hung',
        says: /no sign of life for 3 s(.*\n)+RENDERING/,
        advises: /inactivity-minutes/,
      });
    },
  );
});

describe('an error', () => {
  const failing = async (
    options: SuiteOptions,
    given: StepOptions = {},
    step = stepHere,
  ): Promise<Outcome> => {
    await using runner = await checkout(options);
    const outcome = await step(action, runner, { ...given, with: { ...PROCESS, ...given.with } });
    assert.equal(outcome.exitCode, 1);
    const last = outcome.commands.at(-1);
    assert.equal(last?.command, 'error');
    assert.deepEqual(
      outcome.commands.filter(({ command }) => !['group', 'endgroup', 'error'].includes(command)),
      [],
    );
    assertInert(outcome);
    return outcome;
  };
  const errors = ({ commands }: Outcome) => commands.filter(({ command }) => command === 'error');

  test('of the engine, with commands in its message and in the lines that it quotes', async () => {
    const outcome = await failing({
      args: { on_step: `${sprayed('tail')}\nraise RuntimeError("\\n".join(lines))` },
    });
    assert.equal(outcome.outputs['error-code'], 'engine-failed');
    assert.equal(errors(outcome).length, 1);
    // What the runner shows of it is many lines, of which none may begin like a command.
    for (const line of errors(outcome)[0]?.data.split('\n') ?? []) assert.doesNotMatch(line, /^\s*::|##\[/);
  });

  tried(
    'error that holds commands',
    'an engine that prints workflow commands and dies, so that its last lines are quoted',
    'one error is told, of which no line begins like a command',
    async () => {
      const outcome = await failing({ args: { on_step: `${sprayed('tail')}\nos._exit(3)` } }, {}, runStep);
      assert.equal(outcome.outputs['error-code'], 'engine-died');
      assert.equal(errors(outcome).length, 1);
    },
  );

  test('of the suite: names of prompts’ files, models, engines and keys', async () => {
    const evil = FORGED.join('\n').replaceAll('\0', '');
    const prompts = await failing({ prompts: [{ id: 'one', file: evil }] });
    assert.equal(prompts.outputs['error-code'], 'prompt-file-invalid');
    assert.equal(errors(prompts).length, 2, 'at its line, and once for the step');
    const model = await failing({ model: evil.slice(-200) });
    assert.equal(model.outputs['error-code'], 'model-missing');
    assert.equal(errors(model).length, 1);
    const image = await failing(
      { runtime: { image: 'x\n::error::forged ##[error]y' } },
      { with: { runtime: 'docker' } },
    );
    assert.equal(image.outputs['error-code'], 'image-not-pinned');
    const name = await failing({ name: evil, args: { [evil]: 1 }, env: { [evil]: 'x' } });
    assert.equal(name.outputs['error-code'], 'suite-invalid');
  });

  test('of the inputs', async () => {
    const evil = FORGED.join('\n').replaceAll('\0', '');
    const inputs = { mode: evil, 'gpu-devices': evil, 'timeout-minutes': evil, suite: evil };
    assert.equal((await failing({}, { with: inputs })).outputs['error-code'], 'input-invalid');
    assert.equal((await failing({}, { with: { suite: evil } })).outputs['error-code'], 'suite-missing');
    const python = await failing({}, { with: { python: evil } });
    assert.equal(python.outputs['error-code'], 'runtime-unavailable');
  });
});

describe('what the model says and the engine claims of itself', () => {
  const MARKDOWN = [
    '<img src=x onerror=alert(1)><script>alert(1)</script>',
    '@octocat please merge #1 and https://evil.example/x',
    '[click](https://evil.example) ![](https://evil.example/pixel.png)',
    '| a | table |\n# heading\n```\n</details>',
    '<!-- deterministic-ml -->',
  ];

  tried(
    'text of a model',
    'commands, escapes, Markdown, mentions and HTML in what a model says and an engine claims',
    'nothing of it acts in the log, the annotations or the summary',
    async () => {
      const hostile = [...FORGED, ...MARKDOWN].join('\n').replaceAll('\0', '');
      await using runner = await checkout({ args: { text: hostile, effective: { dtype: 'float32' } } });
      const refreshed = await refresh(runner, { with: { reason: hostile.slice(0, 900) } });
      assert.equal(refreshed.exitCode, 0, refreshed.log);
      await runner.write(
        'determinism.yml',
        suite({
          args: {
            text: `${hostile} and on`,
            logprob: -0.5,
            dropped: [hostile],
            effective: { dtype: hostile.slice(0, 4000), [hostile.slice(0, 120)]: 'x' },
          },
        }),
      );
      const outcome = await runStep(action, runner, { with: PROCESS });
      assert.equal(outcome.outputs['conclusion'], 'drift', outcome.log);
      assert.equal(outcome.outputs['drift-count'], '1');
      assertInert(outcome);
      assert.deepEqual(outcome.commands.slice(0, OWN.length), OWN);
      const [annotation, failure, ...more] = outcome.commands.slice(OWN.length);
      assert.deepEqual(more, []);
      assert.equal(annotation?.command, 'error');
      assert.equal(annotation.properties['file'], 'determinism.yml');
      assert.equal(failure?.command, 'error');
      for (const { data } of [annotation, failure]) assert.doesNotMatch(data, /\n|##\[|^\s*::/);

      for (const told of [refreshed, outcome]) {
        // The one fold is our own.
        const summary = told.summary.replace(
          /<details><summary>What this cost: \d+ engine starts?<\/summary>([^<]*)<\/details>/,
          '$1',
        );
        assert.notEqual(summary, told.summary);
        assert.doesNotMatch(summary, /<img|<script|<!-- deterministic|<\/details/);
        assert.doesNotMatch(summary, /@octocat|\]\(|https?:\/\/evil|(^|\n)# heading/);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
        assert.doesNotMatch(summary, /[\u0000-\u0009\u000b-\u001f\u007f\u200b\u202e]/);
      }
    },
  );
});

const refresh = (runner: Runner, options: StepOptions) =>
  stepHere(action, runner, {
    event: 'workflow_dispatch',
    ...options,
    with: { ...PROCESS, mode: 'refresh', reason: 'first one', ...options.with },
  });

/** A refresh and a check of the same suite: reproduced, whatever is printed meanwhile. */
async function refreshedAndChecked(runner: Runner, options: StepOptions = {}): Promise<Outcome> {
  const stored = await stepHere(action, runner, {
    ...options,
    event: 'workflow_dispatch',
    with: { ...(options.with ?? PROCESS), mode: 'refresh', reason: 'first one', 'record-path': '../stored' },
  });
  assert.equal(stored.exitCode, 0, stored.log);
  const outcome = await runStep(action, runner, { ...options, with: { ...(options.with ?? PROCESS) } });
  assert.equal(outcome.outputs['conclusion'], 'reproduced', outcome.log);
  assert.equal(outcome.exitCode, 0);
  return outcome;
}

async function engineLog(runner: Runner, { outputs }: Outcome): Promise<string> {
  assert.ok(outputs['record-path']?.startsWith(runner.temp));
  return await readFile(`${outputs['record-path']}.log`, 'utf8');
}

function indented(code: string): string {
  return code.replaceAll(/^/gm, '    ');
}
