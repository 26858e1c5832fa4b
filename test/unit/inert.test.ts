import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { excerpt, json, logLine, markdown, visible } from '../../src/inert.ts';
import { HOSTILE } from './support/hostile.ts';

/** What actions/runner executes: ActionCommand.cs, TryParseV2 and TryParse. */
export const acts = (line: string) => /^\s*::[^ :]/u.test(line) || line.includes('##[');

/** Entities that are allowed to stand for a character. */
const decoded = (html: string) =>
  html
    .replaceAll('&#8203;', '')
    .replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');

describe('hostile text', () => {
  for (const [name, text] of Object.entries(HOSTILE)) {
    test(`${name}: is one line of printable characters`, () => {
      assert.doesNotMatch(visible(text), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u);
    });

    test(`${name}: is no command in a log`, () => {
      assert.ok(!acts(logLine(text)), logLine(text));
      assert.doesNotMatch(logLine(text), /[\p{Cc}\p{Cf}\p{Zl}]/u);
    });

    test(`${name}: is no markup, and reads as it was`, () => {
      const shown = markdown(text, 10_000);
      const rest = shown.replaceAll(/&(?:#\d+|amp|lt|gt);/g, '');
      assert.doesNotMatch(rest, /[\\`*_{}[\]()#+!|~^$@<>&-]|:\/\/|^\s{4}|^\s*\d+\.\s|\bwww\.|\n/i);
      assert.equal(decoded(shown), visible(text).trimStart());
    });

    test(`${name}: refers to nobody and nothing on GitHub`, () => {
      // The finished page is searched for these, where an entity is its character again.
      const page = markdown(text, 10_000)
        .replaceAll('&#8203;', '\u200b')
        .replaceAll(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
      assert.doesNotMatch(page, /@\w|#\d|GH-\d|:[\w+-]+:/i);
    });
  }
});

describe('visible', () => {
  test('leaves what people write alone', () => {
    for (const text of ['Grüße, 世界, 🌍!', 'a  b\\n', '::error::', "<b>'&"])
      assert.equal(visible(text), text);
  });

  test('names what it hides', () => {
    assert.equal(
      visible('a\tb\r\nc\u0000\u001b\u202e\u{e0041}\u3164\ud800'),
      'a\\tb\\r\\nc\\u{0}\\u{1b}\\u{202e}\\u{e0041}\\u{3164}\\u{d800}',
    );
  });
});

describe('logLine', () => {
  test('breaks commands up, and only commands', () => {
    assert.equal(logLine('::error::x'), '\\::error::x');
    assert.equal(logLine('  ::set-output name=a::b'), '  \\::set-output name=a::b');
    assert.equal(logLine('a ##[error]b'), 'a ##\\[error]b');
    assert.equal(logLine('std::vector has no #[derive]'), 'std::vector has no #[derive]');
  });

  test('is capped after all escaping, and says what was cut', () => {
    for (const text of ['##['.repeat(5000), '\u0000'.repeat(5000), 'x'.repeat(5000)]) {
      const line = logLine(text, 100);
      assert.ok(line.length <= 140, `${line.length} characters`);
      assert.match(line, /… \(cut: \d+ characters in all\)$/);
      assert.ok(!acts(line));
    }
    assert.equal(logLine('x'.repeat(100), 100), 'x'.repeat(100));
  });

  test('takes no time for 10 MB', () => {
    const huge = '##[error]\u001b@::'.repeat(800_000);
    const start = performance.now();
    assert.ok(logLine(huge).length < 2100);
    assert.ok(markdown(huge).length < 10_000);
    assert.ok(performance.now() - start < 1000);
  });
});

describe('an excerpt', () => {
  test('keeps what fits', () => assert.equal(excerpt('abc', 3), 'abc'));
  test('says how much there was', () =>
    assert.equal(excerpt('abcdef', 3), 'abc… (cut: 6 characters in all)'));
  test('cuts no character in half', () => {
    assert.equal(excerpt('ab🌍cd', 3), 'ab… (cut: 6 characters in all)');
    assert.ok(markdown('🌍'.repeat(400), 501).isWellFormed());
    assert.ok(logLine('🌍'.repeat(400), 501).isWellFormed());
  });
  test('cuts no escape in half', () => {
    for (let max = 1; max < 12; max++)
      for (const show of [excerpt, markdown])
        assert.match(
          show('\u0007\u0007', max)
            .replaceAll('&#92;', '\\')
            .replaceAll(/&#12[35];/g, (e) => (e === '&#123;' ? '{' : '}')),
          /^(?:\\u\{7\})*(?:…|$)/,
        );
  });
});

test('JSON for a log keeps its value and loses its teeth', () => {
  const value = {
    text: 'a ##[error]b \u001b[31m \u0085 \u202e \u{e0041} \u2028 ::x',
  };
  const text = json(value);
  assert.deepEqual(JSON.parse(text), value);
  assert.doesNotMatch(text, /##\[|[^\n\P{Cc}]|[\p{Cf}\p{Zl}\p{Zp}]/u);
});
