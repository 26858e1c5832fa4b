import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readWorkflows } from '../../../src/disk/example-workflows.ts';
import { UserError } from '../../../src/errors.ts';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import type { InitSettings } from '../../../src/job/settings.ts';
import type { Ask, Pins } from '../../../src/job/tools.ts';
import { InitAnswer } from '../../../src/report/answers.ts';
import { readAsked } from '../../../src/suite/asked.ts';
import { parseSuite } from '../../../src/suite/parse.ts';
import { defaultsOf } from '../../../src/suite/schema.ts';
import { init } from '../../../src/use-cases/init.ts';
import { Job } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

const EXAMPLES = fileURLToPath(new URL('../../../examples/workflows', import.meta.url));
const COMMIT = 'c0ffee11'.repeat(5);
const DIGEST = `sha256:${'ab'.repeat(32)}`;
const REACHED: Pins = { commit: async () => COMMIT, digest: async () => DIGEST };
const unreachable = async () => {
  throw new UserError('model-fetch-failed', 'no network here.', 'Try again.');
};

/** An empty repository, and what is asked of somebody. */
class Repository {
  readonly files = new Map<string, string>();
  readonly shown: string[] = [];
  pins = REACHED;
  ask: Ask | undefined;

  async init(settings: Partial<InitSettings> = {}) {
    const tools = new Job().tools();
    const open = {
      ...tools.open,
      pins: () => this.pins,
      ask: () => this.ask,
      workflows: () => readWorkflows(EXAMPLES),
      checkout: () => ({
        read: async (path: string) => this.files.get(path),
        write: async (path: string, text: string) => void this.files.set(path, text),
        defaultBranch: async () => 'trunk',
        commit: async () => undefined,
      }),
    };
    const console = { ...tools.console, info: (line: string) => void this.shown.push(line) };
    const all = { action: 'org/deterministic-ml-action@v1', force: false, dryRun: false, ...settings };
    const { value, ...rest } = await init(all, { ...tools, console, open });
    return { ...rest, value: InitAnswer.parse(value) };
  }

  get suite() {
    return parseSuite(this.files.get('determinism.yml') ?? '', 'determinism.yml', SUITE_SCHEMA).suite;
  }
}

const SERVE =
  'vllm serve org/Tiny-Instruct --dtype=bfloat16 --max-model-len 4096 --api-key s3cret --tensor-parallel-size 2';

