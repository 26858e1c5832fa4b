import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { mayRefresh } from '../../../src/baseline/trust.ts';
import { UserError } from '../../../src/errors.ts';

const dispatch = {
  event: 'workflow_dispatch',
  ref: 'refs/heads/main',
  defaultBranch: 'main',
  reason: 'vLLM 0.31',
};

function refusal(author: Parameters<typeof mayRefresh>[0], store: 'cache' | 'files'): string | undefined {
  try {
    mayRefresh(author, store);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof UserError);
    return error.code;
  }
}

describe('who may write a baseline', () => {
  test('a dispatch on the default branch', () => {
    assert.equal(refusal(dispatch, 'cache'), undefined);
    assert.equal(refusal(dispatch, 'files'), undefined);
  });

  for (const event of [
    'pull_request',
    'pull_request_target',
    'push',
    'schedule',
    'issue_comment',
    'workflow_run',
    '',
  ])
    for (const store of ['cache', 'files'] as const)
      test(`not the event "${event}", into ${store}`, () => {
        assert.equal(refusal({ ...dispatch, event }, store), 'refresh-not-allowed');
      });

  test('not a dispatch on another branch into the cache, which no pull request could read', () => {
    assert.equal(refusal({ ...dispatch, ref: 'refs/heads/feature' }, 'cache'), 'refresh-not-allowed');
    assert.equal(refusal({ ...dispatch, ref: 'refs/tags/main' }, 'cache'), 'refresh-not-allowed');
    assert.equal(refusal({ ...dispatch, defaultBranch: undefined }, 'cache'), 'refresh-not-allowed');
  });

  test('a dispatch on another branch into files, since merging the diff approves them', () => {
    assert.equal(refusal({ ...dispatch, ref: 'refs/heads/feature' }, 'files'), undefined);
  });

  test('nobody without a reason', () => {
    assert.equal(refusal({ ...dispatch, reason: '  ' }, 'files'), 'input-invalid');
  });
});
