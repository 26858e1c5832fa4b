import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { markerOf } from '../../src/baseline/cache/mark.ts';
import type { Environment } from '../../src/baseline/cache/service.ts';
import { type BaselineStore, formatKey, type Marks } from '../../src/baseline/port.ts';
import { placeIn, s3Remote, s3Store } from '../../src/baseline/remote/s3.ts';
import { createRemoteStore, type RemoteOptions } from '../../src/baseline/remote/store.ts';
import type { UserError } from '../../src/errors.ts';
import { privateFolder, type Scratch } from '../../src/machine/scratch.ts';
import { baselineKey, writeBaseline } from '../support/cache-baseline.ts';
import { bench, MAIN } from '../support/cache-bench.ts';
import { type Fault, type S3Server, startS3 } from '../support/s3-server.ts';
import { behavesAsStore, fails, foundIn, ON_MAIN } from './store.ts';

/* Against moto's server, which checks signatures and rights; what breaks stands before it. */

let server: S3Server;
let folder: Scratch;
before(async () => {
  server = await startS3();
  folder = await privateFolder();
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});
afterEach(() => {
  server.fault = undefined;
});

let places = 0;
/** A part of the bucket that nothing else uses. */
const freshPath = () => `team/fresh ${places++}`;

interface Opening {
  readonly role?: 'writer' | 'reader';
  readonly environment?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly pageSize?: number;
  readonly silenceMs?: number;
}

function open(
  path: string,
  { role = 'writer', environment = {}, ...more }: Opening = {},
  temp?: string,
  branches: Partial<RemoteOptions> = {},
) {
  const signal = more.signal ?? new AbortController().signal;
  const asking = { environment: {}, signal, silenceMs: 5_000, ...more };
  return createRemoteStore({
    ...{ kind: 's3', tempFolder: temp ?? join(folder.path, 'temp'), signal, ...ON_MAIN },
    log: () => {},
    ...branches,
    remote: () => s3Remote(placeIn({ ...server.environment(role), ...environment }), path, asking),
    pause: async () => {},
  });
}

behavesAsStore('s3', () => {
  const path = freshPath();
  return { open: (temp, branches) => open(path, {}, temp, branches) };
});

const KEY = baselineKey();
const NEXT = baselineKey({ runId: '17000000002', record: 'ef'.repeat(32) });
const NEXT_CLASS = { ...KEY, hardwareClass: 'another' };
const OTHER = baselineKey({ runId: '17000000003', record: '12'.repeat(32) });
const made = (key: typeof KEY, body?: string) =>
  writeBaseline(join(folder.path, `made-${places++}`), key, body);

async function stored(path = freshPath()): Promise<string> {
  await open(path).save(KEY, await made(KEY), undefined);
  return path;
}

const found = (store: BaselineStore) => foundIn(store, KEY);

describe('what is remembered of a baseline that a bucket has lost', () => {
  const marker = (env: Environment, marks: Marks) => markerOf({ env, marks, log: () => {}, ...ON_MAIN });

  test('is what GitHub knows of it: a policy lets pass what never was, and nothing that was', async () => {
    await using github = await bench();
    const env = github.server.job({ ref: MAIN, default: MAIN });
    const at = (path: string, role: 'reader' | 'writer' = 'reader') =>
      open(path, { role }, undefined, { marker: marker(env, github.listing) });
    const path = freshPath();
    assert.deepEqual(await at(path).remembers(KEY), { kind: 'never' });
    await at(path, 'writer').save(KEY, await made(KEY), undefined);
    assert.equal(github.server.artifacts.length, 1);
    // A rule of the bucket takes all of it.
    const lost = await at(freshPath()).remembers(KEY);
    assert.match(
      lost.kind === 'once' ? lost.what : '',
      /^A refresh on main stored one at .*, and the bucket/,
    );
    assert.deepEqual(await at(freshPath()).remembers(NEXT_CLASS), { kind: 'never' });
  });

  test('is unknown where no job of GitHub asks, and where GitHub does not tell', async () => {
    assert.equal((await open(freshPath()).remembers(KEY)).kind, 'unknown');
    await using github = await bench();
    const env = github.server.job({ ref: MAIN, default: MAIN });
    const marks = { marks: async () => ({ kind: 'denied', why: 'no right', remedy: 'give it' }) as const };
    const memory = await open(freshPath(), {}, undefined, { marker: marker(env, marks) }).remembers(KEY);
    assert.deepEqual(memory, { kind: 'unknown', why: 'no right', remedy: 'give it' });
  });
});

