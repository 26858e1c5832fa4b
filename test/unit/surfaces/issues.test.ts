import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LIST_DIGEST } from '../../../src/issues/index.ts';
import type { Report } from '../../../src/report/schema.ts';
import { annotations } from '../../../src/surfaces/annotations.ts';
import { htmlReport } from '../../../src/surfaces/html/drawn.ts';
import { summary } from '../../../src/surfaces/summary.ts';
import { terminalLines } from '../../../src/surfaces/terminal.ts';
import { brief, LADDER, type Room } from '../../../src/words/brief.ts';
import { HOSTILE } from '../support/hostile.ts';
import { body, FINGERPRINT, side } from '../support/records.ts';
import { reportOf } from '../support/reports.ts';

const alone = { sky: body(), sea: body({ tokens: [5, 6] }) };
const together = { ...alone, sky: body({ logprobs: [-0.5, -1.75] }) };

/** A check on a CPU whose `batch` broke in one of two prompts. */
const REPORT = await reportOf(
  side({
    passes: { 'generate-alone': alone, 'generate-again': alone, 'generate-together': together },
    fingerprint: FINGERPRINT,
  }),
  undefined,
  {
    claims: [
      { relation: 'rerun', requirement: 'identical' },
      { relation: 'batch', requirement: 'identical' },
    ],
    baseline: { kind: 'not-asked' },
  },
);
const WHENCE = { url: 'https://github.com/acme/models/actions/runs/77', headSha: '', isUnverified: false };
const [ALL] = LADDER as readonly [Room, ...Room[]];
const commentOf = (report: Report, room = ALL) => brief([report], WHENCE, room);

const with_ = (alike: Report['knownIssues']['alike']): Report => ({
  ...REPORT,
  knownIssues: { ...REPORT.knownIssues, alike },
});
const SURFACES: Readonly<Record<string, (report: Report) => string>> = {
  'the log': (report) => terminalLines(report).join('\n'),
  annotations: (report) =>
    annotations(report)
      .map(({ message }) => message)
      .join('\n'),
  'the summary': (report) => summary(report),
  'a comment': (report) => commentOf(report),
  'the page': (report) => htmlReport([report]),
};

test('a report tells what it looks like as data, with the list that was looked through', () => {
  const { list, alike } = REPORT.knownIssues;
  assert.equal(list, LIST_DIGEST);
  assert.deepEqual(
    alike.map(({ thread, relations }) => [thread, relations]),
    [
      ['vllm-project/vllm#9567', ['batch']],
      ['pytorch/pytorch#45422', ['batch']],
    ],
  );
  assert.equal(REPORT.conclusion, 'relation-broken');
});

describe('a known issue stands beside the verdict', () => {
  for (const [name, told] of Object.entries(SURFACES))
    test(`in ${name}: its name, what is wrong, its thread`, () => {
      const text = told(REPORT)
        .replaceAll(/&#8203;/g, '')
        .replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(code));
      assert.match(text, /vllm#9567/);
      assert.match(text, /outputs depend on the size of the batch/);
      assert.match(text, /https:\/\/(?:redirect\.)?github\.com\/vllm-project\/vllm\/issues\/9567/);
      assert.match(text, /never a verdict/i);
    });

  for (const name of ['the log', 'the summary', 'a comment', 'the page'])
    test(`in ${name} with what fits and what was not looked at`, () => {
      const text = (SURFACES[name]?.(REPORT) ?? '').replaceAll(/&#(\d+);/g, (_, code) =>
        String.fromCharCode(code),
      );
      assert.match(text, /Matched:.{0,8} `?(?:<code>)?batch`?(?:<\/code>)? broke; vllm 0\.30\.0/);
      assert.match(text, /Not looked at: the version: the thread names neither/);
    });

  test('on no surface of a run that looks like none', () => {
    for (const told of Object.values(SURFACES))
      assert.doesNotMatch(told(with_([])), /looks like|never a verdict/i);
  });

  test('only with the prompts of its own relation', () => {
    const [first] = REPORT.knownIssues.alike;
    assert.ok(first);
    const other = with_([{ ...first, relations: ['rerun'] }]);
    assert.doesNotMatch(SURFACES['annotations']?.(other) ?? '', /Looks like/);
  });

  test('without a word to its thread: what GitHub shows links by way of its redirector', () => {
    for (const told of [summary(REPORT), commentOf(REPORT)])
      assert.doesNotMatch(told, /\/\/github\.com\/(?:vllm|pytorch)/);
  });

  test('as far as there is room', () => {
    for (const [at, room] of LADDER.entries()) {
      const lines = commentOf(REPORT, room)
        .split('\n')
        .filter((line) => line.includes('🔗'));
      assert.equal(lines.length, [2, 2, 1, 0, 0][at]);
    }
  });
});

describe('of what a stranger’s report claims', () => {
  test('a thread that the list does not know is not shown', () => {
    const forged = with_([{ thread: 'evil/repo#1', relations: ['batch'], matched: ['x'], open: [] }]);
    for (const told of Object.values(SURFACES)) {
      assert.doesNotMatch(told(forged), /evil/);
      assert.doesNotMatch(told(forged), /looks like/i);
    }
  });

  for (const [name, text] of Object.entries(HOSTILE))
    test(`${name} in what fits does nothing`, () => {
      const thread = 'vllm-project/vllm#9567';
      const told = with_([{ thread, relations: ['batch'], matched: [text], open: [text] }]);
      const plain = with_([{ thread, relations: ['batch'], matched: ['X'], open: ['X'] }]);
      for (const shown of [summary, commentOf]) {
        const count = (markdown: string) => markdown.match(/[<>[\]`]/g)?.length ?? 0;
        assert.equal(count(shown(told)), count(shown(plain)));
        assert.equal(shown(told).split('\n').length, shown(plain).split('\n').length);
      }
      const tags = (page: string) => page.match(/<\/?[a-z]+/g)?.filter((tag) => !/code/.test(tag)).length;
      assert.equal(tags(htmlReport([told])), tags(htmlReport([plain])));
    });
});
