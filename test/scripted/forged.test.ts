import assert from 'node:assert/strict';
import { cp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import type { BaselineMeta } from '../../src/baseline/port.ts';
import { openRecord } from '../../src/disk/record-folder.ts';
import { countOf } from '../../src/record/channels.ts';
import { sha256 } from '../../src/record/digest.ts';
import { outcomeDigest, outcomeDigests } from '../../src/record/outcome.ts';
import type { Pass, RunRecord } from '../../src/record/schema.ts';
import { reportDigest } from '../../src/report/make.ts';
import type { Report } from '../../src/report/schema.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { stepHere } from '../e2e/support/here.ts';
import { trustedIn, verified } from '../e2e/support/looked-at.ts';
import { type Outcome, type Runner, runStep } from '../e2e/support/spawn.ts';
import { BASELINES, checkout, type SuiteOptions, suite } from '../e2e/support/suites.ts';
import { OneProcess } from '../support/one-process.ts';
import { rewriteRecord } from '../support/rewrite-record.ts';
import { temporaryFolder } from '../support/runtimes.ts';
import { tried } from '../support/tried.ts';
import { withTree } from '../unit/support/records.ts';
import { rejectedBy } from '../unit/support/suites.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

const PROMPTS = [
  { id: 'one', text: 'The capital of France is' },
  { id: 'two', text: 'The capital of Japan is' },
];

/** A check, or a refresh, whose record lies beside the checkout under a name. */
async function run(
  runner: Runner,
  mode: 'check' | 'refresh',
  name: string,
  options: SuiteOptions = {},
  step = stepHere,
): Promise<Outcome> {
  await runner.write('determinism.yml', suite({ prompts: PROMPTS, ...options }));
  return await step(action, runner, {
    event: 'workflow_dispatch',
    with: { runtime: 'process', mode, reason: 'first one', 'record-path': `../${name}` },
  });
}

async function edit(path: string, change: (text: string) => string): Promise<void> {
  const text = await readFile(path, 'latin1');
  const changed = change(text);
  assert.notEqual(changed, text, `nothing to change in ${path}`);
  await writeFile(path, changed, 'latin1');
}

/** Flips the lowest bit behind the first match: of a digit, so that JSON stays JSON. */
const flipBehind = (pattern: RegExp) => (text: string) => {
  const found = pattern.exec(text);
  assert.ok(found, `${pattern} is there`);
  const at = found.index + found[0].length;
  assert.match(text[at] ?? '', /\d/);
  return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1);
};
const tracedIn = ({ observations }: RunRecord) => observations.find((one) => countOf(one, 'modules') > 0);
const flipLastByte = (bytes: string) =>
  bytes.slice(0, -1) + String.fromCharCode(bytes.charCodeAt(bytes.length - 1) ^ 1);

