import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../../../src/errors.ts';
import { sha256 } from '../../../src/record/digest.ts';
import { packRecord, parseRecord } from '../../../src/record/parse.ts';
import type { RunRecord } from '../../../src/record/schema.ts';
import { lifetimeDigest, recordDigest } from '../../../src/record/tree.ts';
import { healthReading, readingOf } from '../support/health.ts';
import { body, modules, reread, side, withPass, withRequest, withTree } from '../support/records.ts';
import { thrownBy } from '../support/suites.ts';

const { record } = side({
  passes: {
    'generate-1': { a: body(), b: body() },
    'score-alone': { a: body(), b: body(), text: body() },
    'trace-alone': { trace: modules({ m: 'x' }) },
  },
  texts: ['text'],
});
const [first] = record.observations;
const traced = record.observations.find(({ pass }) => pass === 'trace-alone')?.channels ?? [];
/** The record with one observation changed. */
const but = (change: object, pass = 'generate-1', prompt = 'a'): RunRecord => ({
  ...record,
  observations: record.observations.map((o) =>
    o.pass === pass && o.prompt === prompt ? { ...o, ...change } : o,
  ),
});
/** As somebody would write it who can count digests. */
const refused = (value: string | RunRecord) =>
  thrownBy(() =>
    typeof value === 'string'
      ? parseRecord(value, 'x/record.json', () => Buffer.alloc(0))
      : reread(withTree(value), 'x/record.json'),
  );
/** As somebody would write it who cannot. */
const refusedTree = (value: RunRecord) => thrownBy(() => reread(value, 'x/record.json')).message;
const said = (change: object): string => packRecord({ ...record, ...change } as RunRecord).text;

test('a record comes back as it was written', () => {
  assert.deepEqual(reread(record), record);
});

const ABYSS = '['.repeat(50_000) + ']'.repeat(50_000);

