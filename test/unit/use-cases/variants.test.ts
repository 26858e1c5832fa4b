import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import type { Report } from '../../../src/report/schema.ts';
import { parseSuite } from '../../../src/suite/parse.ts';
import { annotations } from '../../../src/surfaces/annotations.ts';
import { summary } from '../../../src/surfaces/summary.ts';
import { terminalLines } from '../../../src/surfaces/terminal.ts';
import { verify } from '../../../src/use-cases/verify.ts';
import { read } from '../../../src/words/reading.ts';
import type { Computes, Load } from '../support/engine.ts';
import { Job, SUITE } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

const FP8 = '{ name: fp8-kv, args: { kv_cache_dtype: fp8 } }';
const withVariants = (...variants: readonly string[]) =>
  `${SUITE}variants:\n${variants.map((one) => `  - ${one}\n`).join('')}`;

const isVariant = ({ args }: Pick<Load, 'args'>) => 'kv_cache_dtype' in args;
/** A variant that computes so. */
const ofVariant = (computes: Computes) => (load: Load) => (isVariant(load) ? computes : {});

const verified = async (job: Job, reportPath: string) =>
  await verify(
    { reportPath, recordPath: undefined, baselinePath: undefined },
    { records: job.disk, reports: job.disk },
  );

async function checked(suite: string, computes: (load: Load) => Computes = () => ({})) {
  const job = new Job();
  await job.refreshed();
  job.suite = suite;
  const report = await job.checked(computes);
  assert.deepEqual(
    (await verified(job, report.context.reportPath)).disagreements,
    [],
    'and it can be verified',
  );
  return { report, job };
}

const variantIn = ({ relations }: Report) => relations.find(({ relation }) => relation === 'variant fp8-kv');