describe('`deterministic-ml verify`', () => {
  let runner: Runner;
  /** Beside the checkout: what each run left, by name. */
  let place: string;
  let there: OneProcess;

  before(async () => {
    runner = await checkout();
    there = new OneProcess(runner.workspace, { PATH: process.env['PATH'] ?? '' });
    place = join(runner.workspace, '..');
    const known = -0.25;
    const other = { args: { logprob: -0.5 }, confirm: 1 };
    const starts = JSON.stringify(join(runner.home, 'starts'));
    const alternating = {
      args: {
        on_load: `import pathlib
if not pathlib.Path(${starts}).exists(): args["logprob"] = -0.5
pathlib.Path(${starts}).touch()`,
      },
      confirm: 1,
    };
    const batch = { name: 'batch', require: 'identical' };
    const unwitnessed = { relations: [batch], args: { on_pass: 'witness["requests"] = None' } };
    const runs = [
      ['no-baseline', 'check', 'no-baseline', {}],
      ['stored', 'refresh', 'reproduced', { lifetimes: 2, args: { logprob: known } }],
      ['reproduced', 'check', 'reproduced', {}],
      ['drift', 'check', 'drift', other],
      ['unstable', 'check', 'unstable', alternating],
      ['unmeasured', 'check', 'unmeasured', unwitnessed],
      ['replaced', 'refresh', 'reproduced', { args: { logprob: -0.5 } }],
    ] as const;
    for (const [name, mode, conclusion, options] of runs) {
      const outcome = await run(runner, mode, name, options);
      assert.equal(outcome.outputs['conclusion'], conclusion, outcome.log);
    }
  });
  after(async () => {
    await there[Symbol.asyncDispose]();
    await runner[Symbol.asyncDispose]();
  });

  const verify = (report: string, ...flags: readonly string[]) =>
    there.run(join(action.path, 'dist/cli.js'), ['verify', report, ...flags]);

  const AGREES = /\nThe report agrees with its record and baseline\.$/;
  const DISAGREES = /\nThe report DISAGREES with its record and baseline\.$/;

  for (const name of ['reproduced', 'drift', 'unstable', 'unmeasured', 'no-baseline', 'stored', 'replaced'])
    test(`agrees with the report of \`${name}\``, async () => {
      const { agrees, lines } = await verified(join(place, `${name}.report.json`));
      const told = lines.join('\n');
      assert.ok(agrees, told);
      assert.match(told, AGREES);
      assert.match(told, /Checked: \d files? by digest, [1-9]\d* bodies opened and digested anew/);
    });

  test('tells on a terminal whether it agrees, and ends by that', async () => {
    const program = join(action.path, 'dist/cli.js');
    const words = ['verify', join(place, 'drift.report.json')];
    const agreed = await execa(process.execPath, [program, ...words], { reject: false });
    assert.equal(agreed.exitCode, 0, agreed.stdout + agreed.stderr);
    assert.match(agreed.stdout, AGREES);
    await using copy = await copyOf('drift');
    await edit(`${copy.record}.report.json`, flipBehind(/"rmsNats":0\./));
    const { exitCode, stdout, stderr } = await verify(`${copy.record}.report.json`);
    assert.equal(exitCode, 1, stdout + stderr);
    assert.match(stdout, /^sha256: /m);
    assert.match(stdout, DISAGREES);
  });

  test('agrees wherever the folders were brought, and says when one is missing', async () => {
    await using folder = await temporaryFolder();
    const to = (name: string) => join(folder.path, name);
    await cp(join(place, 'drift'), to('a'), { recursive: true });
    await cp(join(place, 'drift.baseline'), to('b'), { recursive: true });
    await cp(join(place, 'drift.report.json'), to('c.json'));
    const moved = ['--record-path', to('a'), '--baseline-path', to('b')];
    assert.equal((await verify(to('c.json'), ...moved)).exitCode, 0);
    const missing = await verify(to('c.json'), '--record-path', to('a'), '--baseline-path', to('d'));
    assert.equal(missing.exitCode, 2);
    assert.match(missing.stderr, /^input-invalid: The report was made from a baseline, and .*\/d holds none/);
  });

  /** What a run left, where it can be damaged. */
  async function copyOf(name: string): Promise<AsyncDisposable & { readonly record: string }> {
    const folder = await temporaryFolder();
    const record = join(folder.path, name);
    for (const suffix of ['', '.baseline', '.report.json'])
      await cp(join(place, name) + suffix, record + suffix, { recursive: true });
    return { record, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
  }

  const bodyOf = async (folder: string, which: (record: RunRecord) => string | undefined) =>
    join(folder, 'bodies', which((await openRecord(folder)).record) ?? 'missing');
  const forge = (record: string, change: (report: Report) => Report) =>
    edit(`${record}.report.json`, (text) => {
      const changed = change(JSON.parse(text) as Report);
      return JSON.stringify({ ...changed, sha256: reportDigest(changed) });
    });

  const damages: readonly (readonly [
    what: string,
    change: (record: string) => Promise<void>,
    place: RegExp,
  ])[] = [
    [
      'one bit of record.json',
      (record) => edit(join(record, 'record.json'), flipBehind(/"seconds": \d+\.(?=\d)/)),
      /^digests\.record: /m,
    ],
    [
      'one bit of a digest of what was generated',
      async (record) =>
        edit(
          await bodyOf(record, ({ lifetimes }) => lifetimes[0]?.passes[0]?.digest),
          flipBehind(/"name":"logprobs","nans":\d+,"sha256":"[a-f]*/),
        ),
      /^digests\.record: .*has another digest of its pass lifetime-1\/generate-alone than its observations give/m,
    ],
    [
      'one bit of what was generated',
      async (record) => edit(await bodyOf(record, ({ observations }) => observations[0]?.body), flipLastByte),
      /^record\.bodies: .*has other bytes than its name says/m,
    ],
    [
      'one bit of a trace',
      async (record) => edit(await bodyOf(record, (held) => tracedIn(held)?.body), flipLastByte),
      /^record\.bodies: .*has other bytes than its name says/m,
    ],
    [
      'one bit of the texts of the tokens',
      async (record) => edit(await bodyOf(record, ({ vocabulary }) => vocabulary), flipLastByte),
      /^record\.bodies: .*has other bytes than its name says/m,
    ],
    [
      'one bit of baseline.json',
      (record) => edit(join(`${record}.baseline`, 'baseline.json'), flipBehind(/"createdAt": "\d\d\d/)),
      /^digests\.baselineMeta: .*\n(.*\n)*context\.baseline\.provenance\.createdAt: /m,
    ],
    [
      'one bit of the baseline’s record.json',
      (record) => edit(join(`${record}.baseline`, 'record.json'), flipBehind(/"seconds": \d+\.(?=\d)/)),
      /^digests\.baselineRecord: /m,
    ],
    [
      'one bit of a body of the baseline',
      async (record) =>
        edit(
          await bodyOf(`${record}.baseline`, ({ observations }) => observations.at(-1)?.body),
          flipLastByte,
        ),
      /^baselineRecord\.bodies: .*has other bytes than its name says/m,
    ],
    [
      'one bit of the report',
      (record) => edit(`${record}.report.json`, flipBehind(/"rmsNats":0\./)),
      /^sha256: .*\n(.*\n)*.*\.distance\.rmsNats: /m,
    ],
    [
      'another verdict, with the digest that belongs to it',
      (record) => forge(record, (report) => ({ ...report, conclusion: 'reproduced', verdict: 'pass' })),
      /^conclusion: the report says "reproduced", its files give "drift"\nverdict: the report says "pass", its files give "fail"$/m,
    ],
    [
      'a prompt that is said to be identical, with the digest that belongs to it',
      (record) =>
        forge(record, (report) => ({
          ...report,
          relations: report.relations.map((one) => ({
            ...one,
            findings: one.findings.map((finding) => ({ ...finding, agreement: 'identical', holds: true })),
          })),
        })),
      /^relations\[1\]\.findings\[0\]\.agreement: the report says "identical", its files give "logprobs-differ"$/m,
    ],
    [
      'an engine start that is not told, with the digest that belongs to it',
      (record) => forge(record, (report) => ({ ...report, work: { ...report.work, lifetimes: 1 } })),
      /^work\.lifetimes: the report says 1, its files give 2$/m,
    ],
  ];
  for (const [what, change, says] of damages)
    test(`disagrees: ${what}`, async () => {
      await using copy = await copyOf('drift');
      await change(copy.record);
      const { agrees, lines } = await verified(`${copy.record}.report.json`);
      const told = lines.join('\n');
      assert.ok(!agrees, told);
      assert.match(told, says);
      assert.match(told, DISAGREES);
    });

  test('a report that is none is an error, and no disagreement', async () => {
    await using copy = await copyOf('drift');
    await edit(`${copy.record}.report.json`, (text) => text.slice(0, -9));
    const { exitCode, stderr } = await verify(`${copy.record}.report.json`);
    assert.equal(exitCode, 2);
    assert.match(stderr, /^report-invalid: /);
  });
});

describe('a baseline that somebody made by hand', () => {
  let runner: Runner;
  let stored: string;
  let good: string;

  before(async () => {
    runner = await checkout();
    const refreshed = await run(runner, 'refresh', 'refreshed', { lifetimes: 2 });
    assert.equal(refreshed.exitCode, 0, refreshed.log);
    stored = join(runner.workspace, BASELINES, 'hostile', refreshed.outputs['hardware-class'] ?? '');
    good = join(runner.home, 'good');
    await rename(stored, good);
  });
  after(() => runner[Symbol.asyncDispose]());

  /** Changes a record as somebody would who knows the format: all digests that follow from it are made anew. */
  async function forge(
    change: (record: RunRecord, folder: string) => void | Promise<void>,
    meta: (meta: BaselineMeta) => void = () => {},
    from = good,
    grows = true,
  ): Promise<void> {
    await rm(stored, { recursive: true, force: true });
    await cp(from, stored, { recursive: true });
    await cp(join(good, 'baseline.json'), join(stored, 'baseline.json'));
    // A copy: what was read may be read again.
    const record = structuredClone((await openRecord(stored)).record);
    await change(record, stored);
    // Whoever can write to the store can count digests too.
    if (grows) {
      const { lifetimes, digest } = withTree(record);
      Object.assign(record, { lifetimes, digest });
    }
    const json = await rewriteRecord(stored, record);
    await edit(join(stored, 'baseline.json'), (text) => {
      const forged = JSON.parse(text) as BaselineMeta;
      forged.record = outcomeDigest(record);
      forged.recordFile = sha256(json);
      forged.envelope.digests = outcomeDigests(record);
      meta(forged);
      return JSON.stringify(forged);
    });
  }

  const passesOf = (record: RunRecord): Pass[] => record.lifetimes.flatMap(({ passes }) => passes);
  const taken = <T>(value: T | undefined): T => {
    assert.ok(value !== undefined);
    return value;
  };

  tried(
    'baseline made by hand',
    'digests of a baseline that somebody wrote into it',
    'all digests are counted anew from what they are of',
    async () => {
      await forge(
        ({ observations: [first] }) => {
          const one = taken(taken(first).channels[0]);
          one.sha256 = 'f'.repeat(64);
        },
        () => {},
        good,
        false,
      );
      const outcome = await run(runner, 'check', 'checked');
      assert.equal(outcome.outputs['error-code'], 'baseline-invalid', outcome.log);
      assert.match(
        outcome.log,
        /has another digest of its pass lifetime-1\/generate-alone than its observations give/,
      );
    },
  );

  /** Before any model is loaded: what a check meets there ends it. */
  async function refuses(says: RegExp): Promise<void> {
    const error = await rejectedBy(trustedIn(runner, stored));
    assert.equal(error.code, 'baseline-invalid');
    assert.match(error.message, says);
  }

  test('the good one is reproduced', async () => {
    await forge(() => {});
    assert.equal((await trustedIn(runner, stored)).kind, 'found');
    const outcome = await run(runner, 'check', 'checked');
    assert.equal(outcome.outputs['conclusion'], 'reproduced', outcome.log);
  });

  type Change = Parameters<typeof forge>[0];
  const refused: readonly (readonly [
    what: string,
    says: RegExp,
    change: Change,
    meta?: Parameters<typeof forge>[1],
  ])[] = [
    [
      'a prompt twice',
      /names a prompt twice/,
      ({ suite: { prompts } }) => {
        prompts.push(taken(prompts[0]));
      },
    ],
    [
      'an observation twice',
      /has two observations of lifetime-1\/generate-alone\/one/,
      ({ observations }) => {
        observations.push(taken(observations[0]));
      },
    ],
    [
      'a prompt that was asked and not observed',
      /has no observation of lifetime-1\/generate-alone\/one/,
      ({ observations }) => {
        observations.shift();
      },
    ],
    [
      'a prompt that its suite does not name',
      /which its suite does not ask/,
      ({ suite: { prompts } }) => {
        prompts.pop();
      },
    ],
    [
      'an engine start twice',
      /has two lifetimes lifetime-1/,
      ({ lifetimes }) => {
        lifetimes.push(taken(lifetimes[0]));
      },
    ],
    [
      'a body that is cut short, under the name that belongs to it',
      /has \d+ bytes where \d+ or more belong/,
      async ({ observations: [first] }, folder) => {
        const one = taken(first);
        const bytes = (await readFile(join(folder, 'bodies', one.body))).subarray(0, -4);
        one.body = sha256(bytes);
        await writeFile(join(folder, 'bodies', one.body), bytes);
      },
    ],
    [
      'a body that is another prompt’s',
      /holds other bits of `one` than its record says/,
      ({ observations: [first, second] }) => {
        taken(first).body = taken(second).body;
      },
    ],
    [
      'a body that is not there',
      /body [0-9a-f]{64} .*cannot be read \(ENOENT\)/,
      async (record, folder) => {
        await rm(join(folder, 'bodies', taken(tracedIn(record)).body));
      },
    ],
    [
      'a witness that tells of one request twice',
      /tells of one request twice/,
      (record) => {
        const requests = taken(passesOf(record)[0]?.witness.requests ?? undefined);
        requests.push(taken(requests[0]));
      },
    ],
    [
      'a witness without a counter',
      /witness/,
      (record) => {
        Reflect.deleteProperty(taken(passesOf(record)[0]).witness, 'generatedTokens');
      },
    ],
    [
      'observations of a pass that could not be done',
      /in a pass that could not be done/,
      (record) => {
        taken(passesOf(record)[0]).unavailable = 'not today';
      },
    ],
    [
      'a model that was changed on purpose',
      /was made of a model that was changed on purpose/,
      ({ lifetimes: [first] }) => {
        taken(first).perturbed = 'weight-bit';
      },
    ],
    [
      'outcomes that its record does not hold',
      /has an envelope of other outcomes than its record holds/,
      () => {},
      ({ envelope: { digests } }) => {
        digests.push('0'.repeat(64));
      },
    ],
    [
      'another record.json than it was made of, whose outcome is the same',
      /names another record\.json \(sha256:0{64}\) than lies beside it/,
      () => {},
      (meta) => {
        meta.recordFile = '0'.repeat(64);
      },
    ],
    [
      'a record of another suite, under the right name',
      /belongs to the suite `other`/,
      ({ suite }) => {
        suite.name = 'other';
      },
    ],
    [
      'a record of another GPU, under the right name',
      /belongs to the hardware class `nvidia-h100-80gb-hbm3-cc9.0-sm132-x1`/,
      (record) => {
        record.hardwareClass = 'nvidia-h100-80gb-hbm3-cc9.0-sm132-x1';
      },
    ],
    [
      'a record of another schema',
      /is a `deterministic-ml\/record\/v3`, and this version reads `deterministic-ml\/record\/v2`/,
      (record) => {
        Object.assign(record, { schema: 'deterministic-ml/record/v3' });
      },
    ],
    [
      'a baseline of another schema',
      /is not what this version writes/,
      () => {},
      (meta) => {
        Object.assign(meta, { schema: 'deterministic-ml/baseline/v2' });
      },
    ],
    [
      'a prompt id with markup',
      /the id of a prompt, as a suite may have it/,
      ({ observations: [first] }) => {
        taken(first).prompt = '<img src=x onerror=alert(1)> ::error::@octocat';
      },
    ],
    [
      'a huge string',
      /is not what this version writes|Too big/,
      () => {},
      ({ provenance }) => {
        provenance.reason = 'x'.repeat(500_000);
      },
    ],
    [
      'keys of a prototype',
      /Unrecognized key|unrecognized/i,
      (record) => {
        Object.defineProperty(record, '__proto__', { value: { polluted: true }, enumerable: true });
      },
    ],
    [
      'known tokens that are not there',
      /body [0-9a-f]{64} .*cannot be read \(ENOENT\)/,
      async ({ known: [first] }, folder) => {
        await rm(join(folder, 'bodies', taken(first).sha256));
      },
    ],
    [
      'known tokens of a prompt that its suite does not ask',
      /has known tokens of `three`, which its suite does not ask/,
      ({ known: [first] }) => {
        taken(first).prompt = 'three';
      },
    ],
    [
      'tokens beyond any vocabulary',
      /is damaged: an observation has the token id 4294967295, beyond any vocabulary/,
      async ({ observations: [first] }, folder) => {
        const one = taken(first);
        const bytes = await readFile(join(folder, 'bodies', one.body));
        // Behind the header, the first channel's entry and its name.
        bytes.writeUInt32LE(0xffff_ffff, 12 + 16 + 16);
        one.body = sha256(bytes);
        await writeFile(join(folder, 'bodies', one.body), bytes);
      },
    ],
  ];
  for (const [what, says, change, meta] of refused)
    test(`is refused: ${what}`, async () => {
      await forge(change, meta);
      await refuses(says);
    });

  const bent: readonly (readonly [what: string, says: RegExp, bend: (folder: string) => Promise<unknown>])[] =
    [
      [
        'a record.json that is cut short',
        /record\.json .*is no JSON/,
        async (folder) => {
          const path = join(folder, 'record.json');
          await truncate(path, Math.floor((await readFile(path)).length / 2));
        },
      ],
      [
        'a baseline.json that is cut short',
        /baseline\.json is not what this version writes/,
        (folder) => truncate(join(folder, 'baseline.json'), 100),
      ],
      [
        'a record.json of more than 1 GB',
        /larger than|holds more than/,
        (folder) => truncate(join(folder, 'record.json'), 1024 ** 3 + 1),
      ],
      [
        'one bit that is flipped in what an engine computed',
        /has other bytes than its name says/,
        async (folder) => {
          const [body = ''] = await readdir(join(folder, 'bodies'));
          await edit(join(folder, 'bodies', body), flipLastByte);
        },
      ],
    ];
  for (const [what, says, bend] of bent)
    test(`is refused: ${what}`, async () => {
      await forge(() => {});
      await bend(stored);
      await refuses(says);
    });

  test('that is refused fails the step, which says so without what it was given, and concludes nothing', async () => {
    await forge(({ observations: [first] }) => {
      taken(first).prompt = '<img src=x onerror=alert(1)> ::error::@octocat';
    });
    const outcome = await run(runner, 'check', 'checked', {}, runStep);
    assert.equal(outcome.exitCode, 1, outcome.log);
    assert.equal(outcome.outputs['error-code'], 'baseline-invalid', outcome.log);
    assert.equal(outcome.outputs['conclusion'] ?? '', '');
    const failure = outcome.commands.findLast(({ command }) => command === 'error')?.data ?? '';
    assert.match(failure, /the id of a prompt, as a suite may have it/);
    assert.doesNotMatch(outcome.log, /octocat/);
  });

  test('is not reproduced: log-probabilities that are NaN, as the engine’s are now', async () => {
    const nan = { args: { on_load: 'args["logprob"] = float("nan")' } };
    await rm(stored, { recursive: true, force: true });
    const made = await run(runner, 'check', 'nan', nan);
    assert.equal(made.outputs['conclusion'], 'no-baseline', made.log);
    await forge(
      () => {},
      () => {},
      made.outputs['record-path'],
    );
    const outcome = await run(runner, 'check', 'checked', nan);
    assert.equal(outcome.outputs['conclusion'], 'unmeasured', outcome.log);
    assert.equal(outcome.exitCode, 1);
    assert.match(outcome.log, /log-probabilities are NaN: the model is broken/);
  });

  test(`is not reproduced: a baseline whose generation is said to have been impossible`, async () => {
    await forge((record) => {
      for (const pass of passesOf(record)) if (pass.kind !== 'score') pass.unavailable = 'not today';
      const kept = new Set(passesOf(record).flatMap(({ kind, pass }) => (kind === 'score' ? [pass] : [])));
      record.observations = record.observations.filter(({ pass }) => kept.has(pass));
    });
    const outcome = await run(runner, 'check', 'checked');
    assert.equal(outcome.outputs['conclusion'], 'unmeasured', outcome.log);
    assert.equal(outcome.exitCode, 1);
    assert.match(outcome.log, /the baseline was made without a generate pass of it: refresh it/);
  });

  test('that lacks a prompt holds nobody to it, and that is told', async () => {
    await forge((record) => {
      record.suite.prompts = record.suite.prompts.filter(({ id }) => id === 'one');
      record.known = record.known.filter(({ prompt }) => prompt === 'one');
      record.observations = record.observations.filter(({ prompt }) => prompt === 'one');
      for (const pass of passesOf(record))
        pass.groups = pass.groups
          .map((group) => group.filter((id) => !id.startsWith('two')))
          .filter((group) => group.length > 0);
    });
    const outcome = await run(runner, 'check', 'checked');
    assert.match(outcome.log, /two +new prompt, nothing to compare with/);
    assert.match(outcome.log, /1 of 2 prompts ask what the baseline asked/);
  });
});
