import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { explain } from '../../../src/explain/explain.ts';
import type { Case, Explanation } from '../../../src/explain/types.ts';

/** A case whose only prompt gave `bits`. */
const one = (
  name: string,
  facts: Readonly<Record<string, string>>,
  bits: string,
  more: Partial<Case> = {},
): Case => ({
  ...{ name, suite: 'demo', facts: new Map(Object.entries(facts)) },
  answers: new Map([
    ['generate sky', { prompt: 'sky', kind: 'generate', channels: new Map([['tokens', bits]]) }],
  ]),
  ...more,
});

function explanationOf(cases: readonly Case[]): Explanation {
  const explanation = explain(cases).families[0]?.groupings[0]?.explanation;
  assert.ok(explanation);
  return explanation;
}

const setsOf = ({ sets }: Explanation) =>
  sets.map(({ classes }) => classes.map(({ fields }) => fields.join('=')));

describe('what explains the groups', () => {
  test('is the field whose equal values came with equal bits', () => {
    const found = explanationOf([
      one('a', { gpu: 'X', driver: '1' }, 'p'),
      one('b', { gpu: 'X', driver: '2' }, 'p'),
      one('c', { gpu: 'Y', driver: '1' }, 'q'),
      one('d', { gpu: 'Y', driver: '2' }, 'q'),
    ]);
    assert.deepEqual(setsOf(found), [['gpu']]);
    assert.deepEqual(found.search, { kind: 'exact' });
    const driver = found.fields.find(({ fields }) => fields.includes('driver'));
    assert.equal(driver?.state, 'not');
    assert.equal(driver.varied, 2);
    assert.deepEqual(driver.against, { values: ['1'], cases: [0, 2] });
  });

  test('is two fields where neither is enough', () => {
    const found = explanationOf(
      ['11', '12', '21', '22', '11', '12'].map((at, index) =>
        one(`${index}`, { sms: at.slice(0, 1), count: at.slice(1) }, at),
      ),
    );
    assert.deepEqual(setsOf(found), [['sms', 'count']]);
    assert.equal(found.sets[0]?.repeats, 2);
  });

  test('is never what is another value in every record: that fits whatever happened', () => {
    const found = explanationOf([
      one('a', { host: '1', gpu: 'X' }, 'p'),
      one('b', { host: '2', gpu: 'X' }, 'p'),
      one('c', { host: '3', gpu: 'Y' }, 'q'),
    ]);
    assert.deepEqual(setsOf(found), [['gpu']]);
    assert.equal(found.fields.find(({ fields }) => fields.includes('host'))?.state, 'unique');
  });

  test('names fields together that always changed together, and the run that tells them apart', () => {
    const found = explanationOf([
      one('a', { 'GPU name': 'X', driver: '1' }, 'p'),
      one('b', { 'GPU name': 'X', driver: '1' }, 'p'),
      one('c', { 'GPU name': 'Y', driver: '2' }, 'q'),
    ]);
    assert.deepEqual(setsOf(found), [['GPU name=driver']]);
    assert.deepEqual(found.inseparable, [
      {
        fields: ['GPU name', 'driver'],
        apart: { from: 0, of: 2, change: [{ field: 'driver', value: '2' }] },
      },
    ]);
  });

  test('ranks what was repeated most first, whatever its size', () => {
    const found = explanationOf([
      one('a', { name: 'X1', sms: '1', count: '1' }, 'p'),
      one('b', { name: 'X2', sms: '1', count: '1' }, 'p'),
      one('c', { name: 'X2', sms: '1', count: '1' }, 'p'),
      one('d', { name: 'X3', sms: '1', count: '2' }, 'q'),
      one('e', { name: 'Y1', sms: '2', count: '1' }, 'r'),
      one('f', { name: 'Y2', sms: '2', count: '1' }, 'r'),
    ]);
    assert.deepEqual(setsOf(found), [['sms', 'count'], ['name']]);
    assert.deepEqual(
      found.sets.map(({ repeats }) => repeats),
      [3, 1],
    );
  });

  test('proposes the run that the explanations say most otherwise of', () => {
    const found = explanationOf([
      one('a', { 'GPU name': 'X', 'GPU count': '1' }, 'p'),
      one('b', { 'GPU name': 'X', 'GPU count': '1' }, 'p'),
      one('c', { 'GPU name': 'Y', 'GPU count': '2' }, 'q'),
      one('d', { 'GPU name': 'Y', 'GPU count': '2' }, 'q'),
      one('e', { 'GPU name': 'Z', 'GPU count': '2' }, 'q'),
    ]);
    assert.deepEqual(setsOf(found), [['GPU count'], ['GPU name']]);
    const [next] = found.next;
    // A card of a small machine in a large one, or the other way round: one of the two is right.
    assert.equal(new Set(next?.says.map(({ group }) => group)).size, 2);
    assert.ok((next?.gain ?? 0) > 0.9);
  });
});