describe('a check of a suite with a variant', () => {
  test('measures it once, on the tokens of the run, after it, and leaves its record', async () => {
    const { report, job } = await checked(withVariants(FP8));
    assert.deepEqual([report.conclusion, report.verdict], ['reproduced', 'pass']);
    const found = variantIn(report);
    assert.deepEqual([found?.status, found?.requirement], ['held', 'identical']);
    assert.match(found?.evidence ?? '', /^kv_cache_dtype=fp8: 3 of 3 prompts and texts are asked of both/);
    assert.deepEqual(job.engine.loads.map(isVariant), [false, true]);
    assert.ok(job.disk.folders.has(`${report.context.recordPath}.variants/fp8-kv`));
    assert.equal(job.engine.mostOpen, 1, 'the run has given its GPUs back');
    const given = job.engine.passes
      .filter(({ pass }) => pass === 'score-alone')
      .map(({ requests }) => requests.map(({ tokens }) => tokens).join());
    assert.deepEqual([given.length, new Set(given).size], [2, 1]);
  });

  test('breaks where it computes something else, and every surface says which, and where', async () => {
    const { report } = await checked(withVariants(FP8), ofVariant({ shift: 1, nats: -0.75 }));
    assert.deepEqual([report.conclusion, report.verdict], ['relation-broken', 'fail']);
    const { meaning, next } = read(report).words;
    assert.match(meaning, /`variant fp8-kv: identical`/);
    assert.match(next, /^See where the variant parts from its suite/);
    const lines = terminalLines(report).join('\n');
    assert.match(lines, /^variant fp8-kv: broken; kv_cache_dtype=fp8: /m);
    assert.match(lines, /tokens part at step 1: .* in the suite, .*; .* in the variant, /);
    assert.match(summary(report), /variant fp8-kv/);
    assert.match(JSON.stringify(annotations(report)), /prompt capital/);
  });

  for (const [required, status, verdict] of [
    ['tokens', 'held', 'pass'],
    ['measure', 'measured', 'pass'],
    ['within 2x floor', 'unmeasured', 'fail'],
  ] as const)
    test(`is held to \`${required}\``, async () => {
      const variant = FP8.replace(' }', ` }, require: ${required} `).replace('  }', ' }');
      const { report } = await checked(withVariants(variant), ofVariant({ nats: -0.3 }));
      assert.deepEqual([variantIn(report)?.status, report.verdict], [status, verdict]);
    });

  test('names by role where another engine parts from it', async () => {
    const roles = { 'layers.0.o': 0.04 };
    const variant = '{ name: fp8-kv, engine: transformers, require: measure }';
    const { report } = await checked(withVariants(variant), ({ start }) =>
      start === 2 ? { nats: -0.3, roles } : {},
    );
    assert.match(
      terminalLines(report).join('\n'),
      /First module beyond rounding: layers\.0\.o, 40x its floor \(1 of 4 modules matched by role, in 3 texts\)\./,
    );
  });

  test('says what an engine says that refuses it, and does not pass by that', async () => {
    const error = { code: 'engine-rejected', message: 'no such format here' };
    const { report } = await checked(withVariants(FP8), ofVariant({ error }));
    const { status, evidence } = variantIn(report) ?? {};
    assert.deepEqual([status, report.conclusion, report.verdict], ['unmeasured', 'unmeasured', 'fail']);
    assert.match(evidence ?? '', /^kv_cache_dtype=fp8: .*no such format here/);
  });

  test('cannot be told otherwise: its record is derived anew', async () => {
    const { report, job } = await checked(withVariants(FP8), ofVariant({ nats: -0.3 }));
    const { reportPath, recordPath } = report.context;
    const other = await job.checked();
    job.disk.folders.set(
      `${recordPath}.variants/fp8-kv`,
      job.disk.folders.get(`${other.context.recordPath}.variants/fp8-kv`) ?? {},
    );
    const { agrees, disagreements } = await verified(job, reportPath);
    assert.equal(agrees, false);
    assert.match(JSON.stringify(disagreements), /digests\.variants\[0\]/);
  });

  test('leaves what a baseline is compared with as it was', async () => {
    const { report } = await checked(withVariants(FP8));
    assert.equal(report.relations.find(({ relation }) => relation === 'baseline')?.status, 'held');
    const { report: drifted } = await checked(withVariants(FP8), () => ({ nats: -0.3 }));
    assert.equal(drifted.conclusion, 'drift', 'the worst names the run');
  });
});

test('variants judge, and so are the base branch’s: a pull request cannot take them away', async () => {
  const job = new Job();
  await job.refreshed();
  job.base.set('suite.yml', withVariants(FP8));
  job.suite = SUITE;
  const settings = job.settings('pull_request', { ref: 'refs/pull/7/merge', base: 'refs/heads/main' });
  const report = await job.checked(ofVariant({ nats: -0.3 }), settings);
  assert.equal(report.conclusion, 'relation-broken');
});

describe('a suite', () => {
  const problemsOf = async (...variants: readonly string[]) =>
    (await rejectedBy((async () => parseSuite(withVariants(...variants), 'suite.yml', SUITE_SCHEMA))()))
      .message;

  test('has variants that change something, each with a name of its own', async () => {
    assert.match(await problemsOf('{ name: same }'), /:13:5 {2}the variant `same` changes nothing/);
    assert.match(await problemsOf(FP8, FP8), /the variant `fp8-kv` is named twice/);
  });

  test('has variants that are suites', async () => {
    assert.match(await problemsOf('{ name: x, env: { PATH: /bin } }'), /variants\[0\]\.env/);
    assert.match(await problemsOf('{ name: x, engine: nothing }'), /`variants\[0\]\.engine` must be one of/);
    assert.match(
      await problemsOf('{ name: x, args: { a: 1 }, require: within 2 floors }'),
      /variants\[0\]\.require/,
    );
    assert.match(await problemsOf('{ name: x, args: { model: other } }'), /the model is named under `model`/);
  });
});
