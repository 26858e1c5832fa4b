import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import type { ProvidedModel } from '../../src/engine/runtime.ts';
import { UserError } from '../../src/errors.ts';
import type { ModelsOptions } from '../../src/model/store.ts';
import { fault } from '../support/fault.ts';
import { aHubModel, type HubModel, type HubServerOptions, startHub } from '../support/hub-server.ts';
import { models, temporaryFolder } from '../support/runtimes.ts';
import { tried } from '../support/tried.ts';

/** What an engine may read of the model that the tests' hub has. */
const NEEDED = ['config.json', 'empty.txt', 'model.safetensors', 'sub/chat template.jinja', 'tokenizer.json'];

let owned: AsyncDisposableStack;
let state: string;
let model: HubModel;
beforeEach(async () => {
  owned = new AsyncDisposableStack();
  state = join(owned.use(await temporaryFolder()).path, 'state');
  model = aHubModel();
});
afterEach(() => owned.disposeAsync());

const hubOf = async (options?: HubServerOptions, of = model) => owned.use(await startHub(of, options));
const wanted = () => ({ kind: 'hub', id: model.id, revision: model.revision }) as const;

function fetch(endpoint: string, more: Partial<ModelsOptions> = {}, token?: string): Promise<ProvidedModel> {
  return models({ stateFolder: state, hub: { endpoint, token, environment: {} }, ...more }).fetch(wanted());
}

/** A fetch onto a disk of that kind, whose mount is seen by nobody else and goes with the process that fetches. */
async function onSmallDisk(
  disk: string,
  endpoint: string,
): Promise<{ readonly code: string; readonly message: string } | undefined> {
  const program = fileURLToPath(new URL('../support/fetch.ts', import.meta.url));
  await mkdir(state, { recursive: true });
  const { stdout, stderr, exitCode } = await execa(
    'unshare',
    [
      ...['--mount', '--map-root-user', 'sh', '-c'],
      'mount -t tmpfs -o "$1" none "$0" && shift && exec "$@"',
      ...[state, disk, process.execPath, program],
      JSON.stringify({ state, endpoint, model: wanted() }),
    ],
    { reject: false },
  );
  if (exitCode === 32 || exitCode === undefined || /unshare/.test(stderr)) return undefined;
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout) as { code: string; message: string };
}

