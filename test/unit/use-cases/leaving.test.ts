import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Report } from '../../../src/report/schema.ts';
import { verify } from '../../../src/use-cases/verify.ts';
import { acceptLines } from '../../../src/words/accept.ts';
import { read } from '../../../src/words/reading.ts';
import type { Computes } from '../support/engine.ts';
import { Job, SUITE } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

const drifting = (...prompts: readonly string[]): Computes => ({
  shift: (prompt) => (prompts.includes(prompt) ? 1 : 0),
});
const without = (suite: string) => suite.replace(/.*id: sky.*\n/, '');
const altered = (suite: string) => suite.replace('The sky is', 'The sea is');
const asking = (what: string) => (suite: string) => suite.replace('text: "The sky is"', what);
const removed = (level: string) => `${SUITE}policy: { removed: ${level} }\n`;

/** A pull request from a base with a baseline of its own. */
async function checked(
  own: string,
  computes: Computes = {},
  { base = SUITE as string | null, trusted = SUITE } = {},
): Promise<Report> {
  const job = new Job();
  job.suite = trusted;
  await job.refreshed();
  if (base !== null) job.base.set('suite.yml', base);
  job.suite = own;
  const settings = job.settings('pull_request', { ref: 'refs/pull/7/merge', base: 'refs/heads/main' });
  const report = await job.checked(() => computes, settings);
  const found = await verify(
    { reportPath: report.context.reportPath, recordPath: undefined, baselinePath: undefined },
    { records: job.disk, reports: job.disk },
  );
  assert.deepEqual(found.disagreements, [], 'and it can be verified');
  return report;
}

const saying = ({ context }: Report, title: string) => context.notices.find((one) => one.title === title);
const TAKEN = 'Taken away by this change';

describe('a drift that a pull request takes away', () => {
  for (const [what, change] of [
    ['with its prompt', without],
    ['with its prompt’s text', altered],
    [
      'with its prompt, and the relation to the baseline',
      (suite: string) => without(suite).replace('[rerun, baseline]', '[rerun]'),
    ],
    ['with its prompt’s name', (suite: string) => suite.replace('id: sky', 'id: heaven')],
    ['with its prompt’s tokens', (suite: string) => suite.replace('max_tokens: 4', 'max_tokens: 1')],
    ['with messages in place of its text', asking('messages: [{ role: user, content: "The sea is" }]')],
    ['with its own tokens', asking('text: "The sky is", sampling: { max_tokens: 1 }')],
    ['with its seed', asking('text: "The sky is", sampling: { temperature: 1, seed: 7 }')],
    [
      'as a text that is scored only',
      (suite: string) => without(suite).replace('score:\n', 'score:\n  - { id: sky, text: "The sky is" }\n'),
    ],
    [
      'with its prompt’s text, which has the name of the other',
      (suite: string) => without(suite).replace('id: capital', 'id: sky'),
    ],
    [
      'with both prompts’ texts, under the name of the other',
      (suite: string) => without(suite).replace('The capital of France is', 'The sea is'),
    ],
  ] as const)
    test(`${what} is a drift all the same`, async () => {
      const report = await checked(change(SUITE), drifting('sky'));
      assert.deepEqual([report.conclusion, report.verdict], ['drift', 'fail']);
      assert.ok(report.suite.leaving.includes('sky'));
      assert.match(
        read(report).line,
        /^Drift: 1 of \d prompts and texts \(.*\), [12] of 3 kept by this change, on /,
      );
      assert.match(read(report).words.next, /^Only prompts that this change takes away or alters show it/);
      const notice = saying(report, TAKEN);
      assert.equal(notice?.level, 'warning');
      assert.match(notice?.message ?? '', /as the suite requires: sky\.$/);
      assert.equal(saying(report, 'Less is compared than the baseline knows'), undefined);
    });

  test('with a text that was scored, and its bits, is a drift all the same', async () => {
    const report = await checked(SUITE.replace(/score:\n.*\n/, ''), { module: 'another' });
    assert.deepEqual([report.conclusion, report.verdict], ['drift', 'fail']);
    assert.deepEqual(report.suite.leaving, ['prose']);
    const broken = report.relations.flatMap(({ findings }) => findings.filter(({ holds }) => !holds));
    assert.ok(broken.some(({ prompt }) => prompt === 'prose'));
  });

  test('is offered no acceptance: the record will be another one after the merge', async () => {
    const report = await checked(without(SUITE), drifting('sky', 'capital'));
    assert.equal(report.acceptable, null);
    assert.match(acceptLines(report)[0] ?? '', /^The change takes prompts away .* merge that apart/);
    assert.match(read(report).words.next, /^If it is not meant/, 'other prompts show it too');
  });

  for (const [level, conclusion, verdict, line] of [
    ['warn', 'drift', 'warn', /^Drift: 1 of 3 .*, 2 of 3 kept by this change, on /],
    [
      'pass',
      'reproduced',
      'pass',
      /^Reproduced: 2 of 3 prompts and texts, 1 that this change takes away not counted, 2 of 3 kept by this change, on /,
    ],
  ] as const)
    test(`comes to what the base’s policy says: ${level}`, async () => {
      const report = await checked(without(SUITE), drifting('sky'), { base: removed(level) });
      assert.equal(report.work.lifetimes, level === 'warn' ? 5 : 1, 'what does not count is not confirmed');
      assert.deepEqual([report.conclusion, report.verdict], [conclusion, verdict]);
      assert.match(read(report).line, line);
      assert.equal(read(report).drifted.length, level === 'warn' ? 1 : 0);
      assert.equal(saying(report, TAKEN)?.level, 'warning');
      assert.match(saying(report, TAKEN)?.message ?? '', /none of them agrees as the suite requires: sky\.$/);
      const own = await checked(without(removed(level)), drifting('sky'));
      assert.deepEqual([own.conclusion, own.verdict], ['drift', 'fail'], 'not what its own says');
    });

  test('is let off by no policy where others drift too, or nothing else was compared', async () => {
    for (const level of ['warn', 'pass']) {
      const base = removed(level);
      const both = await checked(without(SUITE), drifting('sky', 'capital'), { base });
      assert.deepEqual([both.conclusion, both.verdict], ['drift', 'fail']);
      const text = /score:\n.*\n/;
      const [few, cut] = [
        base.replace(text, ''),
        SUITE.replace(text, '').replace('max_tokens: 4', 'max_tokens: 1'),
      ];
      const all = await checked(cut, drifting('sky', 'capital'), { base: few, trusted: few });
      assert.deepEqual([all.conclusion, all.verdict], ['drift', 'fail']);
    }
  });
});

