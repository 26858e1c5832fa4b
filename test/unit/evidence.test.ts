/** The records of a real GPU in docs/evidence, read and compared by the code as it stands. */
import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { compare } from '../../src/compare/compare.ts';
import { find } from '../../src/compare/relations/witness.ts';
import { openRecord } from '../../src/disk/record-folder.ts';
import { likenesses } from '../../src/issues/match.ts';
import { damage } from '../../src/record/intact.ts';
import { differences } from '../../src/report/environment.ts';
import { folderOfProcess } from '../support/folders.ts';

/** Where the bit is. */
const MODULE = 'model.layers.15.mlp.down_proj';

/** The runs of a folder in docs/evidence, unpacked. */
async function unpacked(name: string): Promise<string> {
  const url = new URL(`../../docs/evidence/${name}/runs.tar.gz`, import.meta.url);
  const folder = folderOfProcess();
  const archive = extract();
  Readable.from([gunzipSync(await readFile(fileURLToPath(url)))]).pipe(archive);
  for await (const entry of archive) {
    const place = join(folder, entry.header.name);
    if (entry.header.type === 'directory') await mkdir(place, { recursive: true });
    else {
      await mkdir(dirname(place), { recursive: true });
      await writeFile(place, await buffer(entry));
    }
  }
  return folder;
}

