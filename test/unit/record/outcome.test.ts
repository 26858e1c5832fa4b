import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { channelOf } from '../../../src/record/channels.ts';
import { firstObservations, outcomeDigest, outcomeDigests } from '../../../src/record/outcome.ts';
import type { Observation, RunRecord } from '../../../src/record/schema.ts';
import { body, FINGERPRINT, modules, side, withChannel } from '../support/records.ts';

const bits = { a: body(), b: body({ tokens: [20, 21, 22] }) };
const { record } = side({ passes: { 'generate-1': bits, 'generate-2': bits } });
const digest = outcomeDigest(record);

const withFirst = (change: (o: Observation) => Partial<Observation>): RunRecord => ({
  ...record,
  observations: record.observations.map((o, i) => (i === 0 ? { ...o, ...change(o) } : o)),
});
/** The same digest with its last bit turned. */
const flipped = (hex: string) => hex.slice(0, -1) + (Number.parseInt(hex.slice(-1), 16) ^ 1).toString(16);

const turned = (name: string) => (o: Observation) =>
  withChannel(o, name, { sha256: flipped(channelOf(o, name)?.sha256 ?? '') });

describe('the outcome of a record is the same', () => {
  const same: Readonly<Record<string, RunRecord>> = {
    'at another time': { ...record, createdAt: '2027-01-01T00:00:00.000Z', tool: '9.9.9' },
    'on another machine': {
      ...record,
      hardwareClass: 'nvidia-h100-80gb-hbm3-cc9.0-sm132-x1',
      fingerprint: { ...FINGERPRINT, ambient: { ...FINGERPRINT.ambient, driver: '600.1' } },
    },
    'with its passes in another lifetime': {
      ...record,
      lifetimes: record.lifetimes.map((l) => ({
        ...l,
        lifetime: 'lifetime-7',
        passes: l.passes.map((p) => ({ ...p, pass: `x-${p.pass}` })),
      })),
      observations: record.observations.map((o) => ({ ...o, lifetime: 'lifetime-7', pass: `x-${o.pass}` })),
    },
    'with the observations in another order': { ...record, observations: record.observations.toReversed() },
    'with its prompts in another order': {
      ...record,
      suite: { ...record.suite, prompts: record.suite.prompts.toReversed() },
    },
    'without its repeats': {
      ...record,
      observations: record.observations.filter(({ pass }) => pass === 'generate-1'),
    },
    'when a repeat gave something else': {
      ...record,
      observations: record.observations.map((o) =>
        o.pass === 'generate-2' ? { ...o, input: flipped(o.input) } : o,
      ),
    },
    'when only the text was decoded otherwise': withFirst(turned('text')),
    'when the body is kept under another name': withFirst((o) => ({ body: flipped(o.body) })),
  };
  for (const [name, other] of Object.entries(same))
    test(name, () => assert.equal(outcomeDigest(other), digest));
});

describe('the outcome of a record changes with', () => {
  const changes: Readonly<Record<string, RunRecord>> = {
    'one bit of the prompt tokens': withFirst(turned('prompt-tokens')),
    'one bit of the tokens': withFirst(turned('tokens')),
    'one bit of the log-probabilities': withFirst(turned('logprobs')),
    'one bit of the top k': withFirst(turned('top-k')),
    'the number of tokens': withFirst((o) => withChannel(o, 'tokens', { count: 3 })),
    'how it ended': withFirst(() => ({ finishReason: 'stop' })),
    'what was asked': withFirst(({ input }) => ({ input: flipped(input) })),
    'the name of a prompt': {
      ...withFirst(() => ({ prompt: 'renamed' })),
      suite: {
        ...record.suite,
        prompts: record.suite.prompts.map((p, i) => (i === 0 ? { ...p, id: 'renamed' } : p)),
      },
    },
    'a prompt less': { ...record, observations: record.observations.filter(({ prompt }) => prompt === 'a') },
  };
  for (const [name, other] of Object.entries(changes))
    test(name, () => assert.notEqual(outcomeDigest(other), digest));
});

describe('the outcome of lifetimes', () => {
  const trace = { trace: modules({ m: 'x' }) };
  const one = { 'generate-alone': bits, 'score-alone': bits };
  const other = { ...one, 'score-alone': { ...bits, b: body() } };
  const lifetimes = (all: Parameters<typeof side>[0]['lifetimes'] = {}) => side({ lifetimes: all }).record;

  test('is one for each, and the first stands for the record', () => {
    const made = lifetimes({ 'lifetime-1': one, 'lifetime-2': other, 'lifetime-3': one });
    const [first, second, third, ...more] = outcomeDigests(made);
    assert.deepEqual([first, more], [outcomeDigest(made), []]);
    assert.equal(first, third);
    assert.notEqual(first, second);
    assert.equal(outcomeDigest(lifetimes({ 'lifetime-1': other })), second);
  });

  test('has its traces, but not those of a start that only traces', () => {
    const plain = lifetimes({ 'lifetime-1': one });
    const apart = lifetimes({ 'lifetime-1': one, trace: { 'trace-alone': trace } });
    assert.deepEqual(outcomeDigests(apart), outcomeDigests(plain));
    const first = lifetimes({ trace: { 'trace-alone': trace }, 'lifetime-1': one });
    assert.equal(outcomeDigest(first), outcomeDigest(plain));
    const traced = (value: string) =>
      outcomeDigest(lifetimes({ 'lifetime-1': { ...one, 'trace-alone': { trace: modules({ m: value }) } } }));
    assert.notEqual(traced('x'), outcomeDigest(plain));
    assert.notEqual(traced('x'), traced('y'));
  });

  test('tells kinds of passes apart', () => {
    const given = (name: string) =>
      outcomeDigest(
        side({
          passes: { [name]: { a: body() } },
          change: (r) => ({
            ...r,
            observations: r.observations.map((o) => ({ ...o, input: '0'.repeat(64) })),
          }),
        }).record,
      );
    assert.notEqual(given('force-alone'), given('score-alone'));
  });
});

test('what each prompt generated alone is shown, in the order of the suite', () => {
  const found = firstObservations({ ...record, observations: record.observations.toReversed() });
  assert.deepEqual(
    found.map(({ prompt, pass }) => `${prompt} ${pass}`),
    ['a generate-1', 'b generate-1'],
  );
});
