import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { cacheVersion } from '../../src/baseline/cache/service.ts';
import { formatKey } from '../../src/baseline/port.ts';
import { UserError } from '../../src/errors.ts';
import { privateFolder } from '../../src/machine/scratch.ts';
import { job, startAct } from '../support/cache-act.ts';
import { baselineKey, bytesBelow, writeBaseline } from '../support/cache-baseline.ts';
import { type Bench, bench, fails, MAIN, startServer } from '../support/cache-bench.ts';
import { fault } from '../support/fault.ts';

const query = baselineKey();

describe('the cache store against a server of protocol v2', () => {
  test('gives back what was saved, and takes its private copy away again', async () => {
    await using b = await bench();
    const made = await writeBaseline(join(b.folder, 'made'), query);
    assert.equal(await b.store.save(query, made, undefined), formatKey(query));
    const found = await b.store.find(query);
    assert.ok(found.kind === 'found');
    assert.equal(found.key, formatKey(query));
    assert.deepEqual(await bytesBelow(found.folder), await bytesBelow(made));
    await found[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(join(b.folder, 'temp')), []);
  });

  test('saves what @actions/cache itself can restore', async () => {
    await using b = await bench();
    const made = await writeBaseline(join(b.folder, 'made'), query);
    await b.store.save(query, made, undefined);
    const restored = join(b.folder, 'restored');
    await mkdir(restored);
    const script = `import { restoreCache } from ${JSON.stringify(import.meta.resolve('@actions/cache'))};
      process.exitCode = (await restoreCache(['.deterministic-ml/baseline'], ${JSON.stringify(formatKey(query))})) ? 0 : 1;`;
    const env = {
      PATH: process.env['PATH'],
      ...b.server.env,
      GITHUB_WORKSPACE: restored,
      RUNNER_TEMP: restored,
    };
    // Asynchronous, since the server lives in this process.
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { cwd: restored, env });
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
    assert.deepEqual(await bytesBelow(join(restored, '.deterministic-ml/baseline')), await bytesBelow(made));
  });

  test('takes the newest entry of exactly this suite and hardware class', async () => {
    await using b = await bench();
    await b.put(MAIN, { runId: '17000000009' });
    const newest = await b.put(MAIN, { runId: '17000000002', record: 'ef'.repeat(32) });
    await b.put(MAIN, { suite: 'Serving-12', runId: '17000000010' });
    await b.put(MAIN, { hardwareClass: 'nvidia-h100-80gb-hbm3-cc9.0-sm132-x1-2', runId: '17000000011' });
    const found = await b.store.find(query);
    assert.ok(found.kind === 'found');
    await using _ = found;
    assert.equal(found.key, newest.key);
  });

  test('says of an empty cache what it asked, and names no hardware class', async () => {
    await using b = await bench();
    const lookup = await b.store.find(query);
    assert.ok(lookup.kind === 'absent');
    assert.deepEqual(lookup.otherClasses, []);
    const explained = lookup.explanation.join('\n');
    assert.match(explained, new RegExp(`${b.server.host} \\(protocol v2\\)`));
    assert.match(
      explained,
      /"deterministic-ml-v1\/Serving-1\/nvidia-h100-80gb-hbm3-cc9.0-sm132-x1\/", packed with zstd or gzip/,
    );
    assert.match(explained, /unused for 7 days/);
  });

  test('names the newest other hardware class of the suite, and no class of another suite', async () => {
    await using b = await bench();
    for (const differs of [{ hardwareClass: 'cpu-intel-avx512' }, { suite: 'Serving-12' }])
      await b.put(MAIN, differs);
    const lookup = await b.store.find(query);
    assert.ok(lookup.kind === 'absent');
    assert.deepEqual(lookup.otherClasses, ['cpu-intel-avx512']);
    assert.match(lookup.explanation.join('\n'), /on other hardware, the newest is ".*cpu-intel-avx512/);
  });

  test('reads what a runner without zstd saved, and the newer one where both kinds are there', async () => {
    await using b = await bench();
    const bin = join(b.folder, 'bin');
    await mkdir(bin);
    for (const name of ['tar', 'gzip'])
      await symlink(spawnSync('which', [name]).stdout.toString().trim(), join(bin, name));
    const older = baselineKey({ runId: '9' });
    await b.store.save(older, await writeBaseline(join(b.folder, 'zstd'), older), undefined);
    const newer = baselineKey({ runId: '10' });
    const made = await writeBaseline(join(b.folder, 'gzip'), newer);
    await b.storeWith({ env: { PATH: bin } }).save(newer, made, formatKey(older));
    assert.deepEqual(
      b.server.entries.map(({ version }) => version),
      [cacheVersion('zstd-without-long'), cacheVersion('gzip')],
    );
    const found = await b.store.find(query);
    assert.ok(found.kind === 'found');
    await using _ = found;
    assert.equal(found.key, formatKey(newer));
    assert.deepEqual(await bytesBelow(found.folder), await bytesBelow(made));
  });

  test('does not take an entry with a name of another form, nor look behind it', async () => {
    await using b = await bench();
    await b.put(MAIN);
    for (const name of ['latest', '1-1-abababababababab/more', '##[add-path]evil\n::stop-commands::x']) {
      b.server.put({
        key: `deterministic-ml-v1/Serving-1/nvidia-h100-80gb-hbm3-cc9.0-sm132-x1/${name}`,
        version: cacheVersion('gzip'),
        archive: Buffer.alloc(0),
      });
      await fails(
        b.store.find(query),
        'baseline-invalid',
        /a name that this action does not give/,
        /gh cache delete/,
        // Nothing that the runner would execute.
        /^(?!.*(?:##\[|::))/,
      );
    }
  });

  test('a key that is taken is refused by its name, and what was there stays', async () => {
    await using b = await bench();
    const made = await writeBaseline(join(b.folder, 'made'), query);
    await b.store.save(query, made, undefined);
    await fails(
      b.store.save(query, made, undefined),
      'store-refused',
      new RegExp(formatKey(query)),
      /already/,
    );
    assert.equal(b.server.entries.length, 1);
  });

  test('a key that another upload took and never finished is no baseline that is there', async () => {
    await using b = await bench();
    b.server.faults.push({ at: 'CreateCacheEntry', kind: 'status', status: 409, message: 'already exists' });
    const made = await writeBaseline(join(b.folder, 'made'), query);
    await fails(
      b.store.save(query, made, undefined),
      'store-unavailable',
      new RegExp(formatKey(query)),
      /says that it is being stored already, but does not have it/,
    );
  });
});

describe('an outage is not an absence', () => {
  test('no cache service at all', async () => {
    await using b = await bench();
    const store = b.storeWith({ env: { ACTIONS_RESULTS_URL: '', ACTIONS_RUNTIME_TOKEN: '' } });
    await fails(
      store.find(query),
      'store-unavailable',
      /ACTIONS_RESULTS_URL and ACTIONS_RUNTIME_TOKEN are not set/,
      /store: files/,
    );
  });

  test('a service that is down', async () => {
    await using b = await bench();
    const gone = await startServer(() => undefined);
    await gone[Symbol.asyncDispose]();
    const store = b.storeWith({ env: { ACTIONS_RESULTS_URL: `http://${gone.host}/` } });
    await fails(store.find(query), 'store-unavailable', new RegExp(`${gone.host}.* refused the connection`));
    const made = await writeBaseline(join(b.folder, 'made'), query);
    await fails(store.save(query, made, undefined), 'store-unavailable', /refused the connection/);
  });

  test('a service that answers 500', async () => {
    await using b = await bench();
    b.server.faults.push({ at: 'GetCacheEntryDownloadURL', kind: 'status', status: 500, message: 'on fire' });
    await fails(
      b.store.find(query),
      'store-unavailable',
      /answered 500 \(on fire\)/,
      /githubstatus/,
      /no verdict/,
    );
  });

  test('a service that stumbles and recovers is no error', async () => {
    await using b = await bench();
    const fault = { at: 'GetCacheEntryDownloadURL', times: 2 } as const;
    b.server.faults.push({ ...fault, kind: 'status', status: 503, message: 'busy' });
    assert.equal((await b.store.find(query)).kind, 'absent');
  });

  for (const status of [401, 403])
    test(`a token that may not read (${status})`, async () => {
      await using b = await bench();
      const message = 'cache read denied: no readable scopes';
      b.server.faults.push({ at: 'GetCacheEntryDownloadURL', kind: 'status', status, message });
      await fails(b.store.find(query), 'store-unavailable', /cache read denied: no readable scopes/, /token/);
      const retried = b.server.calls.length > 2;
      assert.equal(retried, false, 'a denial does not pass by asking again');
    });

  test('a mode that forbids reading', async () => {
    await using b = await bench();
    const store = b.storeWith({ env: { ACTIONS_CACHE_MODE: 'none' } });
    await fails(store.find(query), 'store-unavailable', /ACTIONS_CACHE_MODE is "none"/);
    assert.deepEqual(b.server.calls, []);
  });

  test('a black hole, within the own deadline', async () => {
    await using b = await bench();
    b.server.faults.push({ at: 'GetCacheEntryDownloadURL', kind: 'silence' });
    const store = b.storeWith({ patience: { lookupMs: 300 } });
    await fails(store.find(query), 'store-unavailable', /did not answer within 0.3 s/);
  });

  fault(
    'proxy’s page in place of an answer',
    'a proxy that answers with its login page',
    '`store-unavailable`: an outage, and no absence',
    async () => {
      await using b = await bench();
      b.server.faults.push({ at: 'GetCacheEntryDownloadURL', kind: 'page', html: '<h1>Log in</h1>' });
      await fails(b.store.find(query), 'store-unavailable', /something that no cache service says/);
    },
  );

  for (const { kind, says, patience } of [
    { kind: 'cut-short', says: /closed the connection/, patience: {} },
    { kind: 'reset', says: /closed the connection/, patience: {} },
    {
      kind: 'silence',
      says: /did not finish the download of ".*" within 0.3 s/,
      patience: { downloadMs: 300 },
    },
  ] as const)
    test(`a download that is ${kind}`, async () => {
      await using b = await bench();
      await b.put(MAIN);
      b.server.faults.push({ at: 'download', kind });
      const store = b.storeWith({ patience });
      await fails(store.find(query), 'store-unavailable', says, new RegExp(formatKey(query)));
    });

  test('a service of protocol v1 that fails', async () => {
    await using b = await bench();
    await using v1 = await startServer((_, response) => response.writeHead(500).end('<html>on fire</html>'));
    const env = { ACTIONS_CACHE_SERVICE_V2: '', ACTIONS_CACHE_URL: `http://${v1.host}/secret/` };
    await fails(
      b.storeWith({ env }).find(query),
      'store-unavailable',
      /answered 500 \(on fire\)/,
      /protocol v1/,
      // The path of such an address is what keeps others out.
      /^(?!.*secret)/s,
    );
  });

  test("is asked through the runner's proxy", async () => {
    await using b = await bench();
    await using proxy = await startServer((request, response) => {
      const isForUs = request.url?.startsWith('http://cache.invalid/twirp/') === true;
      response.writeHead(isForUs ? 200 : 502).end('{"ok":false}');
    });
    const env = { ACTIONS_RESULTS_URL: 'http://cache.invalid/', http_proxy: `http://${proxy.host}` };
    assert.equal((await b.storeWith({ env }).find(query)).kind, 'absent');
  });

  test('a cancelled job ends with its own reason', async () => {
    await using b = await bench();
    b.server.faults.push({ at: 'GetCacheEntryDownloadURL', kind: 'silence' });
    const reason = new UserError('cancelled', 'cancelled', '');
    await fails(b.storeWith({ signal: AbortSignal.abort(reason) }).find(query), 'cancelled');
  });
});

describe('a save that did not take place is an error', () => {
  test('a mode that forbids writing', async () => {
    await using b = await bench();
    const store = b.storeWith({ env: { ACTIONS_CACHE_MODE: 'read' } });
    const made = await writeBaseline(join(b.folder, 'made'), query);
    await fails(
      store.save(query, made, undefined),
      'store-refused',
      /ACTIONS_CACHE_MODE is "read"/,
      /workflow_dispatch/,
    );
  });

  test('a read-only token', async () => {
    await using b = await bench();
    const message = 'cache write denied: untrusted event';
    b.server.faults.push({ at: 'CreateCacheEntry', kind: 'status', status: 403, message });
    const made = await writeBaseline(join(b.folder, 'made'), query);
    await fails(
      b.store.save(query, made, undefined),
      'store-refused',
      /cache write denied: untrusted event/,
      /pull_request_target.*workflow_dispatch/,
    );
  });

  test('no room left', async () => {
    await using b = await bench();
    const message = 'insufficient usage to create';
    b.server.faults.push({ at: 'CreateCacheEntry', kind: 'status', status: 403, message });
    const made = await writeBaseline(join(b.folder, 'made'), query);
    await fails(b.store.save(query, made, undefined), 'store-refused', /quota/, /gh cache delete/);
  });

  for (const { step, refuses } of [
    { step: 'the entry', refuses: 'POST' },
    // The library gives an id all the same.
    { step: 'the bytes', refuses: 'PATCH' },
  ] as const)
    test(`a service of protocol v1 that denies ${step}`, async () => {
      await using b = await bench();
      await using v1 = await startServer((request, response) => {
        request.resume().on('end', () => {
          if (request.method === 'GET') response.writeHead(204).end();
          else if (request.method === refuses) response.writeHead(403).end('{"message":"Forbidden"}');
          else response.writeHead(201).end('{"cacheId":7}');
        });
      });
      const env = { ACTIONS_CACHE_SERVICE_V2: '', ACTIONS_CACHE_URL: `http://${v1.host}/` };
      const made = await writeBaseline(join(b.folder, 'made'), query);
      await fails(
        b.storeWith({ env }).save(query, made, undefined),
        'store-refused',
        /not stored.*(?:403|Forbidden)/,
      );
    });

  test('accepted but lost', async () => {
    await using b = await bench();
    b.server.faults.push({ at: 'FinalizeCacheEntryUpload', kind: 'lost' });
    const made = await writeBaseline(join(b.folder, 'made'), query);
    await fails(
      b.store.save(query, made, undefined),
      'store-unavailable',
      /not stored.*accepted it, but does not have it/,
    );
  });

  test('a service that takes no upload within the own deadline', async () => {
    await using b = await bench();
    b.server.faults.push({ at: 'CreateCacheEntry', kind: 'silence' });
    const made = await writeBaseline(join(b.folder, 'made'), query);
    await fails(
      b.storeWith({ patience: { saveMs: 1500 } }).save(query, made, undefined),
      'store-unavailable',
      /did not take it within 1.5 s/,
    );
  });

  test('a job that is cancelled in the middle ends at once, with its own reason', async () => {
    await using b = await bench();
    b.server.faults.push({ at: 'CreateCacheEntry', kind: 'silence' });
    const made = await writeBaseline(join(b.folder, 'made'), query);
    const cancel = new AbortController();
    b.server.onCall = (call) => {
      if (call === 'CreateCacheEntry') cancel.abort(new UserError('cancelled', 'cancelled', ''));
    };
    await fails(b.storeWith({ signal: cancel.signal }).save(query, made, undefined), 'cancelled');
  });

  test('a record with a link in it', async () => {
    await using b = await bench();
    const made = await writeBaseline(join(b.folder, 'made'), query);
    await symlink('/etc/passwd', join(made, 'bodies', 'link'));
    await fails(
      b.store.save(query, made, undefined),
      'record-invalid',
      /"bodies\/link" in it is a symbolic link/,
    );
  });
});

describe('an archive that somebody else put there', () => {
  type Entry = Parameters<ReturnType<typeof pack>['entry']>[0];
  const inside = '.deterministic-ml/baseline';
  const archiveOf = async (...entries: readonly Entry[]): Promise<Buffer> => {
    const archive = pack();
    for (const entry of entries) archive.entry(entry, entry.type === undefined ? 'hostile' : '');
    archive.finalize();
    return gzipSync(await buffer(archive));
  };
  const put = async (b: Bench, archive: Buffer) =>
    b.server.put({ key: formatKey(query), version: cacheVersion('gzip'), archive });

  for (const [what, entries, says] of [
    ['an absolute path', [{ name: '/tmp/deterministic-ml-evil' }], /lies outside/],
    ['a path that climbs', [{ name: `${inside}/../../../evil` }], /is no name of a file/],
    ['a symbolic link', [{ name: `${inside}/a`, type: 'symlink', linkname: '/' }], /a symbolic link/],
    ['a hard link', [{ name: `${inside}/a`, type: 'link', linkname: '/etc/passwd' }], /a hard link/],
    ['a device', [{ name: `${inside}/a`, type: 'block-device' }], /a device/],
    ['a character device', [{ name: `${inside}/a`, type: 'character-device' }], /a device/],
    ['a folder that climbs', [{ name: `${inside}/../evil`, type: 'directory' }], /is no name of a file/],
    [
      'an absolute path in an extended header',
      [{ name: `${inside}/a`, pax: { path: '/tmp/deterministic-ml-evil' } }],
      /lies outside/,
    ],
    ['a size below nothing', [{ name: `${inside}/a`, pax: { size: '-512' } }], /has no size/],
    ['a size beyond what there is', [{ name: `${inside}/a`, pax: { size: '1000000' } }], /cut short/],
    [
      'a size beyond the limit',
      [{ name: `${inside}/a`, pax: { size: '9007199254740991' } }],
      /more than 1073741824 bytes/,
    ],
    ['a pipe', [{ name: `${inside}/a`, type: 'fifo' }], /a named pipe/],
    ['a file twice', [{ name: `${inside}/a` }, { name: `${inside}/a` }], /twice/],
    ['a file elsewhere in the workspace', [{ name: 'package.json' }], /lies outside/],
    ['nothing', [], /no file/],
  ] as const satisfies readonly (readonly [string, readonly Entry[], RegExp])[])
    test(`with ${what} is refused, and nothing of it is written`, async () => {
      await using b = await bench();
      await put(b, await archiveOf(...entries));
      await fails(b.store.find(query), 'baseline-invalid', says, /gh cache delete/);
      assert.equal(await readFile('/tmp/deterministic-ml-evil').catch(() => 'absent'), 'absent');
    });

  for (const [what, headers] of [
    // As much as a header can say.
    ['a file of 8 GB of zeros', [{ name: `${inside}/a`, size: 8 * 2 ** 30 - 1 }]],
    ['an end of 10 GB of zeros', []],
  ] as const)
    test(`with ${what} ends at the limit`, async () => {
      await using b = await bench();
      const archive = pack();
      for (const header of headers) archive.entry(header);
      let first: unknown = Buffer.alloc(512);
      if (headers.length > 0)
        for await (const chunk of archive) {
          first = chunk;
          break;
        }
      assert.ok(first instanceof Buffer && first.length === 512);
      // A stream of gzip may have many members: each of these is a mebibyte when it is unpacked.
      const zeros = gzipSync(Buffer.alloc(2 ** 20));
      await put(b, Buffer.concat([gzipSync(first), ...Array.from({ length: 10 * 2 ** 10 }, () => zeros)]));
      const store = b.storeWith({ limits: { bytes: 100_000, files: 10 } });
      await fails(
        store.find(query),
        'baseline-invalid',
        /more than 100000 bytes|something follows after its end/,
      );
    });

  test('with bytes that are no archive is refused', async () => {
    await using b = await bench();
    await put(b, Buffer.from('not even compressed'));
    await fails(b.store.find(query), 'baseline-invalid', /cannot be decompressed/);
    await put(b, gzipSync(Buffer.alloc(512, 'x')));
    await fails(b.store.find(query), 'baseline-invalid', /no tar archive/);
  });
});

describe("the cache store against act's own cache server, protocol v1", () => {
  test('a later job finds what an earlier one saved, and an unknown hardware class is absent', async () => {
    await using folder = await privateFolder();
    const act = await startAct(folder.path);
    const key = baselineKey({ runId: '1' });
    const made = await writeBaseline(join(folder.path, 'made'), key);

    assert.deepEqual(await act.run(job('find', key)), {
      kind: 'absent',
      otherClasses: [],
      protocol: 'v1',
    });
    assert.deepEqual(await act.run(job('save', key, { folder: made })), { key: formatKey(key) });
    assert.deepEqual(await act.run(job('find', key)), {
      kind: 'found',
      // Although this server folds the case of keys.
      key: formatKey(key),
      bytes: await bytesBelow(made),
    });
    assert.deepEqual(await act.run(job('find', baselineKey({ hardwareClass: 'cpu-intel-avx512' }))), {
      kind: 'absent',
      otherClasses: [key.hardwareClass],
      protocol: 'v1',
    });
    assert.match(
      String((await act.run(job('save', key, { folder: made })))['error']),
      /^store-refused: .* already/,
    );
  });
});
