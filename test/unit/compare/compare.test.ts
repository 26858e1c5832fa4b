import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compare } from '../../../src/compare/compare.ts';
import { relationNamed } from '../../../src/compare/relations/index.ts';
import type { Claim, Pairing, RelationResult } from '../../../src/compare/types.ts';
import { REQUIREMENTS, type Requirement } from '../../../src/suite/schema.ts';
import { type Body, body, modules, observation, side } from '../support/records.ts';

type Prompts = Readonly<Record<string, Body>>;
const passOf = (prompts: Prompts) => side({ passes: { 'generate-1': prompts } });
const twice = (first: Prompts, second: Prompts = first) =>
  side({ passes: { 'generate-1': first, 'generate-2': second } });

async function against(left: Prompts, right: Prompts, requirement: Requirement = 'identical') {
  return only(await compare(passOf(right), passOf(left), [{ relation: 'baseline', requirement }]));
}

function only(results: readonly RelationResult[]): RelationResult {
  const [found] = results;
  assert.ok(found !== undefined && results.length === 1);
  return found;
}

const agreements = ({ findings }: RelationResult) =>
  Object.fromEntries(findings.map(({ prompt, agreement }) => [prompt, agreement]));

const RERUN: readonly Claim[] = [{ relation: 'rerun', requirement: 'identical' }];
const PROMPTS: Prompts = { a: body(), b: body({ tokens: [20, 21, 22] }), c: body({ tokens: [30] }) };

