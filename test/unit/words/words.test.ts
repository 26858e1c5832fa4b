import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { falseAlarm } from '../../../src/compare/decision.ts';
import { relations } from '../../../src/compare/relations/index.ts';
import type { Decision } from '../../../src/compare/types.ts';
import type {
  ReportedDistance,
  ReportedForkSide,
  ReportedSize,
  ReportedTrace,
  YardstickMark,
} from '../../../src/report/schema.ts';
import { finite, likelier, nats, percentUp, times } from '../../../src/words/figures.ts';
import {
  divergenceWords,
  type Frame,
  findingWords,
  frameOf,
  tieWords,
  traceWords,
} from '../../../src/words/findings.ts';
import { groupsOf, seesNoModule, textOf } from '../../../src/words/groups.ts';
import { SIZE_CAVEAT, sizeWords, yardstickWords } from '../../../src/words/sizes.ts';
import {
  agreementWords,
  atRefreshWords,
  conclusionWords,
  coverageWords,
  decisionWords,
  relationLines,
  type Told,
} from '../../../src/words/words.ts';
import { SUITE } from '../support/job.ts';
import { divergence, finding, relation } from '../support/reports.ts';
import { loaded } from '../support/suites.ts';

const FRAME: Frame = { relation: 'baseline', dtype: 'bfloat16' };
const PLACE = { notices: [], places: { file: 'determinism.yml' } };
const one = (conclusion: Told['conclusion'], relations: Told['relations'] = []) =>
  conclusionWords({
    conclusion,
    relations,
    suite: { leaving: [] },
    changes: [],
    context: { mode: 'check', baseline: { kind: 'not-asked' }, ...PLACE },
    accepted: null,
  });

describe('figures', () => {
  for (const [value, text] of [
    [0, '0 nats'],
    [4.3, '4.30 nats'],
    [0.000018, '0.0000180 nats'],
    [123.456, '123 nats'],
    [-0.5, '-0.500 nats'],
    [1e-20, 'less than 0.000000000001 nats'],
    ['NaN', 'NaN (a broken model)'],
    [Number.NaN, 'NaN (a broken model)'],
    ['Infinity', 'infinity'],
    [Number.NEGATIVE_INFINITY, 'minus infinity'],
  ] as const)
    test(`${value} is ${text}`, () => assert.equal(nats(value), text));

  test('what is not finite is no number, by name or by value', () => {
    for (const value of ['NaN', 'Infinity', '-Infinity', Number.NaN, Number.POSITIVE_INFINITY] as const)
      assert.equal(finite(value), undefined);
    assert.equal(finite(0), 0);
  });

  for (const [ratio, text] of [
    [0.944, '0.94x'],
    [1, '1x'],
    [9.84, '9.8x'],
    [120.4, '120x'],
    [0.001, 'less than 0.01x'],
  ] as const)
    test(`a ratio of ${ratio} is ${text}`, () => assert.equal(times(ratio), text));

  test('a chance "at most" is rounded up, and those in docs/verdicts.md are right', () => {
    const table = [2, 3, 4, 5].map((of) => [1, 2, 3, 4, 5].map((n) => percentUp(falseAlarm(of, n) ?? 0)));
    assert.deepEqual(table, [
      ['25 %', '15 %', '11 %', '8.2 %', '6.7 %'],
      ['15 %', '6.3 %', '3.5 %', '2.2 %', '1.6 %'],
      ['11 %', '3.5 %', '1.6 %', '0.84 %', '0.51 %'],
      ['8.2 %', '2.2 %', '0.84 %', '0.4 %', '0.21 %'],
    ]);
    assert.equal(percentUp(0), '0 %');
    assert.equal(percentUp(0.035), '3.5 %');
  });
});

test('the default of a suite bounds a false drift by 0.5 %, and no fewer engine starts in all would', () => {
  const { suite } = loaded(SUITE, []);
  const [of, n] = [1 + suite.policy.confirm, suite.baseline.lifetimes];
  assert.ok((falseAlarm(of, n) ?? 1) <= 0.005);
  for (let all = 2; all < of + n; all++)
    for (let one = 1; one < all; one++)
      assert.ok((falseAlarm(all - one, one) ?? 1) > 0.005, `${all - one} and ${one}`);
});

