import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { firstObservations, outcomeDigest } from '../../../src/record/outcome.ts';
import type { Observation, RunRecord } from '../../../src/record/schema.ts';
import { body, FINGERPRINT, side } from '../support/records.ts';

const bits = { a: body(), b: body({ tokens: [20, 21, 22] }) };
const { record } = side({ passes: { 'generate-1': bits, 'generate-2': bits } });
const digest = outcomeDigest(record);

const withFirst = (change: (o: Observation) => Partial<Observation>): RunRecord => ({
  ...record,
  observations: record.observations.map((o, i) => (i === 0 ? { ...o, ...change(o) } : o)),
});
/** The same digest with its last bit turned. */
const flipped = (hex: string) => hex.slice(0, -1) + (Number.parseInt(hex.slice(-1), 16) ^ 1).toString(16);

describe('the outcome of a record is the same', () => {
  const same: Readonly<Record<string, RunRecord>> = {
    'at another time': { ...record, createdAt: '2027-01-01T00:00:00.000Z', tool: '9.9.9' },
    'on another machine': {
      ...record,
      hardwareClass: 'nvidia-cc9.0-sm132-x1',
      fingerprint: { ...FINGERPRINT, ambient: { ...FINGERPRINT.ambient, driver: '600.1' } },
    },
    'with its passes in another lifetime': {
      ...record,
      observations: record.observations.map((o) => ({ ...o, lifetime: 'lifetime-7', pass: `x-${o.pass}` })),
    },
    'with the observations in another order': { ...record, observations: record.observations.toReversed() },
    'after more repeats': { ...record, observations: [...record.observations, ...record.observations] },
    'when only the text was decoded otherwise': withFirst(({ text }) => ({
      text: { ...text, sha256: flipped(text.sha256) },
    })),
    'when the body is kept under another name': withFirst((o) => ({ body: flipped(o.body) })),
  };
  for (const [name, other] of Object.entries(same))
    test(name, () => assert.equal(outcomeDigest(other), digest));
});

describe('the outcome of a record changes with', () => {
  const changes: Readonly<Record<string, RunRecord>> = {
    'one bit of the prompt tokens': withFirst(({ promptTokens: x }) => ({
      promptTokens: { ...x, sha256: flipped(x.sha256) },
    })),
    'one bit of the tokens': withFirst(({ tokens: x }) => ({ tokens: { ...x, sha256: flipped(x.sha256) } })),
    'one bit of the log-probabilities': withFirst(({ logprobs: x }) => ({
      logprobs: { ...x, sha256: flipped(x.sha256) },
    })),
    'one bit of the top k': withFirst(({ topK: x }) => ({ topK: { ...x, sha256: flipped(x.sha256) } })),
    'the number of tokens': withFirst(({ tokens: x }) => ({ tokens: { ...x, count: x.count + 1 } })),
    'how it ended': withFirst(() => ({ finishReason: 'stop' })),
    'what was asked': withFirst(({ input }) => ({ input: flipped(input) })),
    'the name of a prompt': {
      ...withFirst(() => ({ prompt: 'renamed' })),
      suite: {
        ...record.suite,
        prompts: record.suite.prompts.map((p, i) => (i === 0 ? { ...p, id: 'renamed' } : p)),
      },
    },
    'a prompt less': { ...record, suite: { ...record.suite, prompts: record.suite.prompts.slice(0, 1) } },
  };
  for (const [name, other] of Object.entries(changes))
    test(name, () => assert.notEqual(outcomeDigest(other), digest));
});

test('the first observation of each prompt stands for the record, in the order of the suite', () => {
  const found = firstObservations({ ...record, observations: record.observations.toReversed() });
  assert.deepEqual(
    found.map(({ prompt, pass }) => `${prompt} ${pass}`),
    ['a generate-2', 'b generate-2'],
  );
});
