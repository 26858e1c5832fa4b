import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { STRIP_LEGEND, tellingStrip, textStrip } from '../../../src/words/strip.ts';
import { finding } from '../support/reports.ts';

describe('a strip', () => {
  for (const [strip, width, shown] of [
    ['', 32, ''],
    ['=', 32, '='],
    ['=~~x.....', 32, '=~~x.....'],
    // The worst of what is merged wins, wherever it stands.
    ['=~=', 1, '~'],
    ['~x..', 1, 'x'],
    ['~x..', 2, 'x.'],
    ['=~~x', 2, '~x'],
    ['====', 3, '==='],
    ['=====~=====x....', 4, '=~x.'],
    ['=.', 1, '='],
    ['....', 2, '..'],
    // Of parts that are not equally long none is left out.
    ['======~', 3, '==~'],
    ['~======', 3, '~=='],
    [`${'='.repeat(63)}x`, 32, `${'='.repeat(31)}x`],
    [`~${'='.repeat(63)}`, 10, `~${'='.repeat(9)}`],
    ['==~', 0, ''],
    ['==~', -1, ''],
    ['==~', 2.9, '=~'],
  ] as const)
    test(`“${strip}” in ${width} cells is “${shown}”`, () =>
      assert.equal(textStrip({ strip }, width), shown));

  test('has 32 cells, unless told otherwise', () =>
    assert.equal(textStrip({ strip: '='.repeat(64) }).length, 32));

  test('never smooths a step away that differs, nor makes one up', () => {
    for (let length = 1; length <= 64; length++)
      for (let at = 0; at < length; at++)
        for (const width of [1, 2, 7, 32, 64]) {
          const strip = `${'='.repeat(at)}~${'='.repeat(length - at - 1)}`;
          const shown = textStrip({ strip }, width);
          assert.equal(shown.length, Math.min(width, length));
          assert.equal(shown.replaceAll('=', ''), '~');
        }
  });

  test('is of its four characters, whatever a stranger’s report holds', () => {
    for (const strip of ['`|<b>~~', '\u202e=x', '\n::error::x~'])
      assert.match(textStrip({ strip }), /^[=~x.]*$/);
  });

  test('has a legend that names every character', () => {
    for (const character of '=~x.') assert.ok(STRIP_LEGEND.includes(`${character} `), character);
  });
});

describe('the most telling strip of a prompt', () => {
  const score = finding('a', {
    kind: 'score',
    agreement: 'logprobs-differ',
    divergence: divergenceOf('=~='),
  });

  test('is the worst finding’s', () => {
    assert.equal(tellingStrip([finding('a'), score])?.kind, 'generate');
    assert.equal(tellingStrip([score])?.kind, 'score');
  });

  test('is one that shows something', () => {
    const inputs = finding('a', { agreement: 'inputs-differ', divergence: null });
    assert.equal(tellingStrip([inputs, score])?.kind, 'score');
    const modules = finding('a', { agreement: 'modules-differ', divergence: divergenceOf('===') });
    assert.equal(tellingStrip([modules, score])?.kind, 'score');
    assert.equal(tellingStrip([modules]), undefined);
  });

  test('is none where nothing differs', () => {
    const identical = finding('a', { agreement: 'identical', holds: true, divergence: divergenceOf('=~') });
    assert.equal(tellingStrip([identical]), undefined);
    assert.equal(tellingStrip([]), undefined);
  });
});

function divergenceOf(strip: string) {
  const { divergence: whole } = finding('a');
  assert.ok(whole);
  return { ...whole, strip };
}
