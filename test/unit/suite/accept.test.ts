import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import { addAcceptance } from '../../../src/suite/accept.ts';
import { parseSuite } from '../../../src/suite/parse.ts';
import { SUITE } from '../support/job.ts';

const ENTRY = { record: 'ab'.repeat(32), 'hardware-class': 'cpu-x', reason: 'it says "so": really # yes' };
const OLD = { record: 'cd'.repeat(32), reason: 'old' };
const OLD_FLOW = `{ record: ${OLD.record}, reason: old }`;
const JSON_SUITE = JSON.stringify({
  ...parseSuite(SUITE, 's', SUITE_SCHEMA).suite,
  ...{ accept: undefined, runtime: undefined },
});

describe('an acceptance that is written into a suite', () => {
  for (const [what, source, before] of [
    ['without any', SUITE, []],
    ['without any, and without an end of line', SUITE.trimEnd(), []],
    ['with comments, and one at the end', `# top\n${SUITE}# the end\n`, []],
    ['that ends with dots', `${SUITE}...\n`, []],
    ['of Windows', `${SUITE}accept: # mine\n  - ${OLD_FLOW}\n`.replaceAll('\n', '\r\n'), [OLD]],
    ['with an empty list', `${SUITE}accept: [] # none yet\n`, []],
    ['with a list on one line', `${SUITE}accept: [${OLD_FLOW}] # one\npolicy: { confirm: 1 }\n`, [OLD]],
    ['with a list that ends in a comma', `${SUITE}accept: [${OLD_FLOW}, ]\n`, [OLD]],
    ['with a list over several lines', `${SUITE}accept:\n  [\n    ${OLD_FLOW}, # one\n  ]\n`, [OLD]],
    ['with a list', `${SUITE}accept:\n  - record: ${OLD.record}\n    reason: old # why\n`, [OLD]],
    [
      'with a list that is not indented, and keys after it',
      `${SUITE}accept:\n- record: ${OLD.record}\n  reason: old\n# of the policy\npolicy: { confirm: 1 }\n`,
      [OLD],
    ],
    ['with a list at the very end', `${SUITE}accept:\n    - reason: old\n      record: ${OLD.record}`, [OLD]],
    [
      'with a reason of several lines',
      `${SUITE}accept:\n  - record: ${OLD.record}\n    reason: |\n      old\n\npolicy: { confirm: 1 }\n`,
      [{ ...OLD, reason: 'old' }],
    ],
    [
      'with a dash alone on its line',
      `${SUITE}accept:\n  -\n    record: ${OLD.record}\n    reason: old\n`,
      [OLD],
    ],
    ['that is JSON', JSON_SUITE, []],
  ] as const)
    test(`into one ${what}`, () => {
      const edited = addAcceptance(source, ENTRY);
      const { suite } = parseSuite(edited.source, 's', SUITE_SCHEMA);
      assert.deepEqual(suite.accept, [...before, ENTRY]);
      assert.match(
        edited.source.split('\n')[edited.line - 1] ?? '',
        new RegExp(`record"?: "?${ENTRY.record}`),
      );
      // Nothing of what was there is lost or moved: what is new is one piece.
      const start = [...source].findIndex((letter, at) => letter !== edited.source[at]);
      const kept = start === -1 ? source.length : start;
      assert.ok(edited.source.endsWith(source.slice(kept)), edited.source);
      assert.equal(edited.source.includes('\r\n'), source.includes('\r\n'));
      assert.doesNotMatch(edited.source.replaceAll('\r\n', ''), source.includes('\r\n') ? /\n/ : /\r/);
      // And once more.
      const more = { ...ENTRY, record: 'ef'.repeat(32) };
      const twice = parseSuite(addAcceptance(edited.source, more).source, 's', SUITE_SCHEMA).suite;
      assert.deepEqual(twice.accept, [...before, ENTRY, more]);
    });
});
