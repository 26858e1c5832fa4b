import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Perturbed, POWER_SCHEMA, type Power } from '../../../src/report/power.ts';
import { powerLine, powerLines, powerSummary, powerVerdict } from '../../../src/surfaces/power.ts';

const perturbed = (more: Partial<Perturbed>): Perturbed => ({
  id: 'dtype',
  what: 'another floating-point format',
  equivalent: false,
  made: true,
  caught: true,
  by: ['tokens', 'score'],
  noticed: [
    { by: 'tokens', after: 12, engineSeconds: 3.25 },
    { by: 'score', after: 1, engineSeconds: 0.5 },
  ],
  rmsNats: 0.04,
  changed: null,
  note: '',
  ...more,
});

const power = (...perturbations: readonly Perturbed[]): Power => ({
  schema: POWER_SCHEMA,
  suite: 'demo',
  hardwareClass: 'cpu',
  real: { made: 2, caught: 1, caughtByText: 0 },
  equivalent: { made: 1, flagged: perturbations.filter((one) => one.equivalent && one.caught).length },
  perturbations,
});

const MISSED = perturbed({ id: 'seed', caught: false, by: [], noticed: [], note: 'add longer texts' });
const QUIET = perturbed({ id: 'restart', equivalent: true, caught: false, by: [], noticed: [] });
const FALSE_ALARM = perturbed({ id: 'threads', equivalent: true });

test('each change is told with who noticed it, where and at what cost; a miss with what to add', () => {
  const lines = powerLines(power(perturbed({}), MISSED, QUIET));
  assert.equal(lines[0], '  dtype    noticed: tokens at 12 (3.3 s), score at 1 (0.5 s)');
  assert.equal(lines[1], '  seed     MISSED: add longer texts');
  assert.equal(lines[2], '  restart  left in peace');
  assert.equal(lines[3], powerLine(power(perturbed({}), MISSED, QUIET)));
  assert.match(
    lines[3] ?? '',
    /1 of 2 real changes noticed \(a hash of the text: 0\), 0 of 1 equivalent ones flagged/,
  );
});

test('what may move no bit is told, and is no miss', () => {
  const still = {
    id: 'batching',
    caught: null,
    by: [],
    noticed: [],
    note: 'it may move none in this engine',
  };
  const [line] = powerLines(power(perturbed(still)));
  assert.equal(line, '  batching  no bit moved: it may move none in this engine');
  assert.match(powerLines(power(perturbed({ ...still, made: false })))[0] ?? '', /not possible here/);
});

test('a miss passes and is told; a false alarm fails', () => {
  assert.equal(powerVerdict(power(MISSED, QUIET)), 'pass');
  assert.equal(powerVerdict(power(perturbed({}), FALSE_ALARM)), 'fail');
  assert.match(powerLines(power(FALSE_ALARM))[0] ?? '', /FALSE ALARM/);
});

test('what an engine said of a change that it refused acts on no surface', () => {
  const refused = perturbed({
    caught: null,
    by: [],
    noticed: [],
    note: '::error::x <b>@octocat</b> | a\u001b[31m',
  });
  const summary = powerSummary(power(refused));
  assert.ok(!summary.includes('<b>'));
  assert.ok(!summary.includes('\u001b'));
  assert.ok(!/[^\\`]@octocat/.test(summary.replaceAll('&#64;', '')), summary);
  for (const line of powerLines(power(refused))) assert.ok(!line.includes('\u001b'));
});