describe('decisions', () => {
  const decision = (more: Partial<Decision>): Decision => ({
    of: 3,
    known: 0,
    distinct: 1,
    baselineLifetimes: 3,
    falseAlarm: null,
    ...more,
  });
  for (const [more, text] of [
    [
      { falseAlarm: falseAlarm(3, 3) },
      '3 of 3 engine starts gave this, and none of the baseline’s 3 engine starts did. An engine that did not change looks like that with a chance of at most 3.5 %, if engine starts are independent.',
    ],
    [
      { of: 1 },
      'Only one engine start was looked at: an engine that does not repeat from start to start would look the same.',
    ],
    [
      { known: 1, distinct: 2 },
      '1 of 3 engine starts gave outcomes that the baseline knows, 2 did not: this engine has more than one outcome.',
    ],
    [
      { distinct: 3 },
      'None of 3 engine starts gave an outcome that the baseline’s 3 engine starts had given, and they gave 3 different ones: this engine does not repeat between starts.',
    ],
    [
      { of: 1, known: 1, baselineLifetimes: 1 },
      'The one engine start gave an outcome that the baseline knows, from 1 engine start.',
    ],
    [{ known: 3 }, '3 of 3 engine starts gave outcomes that the baseline knows, from 3 engine starts.'],
  ] as const)
    test(JSON.stringify(more), () => assert.equal(decisionWords(decision(more)), text));

  test('a drift says what it rests on, and claims no repeat that was not seen', () => {
    const baseline = relation('baseline', 'broken', { decision: decision({ of: 1 }) });
    assert.equal(
      one('drift', [relation('rerun', 'held'), baseline]).meaning,
      'The engine repeats itself within this start, but it no longer computes what the baseline recorded. Only one engine start was looked at: an engine that does not repeat from start to start would look the same.',
    );
    assert.match(one('drift', [baseline]).meaning, /^The engine no longer computes/);
    assert.doesNotMatch(
      one('drift', [relation('baseline', 'broken', { decision: decision({ of: 1, known: 1 }) })]).meaning,
      /knows/,
    );
  });

  test('an unstable engine says what did not repeat', () => {
    const split = relation('baseline', 'broken', { decision: decision({ known: 1, distinct: 2 }) });
    assert.match(
      one('unstable', [split]).meaning,
      /^1 of 3 engine starts gave outcomes that the baseline knows/,
    );
    assert.match(
      one('unstable', [relation('rerun', 'broken')]).meaning,
      /^The same work in the same engine gave/,
    );
    assert.match(one('unstable', [relation('restart', 'broken')]).meaning, /^The same work after a restart/);
  });
});

describe('conclusions', () => {
  for (const conclusion of [
    'reproduced',
    'drift',
    'unstable',
    'relation-broken',
    'no-baseline',
    'incomparable',
    'unmeasured',
    'unhealthy-gpu',
  ] as const)
    test(`${conclusion} has a title, a meaning and what to do`, () => {
      for (const text of Object.values(one(conclusion))) assert.ok(text.length > 4);
    });

  test('a broken relation is named with its requirement', () => {
    const { meaning } = one('relation-broken', [
      relation('batch', 'broken'),
      relation('order', 'held'),
      relation('prefill', 'broken', { requirement: 'tokens' }),
    ]);
    assert.match(
      meaning,
      /requires `batch: identical` \(a prompt gives the same bits alone as beside others\), `prefill: tokens` \(.*\), and/,
    );
  });

  test('a refresh agrees with itself', () =>
    assert.equal(
      conclusionWords({
        conclusion: 'reproduced',
        relations: [],
        suite: { leaving: [] },
        changes: [],
        context: { mode: 'refresh', baseline: { kind: 'not-asked' }, ...PLACE },
        accepted: null,
      }).title,
      'Agrees with itself',
    ));
});

