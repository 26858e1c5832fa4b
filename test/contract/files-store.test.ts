import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createFilesStore } from '../../src/baseline/files.ts';
import { type BaselineStore, formatKey } from '../../src/baseline/port.ts';
import { UserError } from '../../src/errors.ts';
import { privateFolder } from '../../src/machine/scratch.ts';
import { baselineKey, bytesBelow, writeBaseline } from '../support/cache-baseline.ts';
import { fault } from '../support/fault.ts';

interface Bench extends AsyncDisposable {
  readonly store: BaselineStore;
  readonly workspace: string;
  /** Where the store keeps the baseline of `key`, and the folder of its suite. */
  readonly place: string;
  readonly shelf: string;
  readonly temp: string;
  readonly lines: string[];
  /** A folder as `refresh` makes it. */
  make(differs?: Parameters<typeof baselineKey>[0], body?: string): Promise<string>;
}

const key = baselineKey();

async function bench(): Promise<Bench> {
  const owned = new AsyncDisposableStack();
  const { path } = owned.use(await privateFolder());
  const workspace = join(path, 'work space');
  await mkdir(workspace);
  const temp = join(path, 'temp');
  const lines: string[] = [];
  const shelf = join(workspace, 'determinism-baselines', key.suite);
  let made = 0;
  return {
    ...{ workspace, temp, lines, shelf },
    store: createFilesStore({
      workspace,
      path: 'determinism-baselines',
      tempFolder: temp,
      log: (line) => lines.push(line),
    }),
    place: join(shelf, key.hardwareClass),
    make: (differs, body) => writeBaseline(join(path, `made-${made++}`), baselineKey(differs), body),
    async [Symbol.asyncDispose]() {
      assert.deepEqual(await readdir(temp).catch(() => []), [], 'no temporary folder remains');
      await owned.disposeAsync();
    },
  };
}

async function fails(work: Promise<unknown>, code: UserError['code'], ...says: readonly RegExp[]) {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof UserError, `not a UserError: ${String(error)}`);
    assert.equal(error.code, code, error.message);
    for (const say of says) assert.match(`${error.message}\n${error.hint}`, say);
    return true;
  });
}

async function found(store: BaselineStore) {
  const lookup = await store.find(key);
  assert.ok(lookup.kind === 'found', 'there is a baseline');
  return lookup;
}

