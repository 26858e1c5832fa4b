import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Action, builtAction } from '../e2e/support/action.ts';
import type { SuiteOptions } from '../e2e/support/suites.ts';
import { assertConcluded, assertWarned, type Hosted, hosted } from '../e2e/support/trust.ts';
import { tried } from '../support/tried.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

/** A base branch that lets pass whatever a policy can. */
const LAX: SuiteOptions = { policy: { 'no-baseline': 'warn', incomparable: 'warn' } };
const DRIFT: SuiteOptions = { args: { logprob: -0.5 } };

function evictAll({ cache }: Hosted): void {
  for (const { key } of [...cache.entries]) cache.evict(key);
}

describe('a baseline that the cache has lost', () => {
  tried(
    'baseline evicted on purpose',
    'a cache filled up until the baseline is evicted, where the policy lets a missing one pass',
    'a refresh leaves a mark that no cache pushes out: `warn` lets pass only what never had a baseline',
    async () => {
      await using repository = await hosted(action, { base: LAX });
      assertConcluded(await repository.step({ suite: DRIFT }), 'no-baseline', 'warn', '');
      const refreshed = await repository.refresh();
      const [entry] = repository.cache.entries;
      assert.ok(entry, refreshed.log);
      evictAll(repository);
      const lost = await repository.step({ suite: DRIFT });
      assertConcluded(lost, 'no-baseline', 'fail', '');
      assertWarned(lost, /The baseline was lost: A refresh on main stored one at 2026-.*: refresh it\./);

      // Other hardware still has one: no comparison, and no reason to pass either.
      repository.cache.put({
        ...entry,
        key: entry.key.replace(/(?<=\/)[^/]+(?=\/[^/]+$)/, 'other-hardware'),
      });
      const other = await repository.step({ suite: DRIFT });
      assertConcluded(other, 'incomparable', 'fail', '');
      assertWarned(other, /The baseline was lost/);
    },
  );

  test('is taken for one where the job may not ask what is remembered', async () => {
    await using repository = await hosted(action, {
      base: LAX,
      permissions: ['contents', 'pull-requests:write'],
    });
    const outcome = await repository.step();
    assertConcluded(outcome, 'no-baseline', 'fail', '');
    assertWarned(outcome, /Whether there ever was a baseline is unknown: .*actions: read/s);
  });
});
