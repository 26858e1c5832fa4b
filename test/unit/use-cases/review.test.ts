import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReviewAnswer } from '../../../src/report/answers.ts';
import { reportDigest } from '../../../src/report/make.ts';
import { reportPathOf } from '../../../src/report/paths.ts';
import type { Report } from '../../../src/report/schema.ts';
import { review } from '../../../src/use-cases/review.ts';
import { afterAccepting, begin, press, settledBy, type Walk } from '../../../src/use-cases/walk.ts';
import { read } from '../../../src/words/reading.ts';
import type { Drift } from '../../../src/words/review.ts';
import { HOSTILE } from '../support/hostile.ts';
import { Job } from '../support/job.ts';
import { body } from '../support/records.ts';
import { checkReport } from '../support/reports.ts';
import { rejectedBy } from '../support/suites.ts';

const OTHER = { shift: 1 };

/** A job whose engine has drifted, and the report of it. */
async function drifted(): Promise<{ readonly job: Job; readonly report: Report; readonly path: string }> {
  const job = new Job();
  await job.refreshed();
  const report = await job.checked(() => OTHER);
  return { job, report, path: reportPathOf(report.context.recordPath) };
}

/** Somebody at the terminal, who presses these keys and gives these reasons; nobody without. */
function reviewed(job: Job, keys?: string, reasons: readonly string[] = []) {
  const pressed = [...(keys ?? '')];
  const answers = [...reasons];
  const tools = job.tools();
  const open = {
    ...tools.open,
    ...(keys === undefined
      ? {}
      : {
          keys: () => ({
            next: async () => pressed.shift() ?? assert.fail('one key too few'),
            [Symbol.dispose]: () => {},
          }),
          ask: () => async () => answers.shift() ?? assert.fail('one question too many'),
        }),
  };
  job.lines.length = 0;
  const asked = review({ reports: '/', expected: 1 }, { ...tools, open });
  return asked.then(({ value, ...rest }) => {
    assert.deepEqual([pressed, answers], [[], []], 'all was read');
    return { ...rest, value: ReviewAnswer.parse(value) };
  });
}

const BITS = { capital: body(), sky: body() };
const other = { capital: body({ logprobs: [-0.5, -1.75] }), sky: body({ logprobs: [-0.5, -1.25] }) };

describe('keys in a list of drifts', async () => {
  const of = (path: string, report: Report): Drift[] =>
    read(report).drifted.map((one, index) => ({ path, report, drifted: one, index }));
  const first = await checkReport(BITS, other);
  const second = { ...first, outcome: 'ab'.repeat(32), acceptable: 'ab'.repeat(32) };
  // Two prompts of one record, two of another, and the first record once more.
  const drifts = [...of('a', first), ...of('b', second), ...of('c', first)];
  const go = (walk: Walk, keys: string): Walk =>
    [...keys].reduce((now, key) => {
      const step = press(now, key, drifts);
      return step.kind === 'go' ? step.walk : assert.fail(`${key} is ${step.kind}`);
    }, walk);
  const start = begin(drifts, new Set());

  test('go from prompt to prompt, from report to report, and back', () => {
    assert.deepEqual(
      ['', 's', ' ', 'ss', 'n', 'nn', 'nnn', 'ssssss', 'sb', 'b', 'nb'].map((keys) => go(start, keys).at),
      [0, 1, 1, 2, 2, 4, 6, 6, 0, 0, 1],
    );
  });

  test('an acceptance settles all of its record, in whatever report it stands', () => {
    const accepted = afterAccepting(start, drifts);
    assert.equal(accepted.at, 2, 'the other prompt of the record is passed over');
    assert.equal(go(accepted, 'b').at, 2, 'and so it is on the way back');
    assert.equal(go(accepted, 'ss').at, drifts.length, 'the third report holds the same record');
    assert.equal(afterAccepting(accepted, drifts).at, drifts.length);
  });

  test('what was accepted before is never shown', () => {
    assert.equal(begin(drifts, new Set([settledBy({ report: first })])).at, 2);
  });

  test('are read in capitals too, and another one does nothing', () => {
    assert.deepEqual(
      ['A', 'm', 'Q', 'x', '\u001b[A', '\r'].map((key) => press(start, key, drifts).kind),
      ['accept', 'more', 'quit', 'unknown', 'unknown', 'unknown'],
    );
  });

  test('accept nothing that a line in the suite would not let pass', () => {
    const moves = of('a', { ...first, acceptable: null });
    const step = press(begin(moves, new Set()), 'a', moves);
    assert.match(step.kind === 'refuse' ? step.refusal.message : '', /^No single record/);
  });
});

