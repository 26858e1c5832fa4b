import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Across } from '../../../src/report/across.ts';
import type { Report } from '../../../src/report/schema.ts';
import { comment, commentLadder, MAX_COMMENT } from '../../../src/surfaces/comment.ts';
import { LADDER } from '../../../src/words/brief.ts';
import { compareRuns, isSameThread, type Marker, markerOf } from '../../../src/words/thread.ts';
import { assertInert, filledReport, HEAD, hostileReports, RUN, WHENCE } from '../support/briefs.ts';
import { HOSTILE } from '../support/hostile.ts';
import { body, FINGERPRINT, side } from '../support/records.ts';
import { checkReport, finding, relation, reportOf } from '../support/reports.ts';

const BITS = { capital: body(), sky: body({ tokens: [20, 21, 22] }), essay: body({ tokens: [30, 31] }) };
const OTHER = {
  ...BITS,
  capital: body({ logprobs: [-0.5, -1.75] }),
  sky: body({ tokens: [20, 21, 25], text: 'other' }),
};
const WELL = await checkReport(BITS, BITS);
const DRIFT = await checkReport(BITS, OTHER);
const THREAD = { suite: 'smollm2-serving', hardwareClass: '*' } as const;

const ladder = (reports: readonly Report[], before?: Marker, thread: Marker['thread'] = THREAD) =>
  commentLadder(reports, thread, RUN, WHENCE, before);
const first = (...asked: Parameters<typeof ladder>) => ladder(...asked)[0] ?? '';
const withFindings = (count: number, reason: (index: number) => string): Report => ({
  ...DRIFT,
  relations: [
    relation('baseline', 'broken', {
      findings: Array.from({ length: count }, (_, i) => finding(`p${i}`, { reason: reason(i) })),
    }),
  ],
});

/** Classes that are not near enough, whatever each leg says of itself. */
const apart = (status: Across['status']): Across => ({
  ...{ required: 'within 2x floor', status, verdict: status === 'held' ? 'pass' : 'fail', pairs: [] },
  line: `Across classes, within 2x floor: ${status}: H100 against A100 <b>2.4x</b>.`,
});

