import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { readReport, writeReport } from '../../../src/disk/report-file.ts';
import { digestJson } from '../../../src/record/digest.ts';
import { reportDigest } from '../../../src/report/make.ts';
import { plain } from '../../../src/report/plain.ts';
import { AGREEMENTS, ReportSchema } from '../../../src/report/schema.ts';
import { temporaryFolder } from '../support/folder.ts';
import { body, modules, result, side } from '../support/records.ts';
import { checkReport, finding, metaOf, PROVEN, reportOf } from '../support/reports.ts';
import { rejectedBy } from '../support/suites.ts';

const BEFORE = { capital: body(), sky: body({ tokens: [20, 21, 22] }) };
const NOW = { capital: body({ logprobs: [-0.5, -1.75] }), sky: body({ tokens: [20, 21, 25], text: 'x' }) };
const DRIFT = await checkReport(BEFORE, NOW);

const FULL = await (async () => {
  const lifetime = (bits: typeof BEFORE, module: string) => ({
    'generate-alone': bits,
    'generate-again': bits,
    'generate-together': bits,
    'force-alone': bits,
    'score-alone': { ...bits, text: bits.capital },
    'trace-alone': { text: modules({ a: '1', b: module }) },
  });
  const options = { texts: ['text'] };
  const trusted = side({ lifetimes: { 'lifetime-1': lifetime(BEFORE, '2') }, ...options });
  const run = side({
    lifetimes: { 'lifetime-1': lifetime(NOW, '3'), 'lifetime-2': lifetime(NOW, '3') },
    ...options,
  });
  return await reportOf(run, trusted, {
    claims: [
      { relation: 'rerun', requirement: 'identical' },
      { relation: 'restart', requirement: 'identical' },
      { relation: 'batch', requirement: 'measure' },
      { relation: 'prefill', requirement: 'measure' },
      { relation: 'baseline', requirement: 'identical' },
    ],
  });
})();

describe('a report', () => {
  test('is plain JSON that fits its own schema, and comes back the same', () => {
    for (const report of [DRIFT, FULL])
      assert.deepEqual(ReportSchema.parse(JSON.parse(JSON.stringify(report))), report);
  });

  test('bears the digest of everything else', () => {
    const { sha256, ...rest } = DRIFT;
    assert.equal(sha256, digestJson(rest));
    assert.equal(reportDigest(DRIFT), sha256);
    assert.notEqual(reportDigest({ ...DRIFT, verdict: 'pass' }), sha256);
  });

  test('is the same for the same evidence', async () => {
    assert.deepEqual(await checkReport(BEFORE, NOW), DRIFT);
  });

  test('names what is not finite, and mends half characters', async () => {
    const relations = [
      result('baseline', 'broken', {
        findings: [
          finding('a\ud800', {
            divergence: {
              logprobStep: 0,
              logprobSteps: 1,
              tokenStep: null,
              steps: 1,
              largestNats: Number.NaN,
              fork: null,
              strip: '~',
              profile: null,
              parting: null,
              passage: null,
            },
          }),
        ],
      }),
    ];
    const report = await checkReport(BEFORE, NOW, { relations });
    const [told] = report.relations[0]?.findings ?? [];
    assert.equal(told?.divergence?.largestNats, 'NaN');
    assert.equal(told?.prompt, 'a\ufffd');
    assert.deepEqual(ReportSchema.parse(JSON.parse(JSON.stringify(report))), report);
  });

  test('tells places as a list, so that no id is a key', () => {
    assert.deepEqual(
      DRIFT.context.places.prompts.map(({ id, line }) => [id, line]),
      [
        ['capital', 8],
        ['sky', 9],
        ['essay', 10],
      ],
    );
  });

  test('counts what the engine did', () => {
    assert.deepEqual(FULL.work, {
      prompts: 2,
      texts: 1,
      lifetimes: 2,
      tokens: 2 * 4 * 5,
      positions: 2 * 7,
      seconds: 2 * 6 * 1.5,
    });
  });

  test('has the yardstick of its baseline', async () => {
    const trusted = side({ passes: { 'generate-1': BEFORE } });
    const yardstick = [{ id: 'int8', what: 'int8 weights', rmsNats: 0.08 }];
    const run = side({ passes: { 'generate-1': NOW, 'generate-2': NOW } });
    const report = await reportOf(run, trusted, {
      before: { side: trusted, meta: metaOf(trusted, { yardstick }), proof: PROVEN },
    });
    assert.deepEqual(report.yardstick, yardstick);
    assert.deepEqual(DRIFT.yardstick, []);
  });

  test('of a refresh is judged by its agreement with itself; the old baseline is only looked at', async () => {
    const report = await checkReport(BEFORE, NOW, {
      mode: 'refresh',
      claims: [
        { relation: 'rerun', requirement: 'identical' },
        { relation: 'baseline', requirement: 'measure' },
      ],
      baseline: { kind: 'not-stored', reason: 'a test' },
    });
    assert.equal(report.conclusion, 'reproduced');
    const baseline = report.relations.find(({ relation }) => relation === 'baseline');
    assert.deepEqual(
      baseline?.findings.map(({ agreement }) => agreement),
      ['logprobs-differ', 'tokens-differ'],
    );
  });
});

