import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cacheVersion } from '../../src/baseline/cache/service.ts';
import { type BaselineStore, formatKey, keyPrefix } from '../../src/baseline/port.ts';
import { githubApi } from '../../src/github/api.ts';
import { baselineKey, bytesBelow } from '../support/cache-baseline.ts';
import { type Bench, bench, fails, MAIN, PULL, startServer } from '../support/cache-bench.ts';
import { fault } from '../support/fault.ts';

const query = baselineKey();
const OLDER = { runId: '17000000000', record: '11'.repeat(32) } as const;
const NEWER = { runId: '17000000005', record: '22'.repeat(32) } as const;
const keyOf = (differs?: Parameters<typeof baselineKey>[0]) => formatKey(baselineKey(differs));

async function found(store: BaselineStore) {
  const lookup = await store.find(query);
  assert.ok(lookup.kind === 'found', 'there is a baseline');
  return lookup;
}

async function absent(store: BaselineStore) {
  const lookup = await store.find(query);
  assert.ok(lookup.kind === 'absent', 'there is no baseline');
  return lookup;
}

/** Runs something between the store's first look at a list and its next step, `after` calls later. */
function inBetween(b: Bench, after: number, act: () => void): void {
  let calls = 0;
  b.github.onCall = () => {
    calls += 1;
    if (calls === after) act();
  };
}

