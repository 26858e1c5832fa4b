import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { historyPage } from '../../../src/surfaces/html/history.ts';
import { chain, hostileChain } from '../support/chains.ts';

const PAGE = historyPage([chain()]);
const text = (page: string) =>
  page.replaceAll(/<style>[\s\S]*?<\/style>|<[^>]+>/g, ' ').replaceAll(/\s+/g, ' ');

describe('the page of baselines', () => {
  test('tells of each when, who, why, from where, and what was accepted', () => {
    for (const part of [
      'Baselines of serving 4 baselines on 1 hardware class, newest first',
      '2026-11-20 09:14 UTC the baseline of today “vLLM 0.31 fuses the rotary embedding” by octocat , push, accepted with pull request #812',
      `Accepted record ${'a'.repeat(64)}`,
      `baseline.json sha256:${'4'.repeat(64)}`,
      '“first baseline”',
    ])
      assert.ok(text(PAGE).includes(part), part);
    assert.equal(PAGE.match(/the baseline of today/g)?.length, 1);
  });

  test('tells what each changed: environment and size in words, as far as the records are still there', () => {
    const told = text(PAGE);
    assert.match(told, /7 of 8 prompts not the same as in the one before, 9\.3x the size of rounding/);
    assert.match(told, /engine\. version 0\.30\.0 0\.31\.0/);
    assert.match(told, /The same bits as the one before, in 8 prompts/);
    assert.match(told, /not known: the store no longer has the record/);
    assert.match(told, /of what the chain keeps Fact Before Then image vllm:1 vllm:2/);
    assert.match(told, /Nothing is known that it replaced/);
  });

  test('of no baseline says so', () => assert.match(historyPage([]), /No baseline/));

  test('escapes and caps whatever anybody wrote, and links to the web alone', () => {
    const page = historyPage([hostileChain()]);
    const elements = (one: string) => new Set([...one.matchAll(/<([a-z]\w*)/g)].map(([, name]) => name));
    assert.deepEqual(
      [...elements(page)].filter((name) => !elements(PAGE).has(name)),
      [],
    );
    const hrefs = [...page.matchAll(/href="([^"]*)"/g)].map(([, href]) => href);
    assert.deepEqual(hrefs, ['#main']);
    assert.doesNotMatch(page, /x{1001}/);
    assert.doesNotMatch(page.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  });
});