describe('a record is refused that', () => {
  const cases: readonly (readonly [string, string | RunRecord, RegExp])[] = [
    ['is no JSON', '{', /^x\/record\.json is no JSON\.$/],
    ['is empty', '', /is no JSON/],
    [
      'is nested without end',
      said({})
        .replace('"requested": {', `"requested": { "a": ${ABYSS},`)
        .replace(/,\s*\}/, '}'),
      /it is nested too deeply/,
    ],
    [
      'is of an older version',
      said({ schema: 'deterministic-ml/record/v1' }),
      /^x\/record\.json is a `deterministic-ml\/record\/v1`, and this version reads `deterministic-ml\/record\/v2`/,
    ],
    ['is of no version', said({ schema: 'deterministic-ml/report/v2' }), /schema/],
    ['lacks its fingerprint', said({ fingerprint: undefined }), /fingerprint/],
    ['has a key too many', said({ extra: 1 }), /extra/],
    ['has no observation', { ...record, observations: [] }, /no observation/],
    [
      'has the same observation twice',
      { ...record, observations: [...record.observations, ...record.observations.slice(0, 1)] },
      /has two observations of lifetime-1\/generate-1\/a\./,
    ],
    [
      'answers another question than its suite asked',
      but({ input: 'f'.repeat(64) }),
      /lifetime-1\/generate-1\/a with another input/,
    ],
    [
      'answers a question that its suite did not ask',
      but({ prompt: 'z' }),
      /lifetime-1\/generate-1\/z with another input/,
    ],
    [
      'gives a text another input than its suite',
      but({ input: 'f'.repeat(64) }, 'score-alone', 'text'),
      /score-alone\/text with another input/,
    ],
    [
      'has no observation of a prompt that a pass asked for',
      { ...record, observations: record.observations.filter(({ prompt }) => prompt !== 'b') },
      /has no observation of lifetime-1\/generate-1\/b\./,
    ],
    [
      'has no trace where it traced',
      { ...record, observations: record.observations.filter(({ pass }) => pass !== 'trace-alone') },
      /no observation of lifetime-1\/trace-alone\/trace/,
    ],
    [
      'has an observation in a pass that only traces',
      but({ channels: first?.channels.filter(({ name }) => name !== 'text') }, 'trace-alone', 'trace'),
      /with tokens in a pass that only traces/,
    ],
    [
      'has a trace without a module',
      but({ channels: traced.map((one) => ({ ...one, count: 0 })) }, 'trace-alone', 'trace'),
      /without a single module/,
    ],
    [
      'has an observation that nobody asked for',
      withPass('generate-1', () => ({ groups: [['a']] }))(record),
      /generate-1\/b that the pass did not ask for/,
    ],
    [
      'asks a prompt twice',
      withPass('generate-1', () => ({ groups: [['a'], ['b'], ['a']] }))(record),
      /generate-1 that asks one prompt twice/,
    ],
    [
      'tells of a request twice',
      withRequest('generate-1', 'a', { id: 'b' })(record),
      /tells of one request twice/,
    ],
    [
      'observed in a pass that could not be done',
      withPass('score-alone', () => ({ unavailable: 'no' }))(record),
      /score-alone\/a in a pass that could not be done/,
    ],
    [
      'traced in a pass that could not be done',
      withPass('trace-alone', () => ({ unavailable: 'no' }))(record),
      /trace-alone\/trace in a pass that could not be done/,
    ],
    [
      'forced a text',
      {
        ...withPass('generate-1', () => ({ kind: 'force', groups: [['text']] }))(record),
        observations: record.observations
          .filter(({ prompt }) => prompt === 'text')
          .map((o) => ({ ...o, pass: 'generate-1' })),
      },
      /generate-1\/text that its suite does not ask/,
    ],
    [
      'lists nothing beside its tokens',
      but({ channels: first?.channels.map((one) => (one.name === 'top-k' ? { ...one, count: 0 } : one)) }),
      /generate-1\/a without the best log-probabilities/,
    ],
    ['generated what was given', but({ finishReason: 'given' }), /ended by `given` in a generate pass/],
    [
      'chose what was to be given',
      but({ finishReason: 'stop' }, 'score-alone'),
      /ended by `stop` in a score pass/,
    ],
    [
      'has a text where nothing was generated',
      but({ channels: first?.channels }, 'score-alone'),
      /with a text in a score pass/,
    ],
    [
      'asked a prompt otherwise in two passes of a kind',
      {
        ...record,
        lifetimes: [
          ...record.lifetimes,
          ...record.lifetimes.map((l) => ({
            ...l,
            lifetime: 'lifetime-2',
            passes: l.passes.filter(({ kind }) => kind === 'score'),
          })),
        ],
        observations: [
          ...record.observations,
          ...record.observations
            .filter(({ pass }) => pass === 'score-alone')
            .map((o) => ({
              ...o,
              lifetime: 'lifetime-2',
              input: o.prompt === 'a' ? 'f'.repeat(64) : o.input,
            })),
        ],
      },
      /observations of `a` in score passes that were asked otherwise/,
    ],
    [
      'has two passes of one name',
      {
        ...record,
        lifetimes: record.lifetimes.map((l) => ({ ...l, passes: [...l.passes, ...l.passes] })),
      },
      /has two passes lifetime-1\/generate-1/,
    ],
    [
      'has two lifetimes of one name',
      { ...record, lifetimes: [...record.lifetimes, ...record.lifetimes] },
      /has two lifetimes lifetime-1/,
    ],
    [
      'calls a text as it calls a prompt',
      {
        ...record,
        suite: { ...record.suite, texts: record.suite.texts.map((t) => ({ ...t, id: 'a' })) },
      },
      /a prompt and a text that are both called `a`/,
    ],
    [
      'names a text twice',
      { ...record, suite: { ...record.suite, texts: [...record.suite.texts, ...record.suite.texts] } },
      /names a text twice/,
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
      'calls scored what was generated, and was read as such before',
      withPass('generate-1', () => ({ kind: 'score' }))(record),
      /generate-1\/a that ended by `length` in a score pass/,
    ],
    ['has a digest that is none', but({ body: '../../etc/passwd' }), /SHA-256/],
    ['has a class that is no file name', said({ hardwareClass: '../x' }), /hardwareClass/],
  ];
  for (const [name, value, message] of cases)
    test(name, () => {
      const error = refused(value);
      assert.equal(error.code, 'record-invalid');
      assert.match(error.message, message);
    });
});