describe('a pull request takes its baseline from the default or the base branch', () => {
  test('the newest one there, and it is proven', async () => {
    await using b = await bench();
    await b.put(MAIN, NEWER);
    await b.put(MAIN, {}, 'made last, whatever the run id');
    await using lookup = await found(b.pullRequest());
    assert.equal(lookup.key, keyOf());
    assert.deepEqual(lookup.proof, {
      kind: 'proven',
      how: "the repository's list has it on refs/heads/main, and nothing of its name on a branch that is not trusted",
    });
  });

  test('the base branch’s own before a newer one of the default branch, which does where there is none', async () => {
    await using b = await bench();
    const base = 'refs/heads/release';
    await b.put(base, OLDER);
    await b.put(MAIN, NEWER);
    const env = b.server.job({ ref: PULL, base, default: MAIN });
    const trustedRefs = [base, MAIN];
    await using own = await found(b.pullRequest({ env, trustedRefs }));
    assert.equal(own.key, keyOf(OLDER));
    b.server.evict(keyOf(OLDER));
    await using other = await found(b.pullRequest({ env, trustedRefs }));
    assert.equal(other.key, keyOf(NEWER));
  });

  test('and a branch that keeps its own stores them in its scope, where others do not see them', async () => {
    await using b = await bench();
    const ref = 'refs/heads/release';
    await b.put(MAIN);
    const release = b.storeWith({
      ...{ env: b.server.job({ ref, default: MAIN }), ownRef: ref, trustedRefs: [ref, MAIN] },
      listing: b.listing,
    });
    await release.save(baselineKey(NEWER), await b.make(NEWER), keyOf());
    assert.equal(b.server.entries.at(-1)?.ref, ref);
    await using own = await found(release);
    assert.equal(own.key, keyOf(NEWER));
    for (const store of [b.store, b.pullRequest()]) {
      await using other = await found(store);
      assert.equal(other.key, keyOf());
    }
  });

  test('a newer one of its own under the same prefix is not taken, and is named', async () => {
    await using b = await bench();
    await b.put(MAIN, {}, 'honest');
    const pull = b.storeWith({ env: b.server.job({ ref: PULL, base: MAIN, default: MAIN }), ownRef: PULL });
    // By the real library, from the pull request's own job.
    await pull.save(baselineKey(NEWER), await b.make(NEWER, 'forged'), keyOf());
    assert.equal(b.server.entries.at(-1)?.ref, PULL);
    await using lookup = await found(b.pullRequest());
    assert.equal(lookup.key, keyOf());
    assert.match(
      b.lines.join('\n'),
      new RegExp(`Near, but not taken: "${keyOf(NEWER)}", since it lies on ${PULL}`),
    );
    const unguarded = await found(pull);
    await using _ = unguarded;
    assert.equal(unguarded.key, keyOf(NEWER), 'which the service itself gives');
  });

  test('an older one by its key, from those branches alone', async () => {
    await using b = await bench();
    await b.put(MAIN);
    await b.put(MAIN, NEWER);
    await b.put(PULL, OLDER);
    for (const store of [b.pullRequest(), b.store]) {
      const lookup = await store.find(query, keyOf());
      assert.ok(lookup.kind === 'found');
      await using _ = lookup;
      assert.equal(lookup.key, keyOf());
      const gone = await store.find(query, keyOf(OLDER));
      assert.ok(gone.kind === 'absent');
      assert.match(gone.explanation.join(), /does not keep ".*" any more/);
    }
  });

  test('of its own alone there is none', async () => {
    await using b = await bench();
    await b.put(PULL);
    const { otherClasses, explanation } = await absent(b.pullRequest());
    assert.deepEqual(otherClasses, []);
    assert.match(explanation.join('\n'), /on refs\/heads\/main: there is none/);
    assert.match(explanation.join('\n'), /since it lies on refs\/pull\/7\/merge/);
    assert.match(explanation.join('\n'), /7 days/);
  });

  test('entries that are no baselines are passed over, with the reason', async () => {
    await using b = await bench();
    const prefix = keyPrefix(query.suite, query.hardwareClass);
    const [version, archive] = [cacheVersion('gzip'), Buffer.from('x')];
    b.server.put({ key: `${prefix}latest`, version, archive });
    b.server.put({ key: keyOf(NEWER), version: 'a'.repeat(64), archive });
    const { explanation } = await absent(b.pullRequest());
    assert.match(explanation.join('\n'), /latest", since this action gives no such name/);
    assert.match(explanation.join('\n'), /since it was packed on another operating system/);
    await b.put(MAIN);
    await using lookup = await found(b.pullRequest());
    assert.equal(lookup.key, keyOf());
  });

  test('what lies near is told in a few lines, and inert', async () => {
    await using b = await bench();
    const prefix = keyPrefix(query.suite, query.hardwareClass);
    for (let index = 0; index < 50; index++)
      b.server.put({
        ...{ key: `${prefix}${index}##[add-path]evil\n::error::x`, version: cacheVersion('gzip') },
        ...{ archive: Buffer.from('x'), ref: `refs/heads/$(evil)\n::error::${index}` },
      });
    const { explanation } = await absent(b.pullRequest());
    assert.ok(explanation.length < 10);
    assert.match(explanation.join('\n'), /And 45 more/);
    for (const line of explanation) assert.doesNotMatch(line, /##\[|::|\p{Cc}/u);
  });

  test('other hardware classes are those of trusted branches, all of them', async () => {
    await using b = await bench();
    for (const hardwareClass of ['cpu-intel-avx512', 'amd-gfx942']) await b.put(MAIN, { hardwareClass });
    await b.put(PULL, { hardwareClass: 'nvidia-sm100' });
    await b.put(MAIN, { suite: 'Serving-12', hardwareClass: 'nvidia-sm80' });
    const { otherClasses } = await absent(b.pullRequest());
    assert.deepEqual(otherClasses, ['amd-gfx942', 'cpu-intel-avx512']);
    assert.deepEqual(await b.pullRequest().classes(query.suite), otherClasses);
  });

  test('one that is made between two looks at the list is no other class', async () => {
    await using b = await bench();
    const { archive, version } = await b.put('refs/heads/elsewhere');
    inBetween(b, 2, () => b.server.put({ key: keyOf(), version, archive }));
    assert.deepEqual((await absent(b.pullRequest())).otherClasses, []);
  });

  test('an entry that was not asked for counts for nothing', async () => {
    await using b = await bench();
    const { key, version, createdAt } = await b.put(MAIN, { suite: 'Serving-12' });
    const list = { kind: 'listed', entries: [{ key, version, createdAt, ref: MAIN }] } as const;
    const store = b.pullRequest({ listing: { list: async () => list } });
    assert.deepEqual(await store.classes(query.suite), []);
    assert.deepEqual((await absent(store)).otherClasses, []);
  });

  test('one that was evicted is absent', async () => {
    await using b = await bench();
    const { key } = await b.put(MAIN);
    b.server.evict(key);
    await absent(b.pullRequest());
    await absent(b.store);
  });

  test('a read-only job reads all the same', async () => {
    await using b = await bench();
    await b.put(MAIN);
    await using lookup = await found(b.pullRequest({ permission: 'read' }));
    assert.equal(lookup.key, keyOf());
  });
});

describe('an entry that shadows the trusted one is refused', () => {
  const refused = async (store: BaselineStore, ref: string) =>
    await fails(
      store.find(query),
      'baseline-invalid',
      new RegExp(`"${keyOf()}" of ${MAIN} is shadowed: ${ref} has`),
      new RegExp(`gh cache delete ${keyOf()} --ref ${ref}`),
      /Nothing was compared/,
    );

  for (const ref of [PULL, 'refs/pull/9/merge', 'refs/heads/feature'])
    test(`of the same key on ${ref}`, async () => {
      await using b = await bench();
      await b.put(MAIN);
      await b.put(ref, {}, 'forged');
      await refused(b.pullRequest(), ref);
      assert.ok(!b.server.calls.includes('download'), 'before anything is downloaded');
    });

  test('packed in the other way', async () => {
    await using b = await bench();
    await b.put(MAIN);
    b.server.put({
      ...{ key: keyOf(), version: cacheVersion('zstd-without-long') },
      ...{ archive: Buffer.from('x'), ref: PULL },
    });
    await refused(b.pullRequest(), PULL);
  });

  test('that is made between the first look and the download', async () => {
    await using b = await bench();
    await b.put(MAIN, {}, 'honest');
    const { archive } = await b.put('refs/heads/elsewhere', {}, 'forged');
    b.server.evict(keyOf(), 'refs/heads/elsewhere');
    b.server.onCall = (call) => {
      if (call !== 'GetCacheEntryDownloadURL') return;
      b.server.onCall = () => undefined;
      b.server.put({ key: keyOf(), version: cacheVersion('gzip'), archive, ref: PULL });
    };
    await refused(b.pullRequest(), PULL);
    assert.ok(b.server.calls.includes('download'), 'the forged one was downloaded, and thrown away');
  });

  test('with a longer name, which the service gives for the shorter one', async () => {
    await using b = await bench();
    await b.put(MAIN);
    const key = `${keyOf()}/more`;
    b.server.put({ key, version: cacheVersion('gzip'), archive: Buffer.from('x'), ref: PULL });
    await fails(
      b.pullRequest().find(query),
      'baseline-invalid',
      /is shadowed: refs\/pull\/7\/merge has the cache entry ".*\/more"/,
    );
  });

  test('a branch whose name a shell would run is not part of a command', async () => {
    await using b = await bench();
    await b.put(MAIN);
    await b.put('refs/heads/$(evil)');
    await fails(
      b.pullRequest().find(query),
      'baseline-invalid',
      /refs\/heads\/\$\(evil\) has/,
      /`gh cache delete` with its key/,
    );
  });
});

describe("what GitHub's list cannot say", () => {
  test('a job that may not list takes what the service gives, unproven, and knows the line that helps', async () => {
    await using b = await bench();
    await b.put(MAIN);
    const listing = githubApi({ url: b.github.url, repository: 'octo/models', token: undefined, env: {} });
    await using lookup = await found(b.pullRequest({ listing }));
    assert.equal(lookup.key, keyOf());
    assert.ok(lookup.proof.kind === 'unproven');
    assert.match(lookup.proof.why, /no token/);
    assert.match(lookup.proof.remedy, /permissions: \{ actions: read \}/);
    assert.deepEqual(await b.pullRequest({ listing }).classes(query.suite), [query.hardwareClass]);
  });

  test('denied only after the download, it is unproven too', async () => {
    await using b = await bench();
    await b.put(MAIN);
    inBetween(b, 2, () =>
      b.github.faults.push({ at: 'caches', kind: 'status', status: 403, message: 'Resource not accessible' }),
    );
    await using lookup = await found(b.pullRequest());
    assert.ok(lookup.proof.kind === 'unproven');
    assert.match(lookup.proof.why, /403: Resource not accessible/);
  });

  for (const [what, differs, why] of [
    ['nobody to ask', { listing: undefined }, /Nobody could be asked/],
    ['no known default branch', { trustedRefs: [] }, /which branch is the default one/],
  ] as const)
    test(`${what}: unproven`, async () => {
      await using b = await bench();
      await b.put(MAIN);
      await using lookup = await found(b.pullRequest(differs));
      assert.ok(lookup.proof.kind === 'unproven');
      assert.match(lookup.proof.why, why);
      assert.deepEqual(b.github.calls, []);
    });

  for (const [what, differs] of [
    ['with a list', {}],
    ['without one', { listing: undefined }],
  ] as const)
    test(`a run on the default branch sees only what is trusted, ${what}`, async () => {
      await using b = await bench();
      await b.put(MAIN, {}, 'honest');
      await b.put(PULL, {}, 'forged');
      await b.put(PULL, NEWER, 'forged');
      await using lookup = await found(b.storeWith({ listing: b.listing, ...differs }));
      assert.equal(lookup.key, keyOf());
      assert.deepEqual(lookup.proof, {
        kind: 'proven',
        how: 'this run sees only entries of refs/heads/main',
      });
      assert.deepEqual(b.github.calls, []);
    });

  test('so does a run on the base branch when both are trusted and nobody may list', async () => {
    await using b = await bench();
    const base = 'refs/heads/release';
    await b.put(base);
    b.github.faults.push({ at: 'caches', kind: 'status', status: 403, message: 'Resource not accessible' });
    const env = b.server.job({ ref: base, default: MAIN });
    await using lookup = await found(b.pullRequest({ env, ownRef: base, trustedRefs: [MAIN, base] }));
    assert.equal(lookup.proof.kind, 'proven');
  });

  test('a list that does not answer is an outage, and no absence', async () => {
    await using b = await bench();
    b.github.faults.push({ at: 'caches', kind: 'status', status: 503, message: 'busy' });
    await fails(b.pullRequest().find(query), 'github-unavailable', /503: busy/);
    await fails(b.pullRequest().classes(query.suite), 'github-unavailable', /503: busy/);
  });

  test('a list that does not answer after the download is an outage, and no proof', async () => {
    await using b = await bench();
    await b.put(MAIN);
    inBetween(b, 2, () => b.github.faults.push({ at: 'caches', kind: 'status', status: 500, message: 'x' }));
    await fails(b.pullRequest().find(query), 'github-unavailable', /500: x/);
  });

  test('an entry that the list has and the service does not give is no absence', async () => {
    await using b = await bench();
    await b.put(MAIN);
    // As if the service had lost it: this job's token does not name the branch that it lies on.
    const env = b.server.job({ ref: PULL });
    await fails(
      b.pullRequest({ env }).find(query),
      'store-unavailable',
      /has the baseline ".*" on refs\/heads\/main, but the cache service .* does not give it/,
      /is unknown/,
    );
  });

  test('a job that may not read caches is told so', async () => {
    await using b = await bench();
    await b.put(MAIN);
    await fails(
      b.pullRequest({ permission: 'none' }).find(query),
      'store-unavailable',
      /cache read denied: no readable scopes/,
      /token/,
    );
  });

  for (const status of [404, 429])
    test(`a service that answers ${status} is an outage`, async () => {
      await using b = await bench();
      await b.put(MAIN);
      b.server.faults.push({ at: 'GetCacheEntryDownloadURL', kind: 'status', status, message: 'no' });
      await fails(
        b.pullRequest().find(query),
        'store-unavailable',
        new RegExp(`answered ${status} \\(no\\)`),
      );
      await fails(b.store.classes(query.suite), 'store-unavailable', new RegExp(`answered ${status}`));
    });
});

describe('a refresh replaces only what it has seen', () => {
  test('another one stored in the meantime: it says so, and nothing is stored', async () => {
    await using b = await bench();
    await b.put(MAIN, OLDER);
    await b.put(MAIN, NEWER);
    const made = await b.make();
    for (const replaces of [keyOf(OLDER), undefined])
      await fails(
        b.store.save(query, made, replaces),
        'store-refused',
        /not stored: another refresh \(run 17000000005, attempt 1\)/,
        new RegExp(keyOf(NEWER)),
      );
    assert.equal(b.server.entries.length, 2);
    assert.ok(!b.server.calls.includes('CreateCacheEntry'));
  });

  test('two at once: the newer one counts, and the other one says so', async () => {
    await using b = await bench();
    await b.put(MAIN, OLDER);
    const made = await b.make();
    b.server.onCall = (call) => {
      // After its own upload, and before it looks again.
      if (call !== 'FinalizeCacheEntryUpload') return;
      b.server.onCall = (next) => {
        if (next !== 'GetCacheEntryDownloadURL') return;
        b.server.onCall = () => undefined;
        b.server.put({
          ...{ key: keyOf(NEWER), version: b.server.entries.at(-1)?.version ?? '' },
          archive: Buffer.from('x'),
        });
      };
    };
    await fails(
      b.store.save(query, made, keyOf(OLDER)),
      'store-refused',
      new RegExp(`"${keyOf()}" was stored, but is superseded by "${keyOf(NEWER)}".*run 17000000005`),
      /concurrency/,
    );
  });

  fault(
    'two refreshes at once',
    'two refreshes that store at the same time',
    'one counts, and the other one says so',
    async () => {
      await using b = await bench();
      const save = async (differs?: Parameters<typeof baselineKey>[0]) =>
        await b.store.save(baselineKey(differs), await b.make(differs), undefined);
      const results = await Promise.allSettled([save(), save(NEWER)]);
      for (const result of results)
        if (result.status === 'rejected')
          await fails(Promise.reject(result.reason), 'store-refused', /newer one/);
      const winners = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      assert.ok(winners.includes(b.server.entries.at(-1)?.key ?? ''), 'the last one has won');
      await using lookup = await found(b.store);
      assert.ok(winners.includes(lookup.key));
    },
  );

  test('an old one that was evicted meanwhile stands in no way', async () => {
    await using b = await bench();
    const { key } = await b.put(MAIN, OLDER);
    b.server.evict(key);
    assert.equal(await b.store.save(query, await b.make(), keyOf(OLDER)), keyOf());
  });

  test('one of the same bits under a newer key replaces the old one', async () => {
    await using b = await bench();
    await b.put(MAIN);
    const again = { runId: '17000000009' };
    const made = await b.make(again);
    assert.equal(await b.store.save(baselineKey(again), made, keyOf()), keyOf(again));
    await using lookup = await found(b.pullRequest());
    assert.deepEqual(await bytesBelow(lookup.folder), await bytesBelow(made));
  });

  test('a token that may only read is refused with the reason', async () => {
    await using b = await bench();
    const store = b.storeWith({ env: b.server.job({ ref: MAIN, default: MAIN, permission: 'read' }) });
    await fails(
      store.save(query, await b.make(), undefined),
      'store-refused',
      /cache write denied: no writable scopes/,
      /workflow_dispatch/,
    );
    assert.equal(b.server.entries.length, 0);
  });

  test('a rate limit stores nothing', async () => {
    await using b = await bench();
    b.server.faults.push({ at: 'CreateCacheEntry', kind: 'status', status: 429, message: 'slow down' });
    await fails(b.store.save(query, await b.make(), undefined), 'store-unavailable', /not stored.*slow down/);
  });
});

describe('protocol v1 has no scopes that are known', () => {
  test('an entry of another key than the wanted one is not taken', async () => {
    await using b = await bench();
    await b.put(MAIN);
    await using v1 = await startServer((_, response) => {
      const answer = { cacheKey: `${keyOf()}-other`, archiveLocation: 'http://127.0.0.1:1/', scope: PULL };
      response.writeHead(200).end(JSON.stringify(answer));
    });
    const env = { ACTIONS_CACHE_SERVICE_V2: '', ACTIONS_CACHE_URL: `http://${v1.host}/` };
    await fails(b.pullRequest({ env }).find(query), 'baseline-invalid', /is shadowed: a branch that is not/);
  });
});
