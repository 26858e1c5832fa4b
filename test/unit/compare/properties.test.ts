import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { satisfies } from '../../../src/compare/agreement.ts';
import { compare } from '../../../src/compare/compare.ts';
import { Gauge } from '../../../src/compare/distance.ts';
import type { Agreement, RelationResult } from '../../../src/compare/types.ts';
import { outcomeDigest } from '../../../src/record/outcome.ts';
import type { Side } from '../../../src/record/side.ts';
import type { Requirement } from '../../../src/suite/schema.ts';
import { type Body, body, side } from '../support/records.ts';

const ids = fc.integer({ min: 0, max: 50_000 });
const nats = fc.integer({ min: -(2 ** 20), max: 0 }).map((n) => n / 2 ** 15);
const K = 3;

/** Rows as an engine lists them: by falling log-probability, then id, each id once. */
const row = fc
  .uniqueArray(fc.tuple(ids, nats), { minLength: K, maxLength: K, selector: ([id]) => id })
  .map((entries) => entries.sort((a, b) => b[1] - a[1] || a[0] - b[0]));

const bits = (steps: { min: number; max: number } = { min: 1, max: 6 }): fc.Arbitrary<Body> =>
  fc
    .record({
      promptTokens: fc.array(ids, { maxLength: 4 }),
      steps: fc.array(fc.record({ token: ids, nats, top: row }), {
        minLength: steps.min,
        maxLength: steps.max,
      }),
      text: fc.string(),
    })
    .map(({ promptTokens, steps: all, text }) =>
      body({
        promptTokens,
        tokens: all.map(({ token }) => token),
        logprobs: all.map((one) => one.nats),
        top: all.map(({ top }) => top),
        text,
      }),
    );

const copied = (one: Body): Body => ({
  ...one,
  promptTokens: one.promptTokens.slice(),
  tokens: one.tokens.slice(),
  logprobs: one.logprobs.slice(),
  topIds: one.topIds.slice(),
  topLogprobs: one.topLogprobs.slice(),
});

async function against(left: Side, right: Side, requirement: Requirement = 'identical') {
  const [found] = await compare(right, left, [{ relation: 'baseline', requirement }]);
  assert.ok(found !== undefined);
  return found;
}
const agreements = ({ findings }: RelationResult) =>
  Object.fromEntries(findings.map(({ prompt, kind, agreement }) => [`${kind} ${prompt}`, agreement]));
const one = (generated: Body, scored: Body = generated) =>
  side({ passes: { 'generate-alone': { a: generated }, 'score-alone': { a: scored } } });

describe('whatever the bits are', () => {
  test('a record is identical to itself, and to a copy of its bits', async () => {
    await fc.assert(
      fc.asyncProperty(bits(), async (some) => {
        const [left, right] = [one(some), one(copied(some))];
        const found = await against(left, right);
        assert.deepEqual([found.status, found.size], ['held', null]);
        assert.deepEqual([...left.opened, ...right.opened], []);
        assert.ok(found.findings.every(({ agreement }) => agreement === 'identical'));
        assert.equal(outcomeDigest(left.record), outcomeDigest(right.record));
      }),
    );
  });

  const fields = ['promptTokens', 'tokens', 'logprobs', 'topIds', 'topLogprobs'] as const;
  test('one that has a single other bit is not, but for which of several equal tokens is listed last', async () => {
    await fc.assert(
      fc.asyncProperty(
        bits(),
        fc.constantFrom(...fields),
        fc.nat(),
        // No vocabulary has ids of 32 bits, and exponents are left alone: infinity is another matter.
        fc.integer({ min: 0, max: 22 }),
        async (some, field, where, bit) => {
          const mutated = copied(some);
          const words = new Uint32Array(mutated[field].buffer);
          fc.pre(words.length > 0);
          const index = where % words.length;
          words[index] = (words[index] ?? 0) ^ (1 << bit);
          const found = await against(one(some), one(mutated));
          const last = some.topLogprobs[index - (index % K) + K - 1];
          const tie = field === 'topIds' && some.topLogprobs[index] === last;
          if (tie) {
            assert.equal(found.status, 'held');
            assert.ok(found.findings.every(({ reason }) => /equally probable/.test(reason ?? '')));
            return;
          }
          assert.notEqual(found.status, 'held');
          assert.ok(found.findings.every(({ agreement, holds }) => agreement !== 'identical' && !holds));
          assert.equal(agreements(found)['generate a'], EXPECTED[field]);
        },
      ),
      { numRuns: 400 },
    );
  });
  const EXPECTED: Readonly<Record<(typeof fields)[number], Agreement>> = {
    promptTokens: 'inputs-differ',
    tokens: 'tokens-differ',
    logprobs: 'logprobs-differ',
    topIds: 'logprobs-differ',
    topLogprobs: 'logprobs-differ',
  };

  test('both sides see the same agreement', async () => {
    await fc.assert(
      fc.asyncProperty(bits(), bits(), async (a, b) => {
        const [left, right] = [one(a), one(b)];
        assert.deepEqual(agreements(await against(left, right)), agreements(await against(right, left)));
      }),
    );
  });

  test('the order of prompts, passes and observations changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.stringMatching(/^[a-z]{1,4}$/), { minLength: 1, maxLength: 5 }),
        fc.array(bits(), { minLength: 5, maxLength: 5 }),
        fc.array(bits(), { minLength: 5, maxLength: 5 }),
        fc.nat(),
        async (prompts, before, now, seed) => {
          const passes = (from: readonly Body[], order: readonly string[]) => {
            const given = Object.fromEntries(order.map((id) => [id, from[prompts.indexOf(id)] ?? body()]));
            return { 'generate-alone': given, 'score-alone': given };
          };
          const turn = seed % prompts.length;
          const turned = [...prompts.slice(turn), ...prompts.slice(0, turn)].toReversed();
          const straight = side({ passes: passes(now, prompts) });
          const shuffled = side({
            passes: passes(now, turned),
            change: (r) => ({ ...r, observations: r.observations.toReversed() }),
          });
          const left = side({ passes: passes(before, prompts) });
          const [a, b] = [await against(left, straight), await against(left, shuffled)];
          const sorted = ({ findings }: RelationResult) =>
            findings.toSorted((x, y) => (`${x.prompt} ${x.kind}` < `${y.prompt} ${y.kind}` ? -1 : 1));
          assert.deepEqual(sorted(a), sorted(b));
          assert.deepEqual([a.status, a.decision], [b.status, b.decision]);
          close(a.size?.distance.rmsNats ?? 0, b.size?.distance.rmsNats ?? 0);
          assert.equal(outcomeDigest(straight.record), outcomeDigest(shuffled.record));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a stricter requirement never holds where a milder one does not', () => {
    const all: readonly Agreement[] = [
      'identical',
      'modules-differ',
      'logprobs-differ',
      'tokens-differ',
      'inputs-differ',
      'unmeasured',
      'added',
      'removed',
    ];
    for (const agreement of all)
      for (const within of [true, false]) {
        const holds = (requirement: Requirement) => satisfies(agreement, requirement, within);
        assert.ok(holds('measure') || !holds('tokens'));
        assert.ok(holds('tokens') || !holds('identical'));
        assert.ok(holds('within-envelope') || !holds('identical'));
        assert.ok(holds('measure') || !holds('within-envelope'));
      }
  });
});