describe('the tree of digests', () => {
  test('grows from every channel of every observation', () => {
    const turned = but({ channels: first?.channels.map((one) => ({ ...one, sha256: 'f'.repeat(64) })) });
    assert.match(
      refusedTree(turned),
      /another digest of its pass lifetime-1\/generate-1 than its observations give/,
    );
    assert.deepEqual(reread(withTree(turned)), withTree(turned));
    assert.notEqual(withTree(turned).digest, record.digest);
  });

  test('is checked at each level', () => {
    const wrong = 'f'.repeat(64);
    const lifetimes = record.lifetimes.map((one) => ({ ...one, digest: wrong }));
    const passes = record.lifetimes.map((one) => ({
      ...one,
      passes: one.passes.map((pass) => ({ ...pass, digest: wrong })),
    }));
    assert.match(refusedTree({ ...record, digest: wrong }), /another digest of its whole/);
    assert.match(refusedTree({ ...record, lifetimes }), /another digest of its lifetime-1/);
    assert.match(refusedTree({ ...record, lifetimes: passes }), /another digest of its lifetime-1/);
  });

  test('tells which pass has no file', () => {
    const { text } = packRecord(record);
    const missing = () => {
      throw new UserError('record-invalid', 'body … cannot be read (ENOENT).', '');
    };
    assert.match(thrownBy(() => parseRecord(text, 'x', missing)).message, /cannot be read \(ENOENT\)/);
  });

  test('is the same wherever and whenever a pass ran, and in whatever order it observed', () => {
    const other = withTree({
      ...withPass('generate-1', () => ({ seconds: 99 }))(record),
      observations: record.observations.toReversed(),
    });
    assert.equal(other.digest, record.digest);
  });

  test('has a leaf for each pass, in which no observation can claim to be of another one', () => {
    const [given] = packRecord(record).passes;
    const leaves = JSON.parse(String(given)) as object[];
    const claimed = Buffer.from(JSON.stringify(leaves.map((leaf) => ({ ...leaf, pass: 'generate-2' }))));
    const [lifetime] = record.lifetimes;
    assert.ok(lifetime);
    const passes = lifetime.passes.map((pass, at) =>
      at === 0 ? { ...pass, digest: sha256(claimed) } : pass,
    );
    const lifetimes = [{ ...lifetime, passes, digest: lifetimeDigest(passes) }];
    const { text } = packRecord({ ...record, lifetimes, digest: recordDigest(lifetimes) });
    assert.match(
      thrownBy(() => parseRecord(text, 'x', () => claimed)).message,
      /pass lifetime-1\/generate-1, is not as its schema demands: at \[0\]: has an unrecognized key `pass`/,
    );
  });
});

test('unhealthy GPUs may stop a run before anything was observed', () => {
  const stopped = withTree({
    ...record,
    health: {
      state: 'told',
      readings: [{ lifetime: 'lifetime-1', ...healthReading('before', readingOf({ remapFailure: true })) }],
    },
    lifetimes: [],
    observations: [],
  });
  assert.deepEqual(reread(stopped), stopped);
});

test('a long list of problems is cut', () => {
  assert.ok(refused(said({ tool: 'x'.repeat(10_000), ['y'.repeat(10_000)]: 1 })).message.length <= 4000);
});

test('a pass may be unavailable, and strangers are not observed', () => {
  const none = withTree(
    withPass('score-alone', () => ({ unavailable: 'no prompt log-probabilities' }))({
      ...record,
      observations: record.observations.filter(({ pass }) => pass !== 'score-alone'),
    }),
  );
  assert.deepEqual(reread(none), none);
  const strangers = side({ passes: { 'generate-strangers': { a: body() } } }).record;
  assert.deepEqual(reread(strangers), strangers);
});