describe('against a baseline', () => {
  test('a record agrees with itself, and no body is opened for that', async () => {
    const one = passOf(PROMPTS);
    const found = only(await compare(one, one, [{ relation: 'baseline', requirement: 'identical' }]));
    assert.equal(found.status, 'held');
    assert.deepEqual(agreements(found), { a: 'identical', b: 'identical', c: 'identical' });
    assert.ok(
      found.findings.every(({ holds, textIdentical, divergence }) => holds && textIdentical && !divergence),
    );
    assert.deepEqual(one.opened, []);
    assert.equal(found.evidence, '3 of 3 prompts ask what the baseline asked');
  });

  test('the order of the prompts does not matter', async () => {
    const { a, b, c } = PROMPTS as Record<'a' | 'b' | 'c', Body>;
    assert.equal((await against(PROMPTS, { c, a, b })).status, 'held');
  });

  test('a prompt that is new, gone or asked otherwise breaks nothing', async () => {
    const { a, b } = PROMPTS as Record<'a' | 'b', Body>;
    const found = await against({ a, gone: b }, { a, new: b });
    assert.deepEqual(agreements(found), { a: 'identical', new: 'added', gone: 'removed' });
    assert.equal(found.status, 'held');
    assert.equal(found.evidence, '1 of 2 prompts ask what the baseline asked');
  });

  test('another question under an old id is a new prompt', async () => {
    const now = side({
      passes: { 'generate-1': PROMPTS },
      change: (record) => ({
        ...record,
        suite: {
          ...record.suite,
          prompts: record.suite.prompts.map((p) => (p.id === 'b' ? { ...p, input: 'f'.repeat(64) } : p)),
        },
        observations: record.observations.map((o) =>
          o.prompt === 'b' ? { ...o, input: 'f'.repeat(64) } : o,
        ),
      }),
    });
    const found = only(
      await compare(now, passOf(PROMPTS), [{ relation: 'baseline', requirement: 'identical' }]),
    );
    assert.deepEqual(agreements(found), { a: 'identical', b: 'added', c: 'identical' });
  });

  test('with no prompt in common nothing is measured', async () => {
    const found = await against({ x: body() }, { y: body() });
    assert.deepEqual([found.status, found.findings], ['unmeasured', []]);
    assert.match(found.evidence, /none of the 1 prompts has the same text and sampling/);
  });

  test('without a baseline nothing is measured', async () => {
    const claims = [{ relation: 'baseline', requirement: 'measure' }] as const;
    assert.equal(only(await compare(passOf(PROMPTS), undefined, claims)).status, 'unmeasured');
  });

  test('other log-probabilities: same text, and how much', async () => {
    const found = await against({ a: body() }, { a: body({ logprobs: [-0.5, -1.75] }) });
    assert.equal(found.status, 'broken');
    const [finding] = found.findings;
    assert.equal(finding?.agreement, 'logprobs-differ');
    assert.equal(finding?.textIdentical, true);
    assert.equal(finding?.divergence?.logprobStep, 1);
    assert.equal(finding?.divergence?.largestNats, 0.25);
  });

  test('only the top k moved: still other bits', async () => {
    const top = [
      [
        [10, -0.5],
        [110, -9],
      ],
      [
        [11, -1.5],
        [111, -9.5],
      ],
    ] as const;
    assert.deepEqual(agreements(await against({ a: body() }, { a: body({ top }) })), {
      a: 'logprobs-differ',
    });
  });

  test('another k is no drift, other chosen log-probabilities beside it are', async () => {
    const top = [[[10, -0.5]], [[11, -1.5]]] as const;
    assert.equal((await against({ a: body() }, { a: body({ top }) })).status, 'held');
    const moved = body({ top, logprobs: [-0.5, -2] });
    assert.deepEqual(agreements(await against({ a: body() }, { a: moved })), { a: 'logprobs-differ' });
  });

  test('other tokens, other inputs', async () => {
    const found = await against(
      { a: body(), b: body() },
      { a: body({ tokens: [10, 12], text: 'other' }), b: body({ promptTokens: [1, 2] }) },
    );
    assert.deepEqual(agreements(found), { a: 'tokens-differ', b: 'inputs-differ' });
    assert.deepEqual(
      found.findings.map(({ textIdentical }) => textIdentical),
      [false, true],
    );
    assert.equal(found.findings[0]?.divergence?.tokenStep, 1);
  });

  test('the same tokens that ended otherwise are other tokens, and why is told', async () => {
    const now = side({
      passes: { 'generate-1': { a: body() } },
      change: (record) => ({
        ...record,
        observations: record.observations.map((o) => ({ ...o, finishReason: 'stop' as const })),
      }),
    });
    const found = only(
      await compare(now, passOf({ a: body() }), [{ relation: 'baseline', requirement: 'identical' }]),
    );
    assert.deepEqual(agreements(found), { a: 'tokens-differ' });
    assert.equal(found.findings[0]?.reason, 'it ended by `length`, now by `stop`');
  });

  test('equal NaN says nothing', async () => {
    const broken = body({ logprobs: [Number.NaN, Number.NaN] });
    const found = await against({ a: broken }, { a: broken });
    assert.deepEqual(agreements(found), { a: 'unmeasured' });
    assert.equal(found.status, 'unmeasured');
    assert.equal(found.findings[0]?.reason, '4 log-probabilities are NaN: the model is broken');
    assert.equal((await against({ a: broken }, { a: broken }, 'measure')).status, 'unmeasured');
    assert.match(
      found.evidence,
      /^4 log-probabilities are NaN: the model is broken; /,
      'the cause comes first',
    );
  });

  test('of equal NaN the module is named that gave the first one', async () => {
    const given = modules({ 'layers.0': 'a', 'layers.1': 'b', 'layers.2': 'c' }).map((one, at) => ({
      ...one,
      nans: at === 0 ? 0 : 7,
    }));
    const broken = { ...body({ logprobs: [Number.NaN, Number.NaN] }), modules: given };
    const found = await against({ a: broken, b: broken }, { a: broken, b: broken });
    const cause = /are NaN: the model is broken; the first module that gave NaN is `layers\.1`/;
    assert.match(found.findings[0]?.reason ?? '', cause);
    assert.match(found.evidence, cause);
  });

  test('NaN where there was a number is drift', async () => {
    const broken = body({ logprobs: [-0.5, Number.NaN] });
    assert.deepEqual(agreements(await against({ a: body() }, { a: broken })), { a: 'logprobs-differ' });
    assert.deepEqual(agreements(await against({ a: broken }, { a: body() })), { a: 'logprobs-differ' });
  });

  test('NaN beyond the common k says the model is broken as well', async () => {
    const top = [
      [
        [10, -0.5],
        [110, Number.NaN],
      ],
      [
        [11, -1.5],
        [111, -9],
      ],
    ] as const;
    const shallow = [[[10, -0.5]], [[11, -1.5]]] as const;
    const found = await against({ a: body({ top }) }, { a: body({ top: shallow }) });
    assert.deepEqual(agreements(found), { a: 'unmeasured' });
  });

  test('not a single token says nothing', async () => {
    const empty = body({ tokens: [], text: '' });
    const found = await against({ a: empty, b: body() }, { a: empty, b: body() });
    assert.deepEqual(agreements(found), { a: 'unmeasured', b: 'identical' });
    assert.equal(found.status, 'unmeasured');
  });
});

describe('requirements', () => {
  const differing = {
    identical: body(),
    'logprobs-differ': body({ logprobs: [-0.5, -2] }),
    'tokens-differ': body({ tokens: [10, 12] }),
    'inputs-differ': body({ promptTokens: [9] }),
  } as const;
  const holds: Readonly<Record<keyof typeof differing, readonly Requirement[]>> = {
    identical: ['identical', 'within-envelope', 'tokens', 'measure'],
    'logprobs-differ': ['tokens', 'measure'],
    'tokens-differ': ['measure'],
    'inputs-differ': ['measure'],
  };
  for (const [agreement, bits] of Object.entries(differing))
    for (const requirement of REQUIREMENTS)
      test(`\`${requirement}\` and ${agreement}`, async () => {
        const found = await against({ a: body() }, { a: bits }, requirement);
        const [finding] = found.findings;
        assert.equal(finding?.agreement, agreement);
        const expected = holds[agreement as keyof typeof holds].includes(requirement);
        assert.equal(finding?.holds, expected);
        // Nothing was scored here, so that nothing tells what is within the envelope.
        const unsized =
          requirement === 'within-envelope' && !['identical', 'inputs-differ'].includes(agreement);
        const status = requirement === 'measure' ? 'measured' : 'held';
        assert.equal(found.status, unsized ? 'unmeasured' : expected ? status : 'broken');
      });

  test('one broken prompt among many breaks the relation, also beside an unmeasured one', async () => {
    const empty = body({ tokens: [], text: '' });
    const found = await against(
      { a: body(), b: body(), c: empty },
      { a: body(), b: body({ tokens: [1, 1] }), c: empty },
    );
    assert.equal(found.status, 'broken');
  });
});