const close = (a: number, b: number) =>
  assert.ok(Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b)), `${a} and ${b}`);

function distance(left: Body, right: Body) {
  const gauge = new Gauge();
  gauge.add(left, right);
  const found = gauge.distance();
  assert.ok(found !== null);
  return found;
}

/** Other log-probabilities for the same ids, listed anew by rank. */
function moved(from: Body, by: readonly number[], scale: number): Body {
  const at = (i: number) => scale * (by[i % by.length] ?? 0);
  const rows = Array.from({ length: from.tokens.length }, (_, step) =>
    Array.from({ length: K }, (__, i): readonly [number, number] => {
      const index = step * K + i;
      return [from.topIds[index] ?? 0, (from.topLogprobs[index] ?? 0) + at(index)];
    }).sort((a, b) => b[1] - a[1] || a[0] - b[0]),
  );
  return body({
    promptTokens: [...from.promptTokens],
    tokens: [...from.tokens],
    logprobs: [...from.logprobs].map((value, i) => value + at(i + 1)),
    top: rows,
    text: from.text,
  });
}

describe('the distance', () => {
  test('is the same from both sides, but for the sign of the cross-entropy', () => {
    fc.assert(
      fc.property(bits({ min: 4, max: 4 }), bits({ min: 4, max: 4 }), (a, b) => {
        const right = { ...b, tokens: a.tokens };
        const [there, back] = [distance(a, right), distance(right, a)];
        close(there.rmsNats, back.rmsNats);
        close(there.crossEntropyNats, -back.crossEntropyNats);
        assert.deepEqual(
          [there.largestNats, there.argmaxChanges, there.normaliserOnly],
          [back.largestNats, back.argmaxChanges, back.normaliserOnly],
        );
      }),
    );
  });

  test('is 0 only where the bits are the same', () => {
    fc.assert(
      fc.property(bits(), fc.array(nats, { minLength: 1, maxLength: 7 }), (from, by) => {
        const found = distance(from, moved(from, by, 1));
        if (found.largestNats === 0) assert.equal(found.rmsNats, 0);
        else assert.ok(found.rmsNats > 0 || found.crossEntropyNats !== 0 || by.some((n) => n !== 0));
      }),
    );
  });

  test('never falls where all differences are scaled up', () => {
    fc.assert(
      fc.property(
        bits(),
        fc.array(nats, { minLength: 1, maxLength: 7 }),
        fc.constantFrom(0, 0.25, 0.5, 1),
        fc.constantFrom(1, 2, 4, 8),
        (from, by, small, factor) => {
          const [less, more] = [
            distance(from, moved(from, by, small)),
            distance(from, moved(from, by, small * factor)),
          ];
          assert.ok(more.rmsNats >= less.rmsNats);
          assert.ok(more.largestNats >= less.largestNats);
          assert.ok(Math.abs(more.crossEntropyNats) >= Math.abs(less.crossEntropyNats) - 1e-12);
        },
      ),
    );
  });

  test('of parts, pooled, is that of the whole', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(bits(), nats), { minLength: 1, maxLength: 5 }), (parts) => {
        const pooled = new Gauge();
        let squares = 0;
        let places = 0;
        for (const [from, by] of parts) {
          const other = moved(from, [by], 1);
          const gauge = new Gauge();
          gauge.add(from, other);
          pooled.merge(gauge);
          squares += distance(from, other).rmsNats ** 2 * from.topIds.length;
          places += from.topIds.length;
        }
        close(pooled.distance()?.rmsNats ?? -1, Math.sqrt(squares / places));
      }),
    );
  });

  test('a shift of all log-probabilities of a position is the normaliser’s alone', () => {
    fc.assert(
      fc.property(bits(), fc.integer({ min: 1, max: 1000 }), (from, n) => {
        fc.pre(from.topLogprobs.some((value, i) => value !== from.topLogprobs[i - (i % K)]));
        assert.equal(distance(from, moved(from, [n / 2 ** 12], 1)).normaliserOnly, true);
      }),
    );
  });
});
