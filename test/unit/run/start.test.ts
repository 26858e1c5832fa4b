import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../../../src/errors.ts';
import type { Tools } from '../../../src/job/tools.ts';
import { makePlan, type Plan } from '../../../src/run/plan.ts';
import { type Run, startRun } from '../../../src/run/start.ts';
import { fingerprint } from '../../../src/use-cases/fingerprint.ts';
import { type EngineOptions, MODEL_FILES } from '../support/engine.ts';
import { readingOf } from '../support/health.ts';
import { ASKS, Job, SUITE } from '../support/job.ts';
import { FINGERPRINT } from '../support/records.ts';
import { loaded, rejectedBy } from '../support/suites.ts';

const PROMPTS = [
  { id: 'capital', text: 'The capital of France is' },
  { id: 'sky', text: 'The sky is' },
];

interface Started extends AsyncDisposable {
  readonly job: Job;
  readonly plan: Plan;
  readonly run: Run;
}

async function started(
  options: EngineOptions = {},
  change: (tools: Tools) => Tools = (tools) => tools,
  suite = SUITE,
): Promise<Started> {
  const job = new Job();
  const held = loaded(suite, PROMPTS);
  const plan = makePlan(held, 'check');
  const run = await startRun(held, plan, job.settings(), change(job.tools(options)));
  return { job, plan, run, [Symbol.asyncDispose]: () => run[Symbol.asyncDispose]() };
}

describe('a suite that asks for more than one command holds', () => {
  /** Told before anything is opened: no log, no runtime, no engine. */
  const toldOf = async (
    prompts: readonly { readonly id: string; readonly text: string }[],
    suite = SUITE,
  ) => {
    const held = loaded(suite, prompts);
    const nothing = new Proxy({} as Tools, {
      get: (_, name) => {
        if (name !== 'console' && name !== 'open') throw new Error(`asked for ${String(name)}`);
        return undefined;
      },
    });
    return await rejectedBy(startRun(held, makePlan(held, 'refresh'), new Job().settings(), nothing));
  };
  const MIB = 1024 ** 2;

  test('by its texts, as JSON writes them', async () => {
    const error = await toldOf([
      { id: 'capital', text: 'x' },
      { id: 'sky', text: '\u0001'.repeat(11 * MIB) },
    ]);
    assert.equal(error.code, 'suite-invalid');
    assert.match(error.message, /with `sky`, prompts, texts and their tokens come to more than 64 MiB/);
    assert.match(error.hint, /part them into several suites/);
    assert.equal(error.places.length, 1);
  });

  test('by the tokens that it may come to', async () => {
    const many = Array.from({ length: 500 }, (_, i) => ({ id: `p${i}`, text: 'x' }));
    const suite = SUITE.replace(/max_tokens: \d+/, 'max_tokens: 32768');
    assert.notEqual(suite, SUITE);
    const error = await toldOf(many, suite);
    assert.match(error.message, /with `p3\d\d`/);
  });
});

