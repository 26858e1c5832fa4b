import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Provenance } from '../../../src/baseline/port.ts';
import type { Claim, RelationResult } from '../../../src/compare/types.ts';
import { digestJson } from '../../../src/record/digest.ts';
import type { FoundTrusted, Trusted } from '../../../src/trust/baseline.ts';
import type { Permission } from '../../../src/trust/events.ts';
import { type Candidate, decide, heldTo, refuseOlderRun } from '../../../src/trust/promotion.ts';
import { body, result, side } from '../support/records.ts';
import { keyOf, metaOf, PROVEN, PROVENANCE } from '../support/reports.ts';
import { thrownBy } from '../support/suites.ts';

const OLD = side({ passes: { 'generate-alone': { capital: body() } } });
const META = metaOf(OLD);
const KNOWN = META.record;
const FRESH = digestJson('another outcome');

const BEFORE: FoundTrusted = {
  kind: 'found',
  key: keyOf(OLD),
  folder: '/old',
  meta: META,
  metaSha256: digestJson('baseline.json'),
  side: { ...OLD, sha256: META.recordFile },
  proof: PROVEN,
};
const ABSENT: Trusted = { kind: 'absent', explanation: ['looked everywhere'] };
const ELSEWHERE: Trusted = { kind: 'incomparable', otherClasses: ['cpu-other'], explanation: [] };

const SOUND = result('rerun', 'held');
const HELD = result('baseline', 'held');
/** The same drift in each of its lifetimes. */
const DRIFTED = result('baseline', 'broken', {
  decision: { of: 3, known: 0, distinct: 1, baselineLifetimes: 1, falseAlarm: 0.1 },
});
const ACCEPTED = { record: FRESH, reason: 'vLLM 0.31 rounds otherwise' };

/** A refresh whose bits are new, on a suite that accepts nothing. */
function decided(change: Partial<Candidate> & { readonly accept?: readonly (typeof ACCEPTED)[] }) {
  const { accept = [], ...more } = change;
  return decide({
    hardwareClass: OLD.record.hardwareClass,
    health: { state: 'no-gpu' },
    outcomes: [FRESH],
    relations: [SOUND, DRIFTED],
    trusted: BEFORE,
    isRemote: false,
    nans: 0,
    stores: 'reasoned',
    suite: {
      accept: [...accept],
      policy: { 'no-baseline': 'fail', incomparable: 'fail', removed: 'fail', confirm: 2 },
    },
    store: 'cache',
    request: { reason: 'a new driver', storeUnchanged: false },
    ...more,
  });
}

const UNCHANGED = { outcomes: [KNOWN], relations: [SOUND, HELD] } as const;
const NEWER = { reason: '', storeUnchanged: true } as const;

describe('a record', () => {
  test('of unhealthy GPUs is refused, whoever asks and whatever agrees', () => {
    for (const stores of ['reasoned', 'unchanged', 'accepted'] as const)
      assert.deepEqual(decided({ ...UNCHANGED, ...NEWER, stores, health: { state: 'unhealthy' } }).view, {
        kind: 'not-stored',
        reason: 'a GPU is unhealthy, and what it computes does not count. The old baseline stays.',
      });
  });

  for (const status of ['broken', 'unmeasured'] as const)
    test(`1. whose engine does not agree with itself is refused: rerun is ${status}`, () => {
      const relations = [result('rerun', status, { evidence: '2 of 3 differ' }), HELD];
      for (const stores of ['reasoned', 'unchanged', 'accepted'] as const)
        assert.deepEqual(decided({ ...UNCHANGED, relations, stores }), {
          kind: 'keep',
          view: {
            kind: 'not-stored',
            reason: `\`rerun\` is ${status}: 2 of 3 differ. The old baseline stays.`,
          },
        });
    });

  test('2. of the bits that are trusted already is left out: the old baseline stays, whoever asks', () => {
    for (const stores of ['reasoned', 'unchanged', 'accepted'] as const)
      assert.deepEqual(decided({ ...UNCHANGED, stores }), {
        kind: 'keep',
        view: { kind: 'unchanged', key: BEFORE.key, store: 'cache', provenance: PROVENANCE },
      });
  });

  test('2. within what the suite allows is left out too, though its bits are other ones', () => {
    for (const request of [NEWER, { ...NEWER, storeUnchanged: false }])
      assert.equal(decided({ relations: [SOUND, HELD], request }).view.kind, 'unchanged');
  });

  test('3. of the same bits is stored anew where that is asked for, with the reason given or the old one', () => {
    for (const stores of ['reasoned', 'unchanged'] as const) {
      const kept = decided({ ...UNCHANGED, stores, request: NEWER });
      assert.deepEqual(kept, {
        ...{ kind: 'store', reason: 'first baseline', byMerge: false },
        view: { kind: 'not-asked' },
      });
      const told = decided({ ...UNCHANGED, stores, request: { ...NEWER, reason: 'before it is evicted' } });
      assert.equal(told.kind === 'store' && told.reason, 'before it is evicted');
    }
  });

  test('3. is not stored anew by a push, which brings no reason of its own', () => {
    assert.equal(decided({ ...UNCHANGED, stores: 'accepted', request: NEWER }).view.kind, 'unchanged');
  });

  test('3. of the same outcomes whose trace differs is no old one', () => {
    const traced = result('baseline', 'broken', {
      findings: [{ ...FINDING, agreement: 'modules-differ' }],
    });
    assert.equal(decided({ outcomes: [KNOWN], relations: [SOUND, traced] }).kind, 'store');
    const added = result('baseline', 'broken', { findings: [{ ...FINDING, agreement: 'added' }] });
    assert.equal(decided({ outcomes: [KNOWN], relations: [SOUND, added] }).view.kind, 'unchanged');
  });

  test('4. of other bits is stored by whoever gives a reason', () => {
    for (const trusted of [BEFORE, ABSENT, ELSEWHERE])
      assert.deepEqual(decided({ trusted }), {
        ...{ kind: 'store', reason: 'a new driver', byMerge: false },
        view: { kind: 'not-asked' },
      });
  });

  test('5. that the merged suite accepts is stored by a push, with the suite’s reason', () => {
    for (const [trusted, compared] of [
      [BEFORE, DRIFTED],
      [ABSENT, result('baseline', 'unmeasured')],
    ] as const)
      assert.deepEqual(
        decided({ stores: 'accepted', accept: [ACCEPTED], trusted, relations: [SOUND, compared] }),
        {
          ...{ kind: 'store', reason: ACCEPTED.reason, byMerge: true },
          view: { kind: 'not-asked' },
        },
      );
  });

  test('5. that is accepted and yet does not repeat is no drift, and not stored', () => {
    const unstable = result('baseline', 'broken', {
      decision: { of: 3, known: 1, distinct: 2, baselineLifetimes: 1, falseAlarm: null },
    });
    const { view } = decided({
      ...{ stores: 'accepted', accept: [ACCEPTED], outcomes: [KNOWN, FRESH] },
      relations: [SOUND, unstable],
    });
    assert.equal(view.kind, 'not-stored');
  });

  test('6. where nothing was trusted before is told as such, where nobody gives a reason', () => {
    for (const trusted of [ABSENT, ELSEWHERE])
      for (const stores of ['accepted', 'unchanged', 'nothing'] as const)
        assert.deepEqual(decided({ stores, trusted, relations: [SOUND] }), { kind: 'keep', view: trusted });
  });

  test('7. that cannot be compared with the old one is refused, but for a reason', () => {
    const relations = [SOUND, result('baseline', 'unmeasured')];
    for (const stores of ['accepted', 'unchanged'] as const)
      assert.match(reasonOf(decided({ stores, relations })), /cannot be compared.*Refresh by hand/);
    assert.equal(decided({ relations }).kind, 'store');
  });

  test('8. of other bits is refused to a push whose suite accepts another one', () => {
    const another = { ...ACCEPTED, record: digestJson('a third outcome') };
    for (const accept of [[], [another]])
      assert.match(reasonOf(decided({ stores: 'accepted', accept })), /the suite accepts no such record/);
  });

  test('9. of other bits is refused to a schedule, even where the suite accepts it', () => {
    for (const accept of [[], [ACCEPTED]])
      assert.match(
        reasonOf(decided({ stores: 'unchanged', accept })),
        /a schedule may only store what did not change/,
      );
  });
});

