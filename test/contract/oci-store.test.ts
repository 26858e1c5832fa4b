import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import type http from 'node:http';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { type BaselineStore, formatKey } from '../../src/baseline/port.ts';
import { ociRemote, repositoryIn } from '../../src/baseline/remote/oci.ts';
import { createRemoteStore } from '../../src/baseline/remote/store.ts';
import type { UserError } from '../../src/errors.ts';
import { privateFolder, type Scratch } from '../../src/machine/scratch.ts';
import { baselineKey, writeBaseline } from '../support/cache-baseline.ts';
import { startTokenRegistry, type TokenRegistry, USERS } from '../support/token-registry.ts';
import { behavesAsStore, fails, foundIn, ON_MAIN } from './store.ts';

/* Against Debian's registry, behind a challenge and tokens as public ones have them. */

let registry: TokenRegistry;
let folder: Scratch;
before(async () => {
  registry = await startTokenRegistry();
  folder = await privateFolder();
  for (const [user, { password }] of Object.entries({ ...USERS, nobody: { password: 'x' } })) {
    const auth = Buffer.from(`${user}:${password}`).toString('base64');
    await mkdir(join(folder.path, user));
    await writeFile(
      join(folder.path, user, 'config.json'),
      JSON.stringify({ auths: { [registry.address]: { auth } } }),
    );
  }
});
after(async () => {
  await registry[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});
afterEach(() => {
  registry.fault = undefined;
});

let places = 0;

function open(
  path: string,
  user: keyof typeof USERS | 'nobody' = 'writer',
  temp?: string,
  branches = ON_MAIN,
) {
  const { signal } = new AbortController();
  // As docker/login-action leaves it.
  const environment = { DOCKER_CONFIG: join(folder.path, user) };
  const repository = repositoryIn({ DETERMINISM_OCI_REPOSITORY: `${registry.address}/acme/baselines` });
  return createRemoteStore({
    ...{ kind: 'oci', tempFolder: temp ?? join(folder.path, 'temp'), signal, ...branches },
    log: () => {},
    remote: () => ociRemote(repository, path, { environment, signal, silenceMs: 5_000 }),
    pause: async () => {},
  });
}

behavesAsStore('oci', () => {
  const path = `path ${places++}`;
  return { open: (temp, branches) => open(path, 'writer', temp, branches) };
});

const KEY = baselineKey();
const NEXT = baselineKey({ runId: '17000000002', record: 'ef'.repeat(32) });
const made = (key: typeof KEY, body?: string) =>
  writeBaseline(join(folder.path, `made-${places++}`), key, body);

async function stored(): Promise<string> {
  const path = `path ${places++}`;
  await open(path).save(KEY, await made(KEY), undefined);
  return path;
}

const found = (store: BaselineStore) => foundIn(store, KEY);

describe('the oci store', () => {
  test('is proven where this run may not push, and says so where it may', async () => {
    const path = await stored();
    const read = await found(open(path, 'reader'));
    assert.ok(read.proof.kind === 'proven' && /may not write to the repository 127/.test(read.proof.how));
    const written = await found(open(path));
    assert.equal(written.proof.kind, 'unproven');
  });

  test('shows the password to who gives tokens alone', () => {
    assert.deepEqual([...registry.shown].sort(), ['', 'Bearer']);
  });

  test('stores nothing over what another refresh has made count in the meantime', async () => {
    const path = await stored();
    const other = baselineKey({ runId: '17000000003', record: '12'.repeat(32) });
    const folders = [await made(NEXT), await made(other)] as const;
    await open(path).save(NEXT, folders[0], formatKey(KEY));
    await fails(open(path).save(other, folders[1], formatKey(KEY)), 'store-refused', /counts now/);
    assert.equal((await found(open(path))).key, formatKey(NEXT));
  });

  const answer =
    (status: number, text: string, of: RegExp = /./) =>
    ({ url = '' }: http.IncomingMessage, reply: http.ServerResponse) => {
      if (!of.test(url)) return false;
      reply.writeHead(status, { 'content-type': 'text/html' }).end(text);
      return true;
    };
  for (const [what, fault, code, says] of [
    ['an outage', answer(503, '<html>down</html>'), 'store-unavailable', /answered 503 \(down\)/],
    ['a page of a proxy', answer(404, '<html>Log in</html>'), 'store-unavailable', /answered 404 \(Log in\)/],
    [
      'a denial',
      answer(403, '{"errors":[{"code":"DENIED"}]}'),
      'store-unavailable',
      /403 \(DENIED\)[\s\S]*right to pull/,
    ],
    [
      'another file in a blob’s place',
      answer(200, 'other bytes', /blobs/),
      'baseline-invalid',
      /digest to sha256:/,
    ],
    [
      'a manifest of something else',
      answer(200, '{"layers":[]}', /manifests/),
      'baseline-invalid',
      /no baseline of this action/,
    ],
  ] as readonly (readonly [string, TokenRegistry['fault'], UserError['code'], RegExp])[])
    test(`${what} is an error, and never an absence`, async () => {
      const path = await stored();
      registry.fault = fault;
      await fails(open(path).find(KEY), code, says);
    });

  test('who may not pull or push is told so', async () => {
    const path = await stored();
    await fails(open(path, 'nobody').find(KEY), 'store-unavailable', /401 \(UNAUTHORIZED\)/, /Log in to 127/);
    const next = await made(NEXT);
    await fails(open(path, 'reader').save(NEXT, next, formatKey(KEY)), 'store-refused', /right to push/);
  });

  test('a repository is the environment’s to name, and must be one', () => {
    for (const wrong of [
      '',
      'acme/baselines',
      'https://ghcr.io/a',
      'ghcr.io/',
      'ghcr.io/A/b',
      'ghcr.io/a/../b',
      'ghcr.io/a:tag',
    ])
      assert.throws(
        () => repositoryIn({ DETERMINISM_OCI_REPOSITORY: wrong }),
        { code: 'store-unavailable' },
        wrong,
      );
    assert.deepEqual(
      [repositoryIn({ DETERMINISM_OCI_REPOSITORY: 'ghcr.io/acme/a-b' })].map(({ base, name }) => [
        base.href,
        name,
      ]),
      [['https://ghcr.io/', 'acme/a-b']],
    );
  });
});
