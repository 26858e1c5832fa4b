import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RunRecord } from '../../../src/record/schema.ts';
import { coverage } from '../../../src/report/coverage.ts';
import type { Sampling } from '../../../src/suite/schema.ts';
import { body, modules, type SideOptions, side, withPass, withRequest } from '../support/records.ts';

const of = (options: SideOptions) =>
  new Map(coverage(side(options).record).map(({ what, exercised, by }) => [what, { exercised, by }]));
const three = body({ tokens: [1, 2, 3] });
const sampled =
  (sampling: Partial<Sampling>) =>
  (record: RunRecord): RunRecord => ({
    ...record,
    suite: {
      ...record.suite,
      prompts: record.suite.prompts.map((prompt) => ({
        ...prompt,
        sampling: prompt.sampling && { ...prompt.sampling, ...sampling },
      })),
    },
  });
const settled =
  (effective: Readonly<Record<string, string | boolean | null>>) =>
  (record: RunRecord): RunRecord => ({
    ...record,
    lifetimes: record.lifetimes.map((one) => ({ ...one, settings: { ...one.settings, effective } })),
  });

describe('coverage', () => {
  test('of all kinds of passes', () => {
    const found = of({
      passes: {
        'generate-alone': { a: three },
        'force-alone': { a: three },
        'score-alone': { a: three, b: three },
        'trace-alone': { trace: modules({ x: '1', y: '2' }) },
      },
      texts: ['b'],
    });
    assert.deepEqual(found.get('prefill'), { exercised: true, by: 'score: 6 positions' });
    // The first token comes out of the prefill.
    assert.deepEqual(found.get('decode'), { exercised: true, by: 'force: 2 steps, generate: 2 steps' });
    assert.deepEqual(found.get('greedy sampling'), { exercised: true, by: 'generate: 1 prompt' });
    assert.deepEqual(found.get('every module'), {
      exercised: true,
      by: 'trace: 2 modules, in the scored texts',
    });
    assert.equal(found.get('tokenizer and chat template')?.exercised, true);
  });

  test('of probes is of single operators, and of no model', () => {
    const passes = { 'generate-alone': { matmul: modules({ x: '1', y: '2' }) } };
    const change = (record: RunRecord): RunRecord => ({
      ...record,
      fingerprint: {
        ...record.fingerprint,
        declared: { ...record.fingerprint.declared, engine: { name: 'kernels', version: '2.13.0' } },
      },
    });
    const found = of({ passes, change });
    assert.deepEqual(
      [...found].map(([what, { exercised }]) => [what, exercised]),
      [
        ['matmul', true],
        ['a model', false],
        ['batching', false],
      ],
    );
    assert.equal(found.get('matmul')?.by, '2 calls of it');
  });

  test('of a score alone is blind to decoding and sampling', () => {
    const found = of({ passes: { 'score-alone': { a: three } } });
    assert.deepEqual(found.get('decode'), { exercised: false, by: 'no generate pass; no force pass' });
    for (const what of ['greedy sampling', 'temperature', 'seed', 'top_p', 'penalties', 'stop conditions'])
      assert.deepEqual(found.get(what), { exercised: false, by: 'no generate pass' }, what);
  });

  test('of a generation alone sees little of prefill, and says why', () => {
    const found = of({
      passes: { 'generate-alone': { a: three }, 'score-alone': { a: three } },
      change: (record) => ({
        ...withPass('score-alone', () => ({ unavailable: 'this engine gives no prompt_logprobs' }))(record),
        observations: record.observations.filter(({ pass }) => pass !== 'score-alone'),
      }),
    });
    assert.deepEqual(found.get('prefill'), {
      exercised: true,
      by: 'generate: the last position of 1 prefill; score is unavailable: this engine gives no prompt_logprobs',
    });
  });

  test('counts a sampling parameter only where it can change a token', () => {
    const passes = { 'generate-alone': { a: three } };
    const greedy = of({ passes, change: sampled({ top_p: 0.9, top_k: 5, min_p: 0.1 }) });
    for (const what of ['temperature', 'seed', 'top_p', 'top_k', 'min_p'])
      assert.equal(greedy.get(what)?.exercised, false, what);
    const drawn = of({ passes, change: sampled({ temperature: 1, top_p: 0.9, top_k: 5, min_p: 0.1 }) });
    for (const what of ['temperature', 'seed', 'top_p', 'top_k', 'min_p'])
      assert.equal(drawn.get(what)?.exercised, true, what);
    assert.equal(drawn.get('greedy sampling')?.exercised, false);
    // A penalty moves the best token too.
    assert.equal(
      of({ passes, change: sampled({ repetition_penalty: 1.1 }) }).get('penalties')?.exercised,
      true,
    );
  });

  test('a stop condition counts where a generation ended by one', () => {
    const passes = { 'generate-alone': { a: three } };
    assert.equal(of({ passes }).get('stop conditions')?.by, 'every generation ran into its limit');
    const change = (record: RunRecord): RunRecord => ({
      ...record,
      observations: record.observations.map((one) => ({ ...one, finishReason: 'stop' })),
    });
    assert.equal(of({ passes, change }).get('stop conditions')?.exercised, true);
  });

  test('batching, prefix cache and chunks are what the witness says', () => {
    const alone = of({ passes: { 'generate-alone': { a: three, b: three } } });
    assert.equal(alone.get('batching')?.exercised, false);
    assert.equal(alone.get('prefix cache')?.exercised, false);
    assert.equal(alone.get('chunked prefill')?.exercised, false);
    const busy = of({
      passes: { 'generate-together': { a: three, b: three }, 'generate-warm': { a: three } },
      change: withRequest('generate-together', 'a', { chunks: [2, 1] }),
    });
    assert.deepEqual(busy.get('batching'), { exercised: true, by: 'up to 2 requests in a step' });
    assert.equal(busy.get('prefix cache')?.exercised, true);
    assert.deepEqual(busy.get('chunked prefill'), { exercised: true, by: '1 request in two steps or more' });
    const blind = of({ passes: { 'generate-alone': { a: three } }, witness: { requests: null } });
    assert.equal(blind.get('chunked prefill')?.by, 'the scheduler could not be watched');
  });

  test('compilation and speculation are what the engine says of itself', () => {
    const passes = { 'generate-alone': { a: three } };
    const what = 'compiled and CUDA graphs';
    assert.equal(of({ passes, change: settled({ enforce_eager: false }) }).get(what)?.exercised, true);
    assert.equal(
      of({ passes, change: settled({ enforce_eager: true }) }).get(what)?.by,
      'the engine ran eager',
    );
    assert.equal(of({ passes, change: settled({}) }).get(what)?.by, 'the engine does not tell');
    const draft = of({ passes, change: settled({ speculative_method: 'ngram' }) });
    assert.deepEqual(draft.get('speculative decoding'), { exercised: true, by: 'ngram' });
    assert.equal(
      of({ passes, change: settled({ speculative_method: null }) }).get('speculative decoding')?.exercised,
      false,
    );
  });

  test('of 200,000 requests does not overflow', () => {
    const request = {
      id: 'a',
      order: 0,
      together: 1,
      chunks: [3],
      decodeSteps: 1,
      cachedTokens: 0,
    };
    const requests = Array.from({ length: 200_000 }, () => request);
    assert.equal(
      of({ passes: { 'generate-alone': { a: three } }, witness: { requests } }).get('batching')?.exercised,
      false,
    );
  });
});