describe('the files store', () => {
  test('writes files that git can carry, and gives them back', async () => {
    await using b = await bench();
    const made = await b.make();
    assert.equal(await b.store.save(key, made, undefined), formatKey(key));
    assert.deepEqual(await bytesBelow(b.place), await bytesBelow(made));
    assert.equal((await stat(join(b.place, 'record.json'))).mode & 0o444, 0o444, 'others can read it');
    assert.match(
      b.lines.join('\n'),
      /determinism-baselines\/Serving-1\/nvidia-h100-80gb-hbm3-cc9.0-sm132-x1.*Commit it/,
    );
    await using lookup = await found(b.store);
    assert.equal(lookup.key, formatKey(key));
    assert.deepEqual(await bytesBelow(lookup.folder), await bytesBelow(made));
  });

  test('gives a private copy, which a change of the checkout does not reach', async () => {
    await using b = await bench();
    await b.store.save(key, await b.make(), undefined);
    await using lookup = await found(b.store);
    await rm(b.place, { recursive: true });
    assert.ok((await readFile(join(lookup.folder, 'record.json'))).length > 0);
  });

  test('replaces the old baseline wholly', async () => {
    await using b = await bench();
    const old = await b.make();
    await writeFile(join(old, 'bodies', 'only-in-the-old-one'), '');
    await b.store.save(key, old, undefined);
    const next = { runId: '17000000002', record: 'ef'.repeat(32) };
    const made = await b.make(next);
    await b.store.save(baselineKey(next), made, formatKey(key));
    assert.deepEqual(await bytesBelow(b.place), await bytesBelow(made));
    assert.deepEqual(await readdir(b.shelf), [key.hardwareClass], 'nothing lies beside it');
    await using lookup = await found(b.store);
    assert.equal(lookup.key, formatKey(baselineKey(next)));
  });

  test('what lies in the checkout is proven by its merge', async () => {
    await using b = await bench();
    await b.store.save(key, await b.make(), undefined);
    await using lookup = await found(b.store);
    assert.equal(lookup.proof.kind, 'proven');
  });

  test('replaces only what the refresh has seen', async () => {
    await using b = await bench();
    await b.store.save(key, await b.make(), undefined);
    const next = { runId: '17000000002', record: 'ef'.repeat(32) };
    const made = await b.make(next);
    for (const replaces of [undefined, formatKey(baselineKey({ runId: '1' }))])
      await fails(
        b.store.save(baselineKey(next), made, replaces),
        'store-refused',
        new RegExp(`now holds ${formatKey(key)}`),
        /Another refresh/,
      );
    await using lookup = await found(b.store);
    assert.equal(lookup.key, formatKey(key));
    await rm(b.place, { recursive: true });
    assert.equal(await b.store.save(baselineKey(next), made, formatKey(key)), formatKey(baselineKey(next)));
  });

  test('says where it looked when there is nothing', async () => {
    await using b = await bench();
    const lookup = await b.store.find(key);
    assert.ok(lookup.kind === 'absent');
    assert.deepEqual(lookup.otherClasses, []);
    assert.match(
      lookup.explanation.join('\n'),
      /determinism-baselines\/Serving-1\/nvidia-h100-80gb-hbm3-cc9.0-sm132-x1\/baseline\.json.*not there/,
    );
  });

  test('names the other hardware classes of the suite, and none of another suite', async () => {
    await using b = await bench();
    for (const differs of [
      { hardwareClass: 'cpu-intel-avx512' },
      { hardwareClass: 'amd-gfx942' },
      { suite: 'Serving-12' },
    ])
      await b.store.save(baselineKey(differs), await b.make(differs), undefined);
    const lookup = await b.store.find(key);
    assert.ok(lookup.kind === 'absent');
    assert.deepEqual(lookup.otherClasses, ['amd-gfx942', 'cpu-intel-avx512']);
    assert.deepEqual(await b.store.classes(key.suite), lookup.otherClasses);
    assert.deepEqual(await b.store.classes('of-nobody'), []);
  });

  fault(
    'baseline’s save killed',
    '`kill -9` between any two steps of a save into the checkout',
    'the old one or the new one is there, whole',
    async () => {
      await using b = await bench();
      const next = { runId: '17000000002', record: 'ef'.repeat(32) };
      const [old, made] = [await b.make(), await b.make(next)];
      const hidden = (end: string) => join(b.shelf, `.${key.hardwareClass}.${end}`);
      const steps: readonly (readonly [string, () => Promise<unknown>, string])[] = [
        ['while copying', () => mkdir(join(hidden('new-1'), 'bodies'), { recursive: true }), formatKey(key)],
        ['before the swap', () => writeBaseline(hidden('new-2'), baselineKey(next)), formatKey(key)],
        ['between the two renames', () => rename(b.place, hidden('old')), formatKey(key)],
        [
          'before the old one was removed',
          () => rename(hidden('new-2'), b.place),
          formatKey(baselineKey(next)),
        ],
      ];
      await b.store.save(key, old, undefined);
      for (const [when, reach, expected] of steps) {
        await reach();
        await using lookup = await found(b.store);
        assert.equal(lookup.key, expected, when);
      }
      await b.store.save(baselineKey(next), made, formatKey(baselineKey(next)));
      assert.deepEqual(await readdir(b.shelf), [key.hardwareClass], 'the next save sweeps what was left');
    },
  );

  test('a save after one that was killed between its renames does not lose the old one when it fails', async () => {
    await using b = await bench();
    await b.store.save(key, await b.make(), undefined);
    await rename(b.place, join(b.shelf, `.${key.hardwareClass}.old`));
    const broken = await b.make({ runId: '2' });
    await symlink('/etc/passwd', join(broken, 'bodies', 'link'));
    await fails(
      b.store.save(baselineKey({ runId: '2' }), broken, formatKey(key)),
      'record-invalid',
      /"bodies\/link" .*link/,
    );
    assert.deepEqual(await readdir(b.shelf), [key.hardwareClass]);
    await using lookup = await found(b.store);
    assert.equal(lookup.key, formatKey(key));
  });

  test('a checkout that cannot be written refuses', async () => {
    await using b = await bench();
    // Not even root makes folders there.
    const store = createFilesStore({
      workspace: '/sys',
      path: 'x',
      tempFolder: b.temp,
      log: () => undefined,
    });
    await fails(
      store.save(key, await b.make(), undefined),
      'store-refused',
      /not stored in x\/Serving-1/,
      /Let this user write/,
    );
  });

  test('a file in the place of a folder is an error, not an absence', async () => {
    await using b = await bench();
    await writeFile(join(b.workspace, 'determinism-baselines'), '');
    await fails(b.store.find(key), 'baseline-invalid', /it is a file, and not a folder/);
  });

  test('a workspace that is not there is an error, not an absence', async () => {
    await using b = await bench();
    await rename(b.workspace, `${b.workspace}-gone`);
    await fails(b.store.find(key), 'store-unavailable', /ENOENT/, /actions\/checkout/);
    await fails(b.store.classes(key.suite), 'store-unavailable', /ENOENT/);
  });

  test('a baseline of which no copy can be made is there', async () => {
    await using b = await bench();
    await b.store.save(key, await b.make(), undefined);
    await writeFile(b.temp, 'a file in the place of the folder');
    await fails(b.store.find(key), 'store-unavailable', /is there, and no copy .*EEXIST/, /RUNNER_TEMP/);
  });
});

