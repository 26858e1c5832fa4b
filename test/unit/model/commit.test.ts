import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commitOf } from '../../../src/model/commit.ts';
import { aHubModel, startHub } from '../../support/hub-server.ts';

const { signal } = new AbortController();

test('the hub tells at which commit a branch is', async () => {
  const model = aHubModel();
  await using hub = await startHub(model);
  const options = { endpoint: hub.endpoint, token: undefined, environment: {}, signal };
  assert.equal(await commitOf(options, model.id, 'main'), model.revision);
  await assert.rejects(commitOf(options, model.id, 'v9'), { code: 'model-fetch-failed' });
});

test('a hub that is not there is an error with a remedy, and no commit', async () => {
  const options = { endpoint: 'http://localhost:1', token: undefined, environment: {}, signal };
  await assert.rejects(commitOf(options, 'a/b', 'main'), {
    code: 'model-fetch-failed',
    message: /does not answer/,
  });
});
