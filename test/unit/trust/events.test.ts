import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../../../src/errors.ts';
import type { Situation } from '../../../src/job/situation.ts';
import { type Permission, permit, permitReport } from '../../../src/trust/events.ts';
import { EVENTS, SHAS } from '../../support/events.ts';
import { REFS, ROWS, STORES } from '../../support/permissions.ts';
import { ASKS } from '../support/job.ts';
import { thrownBy } from '../support/suites.ts';

function situation(event: string, changes: Partial<Situation> = {}): Situation {
  const merging = /^(pull_request|merge_group)/.test(event);
  return {
    door: event === 'cli' ? 'terminal' : 'action',
    event,
    ref: 'refs/heads/main',
    commit: SHAS.commit,
    defaultBranch: 'main',
    base: merging ? 'refs/heads/main' : undefined,
    fork: false,
    subject: { kind: 'none' },
    ...changes,
  };
}

/** Where the two stores may store. */
const BRANCHES = { cache: 'default', files: 'any' } as const;

/** A permission as the table writes it, `-` for a refusal of that code. */
function answer(
  mode: keyof typeof ASKS,
  asked: Situation,
  store: 'cache' | 'files',
  code: string,
  told: (permission: Permission) => string,
): string {
  try {
    return told(permit(ASKS[mode].mode, asked, BRANCHES[store]));
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.code, code);
    return '-';
  }
}

describe('which event may do what', () => {
  test('every event that is known here has its row', () => {
    const rows = ROWS.map(({ event }) => event);
    assert.deepEqual(
      EVENTS.filter((event) => !rows.includes(event)),
      [],
    );
  });

  for (const { event, fork, look, power, report, refresh } of ROWS) {
    const name = `${event}${fork ? ' of a fork' : ''}`;
    test(`report on ${name}: ${report}`, () => {
      const asked = () => permitReport(situation(event, { fork }));
      if (report === 'yes') asked();
      else assert.equal(thrownBy(asked).code, 'event-refused');
    });

    for (const mode of ['check', 'log', 'power'] as const)
      test(`${mode} on ${name}: ${mode === 'power' ? power : look}, whatever the branch and the store`, () => {
        for (const store of STORES)
          for (const ref of REFS)
            assert.equal(
              answer(mode, situation(event, { ref, fork }), store, 'event-refused', (permission) => {
                assert.equal(permission.stores, 'nothing');
                return permission.limits === 'fork' ? `${permission.judge}/fork` : permission.judge;
              }),
              mode === 'power' ? power : look,
            );
      });

    for (const [s, store] of STORES.entries())
      for (const [r, ref] of REFS.entries())
        test(`refresh on ${name} at ${ref} into ${store}: ${refresh[s]?.[r]}`, () => {
          assert.equal(
            answer('refresh', situation(event, { ref, fork }), store, 'refresh-not-allowed', (permission) => {
              assert.deepEqual([permission.judge, permission.limits], ['checkout', 'none']);
              return permission.stores;
            }),
            refresh[s]?.[r],
          );
        });
  }
});

describe('a branch that keeps baselines of its own', () => {
  test('is written to as the default branch is, and by no other event or of no other branch', () => {
    const ref = 'refs/heads/release/1';
    const on = (event: string, own: readonly string[]) =>
      permit(ASKS.refresh.mode, situation(event, { ref }), 'default', own).stores;
    assert.deepEqual([on('workflow_dispatch', [ref]), on('push', [ref])], ['reasoned', 'accepted']);
    for (const event of ['workflow_dispatch', 'push'])
      assert.equal(thrownBy(() => on(event, ['refs/heads/release/2'])).code, 'refresh-not-allowed');
    for (const event of ['pull_request', 'release', 'repository_dispatch'])
      assert.equal(thrownBy(() => on(event, [ref])).code, 'refresh-not-allowed');
  });
});

