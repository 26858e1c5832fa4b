import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type BaselineState,
  type Conclusion,
  judge,
  onlyLeaving,
  type Verdict,
} from '../../../src/compare/conclusion.ts';
import type { RelationResult } from '../../../src/compare/types.ts';
import { result } from '../support/records.ts';

const STATUSES = ['held', 'broken', 'unmeasured', 'measured'] as const;
type Status = (typeof STATUSES)[number];
const STATES: readonly BaselineState[] = ['found', 'incomparable', 'absent', 'not-asked'];
const STRICT = { 'no-baseline': 'fail', incomparable: 'fail', removed: 'fail' } as const;
const LENIENT = { 'no-baseline': 'warn', incomparable: 'warn', removed: 'fail' } as const;

const judged = (
  rerun: Status | undefined,
  baseline: Status | undefined,
  state: BaselineState,
  policy: Parameters<typeof judge>[2] = STRICT,
) => {
  const results: RelationResult[] = [];
  if (rerun !== undefined) results.push(result('rerun', rerun));
  if (baseline !== undefined) results.push(result('baseline', baseline));
  return judge(results, state, policy);
};

/** DESIGN.md, "conclusion", written out: `rerun`, `baseline`, what the store said, conclusion and both verdicts. */
const TABLE: readonly (readonly [
  Status | undefined,
  Status | undefined,
  BaselineState,
  Conclusion,
  Verdict,
  Verdict,
])[] = [
  ['held', 'held', 'found', 'reproduced', 'pass', 'pass'],
  ['held', 'measured', 'found', 'reproduced', 'pass', 'pass'],
  ['held', 'broken', 'found', 'drift', 'fail', 'fail'],
  ['held', 'unmeasured', 'found', 'unmeasured', 'fail', 'fail'],
  ['measured', 'held', 'found', 'reproduced', 'pass', 'pass'],
  // Nothing was held to anything: such a run could not have failed.
  ['measured', 'measured', 'found', 'unmeasured', 'fail', 'fail'],
  ['measured', 'broken', 'found', 'drift', 'fail', 'fail'],
  ['measured', 'unmeasured', 'found', 'unmeasured', 'fail', 'fail'],
  ['broken', 'held', 'found', 'unstable', 'fail', 'fail'],
  ['broken', 'measured', 'found', 'unstable', 'fail', 'fail'],
  ['broken', 'broken', 'found', 'unstable', 'fail', 'fail'],
  ['broken', 'unmeasured', 'found', 'unstable', 'fail', 'fail'],
  ['unmeasured', 'held', 'found', 'unmeasured', 'fail', 'fail'],
  ['unmeasured', 'measured', 'found', 'unmeasured', 'fail', 'fail'],
  ['unmeasured', 'broken', 'found', 'drift', 'fail', 'fail'],
  ['unmeasured', 'unmeasured', 'found', 'unmeasured', 'fail', 'fail'],
  // Without a baseline its relation is unmeasured; why is the better answer.
  ['held', 'unmeasured', 'absent', 'no-baseline', 'fail', 'warn'],
  ['measured', 'unmeasured', 'absent', 'no-baseline', 'fail', 'warn'],
  ['broken', 'unmeasured', 'absent', 'unstable', 'fail', 'fail'],
  // A policy that lets `no-baseline` pass must not let pass what hides behind it.
  ['unmeasured', 'unmeasured', 'absent', 'no-baseline', 'fail', 'fail'],
  ['held', 'unmeasured', 'incomparable', 'incomparable', 'fail', 'warn'],
  ['measured', 'unmeasured', 'incomparable', 'incomparable', 'fail', 'warn'],
  ['broken', 'unmeasured', 'incomparable', 'unstable', 'fail', 'fail'],
  ['unmeasured', 'unmeasured', 'incomparable', 'incomparable', 'fail', 'fail'],
  // A suite that asks for one relation only.
  ['held', undefined, 'not-asked', 'reproduced', 'pass', 'pass'],
  ['measured', undefined, 'not-asked', 'unmeasured', 'fail', 'fail'],
  ['broken', undefined, 'not-asked', 'unstable', 'fail', 'fail'],
  ['unmeasured', undefined, 'not-asked', 'unmeasured', 'fail', 'fail'],
  [undefined, 'held', 'found', 'reproduced', 'pass', 'pass'],
  [undefined, 'measured', 'found', 'unmeasured', 'fail', 'fail'],
  [undefined, 'broken', 'found', 'drift', 'fail', 'fail'],
  [undefined, 'unmeasured', 'found', 'unmeasured', 'fail', 'fail'],
  [undefined, 'unmeasured', 'absent', 'no-baseline', 'fail', 'warn'],
  [undefined, 'unmeasured', 'incomparable', 'incomparable', 'fail', 'warn'],
  // A refresh: the old baseline is shown, and judges nothing.
  ['held', 'measured', 'not-asked', 'reproduced', 'pass', 'pass'],
  ['held', 'unmeasured', 'not-asked', 'reproduced', 'pass', 'pass'],
  ['broken', 'measured', 'not-asked', 'unstable', 'fail', 'fail'],
  [undefined, undefined, 'not-asked', 'unmeasured', 'fail', 'fail'],
];

