import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { agreement, joined, onlyTopDiffers, sameOutcome, satisfies } from '../../../src/compare/agreement.ts';
import { dtypeOf } from '../../../src/compare/dtype.ts';
import { tie } from '../../../src/compare/ties.ts';
import type { Agreement } from '../../../src/compare/types.ts';
import type { Observation } from '../../../src/record/schema.ts';
import { REQUIREMENTS, type Requirement } from '../../../src/suite/schema.ts';
import {
  type Bits,
  body,
  modules,
  observation,
  side,
  withChannel,
  withoutChannel,
} from '../support/records.ts';

const of = (bits: Bits = {}, pass = 'generate-1') => observation('a', body(bits), { pass });
const TOP: Bits = {
  top: [
    [
      [10, -0.5],
      [77, -9],
    ],
    [
      [11, -1.5],
      [111, -9],
    ],
  ],
};

test('other tokens are no agreement only where both sides were given theirs', () => {
  const [score, other] = [of({}, 'score-alone'), of({ tokens: [10, 12] }, 'score-alone')];
  const generated = { finishReason: 'length' } as const;
  assert.equal(agreement(score, other).agreement, 'unmeasured');
  assert.equal(agreement({ ...score, ...generated }, other).agreement, 'tokens-differ');
  assert.equal(agreement(score, { ...other, ...generated }).agreement, 'tokens-differ');
});

test('two outcomes are the same where everything is that the requirement looks at', () => {
  const one = of();
  const others: readonly (readonly [Bits, boolean, boolean])[] = [
    [{}, true, true],
    [{ promptTokens: [9] }, false, false],
    [{ tokens: [10, 12], logprobs: [-0.5, -1.5], top: [] }, false, false],
    [{ logprobs: [-0.5, -2], ...(TOP.top && { top: TOP.top }) }, false, true],
    [TOP, false, true],
  ];
  for (const [bits, identical, tokens] of others) {
    assert.equal(sameOutcome(one, of(bits), 'identical'), identical);
    assert.equal(sameOutcome(one, of(bits), 'tokens'), tokens);
  }
  const logprobs = withChannel(one, 'logprobs', { sha256: 'f'.repeat(64) });
  assert.equal(sameOutcome(one, logprobs, 'identical'), false);
});

test('only the top k differ where nothing else does', () => {
  const [one, top] = [of(), of(TOP)];
  assert.equal(onlyTopDiffers(one, top), true);
  assert.equal(onlyTopDiffers(one, one), false);
  const sha256 = 'f'.repeat(64);
  for (const name of ['prompt-tokens', 'tokens', 'logprobs', 'text'])
    assert.equal(onlyTopDiffers(one, withChannel(top, name, { sha256 })), false);
  assert.equal(onlyTopDiffers(one, { ...top, finishReason: 'stop' }), false);
});

test('a tie at one step hides no difference at another', async () => {
  const row = (last: number, nats: number): NonNullable<Bits['top']>[number] => [
    [10, -0.5],
    [last, nats],
  ];
  const made = (...top: readonly ReturnType<typeof row>[]) =>
    side({ passes: { 'generate-1': { a: body({ top }) } } });
  const equal = async (left: ReturnType<typeof made>, right: ReturnType<typeof made>) => {
    const [one, other] = [left.record.observations[0], right.record.observations[0]];
    assert.ok(one && other);
    return await tie(one, left, other, right);
  };
  const before = made(row(1, -9), row(2, -9));
  assert.equal(await equal(before, made(row(5, -9), row(2, -9))), true);
  assert.equal(await equal(before, made(row(5, -9), row(2, -8))), false);
});

