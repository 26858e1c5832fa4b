import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Accepted, acceptances, acceptedBy, type Outcomes } from '../../../src/compare/acceptance.ts';
import type { Acceptance } from '../../../src/suite/schema.ts';
import { tried } from '../../support/tried.ts';

const [OLD, NEW, OTHER] = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string];
const HERE = 'nvidia-h100-80gb-hbm3-cc9.0-sm132-x1';
const accept = (record: string, hardware?: string): Acceptance => ({
  record,
  reason: 'vLLM 0.31',
  ...(hardware === undefined ? {} : { 'hardware-class': hardware }),
});
const outcomes = (run: readonly string[], baseline: readonly string[] = [OLD]): Outcomes => ({
  hardwareClass: HERE,
  run,
  baseline,
});
const states = (all: readonly Accepted[]) => all.map(({ state }) => state);
const passes = (list: readonly Acceptance[], seen: Outcomes) =>
  acceptedBy(acceptances(list, seen), seen) !== undefined;

describe('an acceptance', () => {
  test('matches the record of this run, with or without its hardware class', () => {
    assert.deepEqual(states(acceptances([accept(NEW), accept(NEW, HERE)], outcomes([NEW]))), [
      'matched',
      'matched',
    ]);
  });

  test('of another hardware class is none of our business', () => {
    assert.deepEqual(states(acceptances([accept(NEW, 'cpu')], outcomes([NEW]))), ['elsewhere']);
    assert.equal(passes([accept(NEW, 'cpu')], outcomes([NEW])), false);
  });

  tried(
    'acceptance replayed',
    'an acceptance that was stored since, left in the suite while the engine computes something else',
    'it has done its work: it passes exactly one record, and lets no other pass',
    () => {
      assert.deepEqual(states(acceptances([accept(OLD)], outcomes([NEW]))), ['baseline']);
      assert.equal(passes([accept(OLD)], outcomes([NEW])), false);
    },
  );

  test('that nothing gives any more is stale', () => {
    assert.deepEqual(states(acceptances([accept(OTHER)], outcomes([NEW]))), ['stale']);
  });
});

describe('a drift passes', () => {
  test('for exactly the accepted record', () => {
    assert.equal(passes([accept(NEW)], outcomes([NEW])), true);
    assert.equal(passes([accept(NEW)], outcomes([OTHER])), false);
    assert.equal(passes([], outcomes([NEW])), false);
  });

  test('only if all that the baseline does not know is accepted', () => {
    assert.equal(passes([accept(NEW)], outcomes([OLD, NEW])), true);
    assert.equal(passes([accept(NEW)], outcomes([NEW, OTHER])), false);
    assert.equal(passes([accept(NEW), accept(OTHER)], outcomes([NEW, OTHER])), true);
  });

  test('not by an acceptance where nothing drifted', () => {
    assert.equal(passes([accept(NEW)], outcomes([OLD])), false);
  });
});
