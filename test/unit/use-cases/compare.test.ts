import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compare } from '../../../src/compare/compare.ts';
import { recordOf } from '../../../src/import/record.ts';
import { UNKNOWN_ENVIRONMENT } from '../../../src/import/unknown.ts';
import { json } from '../../../src/inert.ts';
import type { SidesSettings } from '../../../src/job/settings.ts';
import { packBody } from '../../../src/record/body.ts';
import type { Channel } from '../../../src/record/channels.ts';
import { digestJson, sha256 } from '../../../src/record/digest.ts';
import type { OpenedRecord, Side } from '../../../src/record/side.ts';
import { CompareAnswer } from '../../../src/report/answers.ts';
import { compare as compareUseCase } from '../../../src/use-cases/compare.ts';
import type { EngineOptions } from '../support/engine.ts';
import { ASKS, Job, SUITE } from '../support/job.ts';
import { body, side } from '../support/records.ts';
import { rejectedBy } from '../support/suites.ts';

const digests = (name: string, ...told: readonly (readonly [string, string, number?])[]): Channel => ({
  name,
  kind: 'digests',
  digests: told.map(([what, bits, nans = 0]) => ({ name: what, sha256: sha256(bits), nans })),
});
const text = (value: string): Channel => ({ name: 'text', kind: 'text', text: value });

/** A record of a program: its results by name. */
function program(results: Readonly<Record<string, Channel>>, inputs: unknown = {}): OpenedRecord {
  const answers = Object.entries(results).map(([prompt, channel]) => ({
    ...{ prompt, input: digestJson({ prompt, inputs }), finishReason: 'unknown' as const, sampling: null },
    channels: [channel],
  }));
  const record = recordOf({
    ...{ name: 'x', suite: 'script', createdAt: undefined, environment: UNKNOWN_ENVIRONMENT, answers },
    vocabulary: new Map(),
  });
  const bodies = new Map(answers.map(({ channels }) => [sha256(packBody(channels)), channels]));
  return {
    ...{ record, sha256: '' },
    readBody: async (digest) => bodies.get(digest) ?? assert.fail(),
    readTokens: async () => assert.fail(),
    readVocabulary: async () => new Map(),
  };
}

type Asked = Partial<Pick<SidesSettings, 'paths' | 'change' | 'required'>>;

/** What `compare` answers, beside the job that it ran in. */
async function run(asked: Asked, options: EngineOptions = {}, job = new Job()) {
  const settings = { paths: [], change: {}, required: 'identical', ...asked };
  const answer = await compareUseCase(
    { ...job.settings('workflow_dispatch'), ...ASKS.compare, ...settings },
    job.tools(options),
  );
  const page = job.disk.files.get(answer.htmlPath) ?? assert.fail('no page');
  // What a program reads is what the schema says, whatever was compared.
  const { outcome } = CompareAnswer.parse(JSON.parse(json(answer.value)));
  return { ...answer, job, outcome, page };
}

async function compared(left: OpenedRecord, right: OpenedRecord) {
  const job = new Job();
  job.disk.folders.set('/left', { record: left }).set('/right', { record: right });
  const { lines, ...rest } = await run({ paths: ['/left', '/right'] }, {}, job);
  const [answer = '', ...others] = lines;
  assert.deepEqual(others.slice(0, 2), ['A: /left', 'B: /right'], 'the answer comes first');
  assert.deepEqual(job.engine.starts, []);
  return { ...rest, answer, lines: others.slice(2) };
}

const LOGITS = digests('tensors', ['float32[2]', 'bits']);
const LOSS = digests('numbers', ['float 0.1', 'a'], ['float 0.5', 'b']);

