import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { promptAnchor } from '../../../src/words/anchor.ts';
import { HOSTILE } from '../support/hostile.ts';

describe('the place of a prompt on the page', () => {
  test('of an id as suites have it is the id itself', () => {
    assert.equal(promptAnchor('json-tool_call.v2'), 'prompt-json-tool_call.v2');
    assert.equal(promptAnchor('sky@change'), 'prompt-sky~40~change');
  });

  test('is plain text that nothing in an address or a page would read otherwise, and short', () => {
    for (const id of [...Object.values(HOSTILE), '"><img>', '\ud800', '', '#', '%23', '名'.repeat(5000)]) {
      const anchor = promptAnchor(id);
      assert.match(anchor, /^prompt-[\w.~-]*$/, id);
      assert.ok(anchor.length < 150, `${anchor.length}`);
      assert.equal(promptAnchor(id), anchor);
    }
  });

  test('is no other id’s', () => {
    const long = 'a'.repeat(96);
    const ids = [
      ...['a/b', 'a~2f~b', 'a~b', 'a~~b', 'a b', 'a', 'A', '', '/', '~', '//', '~2f~', '%2f'],
      ...[long, `${long}a`, `${long}b`, `${long}\ud800`, `${long}\udfff`],
      ...['/'.repeat(40), '/'.repeat(41), `${'/'.repeat(24)}a`, `${'/'.repeat(24)}b`],
      ...Object.values(HOSTILE),
    ];
    const anchors = [...ids, ...ids.map(promptAnchor)].map(promptAnchor);
    // That of an anchor is another one again.
    const own = new Set([...ids, ...ids.map(promptAnchor)]).size;
    assert.equal(new Set(anchors).size, own);
  });
});
