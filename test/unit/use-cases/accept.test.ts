import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AcceptAnswer } from '../../../src/report/answers.ts';
import { reportDigest } from '../../../src/report/make.ts';
import { reportPathOf } from '../../../src/report/paths.ts';
import type { Report } from '../../../src/report/schema.ts';
import { accept } from '../../../src/use-cases/accept.ts';
import { Job, SUITE } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

const OTHER = { shift: 1 };
const COMMENTED = `# ours\n${SUITE}# the end\n`;

/** A job whose engine has drifted, and the report of it. */
async function drifted(suite = COMMENTED): Promise<{ readonly job: Job; readonly report: Report }> {
  const job = new Job();
  job.suite = suite;
  await job.refreshed();
  return { job, report: await job.checked(() => OTHER) };
}

const accepted = (job: Job, report: Report, reason = 'a new kernel') =>
  accept({ reportPath: reportPathOf(report.context.recordPath), reason }, job.tools());

/** Puts another report in its place, with a digest that fits. */
function replace(job: Job, report: Report): void {
  const { sha256: _, ...rest } = report;
  const text = JSON.stringify({ ...rest, sha256: reportDigest(rest) });
  job.disk.files.set(reportPathOf(report.context.recordPath), text);
}

const withoutRecord = (job: Job, { context }: Report) => job.disk.folders.delete(context.recordPath);

describe('accept', () => {
  test('writes the line by which the very next check passes', async () => {
    const { job, report } = await drifted();
    const answer = await accepted(job, report);
    const value = AcceptAnswer.parse(answer.value);
    assert.deepEqual([value.record, value.derived, value.compared], [report.outcome, true, true]);
    assert.ok(job.suite.startsWith(COMMENTED), job.suite);
    assert.match(job.suite.split('\n')[value.line - 1] ?? '', new RegExp(report.outcome));
    const next = await job.checked(() => OTHER);
    assert.deepEqual([next.conclusion, next.verdict], ['drift', 'pass']);
    assert.equal(next.accepted?.reason, 'a new kernel');
  });

  test('takes a report at its word where its record is not beside it, and says so', async () => {
    const { job, report } = await drifted();
    withoutRecord(job, report);
    const { value, lines } = await accepted(job, report);
    assert.equal(AcceptAnswer.parse(value).derived, false);
    assert.match(lines.join('\n'), /taken at its word/);
  });

  test('of a pull request, where the base branch judges, knows the suite again', async () => {
    const job = new Job();
    await job.refreshed();
    job.base.set('suite.yml', SUITE);
    const report = await job.checked(
      () => OTHER,
      job.settings('pull_request', { ref: 'refs/pull/1/merge', base: 'refs/heads/main' }),
    );
    assert.equal(report.conclusion, 'drift');
    assert.equal(report.context.rules.kind, 'base');
    const before = job.suite;
    job.suite = before.replace('The sky is', 'The sea is');
    assert.equal((await rejectedBy(accepted(job, report))).code, 'suite-changed');
    job.suite = before;
    assert.equal(AcceptAnswer.parse((await accepted(job, report)).value).compared, true);
  });

  for (const [what, code, message, spoil] of [
    [
      'what reproduced',
      'acceptance-refused',
      /^The run reproduced/,
      async () => {
        const job = new Job();
        await job.refreshed();
        return { job, report: await job.checked() };
      },
    ],
    [
      'what is unstable',
      'acceptance-refused',
      /and this is `unstable`/,
      async () => {
        const job = new Job();
        await job.refreshed();
        return { job, report: await job.checked(({ start }) => ({ shift: start })) };
      },
    ],
    [
      'what has no baseline',
      'acceptance-refused',
      /and this is `no-baseline`/,
      async () => {
        const job = new Job();
        return { job, report: await job.checked() };
      },
    ],
    [
      'a drift in which bits may move',
      'acceptance-refused',
      /^No single record/,
      () => drifted(SUITE.replace('[rerun, baseline]', '[rerun, { name: baseline, require: tokens }]')),
    ],
    [
      'a report of which prompts leave',
      'acceptance-refused',
      /takes prompts away/,
      async () => {
        const job = new Job();
        await job.refreshed();
        job.base.set('suite.yml', SUITE);
        job.suite = SUITE.replace('The sky is', 'The sea is');
        const report = await job.checked(
          () => OTHER,
          job.settings('pull_request', { ref: 'refs/pull/1/merge', base: 'refs/heads/main' }),
        );
        return { job, report };
      },
    ],
    [
      'what is accepted already',
      'acceptance-refused',
      /accepts this record already/,
      async () => {
        const all = await drifted();
        await accepted(all.job, all.report);
        return all;
      },
    ],
    [
      'what a check has passed by already',
      'acceptance-refused',
      /the run passed by it/,
      async () => {
        const { job, report } = await drifted();
        await accepted(job, report);
        return { job, report: await job.checked(() => OTHER) };
      },
    ],
    [
      'a suite that has changed since',
      'suite-changed',
      /another suite/,
      async () => {
        const all = await drifted();
        all.job.suite = all.job.suite.replace('max_tokens: 4', 'max_tokens: 5');
        return all;
      },
    ],
    [
      'a report that was changed',
      'report-unverified',
      /its digest is another one/,
      async () => {
        const all = await drifted();
        const forged = { ...all.report, acceptable: 'ab'.repeat(32) };
        all.job.disk.files.set(reportPathOf(all.report.context.recordPath), JSON.stringify(forged));
        return all;
      },
    ],
    [
      'a forged report beside its record',
      'report-unverified',
      /does not follow from its record: `acceptable`/,
      async () => {
        const all = await drifted();
        replace(all.job, { ...all.report, acceptable: 'ab'.repeat(32) });
        return all;
      },
    ],
    [
      'a report that contradicts itself',
      'report-unverified',
      /contradicts itself/,
      async () => {
        const all = await drifted();
        withoutRecord(all.job, all.report);
        replace(all.job, { ...all.report, verdict: 'pass' });
        return all;
      },
    ],
    [
      'a fork’s report without its record',
      'report-unverified',
      /fork/,
      async () => {
        const all = await drifted();
        withoutRecord(all.job, all.report);
        const { context } = all.report;
        replace(all.job, { ...all.report, context: { ...context, run: { ...context.run, fork: true } } });
        return all;
      },
    ],
  ] as const)
    test(`refuses ${what}, and leaves the suite as it is`, async () => {
      const { job, report } = await spoil();
      const before = job.suite;
      const error = await rejectedBy(accepted(job, report));
      assert.equal(error.code, code);
      assert.match(error.message, message);
      assert.notEqual(error.hint, '');
      assert.equal(job.suite, before);
    });
});
