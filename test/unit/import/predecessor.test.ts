import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { compareChannels } from '../../../src/compare/channels.ts';
import { foreignFolders } from '../../../src/disk/foreign.ts';
import { findRecords, recordBatch } from '../../../src/disk/record-batch.ts';
import { openRecord } from '../../../src/disk/record-folder.ts';
import { UserError } from '../../../src/errors.ts';
import { records, reports } from '../../../src/front/wiring.ts';
import type { Tools } from '../../../src/job/tools.ts';
import { describeChannel } from '../../../src/record/channels.ts';
import { blake2b } from '../../../src/record/digest.ts';
import { damage } from '../../../src/record/intact.ts';
import { explainRecords } from '../../../src/use-cases/explain.ts';
import { importResults } from '../../../src/use-cases/import.ts';

const FIXTURE = fileURLToPath(new URL('../../fixtures/predecessor', import.meta.url));
const LLAMA = 'vllm_llama_3_70b_instruct_awq';

const tools = (): Tools =>
  ({
    console: {
      info: () => {},
      progress: () => {},
      section: (_: string, work: () => Promise<unknown>) => work(),
    },
    signal: new AbortController().signal,
    ...{ records, reports },
    many: { results: foreignFolders, records: findRecords, place: recordBatch },
  }) as unknown as Tools;

class Temporary implements AsyncDisposable {
  readonly path: string;
  private constructor(path: string) {
    this.path = path;
  }
  static make = async () => new Temporary(await mkdtemp(join(tmpdir(), 'dml-import-')));
  /** Imports a folder into `records`. */
  async imported(from = FIXTURE): Promise<string> {
    const recordPath = join(this.path, 'records');
    await importResults({ paths: [from], recordPath }, tools());
    return recordPath;
  }
  /** A copy of one published run, with other bytes in one of its files; without it where there are none. */
  async broken(file: string, text: string | Buffer | undefined): Promise<UserError> {
    const run = join(this.path, 'run');
    await cp(join(FIXTURE, 'vllm_phi35'), run, { recursive: true });
    const [name = ''] = await readdir(run);
    if (text === undefined) await rm(join(run, name, file));
    else await writeFile(join(run, name, file), text);
    const refused = await this.imported(run).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(refused instanceof UserError, 'it was imported');
    assert.deepEqual(
      (await readdir(this.path)).filter((one) => one.startsWith('records')),
      [],
    );
    return refused;
  }
  async [Symbol.asyncDispose]() {
    await rm(this.path, { recursive: true });
  }
}

test('the published runs fall into the published groups, and the SM count with the GPU count explains them', async () => {
  await using temporary = await Temporary.make();
  const path = await temporary.imported();
  const { explained } = await explainRecords(
    { paths: [path], recordPath: join(temporary.path, 'page') },
    tools(),
  );
  const [llama, phi] = explained.families;
  assert.deepEqual([llama?.suite, phi?.suite], [LLAMA, 'vllm_phi35']);
  const [whole, schooling] = llama?.groupings ?? [];
  const names = whole?.groups.map(({ cases }) => cases.map((at) => llama?.cases[at]?.name.slice(20)));
  assert.deepEqual(names, [
    ['1x_a100_sxm4_80gb', '1x_a100x', '1x_a100_pcie', '1x_a100_pcie'],
    ['1x_h100_nvl', '1x_h100_sxm'],
    ['1x_h100_pcie', '1x_h100_pcie_with_intel_xeon'],
    ['2x_a100_sxm4_40gb'],
    ['4x_rtx_4000ada'],
    ['2x_rtx_a6000'],
  ]);
  // On one prompt two of the groups agree.
  assert.equal(schooling?.groups.length, 5);
  const [best, ...others] = whole?.explanation?.sets ?? [];
  assert.deepEqual(
    best?.classes.map(({ fields }) => fields),
    [['SM count'], ['GPU count']],
  );
  assert.equal(best?.repeats, 5);
  assert.ok(others.every(({ repeats }) => repeats < 5));
  const stateOf = (field: string) => whole?.explanation?.fields.find(({ fields }) => fields.includes(field));
  assert.equal(stateOf('driver')?.state, 'not');
  assert.equal(stateOf('driver')?.varied, 3);
  assert.equal(stateOf('library cuda')?.state, 'constant');
  assert.deepEqual(whole?.explanation?.search, { kind: 'exact' });
});

test('an imported record is whole, says what nobody told, and knows its texts by their digests alone', async () => {
  await using temporary = await Temporary.make();
  const path = await temporary.imported(join(FIXTURE, 'vllm_phi35'));
  const [found] = await findRecords([path]);
  const opened = await openRecord(found?.folder ?? '');
  const { record } = opened;
  assert.equal(record.source, 'imported');
  assert.equal(record.createdAt, '2024-08-28T10:03:04Z');
  const [gpu] = record.fingerprint.ambient.gpus;
  assert.deepEqual(gpu, {
    name: 'NVIDIA GeForce RTX 3090',
    uuidHash: 'unknown',
    computeCapability: '8.6',
    smCount: 'unknown',
    memoryBytes: 24576 * 1024 ** 2,
  });
  assert.equal(record.fingerprint.ambient.driver, '550.100');
  assert.equal(record.fingerprint.declared.model.label, 'unknown');
  assert.equal(record.suite.prompts[0]?.sampling, null);
  assert.equal(record.lifetimes[0]?.passes[0]?.arrangement, 'untold');
  assert.deepEqual(
    record.observations[0]?.channels.map(({ name, count }) => [name, count]),
    [['text-digest', 1]],
  );
  assert.ok(record.observations.some(({ channels }) => channels[0]?.blake2b?.startsWith('fe0119a32e5cb10c')));
  for await (const problem of damage(opened)) assert.fail(problem);
});

