import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { excerpt, markdown } from '../../../src/inert.ts';
import type { Answer } from '../../../src/report/answer.ts';
import { answer } from '../../../src/surfaces/answer.ts';
import { headlineOf } from '../../../src/tell/headline.ts';
import { HOSTILE } from '../support/hostile.ts';

const given = (...lines: readonly string[]): Answer => ({ verdict: 'pass', lines, value: { lines } });
const shown = async (one: Answer) => ({
  terminal: (await answer.answer?.terminal?.(one)) ?? [],
  log: (await answer.answer?.log?.(one)) ?? [],
  summary: (await answer.answer?.summary?.(one)) ?? '',
});

describe('an answer', () => {
  test('is its lines, and its last one the headline', async () => {
    const { terminal, log, summary } = await shown(given('one', 'two'));
    assert.deepEqual([terminal, log, summary], [['one', 'two'], ['one', 'two'], 'one<br>two\n']);
    assert.deepEqual(headlineOf('answer', given('one', 'two')), { verdict: 'pass', line: 'two' });
    assert.deepEqual(headlineOf('answer', given()), { verdict: 'pass', line: undefined });
  });

  for (const [what, text] of Object.entries(HOSTILE))
    test(`is inert with ${what}`, async () => {
      const { terminal, summary } = await shown(given(text));
      assert.deepEqual([terminal, summary], [[excerpt(text, 500)], `${markdown(text, 500)}\n`]);
      assert.equal(headlineOf('answer', given(text)).line, excerpt(text, 500));
    });

  test('is cut, but for its last line, and says so', async () => {
    const lines = Array.from({ length: 1000 }, (_, at) => `line ${at}`);
    const { terminal, summary } = await shown(given(...lines, 'x'.repeat(100_000)));
    assert.deepEqual(terminal.slice(98, 100), ['line 98', '… (901 left out)']);
    assert.equal(terminal.length, 101);
    assert.match(terminal.at(-1) ?? '', /^x{500}… \(cut: 100000 characters in all\)$/);
    const { summary: worst } = await shown(given(...lines.map(() => '@'.repeat(10_000))));
    assert.ok(Buffer.byteLength(worst) < 2 ** 20, String(Buffer.byteLength(worst)));
    assert.ok(summary.length < 10_000);
  });
});