describe('what is not known is no permission', () => {
  for (const event of ['pull_request', 'pull_request_review', 'merge_group'])
    for (const mode of ['check', 'log', 'power'] as const)
      test(`${mode} on ${event} without a base`, () => {
        const error = thrownBy(() => permit(ASKS[mode].mode, situation(event, { base: undefined }), 'any'));
        assert.equal(error.code, 'event-refused');
        assert.match(error.message, /into which branch/);
        assert.match(
          error.hint,
          event === 'merge_group' ? /merge_group\.base_ref/ : /pull_request\.base\.ref/,
        );
      });

  for (const [event, store] of [
    ['workflow_dispatch', 'cache'],
    ['push', 'cache'],
    ['push', 'files'],
    ['schedule', 'cache'],
  ] as const)
    test(`refresh on ${event} into ${store} where the event does not tell the default branch`, () => {
      for (const ref of ['refs/heads/main', 'refs/heads/undefined', ''])
        assert.match(
          thrownBy(() =>
            permit(ASKS.refresh.mode, situation(event, { ref, defaultBranch: undefined }), BRANCHES[store]),
          ).message,
          /default branch is not told by the event/,
        );
    });

  test('what a stranger sent has no way to judge itself or to be stored, on any event', () => {
    for (const event of ['push', 'workflow_dispatch', 'cli']) {
      const asked = situation(event, { fork: true });
      for (const mode of ['check', 'log', 'power', 'refresh'] as const)
        assert.throws(() => permit(ASKS[mode].mode, asked, 'any'), UserError, `${mode} on ${event}`);
    }
  });
});

describe('a refusal says what happened, why, and what to do', () => {
  const refusals: readonly [string, keyof typeof ASKS, Situation, RegExp, RegExp][] = [
    [
      'a target',
      'check',
      situation('pull_request_target'),
      /`pull_request_target` starts nothing here: it runs with the rights, secrets and caches of the base/,
      /on: pull_request.*check\.yml/,
    ],
    [
      'a workflow after another',
      'check',
      situation('workflow_run'),
      /`workflow_run`.*stranger may have started/,
      /on: pull_request/,
    ],
    [
      'a comment',
      'log',
      situation('issue_comment'),
      /`issue_comment`.*whoever may comment starts it/,
      /on: pull_request/,
    ],
    [
      'an event that nobody thought of',
      'check',
      situation('of_next_year'),
      /`of_next_year`.*`pull_request`, .*`push`.* only, since on no other it is clear/,
      /on: pull_request/,
    ],
    ['no event', 'check', situation(''), /The event without a name/, /on: pull_request/],
    [
      'power for a stranger',
      'power',
      situation('pull_request', { fork: true }),
      /more engines than a check.*another repository/,
      /`workflow_dispatch`.*`deterministic-ml power`/,
    ],
    [
      'a refresh of a pull request, even of one that is merged by now',
      'refresh',
      situation('pull_request', { ref: 'refs/heads/main' }),
      /`pull_request`, which may not write a baseline: no change approves itself/,
      /on: workflow_dispatch.*refresh\.yml/,
    ],
    [
      'a dispatch elsewhere',
      'refresh',
      situation('workflow_dispatch', { ref: 'refs/heads/feature' }),
      /runs on `refs\/heads\/feature`, and the default branch is `main`: pull requests do not see/,
      /Merge first.*store: files/,
    ],
    [
      'a push elsewhere',
      'refresh',
      situation('push', { ref: 'refs/heads/feature' }),
      /by `push` on `refs\/heads\/feature`, and the default branch is `main`: nobody has approved/,
      /branches: \[main\].*merge first/,
    ],
    [
      'a schedule elsewhere',
      'refresh',
      situation('schedule', { ref: 'refs/heads/feature' }),
      /by `schedule` on `refs\/heads\/feature`/,
      /Merge first/,
    ],
  ];
  for (const [what, mode, asked, message, hint] of refusals)
    test(what, () => {
      const error = thrownBy(() => permit(ASKS[mode].mode, asked, 'default'));
      assert.match(error.message, message);
      assert.match(error.hint, hint);
    });
});
