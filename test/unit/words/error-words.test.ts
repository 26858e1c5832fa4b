import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ERROR_CODES, UserError } from '../../../src/errors.ts';
import { ERROR_WORDS } from '../../../src/words/error-words.ts';
import { errorLines, errorSummary, toldError } from '../../../src/words/errors.ts';

describe('the words of an error', () => {
  for (const [code, words] of Object.entries(ERROR_WORDS))
    test(`${code}: are three sentences of one line each`, () => {
      const sentences = [words.what, words.meaning, words.next];
      assert.equal(new Set(sentences).size, 3);
      for (const sentence of sentences) assert.match(sentence, /^[A-Z`][^\n|]{8,200}\.$/);
      // Outside of code, nothing that Markdown or GitHub reads as something else.
      assert.doesNotMatch(sentences.join(' ').replaceAll(/`[^`]*`/g, ''), /[`*<>@#\\[\]]|:\/\//);
    });

  test('are those of every code, and of no other', () =>
    assert.deepEqual(Object.keys(ERROR_WORDS), [...ERROR_CODES, 'internal-error']));
});

describe('what was thrown', () => {
  test('is told as an error with its remedy', () => {
    const told = toldError(new UserError('engine-died', 'It died.', 'Look.'));
    assert.deepEqual(told, { code: 'engine-died', message: 'It died.', hint: 'Look.' });
  });

  test('is the error itself, not what came up while cleaning up after it', () => {
    const first = new UserError('engine-hung', 'It hung.', 'Wait.');
    assert.equal(toldError(new SuppressedError(new Error('x'), first)).code, 'engine-hung');
  });

  test('is a bug with its stack, whatever it is', () => {
    assert.match(toldError(new TypeError('no')).message, /^This is a bug.*\nTypeError: no\n {4}at /);
    for (const odd of ['text', undefined, null, 7]) {
      const { code, message, hint } = toldError(odd);
      assert.deepEqual([code, hint], ['internal-error', '']);
      assert.ok(message.endsWith(String(odd)));
    }
  });
});

describe('the lines of an error', () => {
  const told = { code: 'engine-died', message: 'It died.\nlast', hint: 'Look.\nThere.' } as const;

  test('begin with the cause, then the remedy here, then what the code says anywhere', () => {
    const { what, meaning, next } = ERROR_WORDS['engine-died'];
    assert.deepEqual(errorLines(told, 1000), [
      'engine-died: It died.',
      'last',
      'Look.',
      'There.',
      `In general: ${what} ${meaning} ${next}`,
    ]);
  });

  test('of many keep the first and the last, and count the others', () => {
    const lines = Array.from({ length: 100 }, (_, i) => `line ${i}`);
    const shown = errorLines({ ...told, message: lines.join('\n') }, 200);
    assert.equal(shown[0], 'engine-died: line 0');
    assert.match(shown[1] ?? '', /^… \(\d+ lines left out\)$/);
    assert.ok(shown.includes('line 99'));
    const [, left] = /\((\d+)/.exec(shown[1] ?? '') ?? [];
    assert.equal(shown.filter((line) => /line \d+$/.test(line)).length + Number(left), 100);
    const two = `a\n${'b'.repeat(99)}\n${'c'.repeat(99)}`;
    assert.equal(errorLines({ ...told, message: two }, 100)[1], '… (1 line left out)');
  });

  test('stay below their cap, also of 10 MB on a line or in lines', () => {
    for (const message of ['##['.repeat(3_000_000), '\u001b\n'.repeat(5_000_000)]) {
      const start = performance.now();
      assert.ok(errorLines({ ...told, message }, 2200).join('\n').length < 3500);
      assert.ok(errorSummary({ ...told, message, hint: message }).length < 120_000);
      assert.ok(performance.now() - start < 5000);
    }
  });
});

test('the summary of a bug has no hint, and says what to do all the same', () => {
  const text = errorSummary(toldError(new Error('no')));
  assert.match(text, /^## ❌ `internal-error`: an error, no verdict\n/);
  assert.match(text, /\*\*Next:\*\* Report it with the stack\.\n$/);
  assert.doesNotMatch(text, /In general/);
});

test('the summary keeps the shape of a traceback', () => {
  const message = 'It died.\n  File "x.py", line 3\n    boom()';
  const text = errorSummary({ code: 'engine-died', message, hint: 'Look.' });
  assert.ok(text.includes('<pre>\nIt died.\n  File "x.py", line 3\n    boom&#40;&#41;\n</pre>\n'), text);
});