test('a text that an engine gave is compared with one that is known by its digest', () => {
  const told = (channels: Parameters<typeof describeChannel>[0][]) =>
    ({ channels: channels.map(describeChannel) }) as Parameters<typeof compareChannels>[0];
  const text = told([{ name: 'text', kind: 'text', text: 'blue' }]);
  const same = told([{ name: 'text-digest', kind: 'digest', blake2b: blake2b('blue') }]);
  const other = told([{ name: 'text-digest', kind: 'digest', blake2b: blake2b('grey') }]);
  const outcomes = (left: typeof text, right: typeof text) =>
    compareChannels(left, right).map(({ rule, outcome }) => [rule.differs, outcome]);
  assert.deepEqual(outcomes(text, same), [['text-differs', 'equal']]);
  assert.deepEqual(outcomes(other, text), [['text-differs', 'differs']]);
  assert.deepEqual(outcomes(same, other), [['text-differs', 'differs']]);
});

describe('nothing is imported of', () => {
  const place = ({ places }: UserError) => places.map(({ file, line }) => [file.split('/').at(-1), line]);

  test('half a run', async () => {
    await using temporary = await Temporary.make();
    const error = await temporary.broken('output.yaml', undefined);
    assert.equal(error.code, 'import-invalid');
    assert.match(error.message, /output\.yaml:1:1 {2}is missing: what lies beside it is half a run/);
  });

  test('a digest that was cut, with its line', async () => {
    await using temporary = await Temporary.make();
    const error = await temporary.broken(
      'output.yaml',
      `First: ${'a'.repeat(128)}\nSecond: ${'b'.repeat(127)}\n`,
    );
    assert.deepEqual(place(error), [['output.yaml', 2]]);
    assert.match(error.message, /BLAKE2b-512/);
  });

  test('what is no YAML, no mapping, no UTF-8, and a bomb of aliases', async () => {
    const wrong: readonly (readonly [string | Buffer, RegExp])[] = [
      ['a: [1', /output\.yaml:1/],
      ['', /output\.yaml:1:1/],
      [Buffer.from([0x61, 0x3a, 0x20, 0xff]), /is no UTF-8/],
      [`a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]\n`, /output\.yaml:2:\d+ {2}aliases are not supported/],
      [`"__proto__": ${'a'.repeat(128)}\n`, /__proto__/],
      ['a: \u001b[31m', /output\.yaml/],
    ];
    for (const [text, expected] of wrong) {
      await using temporary = await Temporary.make();
      const error = await temporary.broken('output.yaml', text);
      assert.match(error.message, expected);
      assert.ok(!error.message.includes('\u001b'));
    }
  });

  test('more than can be: 1000 GPUs, a huge file', async () => {
    await using temporary = await Temporary.make();
    const error = await temporary.broken('sysinfo.yaml', 'machine: { gpu: { count: 1000 } }\n');
    assert.match(error.message, /sysinfo\.yaml:1:\d+ {2}`machine\.gpu\.count`/);
    await using another = await Temporary.make();
    const huge = await another.broken('output.yaml', `a: ${'a'.repeat(3_000_000)}\n`);
    assert.match(huge.message, /is larger than 2097152 bytes/);
  });

  test('one broken run beside whole ones, all problems at once', async () => {
    await using temporary = await Temporary.make();
    const run = join(temporary.path, 'runs');
    await cp(FIXTURE, run, { recursive: true });
    for (const name of (await readdir(join(run, LLAMA))).slice(0, 2))
      await writeFile(join(run, LLAMA, name, 'experiment.yaml'), 'experiment: [\n');
    await assert.rejects(
      temporary.imported(run),
      ({ places }: UserError) => new Set(places.map(({ file }) => file)).size === 2,
    );
    await assert.rejects(readFile(join(temporary.path, 'records')));
  });

  test('nothing: a folder without results is said to hold none', async () => {
    await using temporary = await Temporary.make();
    await assert.rejects(temporary.imported(temporary.path), {
      code: 'records-missing',
      message: /holds nothing that can be imported \(no file\)/,
    });
    for (const name of ['results.csv', 'samples_arc.jsonl.gz'])
      await writeFile(join(temporary.path, name), 'not ours');
    await assert.rejects(temporary.imported(temporary.path), {
      code: 'records-missing',
      message: /\(2 files of no known kind: results\.csv, samples_arc\.jsonl\.gz\)/,
      hint: /^Unpack samples_arc\.jsonl\.gz first\. What is read: /,
    });
    await assert.rejects(temporary.imported(join(temporary.path, 'gone')), { code: 'records-missing' });
  });
});

test('what lies in the place of the records stays', async () => {
  await using temporary = await Temporary.make();
  const path = await temporary.imported(join(FIXTURE, 'vllm_phi35'));
  await assert.rejects(temporary.imported(), { code: 'input-invalid' });
  assert.equal((await findRecords([path])).length, 1);
});
