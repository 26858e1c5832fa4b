import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { CONCLUSIONS } from '../../../src/compare/conclusion.ts';
import { ERROR_CODES } from '../../../src/errors.ts';
import { WhyAnswer } from '../../../src/report/answers.ts';
import { why } from '../../../src/use-cases/why.ts';

const page = await readFile(new URL('../../../docs/troubleshooting.md', import.meta.url), 'utf8');

/** Cells of the row of a code, as the document has it, without its links. */
const rowOf = (code: string) =>
  page
    .split('\n')
    .find((line) => line.startsWith(`| \`${code}\` |`))
    ?.replaceAll(/\[([\w/-]+\.md)\]\(\1\)/g, 'docs/$1')
    .split(' | ') ?? [];

for (const code of [...ERROR_CODES, ...CONCLUSIONS, 'internal-error'])
  test(`\`why ${code}\` says what the document says`, async () => {
    const { lines, value } = await why({ code });
    const [, , meaning, next = ''] = rowOf(code);
    assert.equal(lines[2], `What it means: ${meaning}`);
    assert.equal(lines[3], `What to do: ${next.replace(/ \|$/, '')}`);
    assert.equal(WhyAnswer.parse(value).codes[0]?.code, code);
  });

test('without a code all are listed, each in one line', async () => {
  const { lines } = await why({});
  assert.equal(lines.length, ERROR_CODES.length + 1 + CONCLUSIONS.length);
  assert.ok(lines.some((line) => line.startsWith('drift: ')));
});

test('a word that is no code is an error which names those that are', async () => {
  await assert.rejects(why({ code: 'drfit' }), {
    code: 'input-invalid',
    message: /conclusion: did you mean `drift`\?$/,
    hint: /, drift,/,
  });
});