test('every agreement has a place in the schema', () => {
  const known: Readonly<Record<(typeof AGREEMENTS)[number], true>> = {
    identical: true,
    'modules-differ': true,
    'values-differ': true,
    'logprobs-differ': true,
    'vector-differs': true,
    'tokens-differ': true,
    'text-differs': true,
    'inputs-differ': true,
    'another-model': true,
    indistinct: true,
    unmeasured: true,
    added: true,
    removed: true,
  };
  assert.deepEqual(Object.keys(known), [...AGREEMENTS]);
});

test('plain values', () => {
  assert.deepEqual(
    plain({ a: [Number.NaN, Number.NEGATIVE_INFINITY, -0], b: undefined, c: null, d: false }),
    {
      a: ['NaN', '-Infinity', 0],
      c: null,
      d: false,
    },
  );
  assert.deepEqual(Object.keys(plain(JSON.parse('{"__proto__": 1}')) as object), ['__proto__']);
});

describe('a report file', () => {
  test('comes back as it was written, over an older one', async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, 'new', 'record.report.json');
    await writeReport(path, DRIFT);
    await writeReport(path, FULL);
    assert.deepEqual(await readReport(path), FULL);
    assert.deepEqual(await readdir(join(folder.path, 'new')), ['record.report.json']);
  });

  test('that cannot be written leaves nothing', async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, 'file'), '');
    await assert.rejects(writeReport(join(folder.path, 'file', 'a.report.json'), DRIFT));
    assert.deepEqual(await readdir(folder.path), ['file']);
  });

  for (const [name, change] of Object.entries({
    'no JSON': () => '{',
    'cut short': (text: string) => text.slice(0, -20),
    'of another version': (text: string) => text.replace('report/v1', 'report/v2'),
    'with a key too many': (text: string) => text.replace('{', '{"extra": 1,'),
    'with a number that is text': (text: string) => text.replace('"prompts":2', '"prompts":"2"'),
  }))
    test(`${name} is invalid`, async () => {
      await using folder = await temporaryFolder();
      const path = join(folder.path, 'a.report.json');
      await writeReport(path, DRIFT);
      await writeFile(path, change(await readFile(path, 'utf8')));
      assert.equal((await rejectedBy(readReport(path))).code, 'report-invalid');
    });

  test('that is missing or too large is invalid', async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, 'a.report.json');
    assert.match((await rejectedBy(readReport(path))).message, /a\.report\.json does not exist\.$/);
    assert.match((await rejectedBy(readReport(folder.path))).message, / is a folder\.$/);
    await writeFile(path, Buffer.alloc(64 * 1024 * 1024 + 1));
    assert.match((await rejectedBy(readReport(path))).message, /larger than/);
  });
});