describe('review', () => {
  test('accepts with a reason, and the very next check passes by it', async () => {
    const { job, report } = await drifted();
    const { verdict, value, lines } = await reviewed(job, 'a', ['a new kernel']);
    assert.equal(verdict, 'pass');
    assert.deepEqual(
      value.drifts.map(({ record, accepted }) => [record, accepted]),
      [[report.acceptable, true]],
    );
    assert.match(lines.at(-1) ?? '', /^1 drift, all accepted; .*Commit the suite/);
    const next = await job.checked(() => OTHER);
    assert.deepEqual([next.verdict, next.accepted?.reason], ['pass', 'a new kernel']);
  });

  test('shows of a prompt what differs, from where on and its strip, and more when it is asked for', async () => {
    const { job, report, path } = await drifted();
    const before = job.suite;
    await reviewed(job, 'mq');
    const card = job.lines.join('\n');
    const [prompt] = read(report).drifted;
    assert.ok(card.includes(path) && card.includes(read(report).line), card);
    assert.match(card, new RegExp(`\\[1/\\d+\\] ${prompt?.prompt}: `));
    assert.match(card, /^ {2}\w+ +[=~x.]*[~x][=~x.]*$/m);
    assert.match(card, /^ {2}\w+: .*(tokens part|bits differ) at/m);
    assert.ok(card.includes(`Page: ${report.context.htmlPath}`), card);
    assert.equal(job.suite, before);
  });

  test('without a reason nothing is accepted, and what was refused can be skipped', async () => {
    const { job, report } = await drifted();
    const before = job.suite;
    const { verdict, lines } = await reviewed(job, 'aq', ['']);
    assert.deepEqual([verdict, job.suite], ['warn', before]);
    assert.match(lines.at(-1) ?? '', /^1 drift, none accepted; /);
    // Another suite than the one that was measured: the line would let nothing pass.
    job.suite = before.replace('The sky is', 'The sea is');
    const changed = job.suite;
    await reviewed(job, `a${'s'.repeat(read(report).drifted.length)}`, ['why']);
    assert.match(job.lines.join('\n'), /^suite-changed: /m);
    assert.equal(job.suite, changed);
  });

  test('without a terminal lists all of it, and how to go on', async () => {
    const { job, report, path } = await drifted();
    const { verdict, lines } = await reviewed(job);
    assert.equal(verdict, 'warn');
    assert.ok(lines[0]?.startsWith(`${path}: Drift: `), lines.join('\n'));
    for (const { prompt } of read(report).drifted)
      assert.ok(lines.some((line) => line.startsWith(`  ${prompt}: `)));
    assert.match(lines.at(-1) ?? '', /^On a terminal .*`deterministic-ml accept <report> --reason/);
  });

  test('shows nothing twice: what the suite accepts is done, what reproduced is counted', async () => {
    const { job } = await drifted();
    await reviewed(job, 'a', ['a new kernel']);
    const { verdict, lines } = await reviewed(job, '');
    assert.deepEqual([verdict, job.lines], ['pass', []]);
    assert.match(lines.at(-1) ?? '', /^1 drift, all accepted; 1 other report: 1 reproduced\.$/);
  });

  test('names a report that was changed, and goes on with the others', async () => {
    const { job, path } = await drifted();
    job.disk.files.set('/z.report.json', (job.disk.files.get(path) ?? '').replace('"drift"', '"unstable"'));
    const { value, lines } = await reviewed(job);
    assert.deepEqual([value.drifts.length, value.unread.length], [1, 1]);
    assert.ok(
      lines.some((line) => /^Not shown: \/z\.report\.json: .* was changed after/.test(line)),
      lines.join('\n'),
    );
  });

  test('of a folder without reports is an error', async () => {
    assert.equal((await rejectedBy(reviewed(new Job()))).code, 'reports-missing');
  });

  test('keeps whatever a report says on one line, where it does nothing', async () => {
    const { job, path, report } = await drifted();
    for (const text of Object.values(HOSTILE)) {
      const name = text.toWellFormed();
      const hostile: Report = {
        ...report,
        hardwareClass: name,
        changes: [{ half: 'declared', field: name, before: name, after: name }],
        relations: report.relations.map((one) => ({
          ...one,
          findings: one.findings.map((found) => ({ ...found, prompt: name, reason: name })),
        })),
      };
      const { sha256: _, ...rest } = hostile;
      job.disk.files.set(path, JSON.stringify({ ...rest, sha256: reportDigest(rest) }));
      await reviewed(job, 'mq');
      for (const line of job.lines) assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    }
  });
});