describe('a comment where classes were held to a distance', () => {
  const told = (status: Across['status'], before?: Marker) =>
    commentLadder([WELL], THREAD, RUN, { ...WHENCE, across: apart(status) }, before)[0] ?? '';
  const isNew = (status: Across['status']) =>
    comment.post?.isNew([WELL], { comment: 'drift', checkRun: false, across: apart(status) });

  test('is made, red, though each leg reproduces, and says how far they are apart', () => {
    const text = told('broken');
    assert.match(text, /state=relation-broken/);
    assert.match(text, /### ❌ Reproduced/);
    assert.match(text, /\*\*Across classes, within 2x floor: broken: H100 against A100 &lt;b&gt;2\.4x/);
    assert.match(told('unmeasured'), /state=unmeasured/);
    assert.deepEqual([isNew('broken'), isNew('unmeasured'), isNew('held')], [true, true, false]);
  });

  test('is resolved once they are near enough', () => {
    const before = markerOf(told('broken'));
    assert.ok(before !== undefined);
    assert.match(told('held', before), /### ✅ Resolved: .*\n\nIt was \*\*relation broken\*\*/);
  });
});

describe('a comment on drift', () => {
  test('has what a reader of half a minute needs, in this order', () => {
    const text = first([DRIFT]);
    const order = [
      '<!-- deterministic-ml v1 suite=smollm2-serving class=* run=77.2 state=drift -->\n### ❌ Drift: 2 of 3 prompts',
      'The engine repeats itself within this start',
      '**Next:** If it is not meant',
      'To accept exactly this record, run this',
      'deterministic-ml accept record.report.json --reason "why these bits are meant"',
      'It adds to determinism.yml',
      `accept:\n  - record: ${DRIFT.outcome}\n    hardware-class: ${DRIFT.hardwareClass}\n    reason: "why these bits are meant"`,
      'gh workflow run refresh.yml -f reason="why these bits are to be trusted"',
      '| prompt | broke | agreement | hash of the text alone | where |',
      '| <code>sky</code> | baseline | other tokens | differs |',
      '| <code>capital</code> | baseline | same tokens, other log-probability bits | same |',
      'No recorded fact of the environment differs',
      'Compared with the baseline of 2026',
      `<sub>Suite <code>suite</code> at <code>${HEAD.slice(0, 12)}</code>. [The run’s page](${RUN.url}) has the rest.</sub>`,
    ].map((part) => {
      assert.ok(text.includes(part), `${part} is missing in\n${text}`);
      return text.indexOf(part);
    });
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
  });

  test('names the first five changes of the environment, and counts the others', () => {
    const changes = Array.from({ length: 7 }, (_, i) => ({
      ...{ half: 'declared' as const, field: `f${i}`, before: '1', after: '2' },
    }));
    const text = first([{ ...DRIFT, changes }]);
    assert.match(text, /<code>f4<\/code> \(repository\) \| 1 \| 2 \|/);
    assert.doesNotMatch(text, /<code>f5/);
    assert.match(text, /2 changed facts more left out here\./);
  });

  test('tells each class of hardware by itself, and at length those that want a reader', async () => {
    const other = side({
      passes: { 'generate-1': BITS, 'generate-2': BITS },
      fingerprint: { ...FINGERPRINT, ambient: { ...FINGERPRINT.ambient, driver: '600.1' } },
    });
    const well = {
      ...(await reportOf(other, side({ passes: { 'generate-1': BITS } }))),
      hardwareClass: 'gpu-h100',
    };
    const text = first([DRIFT, well]);
    assert.match(text, /### ❌ Drift: 1 of 2 legs; 1 reproduced/);
    assert.match(text, /\| <code>gpu&#45;h100<\/code> \| ✅ Reproduced: 3 prompts on gpu/);
    assert.match(text, /#### ❌ <code>cpu&#45;/);
    assert.doesNotMatch(text, /#### ✅/);
    assert.equal(text.split('accept:').length, 2);
  });

  test('says what was not measured', async () => {
    const run = side({ passes: { 'generate-1': BITS } });
    const report = await reportOf(run, side({ passes: { 'generate-1': BITS } }));
    assert.equal(report.conclusion, 'unmeasured');
    assert.match(first([report]), /\n- rerun: /);
  });

  test('without a baseline says how to get one', async () => {
    const run = side({ passes: { 'generate-1': BITS, 'generate-2': BITS } });
    const text = first([await reportOf(run, undefined)]);
    assert.match(text, /state=no-baseline -->\n### ❌ No baseline/);
    assert.match(text, /\*\*Next:\*\* Run the refresh workflow/);
    assert.doesNotMatch(text, /accept:/);
  });

  test('links nowhere but to the run’s page', () => {
    for (const url of ['javascript:alert(1)', 'https://a.b/) [x](http://evil', 'https://a.b/"onclick=', '']) {
      const [text = ''] = commentLadder(
        [DRIFT],
        THREAD,
        { ...RUN, url },
        { url, headSha: 'x<b>', isUnverified: false },
        undefined,
      );
      assert.doesNotMatch(text, /\]\(|alert|onclick|evil|x<b>/);
      assert.match(text, /The run’s page has the rest/);
    }
  });
});

describe('the ladder', () => {
  test('goes down, each rung shorter, says what it left out, and has the marker on each', () => {
    const rungs = ladder([withFindings(30, (i) => 'y'.repeat(i * 3))]);
    assert.equal(rungs.length, LADDER.length);
    for (const [index, rung] of rungs.entries()) {
      assert.ok(rung.length <= MAX_COMMENT);
      assert.ok(index === 0 || rung.length < (rungs[index - 1]?.length ?? 0));
      assert.deepEqual(markerOf(rung)?.thread, THREAD);
      assert.match(rung, /\n### ❌ Drift: 30 of 3 prompts/);
      assert.match(rung, /left out here/);
    }
    assert.match(rungs[0] ?? '', /20 prompts more left out here/);
    assert.match(rungs.at(-1) ?? '', /has what was left out here/);
    assert.ok((rungs.at(-1)?.length ?? 0) < 1000);
  });

  test('has no rung that is not shorter than the one above it', () => {
    for (const reports of [[DRIFT], [DRIFT, DRIFT], [WELL]]) {
      const lengths = ladder(reports).map((rung) => rung.length);
      assert.deepEqual(
        lengths,
        [...new Set(lengths)].toSorted((a, b) => b - a),
      );
    }
  });

  test('begins at the longest that is as long as GitHub takes, and one character more is too long', () => {
    const base = first([filledReport(DRIFT, 0)]).length;
    assert.ok(base < MAX_COMMENT && MAX_COMMENT - base < 1500, `${base} characters`);
    const full = first([filledReport(DRIFT, MAX_COMMENT - base)]);
    assert.equal(full.length, MAX_COMMENT);
    const past = first([filledReport(DRIFT, MAX_COMMENT - base + 1)]);
    assert.ok(past.length < MAX_COMMENT / 2);
    assert.match(past, /5 prompts more left out here/);
  });

  for (const legs of [2, 100, 1000])
    test(`has a rung for ${legs} legs that are as bad as they come`, () => {
      const bad = { ...withFindings(50, () => '@'.repeat(5000)), hardwareClass: '-'.repeat(128) };
      const rungs = ladder(Array.from({ length: legs }, () => bad));
      assert.ok(rungs.length > 0);
      for (const rung of rungs) {
        assert.ok(rung.length <= MAX_COMMENT);
        assert.match(rung, legs > 40 ? /left out/ : /left out here/);
      }
    });
});

describe('the comment once all is well', () => {
  const was = markerOf(first([DRIFT]));

  test('says in short what it was', () => {
    const text = first([WELL], was);
    assert.match(
      text,
      /state=resolved was=drift@77\.2 -->\n### ✅ Resolved: Reproduced: 3 prompts .*\n\nIt was \*\*drift\*\* in \[run 77\]\(https:.*\); \[this run\]/,
    );
    assert.ok(text.length < 600);
  });

  test('tells each leg', () => {
    assert.match(first([WELL, WELL], was), /\| hardware class \| verdict \|/);
  });

  test('says what it is, where nothing was wrong', () => {
    assert.match(first([WELL]), /state=well -->\n### ✅ Reproduced/);
    assert.match(first([WELL], markerOf(first([WELL]))), /state=well -->\n### ✅ Reproduced/);
  });
});

describe('the marker', () => {
  for (const [what, thread] of [
    ['a usual one', { suite: 'smollm2-serving', hardwareClass: 'gpu-nvidia-h100-80gb-sm_90' }],
    ['all legs', { suite: 'a', hardwareClass: '*' }],
    ['a name that would end it', { suite: 'a-->b <x> class=y', hardwareClass: '--!>\n\n# x' }],
    ['half a character', { suite: '\ud800', hardwareClass: 'a' }],
  ] as const)
    test(`is read as it was written: ${what}`, () => {
      const text = first([DRIFT], undefined, thread);
      const marker = markerOf(text);
      assert.ok(marker !== undefined && isSameThread(marker.thread, thread));
      assert.deepEqual(marker.run, { id: '77', attempt: '2' });
      assert.equal(marker.state, 'drift');
      assert.match(text, /^<!-- [^<>\n]* -->\n/);
      assert.equal(markerOf(text.replaceAll('\n', '\r\n'))?.state, 'drift');
      if (thread.suite !== 'a') assert.ok(!isSameThread(marker.thread, { ...thread, suite: 'a' }));
    });

  const good = '<!-- deterministic-ml v1 suite=a class=* run=1.1 state=drift -->';
  for (const text of [
    '',
    'x',
    `x${good}`,
    ` ${good}`,
    `\n${good}`,
    `> ${good}`,
    `${good}x`,
    good.replace('v1', 'v2'),
    good.replace('1.1', '1'),
    good.replace('1.1', '-1.1'),
    good.replace('1.1', `${'9'.repeat(21)}.1`),
    good.replace('drift', 'fine'),
    good.replace('suite=a', 'suite=%'),
    good.replace('suite=a ', ''),
    good.replace(' -->', ' was=drift -->'),
    good.replace(' -->', '  -->'),
    good.toUpperCase(),
  ])
    test(`is none: ${JSON.stringify(text)}`, () => assert.equal(markerOf(text), undefined));

  test('is compared by run, then by attempt, whatever the number of digits', () => {
    const run = (id: string, attempt = '1') => ({ id, attempt });
    for (const [a, b, expected] of [
      [run('10'), run('9'), 1],
      [run('9'), run('10'), -1],
      [run('9', '2'), run('9', '10'), -1],
      [run('9'), run('9'), 0],
      [run('9007199254740993'), run('9007199254740992'), 1],
      [run('local'), run('1'), -1],
    ] as const)
      assert.equal(compareRuns(a, b), expected);
  });
});

describe('hostile text in every field', () => {
  const marker = '<!-- deterministic-ml v1 suite=smollm2-serving class=* run=999.1 state=drift -->';
  const more = {
    'a marker': marker,
    'a marker in a line of its own': `x\n${marker}\ny`,
    'an end of a comment': '--> <!--',
    'a suggestion': '```suggestion\nx\n```',
    'a long one': '<@#'.repeat(100_000),
  };
  for (const [name, text] of Object.entries({ ...HOSTILE, ...more }))
    test(name, () => {
      const before = markerOf(first([DRIFT]));
      for (const reports of hostileReports(DRIFT, text))
        for (const thread of [THREAD, { suite: text, hardwareClass: text.slice(0, 100) }])
          for (const rung of [...ladder(reports, undefined, thread), ...ladder(reports, before)]) {
            assertInert(rung);
            assert.equal(rung.split('<!--').length, 2);
            if (thread === THREAD) assert.equal(markerOf(rung)?.run.id, RUN.id);
            assert.ok(rung.length <= MAX_COMMENT);
          }
    });
});