describe('what contradicts', () => {
  test('same fields and other bits are named, and do not spoil what explains the rest', () => {
    const found = explanationOf([
      one('a', { gpu: 'X', os: '1' }, 'p'),
      one('b', { gpu: 'X', os: '1' }, 'noise'),
      one('c', { gpu: 'X', os: '2' }, 'p'),
      one('d', { gpu: 'Y', os: '2' }, 'q'),
      one('e', { gpu: 'Y', os: '3' }, 'q'),
    ]);
    assert.deepEqual(found.contradictions, [{ kind: 'same', cases: [0, 1], groups: ['A', 'C'] }]);
    assert.deepEqual(setsOf(found), [['gpu']]);
  });

  test('what is left without them may be one group, which no field has to explain', () => {
    const noise = explanationOf(['p', 'q', 'p', 'q'].map((bits, at) => one(`${at}`, { gpu: 'X' }, bits)));
    assert.deepEqual([noise.sets, noise.found, noise.almost], [[], 0, []]);
    assert.equal(noise.contradictions.length, 1);
    const odd = explanationOf([
      ...['1', '2', '3', '4'].map((name) => one(`a${name}`, { gpu: 'X' }, 'p')),
      one('odd', { gpu: 'X' }, 'flipped'),
      ...['1', '2', '3', '4'].map((name) => one(`b${name}`, { gpu: 'Y' }, 'q')),
    ]);
    assert.deepEqual(odd.sets, []);
    const [almost] = odd.almost;
    assert.deepEqual([almost?.classes.map(({ fields }) => fields), almost?.exceptions], [[['gpu']], [8]]);
  });

  test('what one record does not tell explains nothing of it', () => {
    const found = explanationOf([
      one('a', { gpu: 'X', os: '1' }, 'p'),
      one('b', { gpu: 'X', os: '2' }, 'p'),
      one('c', { gpu: 'Y', os: '1' }, 'q'),
      one('d', { os: '1' }, 'r'),
      one('e', { gpu: 'Y', os: '2' }, 'q'),
    ]);
    assert.deepEqual(setsOf(found), [['gpu']]);
    assert.deepEqual(
      found.sets[0]?.rules.flatMap(({ cases }) => cases),
      [0, 1, 2, 4],
    );
    assert.deepEqual(
      found.contradictions.map(({ kind, cases }) => [kind, cases]),
      [
        ['untold', [0, 3]],
        ['untold', [2, 3]],
      ],
    );
  });

  test('what is known not to be there is a value: an argument that another run has', () => {
    const whole = new Set(['argument']);
    const found = explanationOf([
      one('a', { 'argument dtype': 'half' }, 'p', { whole }),
      one('b', { 'argument dtype': 'half' }, 'p', { whole }),
      one('c', {}, 'q', { whole }),
      one('d', {}, 'q', { whole }),
    ]);
    assert.deepEqual(setsOf(found), [['argument dtype']]);
    assert.deepEqual(
      found.sets[0]?.rules.map(({ values }) => values),
      [[['half']], [['(none)']]],
    );
  });

  test('where nothing explains all, what explains all but a few is named with them', () => {
    const found = explanationOf([
      ...['1', '2', '3', '4'].map((n) => one(`a${n}`, { gpu: 'X', n }, 'p')),
      ...['1', '2', '3', '4'].map((n) => one(`b${n}`, { gpu: 'Y', n }, n === '4' ? 'flipped' : 'q')),
      one('c4', { gpu: 'Z', n: '4' }, 'q'),
      one('c3', { gpu: 'Z', n: '4' }, 'flipped'),
    ]);
    const [almost] = found.almost;
    assert.deepEqual(
      almost?.classes.map(({ fields }) => fields),
      [['gpu']],
    );
  });
});

