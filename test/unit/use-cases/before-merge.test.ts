import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BaselineMeta, parseMeta } from '../../../src/baseline/port.ts';
import { falseAlarm } from '../../../src/compare/decision.ts';
import type { RefreshSettings } from '../../../src/job/settings.ts';
import { reportDigest } from '../../../src/report/make.ts';
import type { Report } from '../../../src/report/schema.ts';
import { check } from '../../../src/use-cases/check.ts';
import { refresh } from '../../../src/use-cases/refresh.ts';
import { verify } from '../../../src/use-cases/verify.ts';
import type { Computes, EngineOptions } from '../support/engine.ts';
import { ASKS, Job, SUITE } from '../support/job.ts';

const OTHER: Computes = { shift: 1, nats: -0.5 };
const THIRD: Computes = { shift: 2, nats: -0.75 };

/** A baseline, and a pull request that drifts from it on purpose: its own check, as a download puts it, and the merge. */
class Change {
  readonly job = new Job();
  drifted!: Report;

  static async merged({
    computes = () => OTHER,
    suite = SUITE,
    ...more
  }: Partial<RefreshSettings['situation']> &
    EngineOptions & { readonly suite?: string } = {}): Promise<Change> {
    const change = new Change();
    const { job } = change;
    job.suite = suite;
    job.base.set('suite.yml', suite);
    await refresh(
      { ...job.settings('workflow_dispatch'), ...ASKS.refresh },
      job.tools({ ...more, computes: () => ({}) }),
    );
    const settings = job.settings('pull_request', {
      base: 'refs/heads/main',
      ref: 'refs/pull/7/merge',
      ...more,
    });
    change.drifted = await check(
      { ...settings, recordPath: '/before/record', ...ASKS.check },
      job.tools({ computes, ...more }),
    );
    job.suite = `${suite}accept: [{ record: ${change.drifted.outcome}, reason: a new kernel }]\n`;
    job.pullRequest = 7;
    job.runs.set(settings.job.run, { kind: 'yes' });
    return change;
  }

  async pushed(options: EngineOptions = {}, event = 'push'): Promise<Report> {
    const settings = this.job.settings(event, { reason: event === 'push' ? '' : 'by hand' });
    return await refresh(
      { ...settings, promote: '/before', ...ASKS.refresh },
      this.job.tools({ computes: () => OTHER, ...options }),
    );
  }

  get starts(): number {
    return this.job.engine.loads.length;
  }

  get baseline(): BaselineMeta {
    const [kept] = this.job.store.baselines.values();
    return parseMeta(this.job.disk.folders.get(kept?.folder ?? '')?.meta ?? '');
  }

  /** Writes the report of the check anew. */
  rewrite(change: (report: Report) => Report): void {
    const report = change(this.drifted);
    this.job.disk.files.set(
      '/before/record.report.json',
      JSON.stringify({ ...report, sha256: reportDigest(report) }),
    );
  }
}