describe('conclusion and verdict', () => {
  for (const [rerun, baseline, state, conclusion, strict, lenient] of TABLE)
    test(`rerun ${rerun}, baseline ${baseline}, store ${state}: ${conclusion}, ${strict} or ${lenient}`, () => {
      assert.deepEqual(judged(rerun, baseline, state, STRICT), { conclusion, verdict: strict });
      assert.deepEqual(judged(rerun, baseline, state, LENIENT), { conclusion, verdict: lenient });
    });

  test('each level of the policy counts for its own conclusion only', () => {
    const policy = { 'no-baseline': 'warn', incomparable: 'fail', removed: 'fail' } as const;
    assert.equal(judged('held', 'unmeasured', 'absent', policy).verdict, 'warn');
    assert.equal(judged('held', 'unmeasured', 'incomparable', policy).verdict, 'fail');
  });
});

describe('what a broken relation concludes', () => {
  const decision = (of: number, known: number, distinct: number) => ({
    of,
    known,
    distinct,
    baselineLifetimes: 3,
    falseAlarm: null,
  });
  const concluded = (one: RelationResult) => judge([one, result('rerun', 'held')], 'found', LENIENT);

  for (const relation of ['rerun', 'restart'] as const)
    test(`${relation}: the engine is unstable`, () =>
      assert.deepEqual(concluded(result(relation, 'broken')), { conclusion: 'unstable', verdict: 'fail' }));

  for (const relation of ['batch', 'order', 'prefix-cache', 'prefill'] as const)
    test(`${relation}: that relation, and it fails whatever the policy`, () =>
      assert.deepEqual(concluded(result(relation, 'broken')), {
        conclusion: 'relation-broken',
        verdict: 'fail',
      }));

  test('what is worse names the run', () => {
    const names = (...relations: readonly RelationResult['relation'][]) =>
      judge(
        relations.map((relation) => result(relation, 'broken')),
        'found',
        STRICT,
      ).conclusion;
    assert.equal(names('batch', 'baseline'), 'drift');
    assert.equal(names('batch', 'baseline', 'restart'), 'unstable');
  });

  const cases: readonly (readonly [ReturnType<typeof decision> | null, Conclusion])[] = [
    [null, 'drift'],
    [decision(1, 0, 1), 'drift'],
    [decision(3, 0, 1), 'drift'],
    [decision(3, 1, 2), 'unstable'],
    [decision(3, 0, 2), 'unstable'],
    // Each start is known, and yet something differs: a trace of a start of its own.
    [decision(3, 3, 1), 'drift'],
  ];
  for (const [of, conclusion] of cases)
    test(`baseline, ${of === null ? 'undecided' : `${of.known} of ${of.of} known, ${of.distinct} outcomes`}: ${conclusion}`, () =>
      assert.equal(concluded(result('baseline', 'broken', { decision: of })).conclusion, conclusion));

  test('baseline: each start is known, however many outcomes those are', () =>
    assert.equal(
      concluded(result('baseline', 'broken', { decision: decision(3, 3, 3) })).conclusion,
      'drift',
    ));

  test('baseline within an envelope: a start that is known among others that are not is one', () => {
    const more = { decision: decision(3, 1, 2), requirement: 'within-envelope' } as const;
    assert.equal(concluded(result('baseline', 'broken', more)).conclusion, 'unstable');
  });

  test('baseline within an envelope: starts that differ are no sign of an unstable engine', () => {
    const more = { decision: decision(3, 0, 3), requirement: 'within-envelope' } as const;
    assert.equal(concluded(result('baseline', 'broken', more)).conclusion, 'drift');
  });
});