test('an unhealthy GPU is named with what it shows and what to do', () => {
  const sign = (gpu: number, level: 'unhealthy' | 'fact') => ({
    ...{ sign: 'lost', level, gpu: `GPU ${gpu} (A)`, reason: 'has fallen off the bus' },
    ...{ remedy: 'Reboot.', seen: 'before lifetime-1' },
  });
  const { meaning, next } = conclusionWords({
    ...{ conclusion: 'unhealthy-gpu', relations: [], accepted: null },
    suite: { leaving: [] },
    changes: [],
    context: { mode: 'check', baseline: { kind: 'not-asked' }, ...PLACE },
    health: {
      state: 'unhealthy',
      signs: [
        sign(0, 'unhealthy'),
        sign(1, 'unhealthy'),
        sign(2, 'unhealthy'),
        sign(3, 'unhealthy'),
        sign(4, 'fact'),
      ],
    },
  });
  assert.match(meaning, /^GPU 0 \(A\) has fallen off the bus; GPU 1 .*; GPU 2 [^;]*; and 1 sign more: /);
  assert.equal(next, 'Reboot.');
});

describe('where and how much', () => {
  test('steps count from 1', () => {
    assert.equal(
      divergenceWords(
        divergence({ logprobStep: 0, logprobSteps: 4, tokenStep: 4, largestNats: 0.5 }),
        'generate',
        FRAME,
      ),
      'bits differ at 4 of 9 steps, first at step 1; largest difference 0.500 nats before the tokens part; tokens part at step 5',
    );
    assert.equal(
      divergenceWords(
        divergence({ logprobStep: 37, logprobSteps: 473, tokenStep: null, steps: 511 }),
        'score',
        FRAME,
        false,
      ),
      'bits differ at 473 of 511 positions, first at position 38',
    );
    assert.equal(
      divergenceWords(divergence({ logprobSteps: 1, tokenStep: null, largestNats: 0 }), 'force', FRAME),
      'bits differ at step 2 of 9 only',
    );
  });

  test('a difference that is no number is told', () => {
    assert.match(
      divergenceWords(divergence({ tokenStep: null, largestNats: 'NaN' }), 'generate', FRAME),
      /largest difference NaN \(a broken model\)$/,
    );
  });

  const side = (more: Partial<ReportedForkSide> = {}): ReportedForkSide => ({
    token: 12,
    text: ' Paris',
    marginNats: 0.0156,
    marginSteps: 1,
    tie: 'near',
    top: [],
    ...more,
  });

  for (const [more, text] of [
    [{ tie: 'exact', marginNats: 0 }, 'an exact tie'],
    [{ marginNats: 0.018 }, 'near tie, ahead by 0.0180 nats (1 step of bfloat16)'],
    [{ marginNats: 0.03, marginSteps: 1.92 }, 'near tie, ahead by 0.0300 nats (1.9 steps of bfloat16)'],
    [{ marginSteps: null }, 'near tie, ahead by 0.0156 nats'],
    [{ tie: 'none', marginNats: 4.3 }, 'not a tie, ahead by 4.30 nats'],
    [{ tie: 'none', marginNats: null }, 'not a tie'],
    [{ tie: 'unknown', marginNats: null }, 'margin unknown: the other token is not among its 0 best'],
    [{ tie: 'unknown', marginNats: 2 }, 'ahead by 2.00 nats'],
  ] as const)
    test(text, () => assert.equal(tieWords(side(more), FRAME), text));

  test('an unknown dtype is not guessed', () =>
    assert.equal(
      tieWords(side(), { ...FRAME, dtype: undefined }),
      'near tie, ahead by 0.0156 nats (1 step of the logits’ dtype)',
    ));

  test('both tokens are shown with their text, escaped and cut', () => {
    const fork = {
      left: side(),
      right: side({ token: 34, text: `\u001b[31m${'x'.repeat(99)}`, tie: 'none', marginNats: 4.3 }),
    };
    assert.equal(
      divergenceWords(divergence({ logprobStep: 2, tokenStep: 2, largestNats: 0, fork }), 'generate', FRAME),
      `tokens part at step 3: “ Paris” (token 12) in the baseline, near tie, ahead by 0.0156 nats (1 step of bfloat16); “\\u{1b}[31m${'x'.repeat(30)}… (cut: 104 characters in all)” (token 34) now, not a tie, ahead by 4.30 nats`,
    );
  });

  test('one side may have ended, and a text may be unknown', () => {
    const fork = { left: side({ token: null, text: null }), right: side({ text: null, tie: 'exact' }) };
    assert.match(
      divergenceWords(divergence({ fork }), 'generate', FRAME),
      /: the end in the baseline; \(token 12\) now, an exact tie$/,
    );
  });

  test('each relation has its own two sides', () => {
    for (const { sides } of relations) {
      const [left, right] = sides;
      assert.notEqual(left, right);
    }
  });

  test('a reason that only tells pairs apart is not told of what is identical', () => {
    const identical = { agreement: 'identical', divergence: null } as const;
    assert.equal(
      findingWords(finding('a', { ...identical, reason: 'lifetime-1 and lifetime-2' }), FRAME),
      '',
    );
    assert.equal(findingWords(finding('a', { ...identical, reason: 'strangers' }), FRAME), '');
    assert.equal(
      findingWords(finding('a', { ...identical, reason: 'together; at 2 steps …' }), FRAME),
      'together; at 2 steps …',
    );
    assert.match(
      findingWords(finding('a', { reason: 'strangers' }), FRAME),
      /; beside texts that are not of the suite$/,
    );
    for (const where of [
      'lifetime-1 on GPU 0 and lifetime-2 on GPUs 1, 2',
      'lifetime-1 and lifetime-2, both on GPU 5dff66a3',
      'lifetime-1 on CPUs 0-3,8 and lifetime-2 on CPUs 4-7',
    ])
      assert.equal(
        findingWords(finding('a', { ...identical, reason: where }), FRAME),
        findingWords(finding('a', { ...identical, reason: null }), FRAME),
      );
    assert.match(
      findingWords(finding('a', { ...identical, reason: 'lifetime-1 on a whim' }), FRAME),
      /on a whim/,
    );
  });

  test('the dtype is that of the engine', () => {
    const environment = (dtype: string | number) =>
      ({
        environment: { settings: { requested: {}, dropped: [], effective: { dtype } } },
      }) as unknown as Parameters<typeof frameOf>[1];
    assert.equal(frameOf('rerun', environment('torch.float16')).dtype, 'float16');
    assert.equal(frameOf('rerun', environment(16)).dtype, undefined);
  });
});