describe('a pull request that takes prompts away', () => {
  test('passes where they reproduce, and it is told', async () => {
    const report = await checked(without(SUITE));
    assert.deepEqual([report.conclusion, report.verdict], ['reproduced', 'pass']);
    assert.match(read(report).line, /^Reproduced: 3 prompts and texts, 2 of 3 kept by this change, on /);
    const notice = saying(report, TAKEN);
    assert.equal(notice?.level, 'notice');
    assert.match(
      notice?.message ?? '',
      /^1 of the prompts and texts that refs\/heads\/main asks .*: sky\. Until the merge/,
    );
    assert.deepEqual(report.suite.leaving, ['sky']);
  });

  test('or alters all is compared by what its base asks', async () => {
    const report = await checked(SUITE.replace('max_tokens: 4', 'max_tokens: 1'));
    assert.deepEqual([report.conclusion, report.verdict], ['reproduced', 'pass']);
    assert.match(
      read(report).line,
      /^Reproduced: 3 of 5 prompts and texts, the others are not in the baseline, 1 of 3 kept by this change, on /,
    );
    assert.match(saying(report, 'New in the suite')?.message ?? '', /: capital@change, sky@change\.$/);
  });

  test('is unstable where only they are', async () => {
    const report = await checked(without(SUITE), { shift: (prompt, step) => (prompt === 'sky' ? step : 0) });
    assert.equal(report.verdict, 'fail');
  });
});

describe('a pull request that moves its suite', () => {
  test('and asks what the baseline knows is compared', async () => {
    const report = await checked(SUITE, {}, { base: null });
    assert.deepEqual([report.conclusion, report.verdict], ['reproduced', 'pass']);
  });

  for (const [what, base] of [
    ['is elsewhere', null],
    ['cannot be read', 'no: suite'],
  ] as const)
    test(`and takes prompts away is refused, since the base’s own ${what}`, async () => {
      for (const own of [without(SUITE), altered(SUITE), SUITE.replace(/score:\n.*\n/, '')]) {
        const error = await rejectedBy(checked(own, {}, { base }));
        assert.equal(error.code, 'pull-request-limited');
        assert.match(
          error.message,
          /no longer asks 1 of the baseline’s prompts and texts as they were: (?:sky|prose)\./,
        );
      }
    });
});