describe('the files store takes nothing from outside', () => {
  for (const path of [
    '../elsewhere',
    '/etc',
    'a/../../b',
    '.',
    '',
    'a//b',
    '.git/baselines',
    'C:\\baselines',
  ])
    test(`the path "${path}" is refused`, () => {
      const create = () =>
        createFilesStore({ workspace: '/w', path, tempFolder: '/t', log: () => undefined });
      assert.throws(create, (error) => error instanceof UserError && error.code === 'suite-invalid');
    });

  for (const part of ['root', 'suite', 'class'] as const)
    test(`a link in the place of the ${part} is refused, for reading and for writing`, async () => {
      await using b = await bench();
      await b.store.save(key, await b.make(), undefined);
      const places = { root: join(b.workspace, 'determinism-baselines'), suite: b.shelf, class: b.place };
      const outside = join(b.workspace, '..', 'outside');
      await rename(places[part], outside);
      await symlink(outside, places[part]);
      const before = await bytesBelow(outside);
      await fails(b.store.find(key), 'baseline-invalid', /symbolic link, which could lead out/);
      await fails(b.store.save(key, await b.make(), undefined), 'baseline-invalid', /symbolic link/);
      assert.deepEqual(await bytesBelow(outside), before);
    });

  test('a link inside of a baseline is refused', async () => {
    await using b = await bench();
    await b.store.save(key, await b.make(), undefined);
    await symlink('/etc/passwd', join(b.place, 'bodies', 'link'));
    await fails(b.store.find(key), 'baseline-invalid', /"bodies\/link" in it is a symbolic link/);
  });

  test('a baseline under a foreign name is refused', async () => {
    await using b = await bench();
    await writeBaseline(b.place, baselineKey({ suite: 'other' }));
    await fails(b.store.find(key), 'baseline-invalid', /belongs elsewhere.*deterministic-ml-v1\/other\//);
  });

  for (const [what, text, says] of [
    ['no JSON', 'x', /not what this version writes/],
    ['JSON of another form', '{"schema":"deterministic-ml/baseline/v9"}', /not what this version writes/],
    ['more than a mebibyte', ' '.repeat(2 ** 20 + 1), /too large/],
  ] as const)
    test(`a baseline.json of ${what} is refused`, async () => {
      await using b = await bench();
      await b.store.save(key, await b.make(), undefined);
      await writeFile(join(b.place, 'baseline.json'), text);
      await fails(b.store.find(key), 'baseline-invalid', says, /Restore it from git/);
    });

  test('a baseline without its baseline.json is refused', async () => {
    await using b = await bench();
    await b.store.save(key, await b.make(), undefined);
    await rm(join(b.place, 'baseline.json'));
    await fails(b.store.find(key), 'baseline-invalid', /no baseline\.json/);
  });
});