describe('modules', () => {
  const trace = (more: Partial<ReportedTrace> = {}): ReportedTrace => ({
    modules: 304,
    differing: 2,
    first: 'model.layers.15.mlp.down_proj',
    firstIndex: 187,
    onlyLeft: [],
    onlyRight: [],
    map: { parts: [], layers: [], omitted: 0 },
    ...more,
  });
  for (const [more, text] of [
    [
      {},
      'first different module: model.layers.15.mlp.down_proj (2 of 304 differ; 187 ran before it and agree)',
    ],
    [{ firstIndex: null }, 'first different module: model.layers.15.mlp.down_proj (2 of 304 differ)'],
    [{ differing: 0, first: null, firstIndex: null }, 'none of 304 modules differs'],
    [
      { first: null, firstIndex: null, onlyLeft: ['a'], onlyRight: ['b', 'c', 'd', 'e'] },
      'modules that are gone: a; modules that are new: b, c, d and 1 more; 2 of 304 modules differ',
    ],
    [
      { differing: 0, first: null, onlyLeft: Array.from({ length: 20 }, (_, i) => `m${i}`) },
      'modules that are gone: m0, m1, m2 and at least 17 more',
    ],
  ] as const)
    test(text, () => assert.equal(traceWords(trace(more)), text));

  test('a hostile name is escaped and cut', () => {
    const words = traceWords(trace({ first: `a\n::error::${'b'.repeat(500)}` }));
    assert.match(
      words,
      /^first different module: a\\n::error::b+… \(cut: \d+ characters in all\) \(2 of 304/,
    );
    assert.ok(words.length < 300);
  });

  test('that no module differs means something only where the inputs are the same and something differs', () => {
    const same = finding('b', {
      ...{ kind: 'score', agreement: 'identical', holds: true, divergence: null },
      modules: 9,
    });
    const of = (...findings: Parameters<typeof seesNoModule>[0]['findings']) => seesNoModule({ findings });
    assert.equal(of(same, finding('a')), true);
    assert.equal(of(same, finding('a', { agreement: 'inputs-differ' })), false);
    assert.equal(of(same), false);
    assert.equal(of(finding('a')), false);
    assert.equal(of({ ...same, agreement: 'unmeasured' }, finding('a')), false);
  });
});

describe('sizes', () => {
  const distance: ReportedDistance = {
    positions: 2900,
    rmsNats: 0.038,
    largestNats: 1.5,
    argmaxChanges: 12,
    crossEntropyNats: 0.0012,
    normaliserOnly: false,
  };
  const size = {
    distance,
    floorNats: 0.0404,
    floorBy: 'batching' as const,
    batchingNats: 0.0404,
    boundNats: null,
  };
  const told = (of: ReportedSize, yardstick: readonly YardstickMark[] = []) =>
    sizeWords({ relation: 'baseline', requirement: 'identical', size: of }, yardstick);

  test('are told in multiples of the floor, with all that is known beside it', () => {
    assert.deepEqual(told(size), [
      'Size: 0.94x the floor: the size of rounding; floor 0.0404 nats (distance 0.0380 nats rms over 2900 positions, largest 1.50 nats; another most probable token at 12 positions; the known tokens are 0.12 % less likely on average).',
      SIZE_CAVEAT,
    ]);
  });

  test('say how the floor was made, and what batching makes beside it', () => {
    const noisy = { ...size, floorBy: 'noise' as const };
    const first = (batchingNats: number | null) => told({ ...noisy, batchingNats })[0] ?? '';
    assert.match(
      first(0),
      /floor 0\.0404 nats, made by rounding each number .* once more; neighbours in a batch change no bit/,
    );
    assert.match(first(0.01), /; neighbours in a batch make 0\.0100 nats \(/);
    assert.match(first(null), /once more \(distance/);
  });

  test('of what is only measured within a run are a distance: nothing has drifted', () => {
    const measured = { requirement: 'measure', size: { ...size, boundNats: 0 } } as const;
    assert.deepEqual(
      sizeWords({ relation: 'prefill', ...measured }, []).map((line) => line.slice(0, 40)),
      ['Measured: distance 0.0380 nats rms over '],
    );
    assert.match(
      sizeWords({ relation: 'baseline', ...measured }, [])[0] ?? '',
      /^Size/,
      'what a refresh replaces',
    );
  });

  test('above rounding say so', () =>
    assert.match(told({ ...size, floorNats: 0.01 })[0] ?? '', /^Size: 3\.8x the floor: more than rounding/));

  test('far above rounding are not played down', () => {
    assert.ok(told({ ...size, floorNats: 0.0038 }).includes(SIZE_CAVEAT));
    for (const floorNats of [0.0037, 0.0001])
      assert.ok(!told({ ...size, floorNats }).includes(SIZE_CAVEAT), String(floorNats));
    for (const floorNats of [0, null])
      assert.ok(told({ ...size, floorNats }).includes(SIZE_CAVEAT), 'where nobody knows');
  });

  test('with a floor of 0 or none make no multiple of it', () => {
    assert.match(
      told({ ...size, floorNats: 0 })[0] ?? '',
      /^Size: 0\.0380 nats; at the refresh a text kept its bits whatever was beside it/,
    );
    assert.match(
      told({ ...size, floorNats: null })[0] ?? '',
      /^Size: 0\.0380 nats, and no floor of rounding is known/,
    );
  });

  test('are within or outside the envelope', () => {
    assert.equal(
      told({ ...size, boundNats: 0.04 })[1],
      'Within the envelope of honest repeats, 0.0400 nats.',
    );
    assert.equal(
      told({ ...size, boundNats: 0 })[1],
      'Outside the envelope of honest repeats, which did not differ at all.',
    );
  });

  test('stand beside the yardstick, largest first', () => {
    const yardstick = [
      { id: 'int8', what: 'int8 weights', rmsNats: 0.02 },
      { id: 'fp8', what: 'fp8 KV cache', rmsNats: 0.38 },
      { id: 'fp16', what: 'fp16 for bf16', rmsNats: 0.036 },
      { id: 'none', what: 'nothing', rmsNats: 0 },
    ];
    assert.equal(
      yardstickWords(0.038, yardstick),
      'smaller than fp8 KV cache by 10x, about as large as fp16 for bf16, larger than int8 weights by 1.9x, larger than nothing, which moved nothing',
    );
    assert.equal(told(size, yardstick)[1]?.startsWith('By the yardstick: smaller than fp8'), true);
    assert.match(
      yardstickWords(0.038, [{ id: 'x', what: `\u202e${'y'.repeat(500)}`, rmsNats: 1 }]),
      /^smaller than \\u\{202e\}y+… \(/,
    );
  });

  test('of the normaliser alone are labelled', () =>
    assert.match(
      told({ ...size, distance: { ...distance, normaliserOnly: true } })[0] ?? '',
      /only the normaliser \(log-softmax\) changed\)\.$/,
    ));

  test('that are no number are told plainly, and measured with nothing', () =>
    assert.deepEqual(told({ ...size, distance: { ...distance, rmsNats: 'NaN' } }), [
      'Size: the distance is NaN (a broken model) over 2900 positions.',
    ]));
});

describe('relations', () => {
  test('are told beside what they showed at the refresh', () => {
    const batch = relation('batch', 'measured', { atRefresh: { identical: 4, 'tokens-differ': 1 } });
    assert.equal(atRefreshWords(batch), 'at the refresh: 4 identical, 1 with other tokens');
    assert.equal(
      atRefreshWords(relation('batch', 'measured', { atRefresh: {} })),
      'at the refresh: not measured',
    );
    assert.equal(atRefreshWords(relation('baseline', 'held')), '');
    assert.deepEqual(relationLines(batch, { conclusion: 'reproduced', yardstick: [] }), [
      'At the refresh: 4 identical, 1 with other tokens.',
    ]);
  });

  test('of the baseline tell the decision, unless the verdict does', () => {
    const decision = { of: 1, known: 1, distinct: 1, baselineLifetimes: 3, falseAlarm: null };
    const baseline = relation('baseline', 'held', { decision });
    assert.equal(relationLines(baseline, { conclusion: 'reproduced', yardstick: [] }).length, 1);
    assert.equal(relationLines(baseline, { conclusion: 'drift', yardstick: [] }).length, 0);
  });

  test('every agreement has words of its own', () => {
    const all = (
      [
        'identical',
        'modules-differ',
        'logprobs-differ',
        'tokens-differ',
        'inputs-differ',
        'unmeasured',
        'added',
        'removed',
      ] as const
    ).map(agreementWords);
    assert.equal(new Set(all).size, all.length);
  });
});

describe('groups', () => {
  const findings = [
    finding('a', {
      kind: 'generate',
      agreement: 'identical',
      holds: true,
      divergence: null,
      textIdentical: true,
    }),
    {
      ...finding('a', { kind: 'score', agreement: 'logprobs-differ', textIdentical: null }),
      divergence: divergence({ tokenStep: null, logprobSteps: 473, steps: 511 }),
    },
    finding('a', { kind: 'force', agreement: 'unmeasured', divergence: null, textIdentical: null }),
    finding('b', { kind: 'generate' }),
    finding('b', { kind: 'trace', agreement: 'modules-differ', divergence: null, textIdentical: null }),
  ];

  test('hold what all kinds of passes saw of a prompt, worst first', () => {
    const groups = groupsOf(findings);
    assert.deepEqual(
      groups.map(({ prompt, worst }) => [prompt, worst.kind]),
      [
        ['b', 'generate'],
        ['a', 'score'],
      ],
    );
    const a = groups[1];
    assert.ok(a);
    assert.equal(textOf(a), true);
  });
});

test('coverage puts together what has the same reason', () => {
  assert.deepEqual(
    coverageWords([
      { what: 'prefill', exercised: true, by: 'score: 511 positions' },
      { what: 'top_p', exercised: false, by: 'no prompt uses it' },
      { what: 'min_p', exercised: false, by: 'no prompt uses it' },
    ]),
    { exercised: ['prefill (score: 511 positions)'], not: ['top_p, min_p (no prompt uses it)'] },
  );
});

test('a log-probability that moved is told as a chance, in two digits', () => {
  assert.equal(likelier(-0.000005), 'as likely as before, to 0.001 %,');
  assert.equal(likelier(0.00338), '0.34 % more likely');
  assert.equal(likelier(-0.0139), '1.4 % less likely');
  assert.equal(likelier(Math.log(2.5)), '2.5x as likely');
  assert.equal(likelier(-Math.log(2.5)), '2.5x less likely');
  assert.match(likelier(-800), /^800 nats less likely$/);
  assert.deepEqual([times(6624), times(0.94), times(123)], ['6600x', '0.94x', '120x']);
});
