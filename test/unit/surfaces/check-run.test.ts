import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Report } from '../../../src/report/schema.ts';
import { checkRunLadder } from '../../../src/surfaces/check-run.ts';
import type { CheckRun } from '../../../src/surfaces/surface.ts';
import { assertInert, filledReport, HEAD, hostileReports, RUN, WHENCE } from '../support/briefs.ts';
import { HOSTILE } from '../support/hostile.ts';
import { body } from '../support/records.ts';
import { checkReport, finding, relation } from '../support/reports.ts';

const BITS = { capital: body(), sky: body({ tokens: [20, 21, 22] }) };
const WELL = await checkReport(BITS, BITS);
const DRIFT = await checkReport(BITS, { ...BITS, sky: body({ tokens: [20, 21, 25], text: 'other' }) });
const THREAD = { suite: 'smollm2-serving', hardwareClass: '*' } as const;

const ladder = (reports: readonly Report[], thread: { suite: string; hardwareClass: string } = THREAD) =>
  checkRunLadder(reports, thread, RUN, WHENCE);
function first(...asked: Parameters<typeof ladder>): CheckRun {
  const [run] = ladder(...asked);
  assert.ok(run !== undefined);
  return run;
}
const bytes = (run: CheckRun) => Buffer.byteLength(run.output.summary);

describe('a check run', () => {
  test('is red where classes are not near enough, though each leg reproduces', () => {
    const across = (status: 'held' | 'broken', verdict: 'pass' | 'fail') => ({
      ...{
        required: 'within 2x floor',
        status,
        verdict,
        pairs: [],
        line: `Across classes: ${status}: 2.4x.`,
      },
    });
    const run = (one: ReturnType<typeof across>) =>
      checkRunLadder([WELL], THREAD, RUN, { ...WHENCE, across: one })[0];
    const red = run(across('broken', 'fail'));
    assert.equal(red?.conclusion, 'failure');
    assert.match(red?.output.title ?? '', /^Reproduced: .*\. Across classes: broken$/);
    assert.match(red?.output.summary ?? '', /Across classes: broken: 2\.4x/);
    assert.equal(run(across('held', 'pass'))?.conclusion, 'success');
  });

  test('is as GitHub takes it', () => {
    const { output, annotations, ...rest } = first([DRIFT]);
    assert.deepEqual(rest, {
      name: 'deterministic-ml / smollm2-serving',
      head_sha: HEAD,
      details_url: RUN.url,
      external_id: 'deterministic-ml v1 suite=smollm2-serving class=* run=77.2',
      status: 'completed',
      conclusion: 'failure',
    });
    assert.match(output.title, /^Drift: 1 of 2 prompts \(1 of 1 text changed\) on cpu-/);
    assert.match(output.summary, /^### ❌ Drift: 1 of 2/);
    assert.deepEqual(
      annotations.map(({ message: _, ...one }) => one),
      [
        {
          ...{ path: 'determinism.yml', start_line: 9, end_line: 9, annotation_level: 'failure' },
          title: 'Drift: prompt sky',
        },
      ],
    );
  });

  for (const [verdict, conclusion, level] of [
    ['pass', 'success', 'notice'],
    ['warn', 'neutral', 'warning'],
    ['fail', 'failure', 'failure'],
  ] as const)
    test(`of a ${verdict} is a ${conclusion}`, () => {
      const run = first([{ ...DRIFT, verdict }]);
      assert.equal(run.conclusion, conclusion);
      assert.equal(run.annotations[0]?.annotation_level, level);
    });

  test('of several legs is as bad as the worst, and says whose each annotation is', () => {
    const run = first([DRIFT, { ...DRIFT, verdict: 'warn', hardwareClass: 'gpu-h100' }, WELL]);
    assert.equal(run.conclusion, 'failure');
    assert.match(run.output.title, /^Drift: 2 of 3 legs; 1 reproduced$/);
    assert.deepEqual(
      run.annotations.map(({ title }) => title),
      [`${DRIFT.hardwareClass}: Drift: prompt sky`, 'gpu-h100: Drift: prompt sky'],
    );
  });

  test('has no address where there is none', () => {
    const [run] = checkRunLadder([DRIFT], THREAD, { ...RUN, url: '' }, { ...WHENCE, url: '' });
    assert.ok(run !== undefined && !('details_url' in run));
  });

  test('of a stranger’s job passes no required check, says why, and hands nobody lines to accept', () => {
    for (const reports of [[WELL], [DRIFT]]) {
      const [run] = checkRunLadder(reports, THREAD, RUN, { ...WHENCE, isUnverified: true });
      assert.equal(run?.conclusion, 'action_required');
      assert.match(run.output.title, /^Not verified: /);
      assert.match(run.output.summary, /its own job reports, and it is not verified/);
      assert.doesNotMatch(run.output.summary, /accept:/);
    }
    assert.match(first([DRIFT]).output.summary, /accept:/);
  });

  test('annotates nothing that has no file', () => {
    const nowhere: Report = {
      ...DRIFT,
      context: { ...DRIFT.context, places: { ...DRIFT.context.places, file: '' } },
    };
    assert.deepEqual(first([nowhere]).annotations, []);
  });

  test('keeps to what GitHub takes of titles and messages', () => {
    const long = 'é'.repeat(300_000);
    const findings = [finding(long, { reason: long })];
    const report: Report = { ...DRIFT, relations: [relation('baseline', 'broken', { findings })] };
    const run = first([
      { ...report, hardwareClass: long, suite: { ...report.suite, name: long } },
      { ...report, hardwareClass: '\u{1f30d}'.repeat(200) },
    ]);
    assert.ok(run.output.title.length <= 255);
    for (const { title, message } of run.annotations) {
      assert.ok(title.length <= 255, `${title.length}`);
      assert.ok(title.isWellFormed());
      assert.ok(Buffer.byteLength(message) <= 64 * 1024);
    }
  });
});

describe('the ladder', () => {
  test('begins at the longest summary of 65,535 bytes, and one byte more is too many', () => {
    const filled = (plain: number) => filledReport(DRIFT, plain);
    const base = bytes(first([filled(0)]));
    assert.ok(base < 65_535 && 65_535 - base < 1500, `${base} bytes`);
    assert.equal(bytes(first([filled(65_535 - base)])), 65_535);
    assert.ok(bytes(first([filled(65_535 - base + 1)])) < 65_535 / 2);
  });

  test('counts bytes, not characters', () => {
    const findings = Array.from({ length: 10 }, (_, i) => finding(`p${i}`, { reason: '世'.repeat(5000) }));
    const rungs = ladder(
      Array.from({ length: 8 }, () => ({
        ...DRIFT,
        relations: [relation('baseline', 'broken', { findings })],
      })),
    );
    assert.ok(rungs.length > 0);
    for (const run of rungs) assert.ok(bytes(run) <= 65_535);
    assert.ok(bytes(first([DRIFT])) > first([DRIFT]).output.summary.length);
  });
});

describe('hostile text in every field', () => {
  for (const [name, text] of Object.entries(HOSTILE))
    test(name, () => {
      for (const reports of hostileReports(DRIFT, text))
        for (const { output, annotations } of ladder(reports)) {
          assertInert(output.summary);
          for (const shown of [
            output.title,
            ...annotations.flatMap(({ title, message }) => [title, message]),
          ])
            assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        }
    });
});