describe('channels are ranked:', () => {
  const whole = observation('a', { ...body(), modules: modules({ m: 'x' }) }, { pass: 'generate-1' });
  /** As if an engine's own. */
  const own: Observation = {
    ...whole,
    channels: [
      ...whole.channels,
      ...['tensors', 'router'].map((name) => ({
        name,
        count: 1,
        sha256: 'a'.repeat(64),
        nans: 0,
        blake2b: null,
      })),
    ],
  };
  const AGREEMENTS = [
    ['prompt-tokens', 'inputs-differ'],
    ['tokens', 'tokens-differ'],
    ['text', 'text-differs'],
    ['logprobs', 'logprobs-differ'],
    ['top-k', 'logprobs-differ'],
    ['modules', 'modules-differ'],
    ['tensors', 'values-differ'],
    ['router', 'values-differ'],
  ] as const;
  const differing = (names: readonly string[]) =>
    names.reduce((one, name) => withChannel(one, name, { sha256: 'f'.repeat(64) }), own);

  for (const [at, [name, expected]] of AGREEMENTS.entries())
    test(`\`${name}\` alone, and before all that come after it`, () => {
      assert.equal(agreement(own, differing([name])).agreement, expected);
      const after = AGREEMENTS.slice(at).map(([other]) => other);
      assert.equal(agreement(own, differing(after)).agreement, expected);
      assert.equal(sameOutcome(own, differing([name]), 'identical'), false);
    });

  test('a channel that one side lacks is named, whichever side it is', () => {
    for (const [name] of AGREEMENTS) {
      const without = withoutChannel(own, name);
      assert.deepEqual(agreement(own, without).unmeasured, [name]);
      assert.deepEqual(agreement(without, own).unmeasured, [name]);
    }
  });

  test('what others hold already may be lacking, and nothing else', () => {
    for (const [name] of AGREEMENTS) {
      const found = agreement(own, withoutChannel(own, name));
      const told = name === 'top-k' || name === 'modules';
      assert.equal(found.agreement, told ? 'identical' : 'unmeasured', name);
      assert.equal(found.reason, told ? null : `only one of the two has \`${name}\``);
    }
  });

  test('a difference counts although another channel is lacking, and the lacking one is named beside it', () => {
    const found = agreement(own, withoutChannel(differing(['tokens']), 'text'));
    assert.equal(found.agreement, 'tokens-differ');
    assert.deepEqual(found.unmeasured, ['text']);
  });

  test('another k is no drift, and is named', () => {
    const found = agreement(own, withChannel(own, 'top-k', { count: 9, sha256: 'f'.repeat(64) }));
    assert.deepEqual(found, { agreement: 'identical', reason: null, unmeasured: ['top-k'] });
  });

  test('two that share nothing but what was asked measured nothing', () => {
    const only = (...names: readonly string[]): Observation => ({
      ...own,
      channels: own.channels.filter(({ name }) => name === 'prompt-tokens' || names.includes(name)),
    });
    assert.equal(agreement(only(), only()).agreement, 'unmeasured');
    assert.equal(agreement(only('modules'), only('top-k')).agreement, 'unmeasured');
    assert.equal(agreement(only('text'), only('text')).agreement, 'identical');
  });
});

describe('traces', () => {
  const trace = (computed: Readonly<Record<string, string>>): Observation => {
    const [found] = side({ passes: { 'trace-alone': { t: modules(computed) } } }).record.observations;
    assert.ok(found);
    return found;
  };
  const one = trace({ embed: 'e' });

  test('of other tokens have other inputs', () => {
    const other = withChannel(one, 'prompt-tokens', { sha256: 'f'.repeat(64) });
    assert.equal(agreement(one, other).agreement, 'inputs-differ');
    assert.equal(agreement(one, one).agreement, 'identical');
  });

  test('without a module say nothing', () =>
    assert.deepEqual(agreement(trace({}), trace({})), {
      agreement: 'unmeasured',
      reason: 'not a single entry in `modules`',
      unmeasured: [],
    }));
});

test('what an agreement satisfies', () => {
  const table: Readonly<Record<Agreement, readonly Requirement[]>> = {
    identical: REQUIREMENTS,
    added: REQUIREMENTS,
    removed: REQUIREMENTS,
    'modules-differ': ['tokens', 'measure'],
    'values-differ': ['tokens', 'measure'],
    'logprobs-differ': ['tokens', 'measure'],
    'vector-differs': ['measure'],
    'tokens-differ': ['measure'],
    'text-differs': ['measure'],
    'inputs-differ': ['measure'],
    'another-model': ['measure'],
    indistinct: REQUIREMENTS,
    unmeasured: [],
  };
  const enveloped: readonly Agreement[] = [
    'modules-differ',
    'values-differ',
    'logprobs-differ',
    'text-differs',
    'tokens-differ',
  ];
  for (const [found, by] of Object.entries(table) as [Agreement, readonly Requirement[]][])
    for (const requirement of REQUIREMENTS) {
      const within = requirement === 'within-envelope' && enveloped.includes(found);
      assert.equal(satisfies(found, requirement, false), by.includes(requirement));
      assert.equal(satisfies(found, requirement, true), within || by.includes(requirement));
    }
});

test('reasons are told one after the other, and what says nothing is none', () => {
  assert.equal(joined('a', null, '', undefined, 'b'), 'a; b');
  assert.equal(joined(null, '', undefined), null);
});

test('the dtype is what the engine says, under its usual name', () => {
  const told = (dtype: string | number | undefined) => {
    const [lifetime] = side({ passes: {} }).record.lifetimes;
    assert.ok(lifetime);
    const effective = dtype === undefined ? {} : { dtype };
    return dtypeOf({ ...lifetime, settings: { ...lifetime.settings, effective } });
  };
  assert.deepEqual(['torch.bfloat16', 'half', 'float', 'my.torch.x', undefined, 16].map(told), [
    'bfloat16',
    'float16',
    'float32',
    'my.torch.x',
    null,
    null,
  ]);
});