describe('init', () => {
  test('of an engine without a model says that its suite needs none', async () => {
    const repository = new Repository();
    const error = await rejectedBy(repository.init({ model: 'org/Tiny', engine: 'kernels' }));
    assert.equal(error.code, 'input-invalid');
    assert.match(error.message, /`kernels` computes without a model/);
    assert.equal(repository.files.size, 0);
  });

  test('writes a suite that can be read, of twelve prompts, and three workflows', async () => {
    const repository = new Repository();
    const { value } = await repository.init({ from: SERVE, action: 'acme/det@v2' });
    assert.deepEqual(value.fillIn, []);
    assert.deepEqual(
      [...repository.files.keys()].filter((path) => path.startsWith('.github')),
      ['check.yml', 'refresh.yml', 'accept.yml'].map((name) => `.github/workflows/${name}`),
    );
    const { suite } = repository;
    assert.deepEqual(suite.model, { id: 'org/Tiny-Instruct', revision: COMMIT });
    assert.deepEqual([suite.engine.args, defaultsOf(suite.engine)], [{}, 'as-served']);
    assert.equal(
      suite.engine.serve,
      'vllm serve org/Tiny-Instruct --dtype=bfloat16 --max-model-len 4096 --tensor-parallel-size 2',
    );
    assert.deepEqual([suite.runtime.image, suite.runtime.gpus], [`vllm/vllm-openai@${DIGEST}`, 2]);
    const { prompts, problems } = await readAsked(suite, async (file) => repository.files.get(file) ?? '');
    assert.deepEqual([prompts.length, problems], [12, []]);
    // A token is no longer than a word.
    const words = prompts.map(({ content }) => ('text' in content ? content.text.split(/\s+/).length : 0));
    assert.ok(words.some((count) => count > 256 && count <= 1024) && words.some((count) => count > 1024));
    assert.ok(prompts.some(({ sampling }) => sampling.temperature > 0));
    assert.ok(
      prompts.some(({ content }) => 'messages' in content),
      'a model with a template is asked by it',
    );
    assert.match(repository.files.get('.github/workflows/check.yml') ?? '', /uses: acme\/det@v2/);
    assert.match(repository.files.get('.github/workflows/accept.yml') ?? '', /branches: \["trunk"\]/);
    assert.doesNotMatch([...repository.files.values(), ...repository.shown].join(), /s3cret/);
    assert.match(repository.files.get('determinism.yml') ?? '', /Not taken over .*--api-key$/m);
  });

  test('shows every line that it writes, and writes nothing that is there already', async () => {
    const repository = new Repository();
    await repository.init({ from: SERVE });
    for (const [path, text] of repository.files)
      for (const line of text.split('\n'))
        assert.ok(
          repository.shown.some((one) => one.includes(`+++ ${path}`) && one.includes(`\n+${line}`)),
          line,
        );
    repository.shown.length = 0;
    const { value } = await repository.init({ from: SERVE });
    assert.deepEqual([repository.shown, value.files.filter(({ written }) => written)], [[], []]);
  });

  test('overwrites nothing unless it is told to, and shows what it would', async () => {
    const repository = new Repository();
    repository.files.set('.github/workflows/check.yml', 'name: mine\n');
    const error = await rejectedBy(repository.init({ from: SERVE }));
    assert.equal(error.code, 'file-exists');
    assert.match(error.message, /^\.github\/workflows\/check\.yml is there already/);
    assert.ok(repository.shown.some((text) => text.includes('\n-name: mine\n')));
    assert.deepEqual([...repository.files.keys()], ['.github/workflows/check.yml']);
    await repository.init({ from: SERVE, force: true });
    assert.match(repository.files.get('.github/workflows/check.yml') ?? '', /^name: Determinism$/m);
  });

  test('leaves open what it cannot reach, says so, and the suite is refused until it is filled in', async () => {
    const repository = new Repository();
    repository.pins = { commit: unreachable, digest: unreachable };
    const { lines } = await repository.init({ model: 'a/b', engine: 'vllm' });
    assert.equal(
      lines.filter((line) => /^Fill in `(model|runtime)\.\w+`: no network here\.$/.test(line)).length,
      2,
    );
    assert.throws(
      () => repository.suite,
      (error: UserError) => error.places.filter(({ message }) => /: fill in the /.test(message)).length === 2,
    );
  });

  test('keeps a commit that is named, and asks the hub for a branch', async () => {
    const repository = new Repository();
    const refs: string[] = [];
    repository.pins = {
      ...REACHED,
      commit: async (_, ref) => {
        refs.push(ref);
        return COMMIT;
      },
    };
    await repository.init({ from: `${SERVE} --revision ${'ab'.repeat(20)}` });
    assert.equal(repository.suite.model.revision, 'ab'.repeat(20));
    await repository.init({ from: `${SERVE} --revision v1.2`, force: true });
    assert.deepEqual(refs, ['v1.2']);
  });

  for (const [from, serve, gpus] of [
    [
      'python3 -m vllm.entrypoints.openai.api_server --model a/b -tp 4 --revision=v1 --port 80',
      'python -m vllm.entrypoints.openai.api_server --model a/b -tp 4 --port 80',
      4,
    ],
    [
      `vllm serve a/b --hf-overrides '{"rope theta": "it'\\''s"}' \\\n  -pp 2 -tp 2`,
      `vllm serve a/b --hf-overrides '{"rope theta": "it'\\''s"}' -pp 2 -tp 2`,
      4,
    ],
    ['/opt/bin/vllm serve --revision main a/b', undefined, undefined],
  ] as const)
    test(`takes the whole of \`${from}\``, async () => {
      const repository = new Repository();
      const asked = repository.init({ from });
      if (serve === undefined) {
        // The model is the first word behind `serve`, as the server has it.
        assert.match((await rejectedBy(asked)).message, /and name a model/);
        return;
      }
      await asked;
      const { engine, runtime } = repository.suite;
      assert.deepEqual([engine.serve, runtime.gpus], [serve, gpus]);
    });

  test('of another engine than the line’s takes no line', async () => {
    const repository = new Repository();
    await repository.init({ from: SERVE, engine: 'transformers' });
    assert.deepEqual(
      [repository.suite.engine.name, repository.suite.engine.serve],
      ['transformers', undefined],
    );
  });

  test('names all flags that are missing where nobody can be asked', async () => {
    const error = await rejectedBy(new Repository().init());
    assert.equal(error.code, 'input-invalid');
    assert.match(error.message, /`--model owner\/name`, `--engine NAME`/);
    const wrong = await rejectedBy(
      new Repository().init({ model: 'b', engine: 'c', gpus: 'all', action: 'x' }),
    );
    assert.match(wrong.message, /`--model` .*`--engine` .*`--gpus` .*`--action` /);
    const own = await rejectedBy(new Repository().init({ model: 'a/b', engine: 'script' }));
    assert.match(own.message, /`script` runs your own program/);
  });

  for (const [from, why] of [
    ['vllm', /must begin with `vllm serve`/],
    ['vllm serve', /name a model/],
    ['python -m vllm serve', /must begin with/],
    ['sglang serve a/b', /must begin with/],
    ['HF_HOME=/x vllm serve a/b', /variables before it belong under `engine\.env`/],
    ['vllm serve a/b --port $PORT', /asks a shell for something/],
    ['vllm serve a/b --config serve.yml', /write them out/],
  ] as const)
    test(`takes \`${from}\` for no command line of a suite, and says why`, async () => {
      const { code, message } = await rejectedBy(new Repository().init({ from }));
      assert.equal(code, 'input-invalid');
      assert.match(message, why);
    });

  for (const [answer, written] of [
    ['y', true],
    ['', false],
  ] as const)
    test(`asks for what is missing, and writes after \`${answer}\` ${written ? 'all' : 'nothing'}`, async () => {
      const repository = new Repository();
      const answers = ['org/tiny', 'transformers', answer];
      repository.ask = async () => answers.shift() ?? assert.fail('asks too much');
      await repository.init();
      assert.equal(repository.files.size > 0, written);
      if (written)
        assert.deepEqual(
          [repository.suite.engine.name, repository.suite.runtime.gpus],
          ['transformers', 'none'],
        );
    });
});