describe('what a merged pull request measured', () => {
  test('is stored after one more engine start, and counts with its own', async () => {
    const change = await Change.merged();
    assert.equal(change.drifted.work.lifetimes, 5);
    const { job } = change;
    const report = await change.pushed();
    assert.equal(change.starts, 1);
    assert.deepEqual([report.context.baseline.kind, report.verdict], ['stored', 'pass']);
    const { beforeMerge, envelope, record, recordFile, provenance } = change.baseline;
    assert.equal(record, change.drifted.outcome);
    assert.equal(recordFile, report.digests.record, 'what is stored was measured here');
    assert.deepEqual([envelope.lifetimes, provenance.reason, provenance.pullRequest], [1, 'a new kernel', 7]);
    const { id: runId, attempt: runAttempt } = change.drifted.context.run;
    assert.deepEqual(beforeMerge, [
      { runId, runAttempt, recordFile: change.drifted.digests.record, lifetimes: 5 },
    ]);
    const notice = report.context.notices.find(({ title }) => title === 'Confirmed after the merge');
    assert.match(
      notice?.message ?? '',
      /1 engine start here gave, bit for bit, what 5 starts of pull request #7/,
    );
    assert.match(notice?.message ?? '', /counts 6\. .* at most 0\.12 %/);

    const later = await job.checked(() => THIRD);
    const decision = later.relations.find(({ relation }) => relation === 'baseline')?.decision;
    assert.deepEqual([decision?.baselineLifetimes, decision?.falseAlarm], [6, falseAlarm(5, 6)]);
    for (const { context } of [report, later]) {
      const { agrees, disagreements } = await verify({ reportPath: context.reportPath }, job.tools());
      assert.ok(agrees, JSON.stringify(disagreements));
    }
  });

  test('is counted once, however often it lies there, and made up to what a refresh needs', async () => {
    const change = await Change.merged({
      suite: SUITE.replace('relations', 'policy: { confirm: 1 }\nrelations'),
    });
    const { job } = change;
    for (const [from, to] of [['/before/record', '/before/again/record']] as const) {
      job.disk.files.set(`${to}.report.json`, job.disk.files.get(`${from}.report.json`) ?? '');
      for (const more of ['', '.baseline'])
        job.disk.folders.set(`${to}${more}`, job.disk.folders.get(`${from}${more}`) ?? {});
    }
    await change.pushed();
    assert.equal(change.starts, 2, 'two were made before');
    assert.deepEqual([change.baseline.envelope.lifetimes, change.baseline.beforeMerge?.length], [2, 1]);
  });

  test('of which the engine gives something else is none: all engine starts are made', async () => {
    const change = await Change.merged();
    const report = await change.pushed({ computes: () => THIRD });
    assert.equal(change.starts, 4);
    assert.deepEqual([report.context.baseline.kind, report.verdict], ['not-stored', 'fail']);
    assert.match(change.job.lines.join('\n'), /does not count: the engine gave other bits after the merge/);
  });

  for (const [what, spoil, says] of [
    [
      'a run that is none of the pull request',
      ({ job }) => job.runs.clear(),
      /run 10\d is none of pull request 7, from a branch of this repository/,
    ],
    [
      'a run that GitHub does not tell of',
      ({ job }) => job.runs.set([...job.runs.keys()][0] ?? '', { kind: 'unknown', why: 'it may not' }),
      /GitHub does not tell whose run 10\d is \(it may not\)/,
    ],
    [
      'a report that was changed',
      ({ job, drifted }) =>
        job.disk.files.set('/before/record.report.json', JSON.stringify({ ...drifted, verdict: 'pass' })),
      /was changed after it was written/,
    ],
    [
      'a report that does not follow from its record',
      (change) => change.rewrite((report) => ({ ...report, outcome: 'ab'.repeat(32) })),
      /does not follow from the record|contradicts itself/,
    ],
    [
      'a report of a stranger’s',
      (change) =>
        change.rewrite(({ context, ...rest }) => ({
          ...rest,
          context: { ...context, run: { ...context.run, fork: true } },
        })),
      /it is of another repository/,
    ],
    [
      'a record that is not there',
      ({ job }) => job.disk.folders.delete('/before/record'),
      /holds none \(ENOENT\)/,
    ],
    [
      'nothing',
      ({ job }) => job.disk.files.delete('/before/record.report.json'),
      /holds no report: all engine/,
    ],
    [
      'a commit that no pull request brought',
      ({ job }) => {
        job.pullRequest = undefined;
      },
      /GitHub names no pull request/,
    ],
  ] as const satisfies readonly (readonly [string, (change: Change) => unknown, RegExp])[])
    test(`${what} counts for nothing`, async () => {
      const change = await Change.merged();
      spoil(change);
      const report = await change.pushed();
      assert.equal(change.starts, 4);
      assert.equal(report.context.baseline.kind, 'stored', 'as without it');
      assert.equal(change.baseline.beforeMerge, undefined);
      assert.match(change.job.lines.join('\n'), says);
    });

  test('in another environment counts for nothing, and on another card of the same class does', async () => {
    const card = (uuidHash: string, driver: string): EngineOptions => ({
      fingerprint: {
        gpus: [
          {
            ...{ name: 'NVIDIA H100', uuidHash, computeCapability: '9.0' },
            ...{ smCount: 132, memoryBytes: 80 * 1024 ** 3 },
          },
        ],
        driver,
      },
    });
    const suite = `${SUITE}runtime: { gpus: 1 }\n`;
    const beside = await Change.merged({ suite, ...card('a', '570.1') });
    await beside.pushed(card('b', '570.1'));
    assert.equal(beside.starts, 1);
    const renewed = await Change.merged({ suite, ...card('a', '570.1') });
    await renewed.pushed(card('a', '580.2'));
    assert.equal(renewed.starts, 4);
    assert.match(
      renewed.job.lines.join('\n'),
      /does not count: `driver` was 570\.1 there, and is 580\.2 here/,
    );
  });

  test('once alone shows no restart, and one that the suite does not accept is none', async () => {
    const once = await Change.merged({
      suite: SUITE.replace('relations', 'policy: { confirm: 0 }\nrelations'),
    });
    await once.pushed();
    assert.equal(once.starts, 4);
    assert.match(once.job.lines.join('\n'), /`restart` is unmeasured in it/);
    const other = await Change.merged();
    other.job.suite = `${SUITE}accept: [{ record: ${'ab'.repeat(32)}, reason: another }]\n`;
    await other.pushed();
    assert.match(other.job.lines.join('\n'), /the suite does not accept its record/);
  });

  test('is looked at after a merge alone', async () => {
    const change = await Change.merged();
    await change.pushed({}, 'workflow_dispatch');
    assert.equal(change.starts, 4);
    assert.match(change.job.lines.join('\n'), /`promote` counts on a push alone/);
  });
});
