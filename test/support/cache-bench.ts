import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { CACHED_PATH, cacheVersion } from '../../src/baseline/cache/service.ts';
import { type CacheStoreOptions, createCacheStore } from '../../src/baseline/cache/store.ts';
import { type BaselineStore, formatKey } from '../../src/baseline/port.ts';
import { UserError } from '../../src/errors.ts';
import { githubApi } from '../../src/github/api.ts';
import { privateFolder } from '../../src/machine/scratch.ts';
import { baselineKey, writeBaseline } from './cache-baseline.ts';
import { type CacheJob, type CacheServer, type StoredEntry, startCacheServer } from './cache-server.ts';
import { type GitHubServer, startGitHubServer } from './github-server.ts';

export const MAIN = 'refs/heads/main';
export const PULL = 'refs/pull/7/merge';

type Differs = Parameters<typeof baselineKey>[0];

export interface Bench extends AsyncDisposable {
  readonly server: CacheServer;
  /** The store of a run on the default branch, which asks nobody but the cache service. */
  readonly store: BaselineStore;
  /** GitHub's API of the same repository, and its list of the server's entries. */
  readonly github: GitHubServer;
  readonly listing: NonNullable<CacheStoreOptions['listing'] & CacheStoreOptions['marks']>;
  /** Where the test may write; `temp` below it is the store's temporary folder. */
  readonly folder: string;
  readonly lines: string[];
  storeWith(differs: Partial<Omit<CacheStoreOptions, 'tempFolder' | 'log'>>): BaselineStore;
  /** The store of a run of a pull request into the default branch, with GitHub's list. */
  pullRequest(differs?: Partial<CacheStoreOptions & Pick<CacheJob, 'permission'>>): BaselineStore;
  /** A folder as `refresh` makes it. */
  make(differs?: Differs, body?: string): Promise<string>;
  /** Puts a whole baseline on a branch, packed with gzip, as a run there would; quicker than the library. */
  put(ref: string, differs?: Differs, body?: string): Promise<StoredEntry>;
}

/** Servers, a store that uses them, and a check at the end that neither workspace nor temporary folder holds anything. */
export async function bench(): Promise<Bench> {
  const owned = new AsyncDisposableStack();
  const server = owned.use(await startCacheServer());
  const [repository, token] = ['octo/models', 'token-of-the-job'];
  const github = owned.use(await startGitHubServer({ repository, token, caches: server }));
  const listing = githubApi({ url: github.url, repository, token, env: {}, retryBaseMs: 1 });
  const { path: folder } = owned.use(await privateFolder());
  const temp = join(folder, 'temp');
  const workspace = join(folder, 'work space');
  await mkdir(workspace);
  const lines: string[] = [];
  let made = 0;
  const make: Bench['make'] = (differs, body) =>
    writeBaseline(join(folder, `made-${made++}`), baselineKey(differs), body);
  const storeWith: Bench['storeWith'] = ({ env, patience, ...rest }) =>
    createCacheStore({
      env: { ...server.env, PATH: process.env['PATH'], GITHUB_WORKSPACE: workspace, ...env },
      tempFolder: temp,
      log: (line) => lines.push(line),
      patience: { retryDelaysMs: [1, 1], ...patience },
      trustedRefs: [MAIN],
      ownRef: MAIN,
      ...rest,
    });
  return {
    ...{ server, github, listing, folder, lines, storeWith, make },
    store: storeWith({}),
    pullRequest: ({ env, permission = 'write', ...rest } = {}) =>
      storeWith({
        env: { ...server.job({ ref: PULL, base: MAIN, default: MAIN, permission }), ...env },
        ownRef: PULL,
        listing,
        marks: listing,
        ...rest,
      }),
    async put(ref, differs, body) {
      const archive = await tarOf(await make(differs, body));
      return server.put({
        key: formatKey(baselineKey(differs)),
        version: cacheVersion('gzip'),
        archive: gzipSync(archive),
        ref,
      });
    },
    async [Symbol.asyncDispose]() {
      await using _ = owned;
      assert.deepEqual(await readdir(workspace), [], 'the workspace stays as it was');
      assert.deepEqual(await readdir(temp).catch(() => []), [], 'no temporary folder remains');
    },
  };
}

/** As @actions/cache packs it. */
async function tarOf(folder: string): Promise<Buffer> {
  const tar = spawn('tar', [
    '--posix',
    '-cf',
    '-',
    '--transform',
    `s,^\\.,${CACHED_PATH},`,
    '-C',
    folder,
    '.',
  ]);
  const [archive] = await Promise.all([buffer(tar.stdout), once(tar, 'close')]);
  return archive;
}

/** A server of a test's own. */
export async function startServer(
  listener: RequestListener,
): Promise<AsyncDisposable & { readonly host: string }> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    host: typeof address === 'object' ? `127.0.0.1:${address?.port}` : '',
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Asserts the code and that message and hint together say all of this. */
export async function fails(work: Promise<unknown>, code: UserError['code'], ...says: readonly RegExp[]) {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof UserError, `not a UserError: ${String(error)}`);
    assert.equal(error.code, code, error.message);
    for (const say of says) assert.match(`${error.message}\n${error.hint}`, say);
    return true;
  });
}