describe('a run', () => {
  test('is fingerprinted before any model is loaded', async () => {
    await using begun = await started();
    const { run, job } = begun;
    assert.equal(run.hardwareClass, 'cpu-genuineintel-x86-64-v4');
    const { declared, ambient } = run.fingerprint;
    assert.deepEqual(ambient, FINGERPRINT.ambient);
    assert.deepEqual(declared.model, {
      ...{ label: 'model', revision: 'none' },
      files: FINGERPRINT.declared.model.files,
    });
    assert.deepEqual(declared.image, job.engine.image);
    assert.deepEqual([job.engine.starts.length, job.engine.loads.length], [1, 0]);
  });

  test('of a model of the hub names it by id and revision', async () => {
    const revision = 'a1'.repeat(20);
    const suite = SUITE.replace('{ path: model }', `{ id: acme/model, revision: ${revision} }`);
    await using begun = await started({}, undefined, suite);
    const { label, revision: told } = begun.run.fingerprint.declared.model;
    assert.deepEqual([label, told], ['acme/model', revision]);
  });

  test('hands the runtime the model’s place: a folder of this machine, or one of the hub', async () => {
    const asked: unknown[] = [];
    const watched = (tools: Tools): Tools => ({
      ...tools,
      open: {
        ...tools.open,
        runtime: async (runtime, keepsCaches, atOnce) => {
          const opened = await tools.open.runtime(runtime, keepsCaches, atOnce);
          opened.provideModel = async (model) => {
            asked.push(model);
            return { folder: '/model', files: MODEL_FILES };
          };
          return opened;
        },
      },
    });
    const revision = 'a1'.repeat(20);
    for (const model of ['{ path: model }', `{ id: acme/model, revision: ${revision} }`]) {
      await using _ = await started({}, watched, SUITE.replace('{ path: model }', model));
    }
    assert.deepEqual(asked, [
      { kind: 'path', path: '/repository/model' },
      { kind: 'hub', id: 'acme/model', revision },
    ]);
  });

  test('tells the engine its environment, and of this machine’s files those of its model alone', async () => {
    await using begun = await started();
    const [start] = begun.job.engine.starts;
    assert.deepEqual(start?.task, {
      ...{ engine: 'vllm', model: '/model' },
      knownDigests: Object.fromEntries(MODEL_FILES.map(({ identity, sha256 }) => [identity, sha256])),
    });
    assert.deepEqual(start?.environment, begun.plan.environment);
  });

  test('is refused when the engine sees another model than this machine has', async () => {
    const [first, ...rest] = MODEL_FILES.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 }));
    assert.ok(first);
    const others = {
      'another content': [{ ...first, sha256: 'd4'.repeat(32) }, ...rest],
      'a file less': rest,
      'a file more': [first, ...rest, { ...first, path: 'modeling.py' }],
    };
    for (const [what, files] of Object.entries(others)) {
      const job = new Job();
      const held = loaded(SUITE, PROMPTS);
      const run = startRun(
        held,
        makePlan(held, 'check'),
        job.settings(),
        job.tools({ fingerprint: { files } }),
      );
      const error = await rejectedBy(run);
      assert.equal(error.code, 'model-changed', what);
      assert.match(error.message, what === 'a file more' ? /modeling\.py/ : new RegExp(first.path), what);
      assert.deepEqual([job.engine.running, job.engine.loads.length], [0, 0], what);
    }
  });

  test('tells a report which run it is', async () => {
    await using begun = await started();
    const { facts } = begun.run;
    assert.deepEqual(facts.run, {
      ...{ repository: 'acme/models', workflow: 'determinism', id: '101', attempt: '1', event: 'push' },
      ...{ ref: 'refs/heads/main', fork: false, commit: 'c0ffee'.repeat(6) },
      url: 'https://github.com/acme/models/actions/runs/101/attempts/1',
    });
    assert.deepEqual([facts.recordPath, facts.logPath], ['/record-1', '/record-1.log']);
    assert.equal(facts.runtime, 'The engine runs in this test.');
  });

  test('uses the first start for the first lifetime, and a new process for each other one', async () => {
    await using begun = await started();
    const { job, plan, run } = begun;
    await using lifetimes = await run.begin(new Map());
    await lifetimes.planned();
    assert.deepEqual([plan.lifetimes, job.engine.starts.length], [1, 1]);
    await lifetimes.more(2);
    assert.equal(job.engine.starts.length, 3);
    assert.deepEqual(
      lifetimes.side().record.lifetimes.map(({ lifetime }) => lifetime),
      ['lifetime-1', 'lifetime-2', 'lifetime-3'],
    );
  });

  test('loads no model beside a process that the machine names and the engine’s container does not see', async () => {
    const card = 'ab'.repeat(8);
    const stranger = { card, pid: 4242, name: 'python3', mib: 17_408 };
    await using begun = await started({ health: () => readingOf({ uuidHash: card }) }, (tools) => ({
      ...tools,
      open: {
        ...tools.open,
        runtime: async (...asked) =>
          Object.assign(await tools.open.runtime(...asked), { strangers: async () => [stranger] }),
      },
    }));
    await using lifetimes = await begun.run.begin(new Map());
    await lifetimes.planned();
    const [sign] = lifetimes.health?.signs ?? [];
    assert.deepEqual([sign?.sign, begun.job.engine.loads.length], ['foreign-process', 0]);
    assert.match(sign?.reason ?? '', /python3 \(process 4242, 17408 MiB\)/);
  });

  for (const [what, runtime, asked, expected] of [
    [
      'says why its starts are cold where the suite wants them warm',
      '{ warm: true }',
      'fresh',
      'the engine is scripted',
    ],
    ['says so of kept caches, whose starts never are', '{ warm: true }', 'kept', 'its caches are kept'],
    ['says nothing where the suite does not', '{ gpus: none }', 'fresh', undefined],
  ] as const)
    test(what, async () => {
      const suite = SUITE.replace('sampling:', `runtime: ${runtime}\nsampling:`).replace(
        '{ name: vllm }',
        `{ name: vllm, caches: ${asked} }`,
      );
      const held = loaded(suite, PROMPTS);
      const job = new Job();
      await using run = await startRun(held, makePlan(held, 'refresh'), job.settings(), job.tools());
      await using lifetimes = await run.begin(new Map());
      await lifetimes.planned();
      const [first, ...later] = lifetimes.side().record.lifetimes.map(({ start }) => start?.unfit);
      assert.equal(first, undefined, 'it is cold in any case');
      assert.deepEqual(new Set(later), new Set([expected]));
    });

  test('has one engine at a time: the next starts when the last one is given back', async () => {
    let most = 0;
    const job = new Job();
    // A process that only imports stands beside them otherwise: it has no engine.
    const held = loaded(SUITE.replace('sampling:', 'runtime: { warm: false }\nsampling:'), PROMPTS);
    const tools = job.tools({
      onStart: () => {
        most = Math.max(most, job.engine.running + 1);
      },
    });
    const plan = makePlan(held, 'refresh');
    await using run = await startRun(held, plan, job.settings(), tools);
    await using lifetimes = await run.begin(new Map());
    await lifetimes.planned();
    assert.deepEqual([job.engine.starts.length, most, job.engine.running], [4, 1, 0]);
    // All of it once, then what is compared between starts.
    assert.deepEqual(
      job.engine.passes.map(({ pass }) => pass),
      [plan.passes, plan.repeats, plan.repeats, plan.repeats].flatMap((passes) =>
        passes.map(({ pass }) => pass),
      ),
    );
  });

  test('traces in a start that needs what the engine’s list says, and compares no outcome with it', async () => {
    const suite = SUITE.replace('{ name: vllm }', '{ name: vllm, args: { enforce_eager: false } }');
    await using begun = await started({}, undefined, suite);
    await using lifetimes = await begun.run.begin(new Map());
    await lifetimes.planned();
    await lifetimes.trace();
    const { loads, passes } = begun.job.engine;
    assert.deepEqual(
      loads.map(({ args }) => args['enforce_eager']),
      [false, true],
    );
    assert.deepEqual(
      [passes.at(-1)?.kind, passes.slice(0, -1).some(({ kind }) => kind === 'trace')],
      ['trace', false],
    );
    assert.equal(lifetimes.side().record.lifetimes.at(-1)?.lifetime, 'trace');
  });
});