/** Paths of all files below a folder. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

async function assertWhole({ folder, files }: ProvidedModel): Promise<void> {
  assert.deepEqual(await filesIn(folder), NEEDED, 'the needed files and nothing else');
  for (const path of NEEDED) {
    const content = model.files[path];
    assert.ok(content?.equals(await readFile(join(folder, path))), path);
    assert.equal((await stat(join(folder, path))).mode & 0o777, 0o644, 'the engine is another user');
  }
  for (const path of [folder, join(folder, 'sub')]) assert.equal((await stat(path)).mode & 0o777, 0o755);
  assert.deepEqual(
    files.map(({ path, sha256 }) => [path, sha256]),
    NEEDED.map((path) => [
      path,
      createHash('sha256')
        .update(model.files[path] ?? '')
        .digest('hex'),
    ]),
  );
}

async function assertRefused(
  attempt: Promise<unknown>,
  code: string,
  message: RegExp,
  hint = /./,
): Promise<void> {
  await assert.rejects(attempt, { code, message, hint });
  assert.deepEqual(
    (await filesIn(state)).filter((path) => path.endsWith(`${model.revision}.json`)),
    [],
    'it counts for nothing',
  );
}

describe('a model of the hub', () => {
  test('is fetched whole with the token; the second time the hub is not asked', async () => {
    const hub = await hubOf({ token: 'hf_secret' });
    const told: [string, number, number][] = [];
    const fetched = await fetch(
      hub.endpoint,
      { onProgress: (what, done, total) => told.push([what, done, total]) },
      'hf_secret',
    );
    await assertWhole(fetched);
    const total = NEEDED.reduce((sum, path) => sum + (model.files[path]?.length ?? 0), 0);
    assert.deepEqual(told.filter(([what]) => what === 'fetch').at(-1), ['fetch', total, total]);
    assert.ok(!(await filesIn(state)).some((path) => path.includes('.partial')));
    const asked = hub.requests.length;
    assert.deepEqual(await fetch(hub.endpoint), fetched);
    assert.equal(hub.requests.length, asked);
  });

  test('is needed to be here only once: then the hub may be away', async () => {
    const hub = await hubOf();
    await fetch(hub.endpoint);
    await assertWhole(await fetch('http://127.0.0.1:1'));
  });

  test('is fetched for one repository, and no other takes it for its own', async () => {
    const hub = await hubOf();
    const mine = await fetch(hub.endpoint);
    const asked = hub.requests.length;
    const theirs = await fetch(hub.endpoint, { repository: 'some/one' });
    assert.notEqual(theirs.folder, mine.folder);
    assert.ok(hub.requests.length > asked);
    for (const repository of ['local', '', '../..', 'a/..', 'a/b/c'])
      assert.match(
        (await fetch(hub.endpoint, { repository })).folder,
        /\/state\/models\/@terminal\/org--tiny\//,
      );
  });

  test('that several runs want at once is fetched by one, and the others take it', async () => {
    const hub = await hubOf();
    const told: string[] = [];
    const log = (line: string) => told.push(line);
    const [first, ...others] = await Promise.all([1, 2, 3].map(() => fetch(hub.endpoint, { log })));
    assert.ok(first);
    await assertWhole(first);
    assert.deepEqual(others, [first, first]);
    assert.match(told.join('\n'), /Another run on this machine is at org\/tiny/);
    const files = hub.requests.filter((line) => line.includes('/resolve/'));
    assert.equal(new Set(files).size, files.length, 'each file once');
  });

  test('that another run is at can be waited for in vain: the end of the run ends it', async () => {
    const stalling = await hubOf({ fault: 'stall' });
    const [busy, waits] = [new AbortController(), new AbortController()];
    const cancelled = () => new UserError('cancelled', 'The run was cancelled.', '');
    const begun = Promise.withResolvers<void>();
    const first = fetch(stalling.endpoint, { signal: busy.signal, onProgress: () => begun.resolve() });
    const rejected = assert.rejects(first, { code: 'cancelled' });
    await begun.promise;
    const log = () => waits.abort(cancelled());
    await assert.rejects(fetch(stalling.endpoint, { signal: waits.signal, log }), { code: 'cancelled' });
    busy.abort(cancelled());
    await rejected;
  });

  fault(
    'disk full for the model',
    'no room for a model of the hub',
    'refused before it is fetched, and where room is taken meanwhile `disk-full`',
    async (t) => {
      const hub = await hubOf();
      const mounted = await onSmallDisk('size=1m', hub.endpoint);
      if (mounted === undefined) return t.skip('no small file system can be mounted here');
      assert.equal(mounted.code, 'disk-full');
      assert.match(mounted.message, /needs 20971\d\d bytes more, and the disk of .* has \d+ free/);
      assert.ok(!hub.requests.some((line) => line.includes('/resolve/')), 'nothing came');
      const full = await onSmallDisk('size=4m,nr_inodes=10', hub.endpoint);
      assert.equal(full?.code, 'disk-full');
      assert.match(full?.message ?? '', /The disk is full: org\/tiny/);
    },
  );

  test('whose file was changed here is not believed: what changed is fetched anew', async () => {
    const hub = await hubOf();
    const { folder } = await fetch(hub.endpoint);
    const told: string[] = [];
    await writeFile(join(folder, 'config.json'), '{"poisoned": true}');
    await writeFile(join(folder, 'modeling.py'), '# code');
    const asked = hub.requests.length;
    await assertWhole(await fetch(hub.endpoint, { log: (line) => told.push(line) }));
    assert.match(told.join('\n'), /not what was fetched from the hub any more/);
    assert.ok(
      !hub.requests.slice(asked).some((line) => line.includes('model.safetensors')),
      'no more than that',
    );
  });

  test('whose file was changed here is not believed where the hub gives no other either', async () => {
    const { folder } = await fetch((await hubOf()).endpoint);
    await writeFile(join(folder, 'config.json'), '{"poisoned": true}');
    const refusing = await hubOf({ token: 'hf_secret' });
    await assert.rejects(fetch(refusing.endpoint), { code: 'model-fetch-failed' });
  });

  fault(
    'network by a proxy alone',
    'a runner that reaches the hub by a proxy alone',
    'the job’s `HTTPS_PROXY` and `NO_PROXY` are followed',
    async () => {
      const hub = await hubOf();
      const environment = { http_proxy: hub.endpoint, no_proxy: '127.0.0.1' };
      await assertWhole(
        await fetch('', { hub: { endpoint: 'http://hub.example/', token: undefined, environment } }),
      );
    },
  );

  test('is not what a folder calls itself: a marker and sizes make none', async () => {
    const hub = await hubOf();
    const { folder } = await fetch(hub.endpoint);
    // A manifest of another hand: everything in it fits but the digests.
    const manifest = `${folder}.json`;
    const content = await readFile(manifest, 'utf8');
    await writeFile(
      manifest,
      content.replaceAll(/"sha256": "[0-9a-f]{64}"/g, `"sha256": "${'0'.repeat(64)}"`),
    );
    const asked = hub.requests.length;
    await assertWhole(await fetch(hub.endpoint));
    assert.ok(hub.requests.length > asked);
  });

  test('deletes nothing outside of its own place, whatever lies in it', async () => {
    const victim = join(state, '../victim.txt');
    await mkdir(state, { recursive: true });
    await writeFile(victim, 'precious');
    const hub = await hubOf();
    const { folder } = await fetch(hub.endpoint);
    await rm(folder, { recursive: true });
    const partial = `${folder}.partial`;
    await mkdir(partial);
    await symlink(victim, join(partial, 'config.json'));
    await symlink(join(state, '..'), join(partial, 'sub'));
    await assertWhole(await fetch(hub.endpoint));
    assert.equal(await readFile(victim, 'utf8'), 'precious');
  });

  for (const fault of ['busy-once', 'limit-once', 'break-once', 'no-ranges'] as const)
    test(`comes in spite of a passing trouble: ${fault}`, async () => {
      const hub = await hubOf({ fault });
      await assertWhole(await fetch(hub.endpoint));
      if (fault === 'break-once')
        assert.ok(
          hub.requests.some((line) => / bytes=[1-9]\d*-$/.test(line)),
          'the rest, not all of it again',
        );
    });

  fault(
    'hub’s download broken off',
    'a fetch that ends in the middle of a file',
    'what has arrived is kept, and the next run goes on from there',
    async () => {
      const cancel = new AbortController();
      const stalling = await hubOf({ fault: 'stall' });
      await assert.rejects(
        fetch(stalling.endpoint, {
          signal: cancel.signal,
          onProgress: (_what, done) => {
            if (done > 64 * 1024) cancel.abort(new UserError('cancelled', 'The run was cancelled.', ''));
          },
        }),
        { code: 'cancelled' },
      );
      const hub = await hubOf();
      await assertWhole(await fetch(hub.endpoint));
      assert.match(hub.requests.filter((line) => / bytes=/.test(line)).join(), /bytes=[1-9]\d*-/);
    },
  );

  fault(
    'model’s file of zeros after a crash',
    'a machine that crashed while a model was fetched',
    'a file counts by its digest: it is fetched anew',
    async () => {
      const hub = await hubOf();
      const { folder } = await fetch(hub.endpoint);
      await rm(folder, { recursive: true });
      await mkdir(`${folder}.partial`);
      for (const [path, bytes] of [
        ['model.safetensors', 2 * 1024 * 1024],
        ['config.json', 5],
        ['tokenizer.json', 5000],
      ] as const)
        await writeFile(join(`${folder}.partial`, path), Buffer.alloc(bytes));
      await assertWhole(await fetch(hub.endpoint));
    },
  );

  const refusals: readonly [string, HubServerOptions, string | undefined, RegExp, RegExp][] = [
    ['nobody may see', { token: 'hf_secret' }, undefined, /org\/tiny .*401/, /hub-token/],
    ['wants another token', { token: 'hf_secret' }, 'hf_wrong', /does not take the token .*401/, /hub-token/],
    ['is gated', { token: 'hf_secret', gated: true }, 'hf_secret', /403.*restricted/, /conditions/],
    ['moved', { fault: 'moved' }, undefined, /answered with commit b{40}/, /revision/],
    [
      'arrives corrupted',
      { fault: 'corrupt' },
      undefined,
      /model\.safetensors arrived corrupted/,
      /once more/,
    ],
    ['arrives with other small files', { fault: 'corrupt-small' }, undefined, /config\.json/, /once more/],
  ];
  for (const [what, options, token, message, hint] of refusals)
    test(`that ${what} is refused`, async () => {
      const hub = await hubOf(options);
      await assertRefused(fetch(hub.endpoint, {}, token), 'model-fetch-failed', message, hint);
      if (/corrupt/.test(options.fault ?? '')) {
        // What was wrong was deleted: it is not taken for fetched.
        const right = await hubOf();
        await assertWhole(await fetch(right.endpoint));
      }
    });

  tried(
    'hub that names files outside',
    'a hub, or somebody in its place, whose list of files has `../../evil.json`',
    'refused by the name of the file; nothing is written outside of the model’s folder',
    async () => {
      const hub = await hubOf({ fault: 'outside' });
      await assertRefused(fetch(hub.endpoint), 'model-fetch-failed', /outside of the model/, /HF_ENDPOINT/);
      assert.ok(!(await filesIn(join(state, '..'))).some((path) => path.includes('evil')));
    },
  );

  test('that the hub does not know is refused', async () => {
    const hub = await hubOf({ token: 'hf_secret' });
    const ask = (asked: { id?: string; revision?: string }) =>
      models({
        stateFolder: state,
        hub: { endpoint: hub.endpoint, token: 'hf_secret', environment: {} },
      }).fetch({
        ...wanted(),
        ...asked,
      });
    await assertRefused(ask({ id: 'org/other' }), 'model-fetch-failed', /does not know .*404/, /model\.id/);
    await assertRefused(ask({ revision: 'd'.repeat(40) }), 'model-fetch-failed', /404.*rev id/, /revision/);
  });

  test('without config.json is none', async () => {
    const { 'config.json': _, ...files } = model.files;
    const hub = await hubOf({}, { ...model, files });
    await assertRefused(fetch(hub.endpoint), 'model-fetch-failed', /no config\.json/);
  });

  test('that does not come in time says so, and that it goes on', async () => {
    const hub = await hubOf({ fault: 'stall' });
    await assertRefused(
      fetch(hub.endpoint, { deadlineSeconds: 0.5 }),
      'deadline-exceeded',
      /not fetched after 0\.5 s/,
      /timeout-minutes/,
    );
  });

  test('is not looked for at an address that is none', async () => {
    await assertRefused(fetch('hub.example'), 'model-fetch-failed', /hub\.example/, /HF_ENDPOINT/);
  });
});

describe('the digests of a model’s files', () => {
  const digest = (folder: string, told: string[] = []) =>
    models({ stateFolder: state, onProgress: (what) => told.push(what) }).digest(folder);

  test('are read once, and again when a file was written again', async () => {
    const { folder } = await fetch((await hubOf()).endpoint);
    const first: string[] = [];
    await digest(folder, first);
    assert.deepEqual(first, [], 'known since the fetch');
    const weights = join(folder, 'model.safetensors');
    const { mtime } = await stat(weights);
    const content = await readFile(weights);
    content[0] = (content[0] ?? 0) ^ 1;
    await writeFile(weights, content);
    await utimes(weights, mtime, mtime);
    const again: string[] = [];
    const files = await digest(folder, again);
    assert.ok(again.includes('hash'));
    assert.equal(
      files.find(({ path }) => path === 'model.safetensors')?.sha256,
      createHash('sha256').update(content).digest('hex'),
    );
  });

  test('are not taken from what earlier versions remembered', async () => {
    const folder = join(state, '../model');
    await mkdir(folder);
    await writeFile(join(folder, 'config.json'), '{}');
    const [file] = await digest(folder);
    assert.ok(file);
    await rm(state, { recursive: true });
    await mkdir(state);
    await writeFile(join(state, 'digests.json'), JSON.stringify({ [file.identity]: 'f'.repeat(64) }));
    assert.deepEqual(await digest(folder), [file]);
  });
});