describe('the s3 store', () => {
  test('is proven where this run may not write, and says so where it may', async () => {
    const path = await stored();
    const read = await found(open(path, { role: 'reader' }));
    assert.ok(read.proof.kind === 'proven' && /may not write to the bucket baselines/.test(read.proof.how));
    const written = await found(open(path));
    assert.ok(written.proof.kind === 'unproven');
    assert.match(`${written.proof.why} ${written.proof.remedy}`, /right to write.*may only read/);
    // Asking has changed nothing.
    assert.deepEqual((await found(open(path, { role: 'reader' }))).proof, read.proof);
  });

  test('gives an older one by its key, and what it does not keep any more is absent', async () => {
    const path = await stored();
    await open(path).save(NEXT, await made(NEXT), formatKey(KEY));
    const older = await open(path).find(KEY, formatKey(KEY));
    assert.ok(older.kind === 'found');
    await using _ = older;
    assert.equal(older.key, formatKey(KEY));
    const gone = await open(path).find(KEY, formatKey(OTHER));
    assert.match(gone.kind === 'absent' ? gone.explanation.join() : '', /does not keep ".*" any more/);
  });

  test('of two refreshes that store at once one wins, and the other is told', async () => {
    const path = await stored();
    const results = await Promise.allSettled(
      await Promise.all(
        [NEXT, OTHER].map(async (key) => {
          const baseline = await made(key);
          return () => open(path).save(key, baseline, formatKey(KEY));
        }),
      ).then((saves) => saves.map((save) => save())),
    );
    const won = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    assert.equal(won.length, 1);
    const lost = results.flatMap((one) => (one.status === 'rejected' ? [one.reason as UserError] : []));
    assert.equal(lost[0]?.code, 'store-refused', lost[0]?.message);
    assert.equal((await found(open(path))).key, won[0]);
  });

  test('takes an answer that was lost on its way for what it is', async () => {
    const path = freshPath();
    const seen = new Set<string>();
    // Each write comes through, and the answer to its first attempt does not come back.
    server.fault = ({ method, url = '' }) => {
      if (method !== 'PUT' || seen.has(url)) return undefined;
      seen.add(url);
      return { cutAt: 0 };
    };
    assert.equal(await open(path).save(KEY, await made(KEY), undefined), formatKey(KEY));
    assert.equal(seen.size, 2);
  });

  test('reads lists of many pages', async () => {
    const path = freshPath();
    const classes = Array.from({ length: 5 }, (_, index) => `gpu-${index}`);
    for (const hardwareClass of classes) {
      const key = baselineKey({ hardwareClass });
      await open(path).save(key, await made(key), undefined);
    }
    assert.deepEqual(await open(path, { pageSize: 2 }).classes(KEY.suite), classes);
  });

  test('tries again what may pass, and takes a body that broke off from its beginning', async () => {
    const path = await stored();
    const broken = new Map<string, number>();
    server.fault = ({ method, url = '' }, answer) => {
      const times = (broken.get(`${method} ${url}`) ?? 0) + 1;
      broken.set(`${method} ${url}`, times);
      if (times === 1) {
        answer.writeHead(503, { 'content-type': 'application/xml' });
        answer.end('<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>');
        return 'answered';
      }
      return times === 2 && url.endsWith('.tar.gz') && method === 'GET' ? { cutAt: 100 } : undefined;
    };
    await found(open(path));
  });

  for (const [what, fault, code, says] of [
    [
      'an outage',
      (_, answer) => {
        answer.writeHead(500).end('<html>Internal ::error::</html>');
        return 'answered';
      },
      'store-unavailable',
      /answered 500 \(Internal : :error: :\).*Whether there is a baseline is unknown/s,
    ],
    ['silence', () => 'answered', 'store-unavailable', /nothing came for 0\.2 s/],
    [
      'an answer that breaks off each time',
      () => ({ cutAt: 10 }),
      'store-unavailable',
      /broke off|cannot be asked/,
    ],
    [
      'a page of a proxy',
      (_, answer) => {
        answer.writeHead(200, { 'content-type': 'text/html' }).end('<html>Log in</html>');
        return 'answered';
      },
      'baseline-invalid',
      /is not what a refresh writes/,
    ],
    [
      'a bit that flipped on the way',
      ({ method, url = '' }) => (method === 'GET' && url.endsWith('.tar.gz') ? { flip: 200 } : undefined),
      'baseline-invalid',
      /its bytes digest to sha256:/,
    ],
    [
      'an archive that is gone',
      ({ url = '' }, answer) => {
        if (!url.endsWith('.tar.gz')) return undefined;
        answer.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>');
        return 'answered';
      },
      'store-unavailable',
      /but does not have it/,
    ],
  ] as readonly (readonly [string, Fault, UserError['code'], RegExp])[])
    test(`${what} is an error, and never an absence`, async () => {
      const path = await stored();
      server.fault = fault;
      await fails(open(path, { silenceMs: what === 'silence' ? 200 : 5_000 }).find(KEY), code, says);
    });

  test('a wrong key, a bucket that is not there and a missing right are errors with their remedy', async () => {
    const path = freshPath();
    const wrong = { AWS_SECRET_ACCESS_KEY: 'wrong' };
    await fails(
      open(path, { environment: wrong }).find(KEY),
      'store-unavailable',
      /403 \(SignatureDoesNotMatch\)/,
      /credentials are right/,
    );
    const elsewhere = { DETERMINISM_S3_BUCKET: 'elsewhere' };
    await fails(
      open(path, { environment: elsewhere }).find(KEY),
      'store-unavailable',
      /NoSuchBucket|AccessDenied/,
    );
    await fails(
      open(path, { role: 'reader' }).save(KEY, await made(KEY), undefined),
      'store-refused',
      /AccessDenied/,
      /s3:PutObject/,
    );
    await fails(
      open(path, { environment: { AWS_ACCESS_KEY_ID: '' } }).find(KEY),
      'store-unavailable',
      /AWS_ACCESS_KEY_ID is not set/,
    );
    const plain = { AWS_ENDPOINT_URL_S3: 'http://s3.example.org' };
    await fails(open(path, { environment: plain }).find(KEY), 'store-unavailable', /plain HTTP/);
  });

  test('takes no archive but the one that was made to count', async () => {
    const path = await stored();
    const swapped = server.environment('writer');
    const place = placeIn(swapped);
    const remote = s3Remote(place, path, { environment: {}, signal: new AbortController().signal });
    const before = await remote.newest(KEY, '');
    assert.ok(before !== undefined);
    const foreign = formatKey(baselineKey({ suite: 'another' }));
    await remote.advance(KEY, { ...before, key: foreign }, before);
    await fails(open(path).find(KEY), 'baseline-invalid', /not of/);
    const now = await remote.newest(KEY, '');
    await remote.advance(KEY, { ...before, sha256: '0'.repeat(64) }, now);
    await fails(open(path).find(KEY), 'baseline-invalid', /another one than the file/);
  });

  test('ends at once when the job is cancelled', async () => {
    const path = await stored();
    server.fault = () => 'answered';
    const abort = new AbortController();
    const asked = open(path, { signal: abort.signal }).find(KEY);
    setTimeout(() => abort.abort(new Error('cancelled')), 50);
    await assert.rejects(asked, { message: 'cancelled' });
  });

  test('is opened without a word about where it is, since a suite may be read where nothing is asked of it', () => {
    const options = {
      ...{ path: 'x', workspace: '/', tempFolder: '/tmp', environment: {}, trustedRefs: [], ownRef: '' },
      ...{ listing: { list: () => assert.fail() }, marks: { marks: () => assert.fail() } },
      ...{ log: () => {}, signal: new AbortController().signal },
      marker: { remembered: () => assert.fail(), stored: () => assert.fail() },
    };
    const store = s3Store.open(options);
    assert.equal(store.branches, 'default');
    assert.throws(() => store.assertWritable(), { code: 'store-unavailable' });
  });
});
