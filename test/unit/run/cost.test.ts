import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Phases, RunRecord } from '../../../src/record/schema.ts';
import { secondsOfStart } from '../../../src/run/cost.ts';
import { body, side } from '../support/records.ts';

const PASSES = { 'generate-1': { capital: body() }, 'score-alone': { capital: body() } };
const ASKED = [{ pass: 'generate-1' }, { pass: 'score-alone' }];
const PHASES: Phases = { open: 1, import: 10, load: 5, passes: 3, end: 0.5 };

/** Each of its passes took 1.5 s, each load 1 s by the engine's own word. */
const record = (phases: readonly (Phases | undefined)[]): RunRecord => {
  const lifetimes = Object.fromEntries(phases.map((_, at) => [`lifetime-${at + 1}`, PASSES]));
  return side({
    lifetimes,
    change: (one) => ({
      ...one,
      lifetimes: one.lifetimes.map((life, at) => {
        const told = phases[at];
        return told === undefined ? life : { ...life, phases: told };
      }),
    }),
  }).record;
};

describe('the seconds of one start', () => {
  test('are those of a cold one, and of the passes that it does', () => {
    const warm = { ...PHASES, open: 0, import: 0 };
    assert.equal(secondsOfStart(ASKED, record([PHASES, warm, warm])), 1 + 10 + 5 + 0.5 + 2 * 1.5);
    assert.equal(secondsOfStart(ASKED.slice(0, 1), record([PHASES])), 1 + 10 + 5 + 0.5 + 1.5);
  });

  test('of a record without phases, are what the engine says of its loading', () =>
    assert.equal(secondsOfStart(ASKED, record([undefined])), 1 + 2 * 1.5));

  test('are unknown where no engine started', () => {
    assert.equal(secondsOfStart(ASKED, { lifetimes: [] }), null);
  });
});
