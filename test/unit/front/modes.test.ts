import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inputModes, modes } from '../../../src/front/modes.ts';
import type { Tools } from '../../../src/job/tools.ts';
import { ASKS, Job } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

/** What a front takes from an event that may do nothing. */
const given = (job: Job, baselinePath?: string) => ({
  ...job.settings('issue_comment'),
  ...{
    comment: 'never' as const,
    checkRun: false,
    server: '',
    reports: '/reports',
    expected: 1,
    documents: {},
  },
  named: { reportPath: '', baselinePath, paths: ['a.yml', 'b.yml'] },
});

describe('a mode', () => {
  test('has a name of its own', () => {
    assert.equal(new Set(modes.map(({ name }) => name)).size, modes.length);
  });

  test('needs what the rule of events is tested with', () => {
    for (const { mode } of Object.values(ASKS))
      assert.equal(modes.find(({ name }) => name === mode.name)?.needs, mode.needs, mode.name);
  });

  for (const { name, needs, run } of modes) {
    if (needs === 'nothing') continue;
    test(`${name}: an event that may not is refused, and nothing is opened`, async () => {
      const job = new Job();
      const closed: Tools['open'] = new Proxy(job.tools().open, {
        get: (_, opener) => assert.fail(`opens ${String(opener)}`),
      });
      const asked = run(given(job), { ...job.tools(), open: closed });
      assert.match((await rejectedBy(asked)).code, /^(event-refused|refresh-not-allowed)$/);
    });
  }

  test('reads files that are named to it whatever the event', async () => {
    const log = modes.find(({ name }) => name === 'log');
    const job = new Job();
    const asked = log?.run(given(job, '/nowhere'), job.tools());
    assert.equal((await rejectedBy(asked ?? Promise.resolve())).code, 'baseline-invalid');
  });

  test('is one of the action unless its row says otherwise', () => {
    assert.deepEqual(
      modes.filter((one) => !inputModes.includes(one)).map(({ name }) => name),
      [
        'fingerprint',
        'compare',
        'explain',
        'fleet',
        'import',
        'verify',
        'init',
        'accept',
        'review',
        'clean',
        'validate',
        'why',
        'completion',
      ],
    );
  });
});