const FINDING = {
  ...{ prompt: 'capital', kind: 'trace', holds: false, textIdentical: null, divergence: null },
  ...{ distance: null, trace: null, reason: null, modules: null, unmeasured: [] },
} as const satisfies Partial<RelationResult['findings'][number]>;

function reasonOf({ view }: ReturnType<typeof decide>): string {
  assert.equal(view.kind, 'not-stored');
  return view.kind === 'not-stored' ? view.reason : '';
}

describe('a refresh is held', () => {
  const RERUN: Claim = { relation: 'rerun', requirement: 'identical' };
  const ENVELOPE: Claim = { relation: 'baseline', requirement: 'within-envelope' };
  const held = (claims: readonly Claim[], stores: Permission['stores'], before?: FoundTrusted) =>
    heldTo(claims, { stores }, before).map(({ relation, requirement }) => `${relation}: ${requirement}`);

  test('to itself, and only looks at the old baseline, where somebody gives a reason', () => {
    assert.deepEqual(held([RERUN, ENVELOPE], 'reasoned', BEFORE), ['rerun: identical', 'baseline: measure']);
    assert.deepEqual(held([RERUN, ENVELOPE], 'reasoned'), ['rerun: identical']);
  });

  test('to the old baseline on a push and a schedule, as the suite says or else bit for bit', () => {
    for (const stores of ['accepted', 'unchanged'] as const) {
      assert.deepEqual(held([RERUN, ENVELOPE], stores, BEFORE), [
        'rerun: identical',
        'baseline: within-envelope',
      ]);
      assert.deepEqual(held([RERUN], stores), ['rerun: identical', 'baseline: identical']);
    }
  });
});

describe('an old run that is started again', () => {
  const started = (run: string, newest: Partial<Provenance> = {}, door: 'action' | 'terminal' = 'action') =>
    refuseOlderRun(
      {
        situation: {
          ...{ door, event: 'push', ref: 'refs/heads/main', commit: '', defaultBranch: 'main' },
          ...{ base: undefined, fork: false, subject: { kind: 'none' } },
        },
        job: { repository: PROVENANCE.repository, run, attempt: '2', runner: '' },
        workflow: '',
        runUrl: '',
      },
      { ...PROVENANCE, ...newest },
    );

  test('must not replace what a newer one stored', () => {
    const error = thrownBy(() => started('41'));
    assert.equal(error.code, 'refresh-not-allowed');
    assert.match(error.message, /run 42, which is newer than this run 41/);
    // As numbers: as texts, 9 comes after 10.
    assert.throws(() => started('9', { runId: '10' }));
    assert.doesNotThrow(() => started('10', { runId: '9' }));
  });

  test('is none where it is the same run, another repository’s, or one of a terminal', () => {
    started('42');
    started('41', { repository: 'acme/fork' });
    started('41', { runUrl: '' });
    started('41', {}, 'terminal');
  });
});