describe('in every combination of statuses, stores and policies', () => {
  const all = [...STATUSES, undefined].flatMap((rerun) =>
    [...STATUSES, undefined].flatMap((baseline) =>
      STATES.flatMap((state) => [STRICT, LENIENT].map((policy) => ({ rerun, baseline, state, policy }))),
    ),
  );
  const each = (claim: (one: (typeof all)[number], of: ReturnType<typeof judge>) => void) => {
    for (const one of all) claim(one, judged(one.rerun, one.baseline, one.state, one.policy));
  };

  test('`reproduced` needs something that was held, and nothing broken or unmeasured', () =>
    each(({ rerun, baseline, state }, { conclusion }) => {
      if (conclusion !== 'reproduced') return;
      const judged = state === 'not-asked' ? [rerun] : [rerun, baseline];
      assert.ok(judged.includes('held'));
      assert.ok(!judged.includes('broken') && !judged.includes('unmeasured'));
    }));

  test('only `reproduced` passes', () =>
    each((_, { conclusion, verdict }) => {
      if (verdict === 'pass') assert.equal(conclusion, 'reproduced');
    }));

  test('what is broken fails, whatever the policy', () =>
    each(({ rerun, baseline, state }, { verdict }) => {
      if (rerun === 'broken' || (baseline === 'broken' && state === 'found')) assert.equal(verdict, 'fail');
    }));

  test('what is unmeasured never passes, and only a missing baseline may warn', () =>
    each(({ rerun, baseline, state }, { verdict }) => {
      if (rerun !== 'unmeasured' && (baseline !== 'unmeasured' || state === 'not-asked')) return;
      assert.notEqual(verdict, 'pass');
      if (rerun === 'unmeasured' || state === 'found') assert.equal(verdict, 'fail');
    }));

  test('the order of the relations does not matter', () => {
    const results = [result('rerun', 'unmeasured'), result('baseline', 'broken')];
    assert.deepEqual(judge(results, 'found', STRICT), judge(results.toReversed(), 'found', STRICT));
  });
});

describe('an accepted drift', () => {
  const accepted = (...results: RelationResult[]) => judge(results, 'found', STRICT, true);
  const drift = result('baseline', 'broken');

  test('passes', () =>
    assert.deepEqual(accepted(result('rerun', 'held'), drift), { conclusion: 'drift', verdict: 'pass' }));

  for (const [other, conclusion] of [
    [result('batch', 'broken'), 'relation-broken'],
    [result('rerun', 'broken'), 'unstable'],
    [result('order', 'unmeasured'), 'unmeasured'],
  ] as const)
    test(`hides no \`${conclusion}\`, and does not name the run that fails for it`, () =>
      assert.deepEqual(accepted(other, drift), { conclusion, verdict: 'fail' }));
});

describe('what prompts alone show that leave', () => {
  const broken = { ...result('baseline', 'broken'), onlyLeaving: true };
  const batch = { ...result('batch', 'broken'), onlyLeaving: true };
  const under = (removed: Verdict, ...results: Parameters<typeof judge>[0]) =>
    judge([result('rerun', 'held'), ...results], 'found', { ...STRICT, removed });

  for (const [removed, conclusion] of [
    ['fail', 'drift'],
    ['warn', 'drift'],
    ['pass', 'reproduced'],
  ] as const)
    test(`counts as the policy says: ${removed}`, () => {
      assert.deepEqual(under(removed, broken), { conclusion, verdict: removed });
      assert.deepEqual(judge([broken], 'found', { ...STRICT, removed }), { conclusion, verdict: removed });
    });

  test('lets nothing else pass, of any relation', () => {
    for (const removed of ['warn', 'pass'] as const) {
      for (const status of ['broken', 'unmeasured'] as const)
        assert.equal(under(removed, batch, result('baseline', status)).verdict, 'fail');
      assert.equal(under(removed, batch, broken).verdict, removed);
      assert.equal(under(removed, { ...batch, onlyLeaving: false }, broken).verdict, 'fail');
      assert.equal(judge([broken], 'absent', { ...STRICT, removed }).verdict, 'fail');
    }
  });

  test('is told from what others show too, and from all that there is', () => {
    const found = (prompt: string, agreement: 'identical' | 'tokens-differ' | 'unmeasured' | 'added') => ({
      ...{ prompt, agreement },
      holds: agreement === 'identical' || agreement === 'added',
    });
    const leaving = new Set(['gone']);
    const stays = found('stays', 'identical');
    for (const agreement of ['tokens-differ', 'unmeasured'] as const) {
      assert.equal(onlyLeaving([stays, found('gone', agreement)], leaving), true);
      assert.equal(onlyLeaving([stays, found('gone', agreement)], new Set()), false);
      assert.equal(onlyLeaving([stays, found('other', agreement), found('gone', agreement)], leaving), false);
      assert.equal(onlyLeaving([found('stays', 'added'), found('gone', agreement)], leaving), false);
    }
    assert.equal(onlyLeaving([stays, found('gone', 'identical')], leaving), false);
  });
});
