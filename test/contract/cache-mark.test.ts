import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { leaveMark, markName } from '../../src/baseline/cache/mark.ts';
import { cacheService } from '../../src/baseline/cache/service.ts';
import { formatKey } from '../../src/baseline/port.ts';
import { baselineKey } from '../support/cache-baseline.ts';
import { bench, MAIN, PULL } from '../support/cache-bench.ts';

const PATIENCE = { lookupMs: 5_000, downloadMs: 5_000, retryDelaysMs: [] };
const KEY = baselineKey();

describe('what is remembered of a baseline', () => {
  test('outlives it, and is of one suite on one hardware class', async () => {
    await using b = await bench();
    const check = b.pullRequest();
    assert.deepEqual(await check.remembers(KEY), { kind: 'never' });
    const key = await b.store.save(KEY, await b.make(), undefined);
    assert.deepEqual(
      b.lines.filter((line) => /written down/.test(line)),
      [],
    );
    b.server.evict(key);
    const memory = await check.remembers(KEY);
    assert.equal(memory.kind, 'once');
    assert.match(memory.kind === 'once' ? memory.what : '', /^A refresh on main stored one at 2026-11-23T/);
    for (const other of [
      { ...KEY, suite: 'another' },
      { ...KEY, hardwareClass: 'another' },
    ])
      assert.deepEqual(await check.remembers(other), { kind: 'never' });
  });

  test('is nothing that a pull request left, whatever its branch is called', async () => {
    await using b = await bench();
    const stranger = cacheService(b.server.job({ ref: PULL, base: MAIN, default: MAIN }));
    assert.equal(await leaveMark(stranger, KEY, PATIENCE), undefined);
    const feature = cacheService(b.server.job({ ref: 'refs/heads/feature', default: MAIN }));
    assert.equal(await leaveMark(feature, KEY, PATIENCE), undefined);
    assert.equal(b.server.artifacts.length, 2);
    assert.deepEqual(await b.pullRequest().remembers(KEY), { kind: 'never' });
  });

  test('is left once by a run, and found there by its next attempt', async () => {
    await using b = await bench();
    const service = cacheService(b.server.job({ ref: MAIN, default: MAIN }));
    for (let attempt = 1; attempt <= 2; attempt++)
      assert.equal(await leaveMark(service, KEY, PATIENCE), undefined);
    assert.deepEqual(
      b.server.artifacts.map(({ name, ref }) => [name, ref]),
      [[markName(KEY), MAIN]],
    );
  });

  test('could not be left: the baseline is stored, and the log says what that means', async () => {
    for (const at of ['CreateArtifact', 'FinalizeArtifact'] as const) {
      await using b = await bench();
      b.server.faults.push({ at, kind: 'status', status: 503, message: 'later' });
      assert.equal(await b.store.save(KEY, await b.make(), undefined), formatKey(KEY));
      assert.match(
        b.lines.join('\n'),
        new RegExp(`answered 503 to ${at}.*a policy of \`warn\` would not know`),
      );
    }
  });

  test('is unknown where nobody can be asked', async () => {
    await using b = await bench();
    for (const differs of [
      { marks: undefined },
      { trustedRefs: [] },
      { env: { ACTIONS_CACHE_SERVICE_V2: '', ACTIONS_CACHE_URL: `http://${b.server.host}/` } },
    ])
      assert.equal((await b.pullRequest(differs).remembers(KEY)).kind, 'unknown');
    b.github.faults.push({
      ...{ at: 'artifacts', kind: 'status', status: 403 },
      message: 'Resource not accessible by integration',
    });
    const denied = await b.pullRequest().remembers(KEY);
    assert.equal(denied.kind, 'unknown');
    assert.match(denied.kind === 'unknown' ? denied.remedy : '', /actions: read/);
  });
});