describe('two records of programs', () => {
  test('of the same bits pass', async () => {
    const results = { logits: LOGITS, loss: LOSS, answer: text('yes') };
    const { verdict, answer, lines } = await compared(program(results), program(results));
    assert.deepEqual(
      [verdict, answer, lines],
      ['pass', 'Both sides hold the same bits: 3 results compared, and neither has more.', []],
    );
  });

  test('leave a page on which nothing that came from outside acts', async () => {
    const hostile = '</p><script>alert(1)</script><img src=x onerror=alert(1)>\u202e';
    const job = new Job();
    for (const [folder, name] of [
      ['/left', 'one'],
      [`/${hostile}`, hostile],
    ] as const)
      job.disk.folders.set(folder, { record: program({ answer: text(name) }) });
    const { page, htmlPath, value } = await run({ paths: ['/left', `/${hostile}`] }, {}, job);
    assert.match(htmlPath, /\.compared\.html$/);
    assert.equal(value.sides.second, `/${hostile}`);
    assert.match(page, /<title>Two sides, compared<\/title>/);
    assert.doesNotMatch(page, /<script|<img|\u202e/);
    assert.match(page, /&#60;script&#62;/);
    assert.match(page, /answer: text: /);
  });

  test('that differ fail, and each difference is named', async () => {
    const { verdict, answer, lines } = await compared(
      program({ logits: LOGITS, loss: LOSS, answer: text('the sky is blue'), same: LOGITS }),
      program({
        logits: digests('tensors', ['float32[2]', 'others']),
        loss: digests('numbers', ['float 0.1', 'a'], ['float 0.75', 'c']),
        answer: text('the sky is\u001b[2J red'),
        same: LOGITS,
      }),
    );
    assert.equal(verdict, 'fail');
    assert.deepEqual(lines, [
      `logits: tensors: other bits in float32[2]: A has ${sha256('bits').slice(0, 16)}, B ${sha256('others').slice(0, 16)}`,
      'loss: numbers: 1 of 2 differ, the first at 1: A has float 0.5, B float 0.75',
      'answer: text: differs at character 11: A has “the sky is blue”, B “the sky is\\u{1b}[2J red”',
      'Nothing that both sides tell of their environments differs.',
    ]);
    assert.equal(
      answer,
      'differs: the two are NOT the same (another text in 1 of 1): 1 result identical, 3 not.',
    );
  });

  test('of which one has more are not the same', async () => {
    const less = program({ logits: LOGITS });
    const more = program({ logits: LOGITS, loss: LOSS });
    assert.deepEqual((await compared(less, more)).lines[0], 'loss: only B asks it so');
    const { verdict, lines } = await compared(more, less);
    assert.deepEqual([verdict, lines[0]], ['fail', 'loss: only A asks it so']);
  });

  test('of other inputs, or of NaN, were not compared, and that is no pass', async () => {
    const other = await compared(program({ logits: LOGITS }), program({ logits: LOGITS }, { seed: 2 }));
    assert.equal(other.verdict, 'fail');
    assert.match(other.answer, /^inputs-differ: nothing was compared: none of the 1 prompts/);
    const broken = program({ logits: digests('tensors', ['float32[2]', 'bits', 2]) });
    const { verdict, lines } = await compared(broken, broken);
    assert.equal(verdict, 'fail');
    assert.match(lines[0] ?? '', /^logits: not compared: .*2 values of tensors are NaN/);
  });
});

describe('two records of engines', () => {
  const engine = (logprobs: readonly number[]): OpenedRecord => ({
    ...side({ lifetimes: { 'lifetime-1': { 'generate-alone': { capital: body({ logprobs }) } } } }),
    sha256: '',
  });

  test('are compared as a run is with its baseline', async () => {
    assert.equal((await compared(engine([-0.5, -1]), engine([-0.5, -1]))).verdict, 'pass');
    const { verdict, lines } = await compared(engine([-0.5, -1]), engine([-0.5, -1.25]));
    assert.equal(verdict, 'fail');
    assert.match(
      lines[0] ?? '',
      /^capital: same tokens, other log-probability bits; bits differ at step 2 of 2 only/,
    );
  });

  test('of two engines list what both tell, and count what is in one engine’s own words', async () => {
    const of = (
      name: string,
      requested: Readonly<Record<string, unknown>>,
      logprob: number,
    ): OpenedRecord => {
      const { record, ...rest } = engine([-0.5, logprob]);
      const { declared } = record.fingerprint;
      const told = { ...declared, engine: { ...declared.engine, name } };
      const lifetimes = record.lifetimes.map((one) => ({ ...one, settings: { ...one.settings, requested } }));
      const fingerprint = { ...record.fingerprint, declared: told };
      return { ...rest, record: { ...record, fingerprint, lifetimes } as OpenedRecord['record'] };
    };
    const { lines, value } = await compared(
      of('vllm', { block_size: 16, dtype: 'float32' }, -1),
      of('transformers', { attn_implementation: 'sdpa', dtype: 'float64' }, -1.25),
    );
    assert.deepEqual(
      lines.filter((line) => /^ {2}/.test(line)),
      [
        '  other (declared): engine.name: A vllm, B transformers',
        '  other (declared): engine.requested.dtype: A float32, B float64',
        '  2 settings that only one of the two engines has (A 1, B 1): the page and `--json` list them',
      ],
    );
    assert.ok(value.changes.some(({ field }) => field === 'engine.requested.block_size'));
  });

  test('hold no program’s results: a run of an engine has arranged passes', async () => {
    const script = program({ capital: text('x') });
    assert.equal((await compared(engine([-0.5, -1]), script)).verdict, 'fail');
    const error = await rejectedBy(compared(script, engine([-0.5, -1])));
    assert.equal(error.code, 'input-invalid');
    assert.match(error.message, /the first was told by another program/);
  });
});

test('a program’s record is no baseline of an engine: nothing tells how it arranged its passes', async () => {
  const run = side({ lifetimes: { 'lifetime-1': { 'generate-alone': { capital: body() } } } });
  const { observations, ...told } = run.record;
  const untold: Side = {
    ...run,
    record: {
      ...told,
      source: 'imported',
      observations,
      lifetimes: told.lifetimes.map((one) => ({
        ...one,
        passes: one.passes.map((pass) => ({ ...pass, arrangement: 'untold' as const })),
      })),
    },
  };
  const status = async (now: Side, before: Side) =>
    (await compare(now, before, [{ relation: 'baseline', requirement: 'identical' }]))[0]?.status;
  assert.equal(await status(run, untold), 'unmeasured');
  assert.equal(await status(untold, untold), 'held');
  assert.equal(await status(untold, run), 'held');
});

describe('a suite and a change to it', () => {
  const change = { args: { dtype: 'float16' } };
  const ONE = { paths: ['suite.yml'], change } satisfies Asked;
  const ifChanged =
    (nats: number): NonNullable<EngineOptions['computes']> =>
    ({ args }) =>
      args['dtype'] === 'float16' ? { nats, shift: 1 } : {};

  test('of the same bits pass, each measured once and left as a record', async () => {
    const { verdict, outcome, lines, job } = await run(ONE);
    assert.deepEqual([verdict, outcome], ['pass', 'identical'], lines.join('\n'));
    assert.deepEqual(lines.slice(1, 3), ['A: suite.yml', 'B: suite.yml with dtype=float16']);
    assert.match(lines[0] ?? '', /^Both sides hold the same bits: 7 results/);
    assert.deepEqual(
      job.engine.loads.map(({ args }) => args['dtype']),
      [undefined, 'float16'],
    );
    assert.deepEqual([...job.disk.folders.keys()], ['/record-1.sides/first', '/record-1.sides/second']);
    assert.deepEqual([job.store.saved, job.disk.unfinished, job.engine.running], [[], 0, 0]);
  });

  test('differ as their engines do, with the size of it, and the second is given the first one’s tokens', async () => {
    const { verdict, outcome, lines, job } = await run(ONE, { computes: ifChanged(-0.75) });
    assert.deepEqual([verdict, outcome], ['fail', 'differs']);
    assert.match(lines[0] ?? '', /^differs: the two are NOT the same \(.*another text in \d of \d\): /);
    assert.ok(
      lines.findIndex((line) => /^Size: /.test(line)) < lines.findIndex((line) => /^capital/.test(line)),
      'how much stands above where',
    );
    const told = lines.join('\n');
    assert.match(told, /^capital: other tokens; .*tokens part at step 1: .* in A, .*; .* in B, /m);
    assert.match(told, /^capital \(force\): same tokens, other log-probability bits; /m);
    assert.match(told, /^Size: /m);
    assert.match(told, /A side that is measured is started once/);
    const given = job.engine.passes
      .filter(({ kind, pass }) => kind === 'force' && pass === 'force-alone')
      .map(({ requests }) => requests.map(({ tokens }) => tokens).join());
    assert.equal(given.length, 2);
    assert.equal(given[0], given[1]);
  });

  test('that have not the same channels are told so, however equal the rest is', async () => {
    const compiled = { paths: ['suite.yml'], change: { args: { enforce_eager: false } } };
    const { outcome, lines } = await run(compiled);
    assert.equal(outcome, 'identical');
    assert.match(
      lines.join('\n'),
      /^Compared: 3 of 3 prompts and texts are asked of both; not compared, since the two sides have not the same of it: `modules` in 3 of 7 observations\.$/m,
    );
  });

  test('say the same of it whichever comes first', async () => {
    const job = new Job();
    const measured = await run(ONE, { computes: ifChanged(-0.75) }, job);
    const [first = '', second = ''] = [...job.disk.folders.keys()];
    const told = async (paths: readonly string[]) => {
      const { outcome, verdict, value } = await run({ paths }, {}, job);
      const { findings } = value as { readonly findings: readonly unknown[] };
      return { outcome, verdict, findings };
    };
    const { outcome, verdict } = measured;
    assert.deepEqual([outcome, verdict], ['differs', 'fail']);
    assert.deepEqual(await told([first, second]), await told([second, first]));
  });

  test('pass where they show what is required', async () => {
    const same = {
      computes: ({ args }: { readonly args: object }) => ('dtype' in args ? { nats: -0.3 } : {}),
    };
    for (const [required, verdict] of [
      ['identical', 'fail'],
      ['tokens', 'pass'],
      ['measure', 'pass'],
    ] as const)
      assert.equal((await run({ ...ONE, required }, same)).verdict, verdict, required);
    const { verdict, lines } = await run({ ...ONE, required: 'within 2x floor' }, same);
    assert.equal(verdict, 'fail');
    assert.match(lines[0] ?? '', /`within 2x floor` does not hold: .* positions are too few/);
  });

  test('may be of another engine, to which the arguments of the first say nothing', async () => {
    const job = new Job();
    job.suite = SUITE.replace(
      'engine: { name: vllm }',
      'engine: { name: vllm, args: { dtype: float32, block_size: 16 }, env: { VLLM_CPU_KVCACHE_SPACE: "1" } }',
    );
    const { outcome } = await run({ paths: ['suite.yml'], change: { engine: 'transformers' } }, {}, job);
    assert.equal(outcome, 'identical');
  });

  test('tell by role which module is the first beyond rounding, whatever the engines call it', async () => {
    const roles = { 'layers.0.qkv': 0.007, 'layers.0.o': 0.04, norm: 0.5 };
    const { lines, page } = await run(ONE, {
      computes: ({ args }) => ('dtype' in args ? { nats: -0.3, roles } : {}),
    });
    // The same on the page, in a table.
    const cells = ['', '7x', '40x'].map((cell) => `<td class="n">${cell}</td>`).join('');
    assert.ok(page.includes(`<tr><th scope="row">layers.0</th>${cells}</tr>`), page);
    assert.match(page, /First module beyond rounding: layers\.0\.o, 40x its floor/);
    assert.match(page, /<th scope="row">engine\.requested\.dtype<\/th>/);
    assert.deepEqual(lines.slice(lines.findIndex((line) => /^First module/.test(line))).slice(0, 5), [
      'First module beyond rounding: layers.0.o, 40x its floor (2 of 4 modules matched by role, in 3 texts).',
      '                  qkv    o',
      '  embed        0',
      '  layers.0         7x  40x',
      '  norm      500x',
    ]);
    const rounding = await run(ONE, { computes: ({ args }) => ('dtype' in args ? { nats: -0.3 } : {}) });
    assert.match(
      rounding.lines.join('\n'),
      /^Modules: none is beyond rounding, which is 10x its floor \(4 modules matched by role, in 3 texts\)/m,
    );
  });

  test('need a change that a suite can have', async () => {
    const refused = async (asked: Asked) => await rejectedBy(run(asked));
    assert.match((await refused({ paths: ['suite.yml'] })).message, /needs a change/);
    const no = await refused({ paths: ['suite.yml'], change: { env: { PATH: '/bin' } } });
    assert.deepEqual([no.code, /engine\.env\.PATH/.test(no.message)], ['suite-invalid', true], no.message);
    assert.match((await refused({ ...ONE, paths: ['suite.yml', '/record'] })).message, /cannot be changed/);
  });

  test('are nothing that a stranger may start', async () => {
    const job = new Job();
    job.base.set('suite.yml', SUITE);
    const settings = job.settings('pull_request', { base: 'refs/heads/main', fork: true });
    const error = await rejectedBy(
      compareUseCase({ ...settings, ...ASKS.compare, ...ONE, required: 'identical' }, job.tools()),
    );
    assert.equal(error.code, 'event-refused');
  });
});

describe('a record and a suite', () => {
  test('are compared on the record’s tokens, whichever of them is named first', async () => {
    const job = new Job();
    await run({ paths: ['suite.yml'], change: { args: { dtype: 'float16' } } }, {}, job);
    for (const paths of [
      ['/record-1.sides/first', 'suite.yml'],
      ['suite.yml', '/record-1.sides/first'],
    ]) {
      // It would generate others, and its scores are of the record's.
      const { outcome, lines, job: after } = await run({ paths }, { computes: () => ({ shift: 1 }) }, job);
      assert.equal(outcome, 'differs');
      assert.deepEqual(
        lines.filter((line) => / \((?:force|score)\)/.test(line)),
        [],
      );
      assert.equal(after.engine.loads.length, 1);
    }
  });

  test('of other questions are unlike, and no engine is started for that', async () => {
    const job = new Job();
    await run({ paths: ['suite.yml'], change: { args: { dtype: 'float16' } } }, {}, job);
    job.suite = SUITE.replaceAll(/text: "/g, 'text: "Other: ');
    const { outcome, verdict, lines } = await run({ paths: ['/record-1.sides/first', 'suite.yml'] }, {}, job);
    assert.deepEqual([outcome, verdict], ['inputs-differ', 'fail']);
    assert.match(lines[0] ?? '', /^inputs-differ: no prompt or text of one side/);
    assert.deepEqual(job.engine.starts, []);
  });

  test('of which one prompt asks something else are unlike, whatever the others show', async () => {
    const job = new Job();
    await run({ paths: ['suite.yml'], change: { args: { dtype: 'float16' } } }, {}, job);
    job.suite = SUITE.replace('The sky is', 'The sky was');
    const { outcome, verdict, lines } = await run({ paths: ['/record-1.sides/first', 'suite.yml'] }, {}, job);
    assert.deepEqual([outcome, verdict], ['inputs-differ', 'fail']);
    assert.match(lines.join('\n'), /^sky: the two ask something else$/m);
  });
});

test('other than one or two sides are refused', async () => {
  for (const paths of [['/left'], ['/a', '/b', '/c'], []])
    assert.equal((await rejectedBy(run({ paths }))).code, 'input-invalid');
});
