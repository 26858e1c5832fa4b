import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import passSchema from '../../../schema/pass.json' with { type: 'json' };
import recordSchema from '../../../schema/record.json' with { type: 'json' };
import { packRecord } from '../../../src/record/parse.ts';
import { PassFile, RecordFile } from '../../../src/record/schema.ts';
import { validator } from '../../../src/record/validate.ts';
import { healthReading, readingOf } from '../support/health.ts';
import { body, modules, side } from '../support/records.ts';

const { record } = side({
  passes: {
    'generate-1': { a: body() },
    'score-alone': { a: body(), text: { ...body(), modules: modules({ m: 'x' }) } },
  },
  texts: ['text'],
});
const { text, passes } = packRecord({
  ...record,
  health: {
    state: 'told',
    readings: [
      {
        lifetime: 'lifetime-1',
        ...healthReading(
          'before',
          readingOf(
            { processes: [{ pid: 7, name: 'python3', mib: null, whose: 'other' }], strange: ['x'] },
            { xids: [{ gpu: 0, xid: 79, during: true }] },
          ),
        ),
      },
    ],
  },
});

/** What a hand, a disk or another version may have made of a value. */
const STRANGE: readonly unknown[] = [
  ...[null, '', 'x', 'x'.repeat(5000), 'f'.repeat(64), -1, 0, 0.5, 2 ** 60, Infinity],
  ...[true, [], [null], {}, { x: 1 }, 'generate', '2026-02-30T00:00:00.000Z'],
];

/** Every way to put something strange into one place of a value, or to leave that place out. */
function* changed(value: unknown): Generator<unknown> {
  yield* STRANGE;
  if (Array.isArray(value)) {
    for (const [at, one] of value.entries())
      for (const other of changed(one)) yield value.with(at, other as never);
    yield value.toSpliced(0, 1);
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, one] of Object.entries(value)) {
      for (const other of changed(one)) yield { ...value, [key]: other };
      const { [key]: _, ...rest } = value as Readonly<Record<string, unknown>>;
      yield rest;
    }
    yield { ...value, unknown: 1 };
  }
}

describe('a file of a record is refused by its published schema where its type would refuse it:', () => {
  const cases = [
    ['record.json', recordSchema, RecordFile, JSON.parse(text)],
    ['what a pass gave', passSchema, PassFile, JSON.parse(String(passes[1]))],
  ] as const;
  for (const [name, schema, type, whole] of cases)
    test(name, () => {
      const validate = validator(schema);
      assert.equal(validate(whole), undefined);
      let refused = 0;
      for (const value of changed(whole)) {
        const problem = validate(value);
        const { data, success } = type.safeParse(value);
        // What has a default may be absent for the type, and not from a file that is written with it.
        const expected = success && isDeepStrictEqual(data, value);
        assert.equal(problem === undefined, expected, `${problem}: ${JSON.stringify(value)?.slice(0, 2000)}`);
        if (problem !== undefined) refused++;
      }
      assert.ok(refused > 1000, `${refused} refused`);
    });
});

test('a problem has its place', () => {
  const validate = validator(recordSchema);
  const [lifetime] = record.lifetimes;
  const at = (value: object) => validate({ ...JSON.parse(text), ...value });
  assert.equal(at({ tool: 1 }), 'at tool: is no text');
  assert.equal(at({ source: 'x' }), 'at source: is none of engine, imported');
  assert.equal(
    at({ lifetimes: [{ ...lifetime, loadSeconds: -1 }] }),
    'at lifetimes[0].loadSeconds: is less than 0',
  );
  assert.equal(at({ extra: 1 }), 'has an unrecognized key `extra`');
  assert.equal(validate([]), 'is no object');
});

test('a keyword that it does not know is an error, and no leave', () => {
  assert.throws(() => validator({ type: 'string', contentEncoding: 'base64' }), /contentEncoding/);
  assert.throws(() => validator({ type: 'text' }), /text/);
});