describe('whatever happens, all is given back', () => {
  const given = ({ engine, disk }: Job) => [engine.running, engine.disposed, disk.unfinished];

  test('when the run ends', async () => {
    const begun = await started();
    await begun[Symbol.asyncDispose]();
    assert.deepEqual(given(begun.job), [0, true, 0]);
  });

  test('when the harness cannot be read', async () => {
    const job = new Job();
    const held = loaded(SUITE, PROMPTS);
    const tools = job.tools();
    const closed: string[] = [];
    const broken: Tools = {
      ...tools,
      open: {
        ...tools.open,
        log: async (path) => ({
          ...{ path, add: () => {} },
          [Symbol.asyncDispose]: async () => {
            closed.push(path);
          },
        }),
        harness: async () => Promise.reject(new Error('no harness')),
      },
    };
    await assert.rejects(startRun(held, makePlan(held, 'check'), job.settings(), broken), /no harness/);
    assert.deepEqual([given(job), closed], [[0, true, 0], ['/record-1.log']]);
  });

  test('when the record’s place is refused', async () => {
    await using begun = await started({}, (tools) => ({
      ...tools,
      records: {
        ...tools.records,
        create: async () =>
          Promise.reject(new UserError('input-invalid', 'That folder holds other things.', '')),
      },
    }));
    assert.equal((await rejectedBy(begun.run.begin(new Map()))).code, 'input-invalid');
    await begun[Symbol.asyncDispose]();
    assert.deepEqual(given(begun.job), [0, true, 0]);
  });

  test('when the engine cannot load', async () => {
    await using begun = await started({
      computes: () => ({ error: { code: 'engine-rejected', message: 'no such dtype' } }),
    });
    const { run, job } = begun;
    {
      await using lifetimes = await run.begin(new Map());
      assert.equal((await rejectedBy(lifetimes.planned())).code, 'engine-rejected');
    }
    assert.deepEqual([job.engine.running, job.disk.unfinished, job.disk.folders.size], [0, 0, 0]);
  });

  test('when the model cannot be asked a prompt: its line is told, and the first load alone was given prompts', async () => {
    const prompts = [
      { id: 'sky', message: 'no template' },
      { id: 'of-the-base', message: 'too long' },
    ];
    await using begun = await started({
      computes: () => ({ error: { code: 'prompt-rejected', message: '2 prompts', prompts } }),
    });
    await using lifetimes = await begun.run.begin(new Map());
    const error = await rejectedBy(lifetimes.planned());
    assert.equal(error.code, 'prompt-rejected');
    assert.deepEqual(
      error.places.map(({ message }) => message),
      ['sky: no template', 'of-the-base: too long'],
    );
    assert.ok((error.places[0]?.line ?? 0) > 1, 'the entry of `sky`');
    assert.equal(error.places[1]?.line, 1);
    assert.ok(begun.job.engine.loads[0]?.prompts.some(({ id }) => id === 'sky'));
  });

  test('when it is cancelled before anything is started', async () => {
    const job = new Job();
    const held = loaded(SUITE, PROMPTS);
    job.abort.abort(new UserError('cancelled', 'The run was cancelled.', ''));
    await assert.rejects(startRun(held, makePlan(held, 'check'), job.settings(), job.tools()), /cancelled/);
    assert.deepEqual([given(job), job.engine.starts.length], [[0, true, 0], 0]);
  });
});

test('a fingerprint is told without loading a model', async () => {
  const job = new Job();
  const found = await fingerprint({ ...job.settings(), ...ASKS.check }, job.tools());
  assert.equal(found.hardwareClass, 'cpu-genuineintel-x86-64-v4');
  assert.equal(found.fingerprint.declared.engine.name, 'vllm');
  assert.deepEqual([job.engine.loads, job.engine.running, job.engine.disposed], [[], 0, true]);
});