describe('rerun', () => {
  test('holds when the second pass gave the bits of the first', async () => {
    const found = only(await compare(twice(PROMPTS), undefined, RERUN));
    assert.equal(found.status, 'held');
    assert.match(found.evidence, /engine's counters show/);
  });

  test('is broken when one prompt did not', async () => {
    const found = only(await compare(twice(PROMPTS, { ...PROMPTS, b: body() }), undefined, RERUN));
    assert.equal(found.status, 'broken');
    assert.deepEqual(agreements(found), { a: 'identical', b: 'tokens-differ', c: 'identical' });
  });

  const witnesses: readonly (readonly [string, Parameters<typeof side>[0]['witness'], RegExp])[] = [
    ['the engine tells no token count', { generatedTokens: null }, /does not tell how many tokens/],
    ['its counter shows fewer tokens than came', { generatedTokens: 5 }, /returned 6 tokens but .* shows 5/],
    ['it does not tell what came from its cache', { cachedTokens: null }, /does not tell/],
    ['its process is not known', { process: 'unknown' }, /not known to have run in one process/],
  ];
  for (const [name, witness, evidence] of witnesses)
    test(`is unmeasured, never held, when ${name}`, async () => {
      const run = side({
        passes: { 'generate-1': PROMPTS, 'generate-2': PROMPTS },
        ...(witness && { witness }),
      });
      const found = only(await compare(run, undefined, RERUN));
      assert.deepEqual([found.status, found.findings], ['unmeasured', []]);
      assert.match(found.evidence, evidence);
    });

  const second = (change: object) =>
    side({
      passes: { 'generate-1': PROMPTS, 'generate-2': PROMPTS },
      change: (record) => ({
        ...record,
        lifetimes: record.lifetimes.map((lifetime) => ({
          ...lifetime,
          passes: lifetime.passes.map((p, i) =>
            i === 1 ? { ...p, witness: { ...p.witness, ...change } } : p,
          ),
        })),
      }),
    });
  test('is unmeasured when the repeat came from a warm cache', async () => {
    const found = only(await compare(second({ cachedTokens: 3 }), undefined, RERUN));
    assert.equal(found.status, 'unmeasured');
    assert.match(found.evidence, /prefix cache/);
  });

  test('is unmeasured when the repeat ran in another process', async () => {
    assert.equal(only(await compare(second({ process: '18@12345' }), undefined, RERUN)).status, 'unmeasured');
  });

  test('is unmeasured after a single pass', async () => {
    const found = only(await compare(passOf(PROMPTS), undefined, RERUN));
    assert.deepEqual(
      [found.status, found.evidence],
      ['unmeasured', 'no lifetime holds two passes that do the same'],
    );
  });
});

test('what holds nothing but new and gone prompts is unmeasured', async (t) => {
  const run = passOf(PROMPTS);
  const pairing = (...renewed: readonly ('added' | 'removed')[]): Pairing => ({
    kind: 'exercised',
    evidence: '',
    pairs: renewed.map((one) => ({ prompt: one, kind: 'generate', only: one })),
    left: run,
    right: run,
  });
  for (const renewed of [['added'], ['removed'], ['added', 'removed'], []] as const) {
    const mocked = t.mock.method(relationNamed('rerun'), 'pair', () => pairing(...renewed));
    assert.equal(only(await compare(run, undefined, RERUN)).status, 'unmeasured');
    mocked.mock.restore();
  }
});

test('what a relation showed at the refresh is counted without opening a body', async () => {
  const before = twice(PROMPTS, { ...PROMPTS, a: body({ logprobs: [-0.5, -2] }) });
  const found = only(await compare(twice(PROMPTS), before, RERUN));
  assert.deepEqual(found.atRefresh, { 'logprobs-differ': 1, identical: 2 });
  assert.deepEqual(before.opened, []);
});

test('what stands for a prompt is its first observation', async () => {
  const moved = { ...PROMPTS, a: body({ tokens: [99, 99] }) };
  const claims = [{ relation: 'baseline', requirement: 'identical' }] as const;
  assert.equal(only(await compare(twice(PROMPTS, moved), passOf(PROMPTS), claims)).status, 'held');
  assert.equal(only(await compare(twice(moved, PROMPTS), passOf(PROMPTS), claims)).status, 'broken');
  assert.equal(observation('a', body()).pass, 'generate-1');
});