describe('groups', () => {
  test('are by prompt and by channel, and what groups alike is told once', () => {
    const two = (name: string, sky: string, sea: string, nats: string): Case => ({
      ...{ name, suite: 'demo', facts: new Map([['gpu', sky]]) },
      answers: new Map([
        [
          'sky',
          {
            prompt: 'sky',
            kind: 'generate',
            channels: new Map([
              ['tokens', sky],
              ['logprobs', nats],
            ]),
          },
        ],
        [
          'sea',
          {
            prompt: 'sea',
            kind: 'generate',
            channels: new Map([
              ['tokens', sea],
              ['logprobs', nats],
            ]),
          },
        ],
      ]),
    });
    const [family] = explain([
      two('a', '1', '1', 'x'),
      two('b', '1', '1', 'y'),
      two('c', '2', '1', 'y'),
    ]).families;
    assert.deepEqual(
      family?.groupings.map(({ views, groups }) => [
        views.map(({ prompt, channel }) => prompt ?? channel ?? 'whole'),
        groups.length,
      ]),
      [
        [['whole', 'sky'], 3],
        [['tokens'], 2],
        [['logprobs', 'sea'], 2],
      ],
    );
    assert.deepEqual(family?.agreement[1], [0, 1, 0.5]);
  });

  test('of other suites are never compared, and half a record is unmeasured', () => {
    const half = { ...one('c', {}, ''), answers: new Map() };
    const { families } = explain([
      one('a', {}, 'p'),
      one('b', {}, 'p'),
      half,
      one('x', {}, 'q', { suite: 'other' }),
    ]);
    assert.deepEqual(
      families.map(({ suite, groupings }) => [suite, groupings[0]?.groups.length, groupings[0]?.unmeasured]),
      [
        ['demo', 1, [2]],
        ['other', 1, []],
      ],
    );
  });
});

/** By trying all sets of fields: those that tell apart all records of other bits which anything tells apart. */
function bruteForce(rows: readonly (readonly string[])[], bits: readonly string[], fields: number): string[] {
  const key = (row: readonly string[], set: readonly number[]) => set.map((f) => row[f]).join(' ');
  const all = Array.from({ length: fields }, (_, f) => f);
  const contradicting = new Set(
    rows.flatMap((row, a) =>
      rows.some((other, b) => key(row, all) === key(other, all) && bits[a] !== bits[b]) ? [a] : [],
    ),
  );
  const explains = (set: readonly number[]) =>
    rows.every((row, a) =>
      rows.every(
        (other, b) =>
          contradicting.has(a) ||
          contradicting.has(b) ||
          bits[a] === bits[b] ||
          key(row, set) !== key(other, set),
      ),
    );
  const sets = Array.from({ length: 2 ** fields }, (_, mask) => all.filter((f) => (mask >> f) & 1));
  return sets
    .filter((set) => explains(set) && set.every((f) => !explains(set.filter((other) => other !== f))))
    .map((set) => set.join(' '))
    .sort();
}

test('on small fleets the smallest sets are just those that trying all sets gives', () => {
  const value = fc.integer({ min: 0, max: 2 }).map(String);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.array(value, { minLength: 5, maxLength: 5 }), value), {
        minLength: 3,
        maxLength: 24,
      }),
      (told) => {
        const rows = told.map(([row]) => row);
        const bits = told.map(([, own]) => own);
        const cases = told.map(([row, own], at) =>
          one(String(at).padStart(2, '0'), Object.fromEntries(row.map((is, f) => [`f${f}`, is])), own),
        );
        const explanation = explain(cases).families[0]?.groupings[0]?.explanation;
        if (explanation === undefined) return;
        assert.deepEqual(explanation.search, { kind: 'exact' });
        const columns = Array.from({ length: 5 }, (_, f) => rows.map((row) => row[f]).join(' '));
        // Fields that are unique, constant or the same as another's are told apart elsewhere.
        fc.pre(columns.every((column) => new Set(column.split(' ')).size > 1));
        fc.pre(columns.every((column) => new Set(column.split(' ')).size < rows.length));
        const canonical = columns.map((column) => {
          const all = column.split(' ');
          return all.map((is) => all.indexOf(is)).join(' ');
        });
        fc.pre(new Set(canonical).size === 5);
        const expected = bruteForce(rows, bits, 5);
        assert.equal(explanation.found, expected.length);
        const shown = explanation.sets.map(({ classes }) =>
          classes
            .map(({ fields }) => fields[0]?.slice(1))
            .sort()
            .join(' '),
        );
        assert.deepEqual(
          shown.filter((set) => !expected.includes(set)),
          [],
        );
      },
    ),
    { numRuns: 400, seed: 7 },
  );
});