describe('the floor of rounding on a real H200', () => {
  let folder: string;
  before(async () => {
    folder = await unpacked('2026-11-27-h200-floor');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const name of ['eager', 'eager-triton', 'big'])
    test(`${name}: every body has the bytes that its digest says`, async () => {
      for await (const why of damage(await openRecord(join(folder, name, 'record')))) assert.fail(why);
    });

  test('another attention lies at half of it, where batching gives no scale at all', async () => {
    const run = await openRecord(join(folder, 'eager-triton/record'));
    const baseline = await openRecord(join(folder, 'eager/record'));
    const [found] = await compare(run, baseline, [{ relation: 'baseline', requirement: 'identical' }]);
    const { distance, floorNats, floorBy, batchingNats } = found?.size ?? assert.fail();
    assert.deepEqual([floorBy, batchingNats], ['noise', 0]);
    assert.equal(((distance.rmsNats as number) / (floorNats ?? 0)).toFixed(2), '0.54');
    assert.equal(found?.findings.filter(({ trace }) => trace?.first?.endsWith('self_attn.attn')).length, 6);
  });
});

describe('what a real H200 computed with real vLLM', () => {
  let folder: string;
  before(async () => {
    folder = await unpacked('2026-11-27-h200');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const open = (name: string) => openRecord(join(folder, name));

  for (const name of ['eager-onebit/baseline', 'eager-onebit/record', 'bi-short-16/record'])
    test(`${name}: every body has the bytes that its digest says`, async () => {
      for await (const why of damage(await open(name))) assert.fail(why);
    });

  test('one low bit of one weight: four of six have drifted, and the trace names the module in each', async () => {
    const [run, baseline] = [await open('eager-onebit/record'), await open('eager-onebit/baseline')];
    const [found] = await compare(run, baseline, [{ relation: 'baseline', requirement: 'identical' }]);
    assert.equal(found?.status, 'broken');
    const scores = found.findings.filter(({ kind }) => kind === 'score');
    assert.deepEqual(
      scores.map(({ prompt, agreement, trace }) => [prompt, agreement, trace?.first ?? null]),
      [
        ['capital', 'identical', null],
        ['sky', 'modules-differ', MODULE],
        ['primes', 'identical', null],
        ['story', 'modules-differ', MODULE],
        ['long', 'logprobs-differ', MODULE],
        ['passage', 'modules-differ', MODULE],
      ],
    );
  });

  test('batch invariance breaks in the one prefill of more than 256 tokens, and in no other', async () => {
    const run = await open('bi-short-16/record');
    const [batch] = await compare(run, undefined, [{ relation: 'batch', requirement: 'identical' }]);
    const beside = find(run.record, run.record.lifetimes[0] ?? assert.fail(), 'generate', 'strangers');
    const prefilled = (id: string) => beside?.requests?.get(id)?.chunks[0] ?? assert.fail(id);
    const step = (prompt: string) =>
      [prompt, `${prompt}/short`, `${prompt}/long`].reduce((sum, id) => sum + prefilled(id), 0);
    const prompts = ['capital', 'sky', 'primes', 'story'];
    assert.deepEqual(prompts.map(step), [233, 265, 243, 237]);
    assert.deepEqual(
      batch?.findings.map(({ prompt, agreement }) => [prompt, agreement]),
      prompts.flatMap((prompt) => [
        // All four together are 66 tokens.
        [prompt, 'identical'],
        [prompt, step(prompt) > 256 ? 'tokens-differ' : 'identical'],
      ]),
    );
  });

  test('the broken batch looks like the known issue of RMSNorm, and like no other', async () => {
    const { record, ...bits } = await open('bi-short-16/record');
    const relations = await compare({ record, ...bits }, undefined, [
      { relation: 'rerun', requirement: 'identical' },
      { relation: 'batch', requirement: 'identical' },
    ]);
    assert.deepEqual(likenesses({ record, relations, changes: [] }), [
      {
        thread: 'vllm-project/vllm#48271',
        relations: ['batch'],
        matched: [
          '`batch` broke',
          'vllm 0.26.0',
          'a GPU (NVIDIA H200)',
          'batch invariance was asked for',
          'up to 265 tokens in a step (it takes 256)',
        ],
        open: [
          'the version: the thread names neither the first that has it nor the first without it',
          'whether this build has pull request 48391',
        ],
      },
    ]);
  });

  test('what a refresh switched on for a relation of its own is no change of the check', async () => {
    const [run, baseline] = [await open('eager-onebit/record'), await open('eager-onebit/baseline')];
    const told = ({ record }: typeof baseline) =>
      differences(record, run.record).changes.map(({ field }) => field);
    const own = ['model.files.model.safetensors', 'model.label'];
    assert.deepEqual(told(baseline), own);
    const caching = (passes: (typeof baseline.record.lifetimes)[number]['passes']) => ({
      ...baseline,
      record: {
        ...baseline.record,
        lifetimes: baseline.record.lifetimes.map(({ settings, ...rest }) => ({
          ...rest,
          passes,
          settings: {
            ...settings,
            requested: { ...settings.requested, enable_prefix_caching: true },
            effective: { ...settings.effective, enable_prefix_caching: true },
          },
        })),
      },
    });
    const cold = baseline.record.lifetimes[0]?.passes ?? assert.fail();
    const warm = cold.map((pass) => ({ ...pass, arrangement: 'warm' as const }));
    assert.deepEqual(told(caching([...cold, ...warm])), own);
    assert.deepEqual(told(caching(cold)), ['engine.requested.enable_prefix_caching', ...own]);
  });

  test('the flipped bit looks like none', async () => {
    const [run, baseline] = [await open('eager-onebit/record'), await open('eager-onebit/baseline')];
    const relations = await compare(run, baseline, [{ relation: 'baseline', requirement: 'identical' }]);
    assert.deepEqual(likenesses({ record: run.record, relations, changes: [] }), []);
  });
});

describe('two more H200 cards, and single operators', () => {
  let [folder, before28] = ['', ''];
  before(async () => {
    [folder, before28] = [await unpacked('2026-11-28-h200'), await unpacked('2026-11-27-h200')];
  });
  after(() => Promise.all([folder, before28].map((place) => rm(place, { recursive: true, force: true }))));

  const open = (name: string) => openRecord(join(folder, name, 'record'));
  const BASELINE = [{ relation: 'baseline', requirement: 'identical' }] as const;

  for (const name of [
    'eager',
    'onebit',
    'kernels',
    'k-tf32',
    'k-free',
    'tf',
    'tf-onebit',
    'bi',
    'kept',
    'kept-same',
  ])
    test(`${name}: every body has the bytes that its digest says`, async () => {
      for await (const why of damage(await open(name))) assert.fail(why);
    });

  test('another card of the kind gives the bits that the first gave a day before', async () => {
    const [run, day] = [await open('eager'), await openRecord(join(before28, 'eager-onebit/baseline'))];
    const card = ({ record }: typeof run) => record.fingerprint.ambient.gpus[0]?.uuidHash ?? assert.fail();
    assert.notEqual(card(run), card(day));
    const [found] = await compare(run, day, BASELINE);
    assert.equal(found?.status, 'held');
    assert.ok(found.findings.every(({ agreement }) => agreement === 'identical'));
  });

  for (const [name, reference] of [
    ['onebit', 'eager'],
    ['tf-onebit', 'tf'],
  ] as const)
    test(`${name}: the trace names where the flipped bit is, and nothing else`, async () => {
      const [found] = await compare(await open(name), await open(reference), BASELINE);
      const named = new Set(found?.findings.flatMap(({ trace }) => trace?.first ?? []));
      assert.deepEqual([found?.status, ...named], ['broken', MODULE]);
    });

  test('TF32 moves products of float32, attention and scaled weights, and no other operator', async () => {
    const [found] = await compare(await open('k-tf32'), await open('kernels'), BASELINE);
    const moved = found?.findings.filter(({ agreement }) => agreement !== 'identical') ?? [];
    assert.deepEqual(
      moved.map(({ prompt, trace }) => [prompt, trace?.differing]),
      [
        ['matmul', 36],
        ['attention', 6],
        ['quantised', 3],
      ],
    );
  });

  test('without deterministic algorithms scatter-add does not repeat, and the card is not blamed', async () => {
    const run = await open('k-free');
    const [found] = await compare(run, undefined, [{ relation: 'rerun', requirement: 'identical' }]);
    const moved = found?.findings.filter(({ agreement }) => agreement !== 'identical') ?? [];
    assert.deepEqual(
      moved.map(({ prompt }) => prompt),
      ['reductions', 'scatter'],
    );
    assert.equal(run.record.lifetimes[0]?.settings.requested['deterministic_algorithms'], false);
  });

  test('kept caches gave the bits of fresh ones, and other files', async () => {
    const [run, baseline] = [await open('kept-same'), await open('kept')];
    const [found] = await compare(run, baseline, BASELINE);
    assert.equal(found?.status, 'held');
    const [change] = differences(baseline.record, run.record).changes.filter(
      ({ field }) => field === 'kept caches',
    );
    assert.match(change?.after ?? '', /^383 files; 9 of 383 differ: …\/17a63defbb\/rank_0_0\/backbone\//);
  });
});
