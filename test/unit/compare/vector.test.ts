import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { agreement, sameOutcome, satisfies } from '../../../src/compare/agreement.ts';
import { apart } from '../../../src/compare/vector.ts';
import { type Channel, describeChannel } from '../../../src/record/channels.ts';
import type { Observation } from '../../../src/record/schema.ts';

const channels = (...numbers: readonly number[]): Channel[] => [
  { name: 'prompt-tokens', kind: 'ids', ids: Uint32Array.of(1, 2) },
  { name: 'vector', kind: 'nats', nats: Float32Array.from(numbers) },
];
const gave = (...numbers: readonly number[]): Observation => ({
  ...{
    lifetime: 'lifetime-1',
    pass: 'score-alone',
    prompt: 'sky',
    input: '0'.repeat(64),
    finishReason: 'given',
  },
  channels: channels(...numbers).map(describeChannel),
  body: '0'.repeat(64),
});

describe('two vectors', () => {
  test('of the same bits are identical; another is what it is, and nothing but `measure` lets it pass', () => {
    assert.equal(agreement(gave(1, 2), gave(1, 2)).agreement, 'identical');
    const found = agreement(gave(1, 2), gave(1, 2.5));
    assert.deepEqual(found, { agreement: 'vector-differs', reason: null, unmeasured: [] });
    for (const requirement of ['identical', 'within-envelope', 'tokens'] as const)
      assert.ok(!satisfies(found.agreement, requirement, true), requirement);
    assert.ok(satisfies(found.agreement, 'measure', false));
    assert.ok(!sameOutcome(gave(1, 2), gave(1, 2.5), 'tokens'));
  });

  test('of NaN, or of nothing, are no agreement', () => {
    assert.deepEqual(agreement(gave(Number.NaN), gave(Number.NaN)), {
      agreement: 'unmeasured',
      reason: '1 numbers of vectors are NaN: the model is broken',
      unmeasured: [],
    });
    assert.equal(agreement(gave(), gave()).agreement, 'unmeasured');
  });

  test('are apart by their numbers and their direction', () => {
    assert.equal(
      apart(channels(1, 0, 0), channels(0, 1, 0)),
      '2 of the vector’s 3 numbers differ, by at most 1.0; cosine distance 1.0',
    );
    assert.equal(
      apart(channels(1, 2), channels(1, 2.5)),
      '1 of the vector’s 2 numbers differ, by at most 0.50; cosine distance 0.0035',
    );
    assert.equal(apart(channels(1, 2), channels(1)), 'the vector had 2 numbers, and now has 1');
    assert.equal(apart(channels(1), []), null);
  });
});
