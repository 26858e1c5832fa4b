import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseRecord } from '../../../src/record/parse.ts';
import type { RunRecord } from '../../../src/record/schema.ts';
import { body, side } from '../support/records.ts';
import { thrownBy } from '../support/suites.ts';

const { record } = side({ passes: { 'generate-1': { a: body(), b: body() } } });
const [first] = record.observations;
const refused = (value: unknown) =>
  thrownBy(() => parseRecord(typeof value === 'string' ? value : JSON.stringify(value), 'x/record.json'));

test('a record comes back as it was written', () => {
  assert.deepEqual(parseRecord(JSON.stringify(record), 'x'), record);
});

describe('a record is refused that', () => {
  const cases: readonly (readonly [string, unknown, RegExp])[] = [
    ['is no JSON', '{', /^x\/record\.json is no JSON\.$/],
    ['is empty', '', /is no JSON/],
    ['is of another version', { ...record, schema: 'deterministic-ml/record/v2' }, /schema/],
    ['lacks its fingerprint', { ...record, fingerprint: undefined }, /fingerprint/],
    ['has a key too many', { ...record, extra: 1 }, /extra/],
    ['has no observation', { ...record, observations: [] }, /observations/],
    [
      'has the same observation twice',
      { ...record, observations: [...record.observations, first] },
      /has two observations of lifetime-1\/generate-1\/a\./,
    ],
    [
      'has an observation of a pass that was not',
      { ...record, observations: [{ ...first, pass: 'generate-2' }] },
      /unknown pass lifetime-1\/generate-2/,
    ],
    [
      'has an observation of a lifetime that was not',
      { ...record, observations: [{ ...first, lifetime: 'lifetime-2' }] },
      /unknown pass lifetime-2\/generate-1/,
    ],
    [
      'answers another question than its suite asked',
      { ...record, observations: [{ ...first, input: 'f'.repeat(64) }] },
      /lifetime-1\/generate-1\/a with another input/,
    ],
    [
      'answers a question that its suite did not ask',
      { ...record, observations: [{ ...first, prompt: 'z' }] },
      /lifetime-1\/generate-1\/z with another input/,
    ],
    [
      'names a prompt twice',
      {
        ...record,
        suite: { ...record.suite, prompts: record.suite.prompts.map((p) => ({ ...p, id: 'a' })) },
      },
      /names a prompt twice/,
    ],
    [
      'has a digest that is none',
      { ...record, observations: [{ ...first, body: '../../etc/passwd' }] },
      /SHA-256/,
    ],
    ['has a class that is no file name', { ...record, hardwareClass: '../x' }, /hardwareClass/],
  ];
  for (const [name, value, message] of cases)
    test(name, () => {
      const error = refused(value);
      assert.equal(error.code, 'record-invalid');
      assert.match(error.message, message);
    });
});

test('a long list of problems is cut', () => {
  const broken: unknown = {
    ...record,
    observations: Array.from({ length: 5000 }, () => ({}) as RunRecord['observations'][number]),
  };
  assert.ok(refused(broken).message.length <= 4000);
});
